"""Where a group meets, and by which protocol: in ZooKeeper, in Kafka, or on the way from the one to the other."""
from __future__ import absolute_import

import six

from kiel.allocation import naive_allocator
from kiel.clients.grouping import committer
from kiel.clients.grouping.group_view import GroupView
from kiel.groups.choice import ProtocolChoice
from kiel.groups.handover import HandoverAllocator
from kiel.zookeeper.allocator import PartitionAllocator
from kiel.zookeeper.follower import Follower

#: values of ``group_protocol``
PROTOCOLS = (None, "classic", "consumer")


class GroupProtocol(object):
    """
    Makes the allocator that a member goes by.

    In ZooKeeper that is the same from the first to the last; in Kafka it depends on what the group's coordinator
    serves, and is made by the `kiel.groups.choice.ProtocolChoice` when the member joins.

    :param client: the `kiel.clients.grouped.GroupedConsumer`: the names of the member and of its group
    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param settings: the client's `kiel.settings.Settings`
    :param zk_hosts: ZooKeeper's hosts as the application gave them; None for a group that meets in Kafka
    :param protocol: one of `PROTOCOLS`; with ``zk_hosts``, where the group is to move to, None for one that stays
    :param partition_allocator: the application's function that shares partitions out, or None
    :param membership: the `kiel.groups.membership.Membership` in Kafka, with assignors as the application gave them
    :param topics: function that returns the names of the topics that a group which moves joins with in Kafka
    """

    def __init__(self, client, coordinator, settings, zk_hosts, protocol, partition_allocator, membership, topics):
        self._client = client
        self._settings = settings
        self._addresses = zk_hosts
        #: the ZooKeeper that the group meets in, as one text; None for a group that meets in Kafka
        self.zk_hosts = ",".join(zk_hosts) if zk_hosts and not isinstance(zk_hosts, six.string_types) else zk_hosts
        self._moves = protocol is not None
        self._topics = topics
        #: shares partitions out among members that meet in ZooKeeper
        self._function = partition_allocator or naive_allocator
        #: how the member takes part in a group in Kafka
        self.membership = membership._replace(
            assignors=_assignors(membership.assignors, partition_allocator, zk_hosts, protocol))
        #: takes the allocator of the protocol that the group goes by in Kafka
        self.choice = ProtocolChoice(coordinator, self.membership, settings, protocol)

    def allocator(self):
        """Return the allocator of a member that is to join in ZooKeeper; None where it joins in Kafka."""
        if not self.zk_hosts:
            return None
        client = self._client
        # the partition must stay this member's until its last commit is through, even if that is slow
        last_commit = 2 * (committer.AUTOCOMMIT_TIME + self._settings.request_timeout)
        allocator = (Follower if self._moves else PartitionAllocator)(
            self._addresses, client.group_name, client.name, self._function,
            release_timeout=client.rebalance_timeout + last_commit
        )
        if not self._moves:
            return allocator
        return HandoverAllocator(
            self.choice, allocator, self._topics, lambda: GroupView(client, client.group_name, uses_zookeeper=True)
        )


def _assignors(assignors, partition_allocator, zk_hosts, protocol):
    """Return what the group shares partitions by in Kafka."""
    if partition_allocator is None:
        return assignors
    if zk_hosts and (assignors or protocol == "consumer"):
        return assignors  # on the way from ZooKeeper to Kafka, the function is for the one, assignors for the other
    return [partition_allocator]
