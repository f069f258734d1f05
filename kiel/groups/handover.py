"""
A group's way from ZooKeeper to Kafka, without a gap.

Members follow ZooKeeper's mapping, also beside members that know nothing else, until every member is able to move. Then
all give up what they hold there; when nobody holds anything, one carries the offsets over and opens the group in Kafka,
and all join it. Whoever dies on the way leaves ZooKeeper with its session, and nobody waits for it.

The states are in `kiel.groups.move`, which takes a member from one to the next.
"""
from __future__ import absolute_import

from tornado import gen

from kiel import allocation
from kiel.groups.move import (
    CARRYING, FOLLOWING, JOINING, MOVED, RELEASING, STOPPED, TRANSITIONS, WAITING, Move
)

__all__ = ["CARRYING", "FOLLOWING", "JOINING", "MOVED", "RELEASING", "STOPPED", "TRANSITIONS", "WAITING",
           "HandoverAllocator"]


class HandoverAllocator(allocation.Allocator):
    """
    Goes by a `kiel.zookeeper.follower.Follower` until the group has moved, and by a Kafka group's allocator after.

    :param kafka: the `kiel.groups.choice.ProtocolChoice` that joins the group in Kafka
    :param follower: the member in ZooKeeper
    :param topics: a function that returns the names of the topics to join with in Kafka
    :param view: a function that returns the group's `kiel.clients.grouping.group_view.GroupView`, by which both stores
        of offsets are reached without being a member
    """

    def __init__(self, kafka, follower, topics, view):
        self.kafka = kafka
        self.follower = follower
        #: takes this member along the way
        self.move = Move(follower, kafka, topics, view, self._obey)
        follower.on_change = self._on_follower_change
        follower.on_pause = self._on_follower_pause

    def _on_follower_change(self, revoked, assigned):
        return None if self.on_change is None else self.on_change(revoked, assigned)

    def _on_follower_pause(self, doubt):
        """Pass doubt in ZooKeeper on, which says nothing of a member that is in Kafka."""
        if self.move.joined is None and self.on_pause is not None:
            self.on_pause(doubt)

    def _obey(self, allocator):
        """The member goes by this Kafka group's allocator from now on."""
        allocator.on_change = self.on_change
        allocator.on_lost = self.on_lost
        allocator.on_pause = self.on_pause
        if self.on_pause is not None:
            self.on_pause(allocator.paused)

    @property
    def current(self):
        """The allocator that the member goes by."""
        return self.follower if self.move.joined is None else self.move.joined

    @property
    def state(self):
        """Where this member is on its way; once it has moved, its state in the Kafka group."""
        return getattr(self.move.joined, "state", MOVED) if self.move.stage == MOVED else self.move.stage

    @property
    def error(self):
        """The `kiel.exc.KielError` that membership ended with for good."""
        return self.move.failure or self.current.error

    @property
    def allocation(self):
        """As `kiel.allocation.Allocator.allocation`."""
        return self.current.allocation

    @property
    def paused(self):
        """As `kiel.allocation.Allocator.paused`."""
        return self.current.paused

    @property
    def identity(self):
        """As `kiel.allocation.Allocator.identity`."""
        return self.current.identity

    @property
    def instance_id(self):
        """As `kiel.allocation.Allocator.instance_id`."""
        return self.current.instance_id

    @property
    def by_topic(self):
        """As `kiel.allocation.Allocator.by_topic`."""
        return self.current.by_topic

    @property
    def is_in(self):
        """As `kiel.allocation.Allocator.is_in`."""
        return self.current.is_in

    @property
    def refused(self):
        """As `kiel.allocation.Allocator.refused`."""
        return self.move.failure is None and self.current.refused

    @property
    def heartbeat(self):
        """As `kiel.allocation.Allocator.heartbeat`."""
        return self.current.heartbeat

    @property
    def member_count(self):
        """As `kiel.allocation.Allocator.member_count`."""
        return self.current.member_count

    @property
    def consumer_name(self):
        """The member's name in ZooKeeper."""
        return self.follower.consumer_name

    @consumer_name.setter
    def consumer_name(self, name):
        self.follower.consumer_name = name

    @property
    def members(self):
        """The names of the members in ZooKeeper, as `kiel.zookeeper.allocator.PartitionAllocator.members`."""
        return self.follower.members

    @property
    def partitions(self):
        """The set of partitions in ZooKeeper, as `kiel.zookeeper.allocator.PartitionAllocator.partitions`."""
        return self.follower.partitions

    @property
    def mapping(self):
        """What the allocation function returned last, as `kiel.zookeeper.allocator.PartitionAllocator.mapping`."""
        return self.follower.mapping

    # -- the contract --

    @gen.coroutine
    def start(self, partitions):
        """
        Join the group where it meets; return a Future.

        :raises kiel.exc.ZooKeeperError: without ZooKeeper, which has to say where that is
        :raises kiel.exc.UnsupportedVersionError: when the broker does not serve the protocol that the group is to go by
        """
        self.move.partitions = dict(partitions)
        if self.move.running:
            yield self.current.start(partitions)
            return
        yield self.kafka.check()  # before anything is given up
        yield self.move.start()

    @gen.coroutine
    def stop(self):
        """Leave the group, here and there; return a Future."""
        yield self.move.stop()

    def leave_now(self):
        """See `kiel.allocation.Allocator.leave_now`."""
        self.current.leave_now()

    def update(self, partitions, gone=()):
        """See `kiel.allocation.Allocator.update`."""
        self.move.partitions = dict(partitions)
        return self.current.update(partitions, gone)

    def subscribe(self, topics):
        """See `kiel.allocation.Allocator.subscribe`."""
        return self.current.subscribe(topics)

    def rejoin(self, error):
        """See `kiel.allocation.Allocator.rejoin`."""
        self.current.rejoin(error)
