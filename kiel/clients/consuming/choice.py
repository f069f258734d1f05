"""What is read by one call, or one stream: a topic, several, a pattern, or some partitions."""
from __future__ import absolute_import

import six

from kiel.clients.consuming import arguments


class Choice(object):
    """
    Topics, as names or as a pattern, and which partitions of each.

    :param topics: ``{topic: frozenset of partition ids, or None for all}``; None with a pattern
    :param pattern: a compiled regular expression
    """

    def __init__(self, topics, pattern=None):
        self._topics = topics
        self._pattern = pattern

    @classmethod
    def of(cls, value):
        """
        Return the choice that an argument makes.

        :param value: a topic's name; a list of them; a compiled regular expression, which a topic's name has to match
            from its beginning (Kafka's own topics, which begin with two underscores, are left out); or ``{topic:
            partition ids}``, with None for all
        :raises TypeError: for anything else
        :raises ValueError: for an empty name, list or dict
        """
        if hasattr(value, "match") and hasattr(value, "pattern"):
            if isinstance(value.pattern, bytes) and not six.PY2:
                raise TypeError("a pattern for topics has to be one of text, not %r" % (value,))
            return cls(None, value)
        if isinstance(value, (bytes,) + six.string_types):
            return cls({arguments.topic(value): None})
        if isinstance(value, dict):
            found = dict((arguments.topic(name), _partitions(ids)) for name, ids in value.items())
        elif isinstance(value, (list, tuple, set, frozenset)):
            found = dict((arguments.topic(name), None) for name in value)
        else:
            raise TypeError("topic has to be the name of a topic, a list of names, a compiled pattern, or a dict of "
                            "partition ids by topic, not %r" % (value,))
        if not found:
            raise ValueError("topic is %r, which names no topic" % (value,))
        return cls(found)

    @property
    def key(self):
        """What is equal for choices that are."""
        return (self._pattern,) if self._topics is None else frozenset(self._topics.items())

    @property
    def is_open(self):
        """Whether topics may come that are not known yet."""
        return self._pattern is not None

    @property
    def selects(self):
        """Whether some partitions of a topic are chosen, not all."""
        return any(ids is not None for ids in (self._topics or {}).values())

    def topics(self, known):
        """Return the names of the topics, in their order; of those that are known, where it is a pattern."""
        if self._topics is not None:
            return sorted(self._topics)
        return sorted(name for name in known if not name.startswith("__") and self._pattern.match(name))

    def partitions(self, topic):
        """Return the ids of the partitions that are read of a topic, None for all."""
        return None if self._topics is None else self._topics.get(topic)


def _partitions(ids):
    """Return partition ids as a frozenset; a single one is a set of one, None stays."""
    if ids is None:
        return None
    if not isinstance(ids, (list, tuple, set, frozenset)):
        ids = [ids]
    if not ids:
        raise ValueError("no partition is named; None means all partitions of the topic")
    return frozenset(arguments.partition(each) for each in ids)
