"""Topics by id instead of name: what the apis share whose newest versions do so (KIP-516)."""
from __future__ import absolute_import

import collections
import sys

#: what keeps the order of its keys, the quick way where there is one
Ordered = dict if sys.version_info >= (3, 7) else collections.OrderedDict

#: the id of no topic
NO_TOPIC = b"\0" * 16


def by_topic(cls, entries, ids=None):
    """
    Return the topics of a request, in the order in which they are met.

    :param cls: the api's own part for a topic, with ``name`` and ``partitions``
    :param entries: ``(topic, item)`` pairs, an item for each partition
    :param ids: {topic: id} as far as they are known; None where ``cls`` has no place for them
    """
    topics = collections.OrderedDict()
    for topic, item in entries:
        topics.setdefault(topic, []).append(item)
    if ids is None:
        return [cls(name=topic, partitions=items) for topic, items in topics.items()]
    return [
        cls(name=topic, topic_id=ids.get(topic, NO_TOPIC), partitions=items)
        for topic, items in topics.items()
    ]


def all_known(topics):
    """Return whether every one of these topics has an id, so that a version without names can be used."""
    return all(topic.topic_id != NO_TOPIC for topic in topics)


def names_of(request):
    """Return ``{topic id: name}`` of the topics in a request: its ``topic_names``, for `wire.complete`."""
    return dict((topic.topic_id, topic.name) for topic in request.topics or ())
