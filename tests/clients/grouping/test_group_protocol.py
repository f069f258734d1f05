"""Which allocator a member goes by, as its arguments say; the choice between Kafka's two is tests/groups'."""
from __future__ import absolute_import

import collections

import pytest

from kiel import settings
from kiel.allocation import naive_allocator
from kiel.clients.grouping import committer
from kiel.clients.grouping.group_protocol import GroupProtocol
from kiel.groups.handover import HandoverAllocator
from kiel.groups.membership import Membership
from kiel.zookeeper.allocator import PartitionAllocator
from kiel.zookeeper.follower import Follower

Client = collections.namedtuple("Client", "group_name name rebalance_timeout")

#: a group in Kafka, which is asked nothing here
Coordinator = collections.namedtuple("Coordinator", "key")


def share(members, partitions):
    return {}


def made(zk_hosts=None, protocol=None, partition_allocator=None, assignors=None):
    return GroupProtocol(
        Client("g", "me", 7), Coordinator("g"), settings.Settings(request_timeout=3), zk_hosts, protocol,
        partition_allocator, Membership(assignors=assignors), lambda: ["t"]
    )


@pytest.mark.parametrize("protocol", [None, "classic", "consumer"])
def test_in_kafka_the_allocator_is_known_once_the_member_joins(protocol):
    found = made(protocol=protocol)
    assert found.allocator() is None
    assert found.choice.protocol == protocol


@pytest.mark.parametrize("function,used", [(None, naive_allocator), (share, share)])
def test_in_zookeeper_it_is_there_from_the_first(function, used):
    allocator = made(["z:1", "z:2"], None, function).allocator()
    assert type(allocator) is PartitionAllocator
    assert (allocator.zk_hosts, allocator.group_name, allocator.consumer_name) == (["z:1", "z:2"], "g", "me")
    assert allocator.allocator_fn is used
    assert allocator._claims.release_timeout == 7 + 2 * (committer.AUTOCOMMIT_TIME + 3)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_that_moves_follows_zookeeper_first(protocol):
    found = made(["z:1"], protocol)
    allocator = found.allocator()
    assert type(allocator) is HandoverAllocator
    assert type(allocator.current) is Follower
    assert (allocator.consumer_name, allocator.kafka) == ("me", found.choice)


@pytest.mark.parametrize("zk_hosts,text", [
    (None, None), ("z:1,z:2/kafka", "z:1,z:2/kafka"), (u"z:1", u"z:1"), (["z:1", "z:2"], "z:1,z:2"),
])
def test_zookeeper_as_errors_name_it(zk_hosts, text):
    assert made(zk_hosts).zk_hosts == text


@pytest.mark.parametrize("zk_hosts,protocol,function,assignors,used", [
    (None, None, None, None, None),
    (None, None, None, ["range"], ["range"]),
    (None, None, share, None, [share]),
    (None, "classic", share, ["range"], [share]),
    # on the way to Kafka, the function is ZooKeeper's wherever assignors say what comes after
    ("z:1", "classic", share, None, [share]),
    ("z:1", "classic", share, ["range"], ["range"]),
    ("z:1", "consumer", share, None, None),
    ("z:1", "consumer", share, ["uniform"], ["uniform"]),
])
def test_what_partitions_are_shared_by_in_kafka(zk_hosts, protocol, function, assignors, used):
    found = made(zk_hosts, protocol, function, assignors)
    assert found.membership.assignors == used
    assert found.choice.membership is found.membership
