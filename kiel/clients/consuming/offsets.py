"""`consumer.offsets` and `consumer.synced_offsets` as in kiel 0.9: a mapping and a set that act when written to."""
from __future__ import absolute_import

import six

from kiel.clients.consuming import arguments

try:
    from collections.abc import MutableSet
except ImportError:  # Python 2
    from collections import MutableSet


class TopicOffsets(dict):
    """
    The next offset of each partition of a topic; 0 for one that is not known.

    :param written: called with ``(partition, offset)`` when the application writes an offset
    """

    def __init__(self, written):
        super(TopicOffsets, self).__init__()
        self._written = written

    def __missing__(self, partition):
        self.note(partition, 0)
        return 0

    def __setitem__(self, partition, offset):
        offset = arguments.whole(offset, "offset", 0, arguments.MOST_OFFSET)
        self.note(partition, offset)
        self._written(partition, offset)

    #: takes note of a partition's position, without going there: each batch that is read does that
    note = dict.__setitem__

    def setdefault(self, partition, default=0):
        """Write an offset where there is none; return the one that there is."""
        if partition not in self:
            self[partition] = default
        return self[partition]

    def update(self, *args, **kwargs):
        """Write several."""
        for partition, offset in dict(*args, **kwargs).items():
            self[partition] = offset

    def __reduce__(self):
        return dict, (dict(self),)

    def __copy__(self):
        """Return a plain dict of what is in this one now."""
        return dict(self)

    copy = __copy__

    def __deepcopy__(self, memo):
        return dict(self)


class Offsets(dict):
    """
    Topic -> `TopicOffsets`.

    What is read is the offset after the last message that was handed out, or where reading begins. What is written is
    where reading goes on, as with ``seek``.

    :param written: called with ``(topic, partition, offset)`` when the application writes an offset
    """

    def __init__(self, written):
        super(Offsets, self).__init__()
        self._written = written

    def __missing__(self, topic):
        written = self._written
        offsets = TopicOffsets(lambda partition, offset: written(topic, partition, offset))
        super(Offsets, self).__setitem__(topic, offsets)
        return offsets

    def __setitem__(self, topic, offsets):
        for partition, offset in dict(offsets).items():
            self[topic][partition] = offset

    def note(self, topic, partition, offset):
        """Take note of a position, without going there."""
        self[topic].note(partition, int(offset))

    def setdefault(self, topic, default=()):
        """Write a topic's offsets where there are none; return those that there are."""
        if topic not in self:
            self[topic] = dict(default)
        return self[topic]

    def update(self, *args, **kwargs):
        """Write the offsets of several topics."""
        for topic, offsets in dict(*args, **kwargs).items():
            self[topic] = offsets

    def __reduce__(self):
        return dict, (dict((topic, dict(offsets)) for topic, offsets in self.items()),)

    def __copy__(self):
        """Return a plain dict of what is in this one now."""
        return dict((topic, dict(offsets)) for topic, offsets in self.items())

    copy = __copy__

    def __deepcopy__(self, memo):
        return self.copy()


class SyncedOffsets(MutableSet):
    """
    The topics all of whose partitions have a position.

    Adding a topic takes its positions from ``offsets`` instead of having them looked up; taking one out has them looked
    up by the next ``consume``.

    :param positions: the `kiel.clients.consumer.BaseConsumer`'s part that knows: has ``synced()``, which returns a set,
        ``claim(topic)`` and ``forget(topic)``
    """

    def __init__(self, positions):
        self._positions = positions

    def __contains__(self, topic):
        return topic in self._positions.synced()

    def __iter__(self):
        return iter(self._positions.synced())

    def __len__(self):
        return len(self._positions.synced())

    @classmethod
    def _from_iterable(cls, topics):
        """Return what `|`, `&` and the like make: a plain set."""
        return set(topics)

    def add(self, topic):
        """Have a topic's positions taken from ``offsets``."""
        if topic not in self:
            self._positions.claim(topic)

    def discard(self, topic):
        """Have a topic's positions looked up anew."""
        self._positions.forget(topic)

    def clear(self):
        """Have all positions looked up anew."""
        for topic in self._positions.synced():
            self.discard(topic)

    def update(self, *others):
        """Add topics."""
        for topics in others:
            for topic in [topics] if isinstance(topics, six.string_types) else topics:
                self.add(topic)

    def replace(self, topics):
        """Have positions of these topics, and no others."""
        topics = set(topics)
        for topic in self._positions.synced() - topics:
            self.discard(topic)
        self.update(topics)

    def __repr__(self):
        return repr(self._positions.synced())
