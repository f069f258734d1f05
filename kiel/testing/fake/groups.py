"""All groups of a fake cluster, and the offsets that they have committed."""
from __future__ import absolute_import

import collections

from kiel.testing.fake.classic import ClassicGroup
from kiel.testing.fake.next_gen import ConsumerGroup

#: an offset that was committed
Committed = collections.namedtuple("Committed", "offset leader_epoch metadata")


class Groups(object):
    """
    Groups by their names.

    :param topics: the `kiel.testing.fake.topics.Topics`
    :param heartbeat_interval: milliseconds between heartbeats of next-generation groups
    """

    def __init__(self, topics, heartbeat_interval):
        self.topics = topics
        self.heartbeat_interval = heartbeat_interval
        self.by_id = collections.OrderedDict()
        #: group -> {(topic, partition): `Committed`}
        self.offsets = {}
        #: group -> {(producer id): {(topic, partition): `Committed`}} of open transactions
        self.pending = {}

    def find(self, group_id):
        """Return a group, None for one that nobody was in."""
        return self.by_id.get(group_id)

    def classic(self, group_id):
        """Return a group for a member of the classic protocol; None where others are in it."""
        group = self.by_id.get(group_id)
        if group is None or group.kind != "classic" and not group.members:
            group = self.by_id[group_id] = ClassicGroup(group_id)
        return group if group.kind == "classic" else None

    def consumer(self, group_id):
        """Return a group for a member of the next generation; None where others are in it."""
        group = self.by_id.get(group_id)
        if group is None or group.kind != "consumer" and not group.members:
            group = self.by_id[group_id] = ConsumerGroup(group_id, self.topics, self.heartbeat_interval)
        return group if group.kind == "consumer" else None

    def commit(self, group_id, offsets):
        """Keep offsets, {(topic, partition): `Committed`}."""
        self.classic_if_new(group_id)
        self.offsets.setdefault(group_id, {}).update(offsets)

    def classic_if_new(self, group_id):
        """Let a group be there, since offsets are kept for it."""
        if group_id not in self.by_id:
            self.by_id[group_id] = ClassicGroup(group_id)

    def is_pending(self, group_id, key):
        """Return whether an open transaction may change a partition's offset."""
        return any(key in offsets for offsets in self.pending.get(group_id, {}).values())

    def hold(self, group_id, producer_id, offsets):
        """Keep offsets until the transaction ends."""
        self.pending.setdefault(group_id, {}).setdefault(producer_id, {}).update(offsets)

    def end_transaction(self, group_id, producer_id, committed):
        """The offsets of a transaction count now, or never."""
        offsets = self.pending.get(group_id, {}).pop(producer_id, {})
        if committed and offsets:
            self.commit(group_id, offsets)

    def forget_topic(self, name):
        """Drop the offsets of a topic that is deleted."""
        for offsets in self.offsets.values():
            for key in [key for key in offsets if key[0] == name]:
                del offsets[key]

    def delete(self, group_id):
        """Forget a group and its offsets; return an error code."""
        group = self.by_id.get(group_id)
        if group is None:
            return 69
        if group.members:
            return 68
        del self.by_id[group_id]
        self.offsets.pop(group_id, None)
        return 0

    def tick(self, now):
        """Put out members whose time is over."""
        for group in list(self.by_id.values()):
            group.tick(now)
