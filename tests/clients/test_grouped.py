"""GroupedConsumer against a scripted broker and an allocation that the test decides; defects of 0.9 by their number."""
from __future__ import absolute_import

import json
import os

import pytest
from tornado import gen

from kiel.clients import GroupedConsumer, grouped

from tests import fake, loop
from tests.clients.grouping.members import gather, make, stored, with_member
from tests.fake import CLOSE, with_cluster

pytestmark = pytest.mark.usefixtures("short_times")


# -- what works --


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_d40_values_come_and_are_committed_on_every_release(release):
    @with_member(versions=release, topics={"t": 2}, brokers=2)
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a", b"b")
        cluster.log("t", 1).put(b"c")
        assert sorted((yield gather(consumer, 3))) == [b"a", b"b", b"c"]
        yield loop.until(lambda: (stored(cluster, 0), stored(cluster, 1)) == (2, 1))
        assert consumer.offsets == {"t": {0: 2, 1: 1}}
        assert not consumer.topics_to_commit
    check()


def test_arguments_and_attributes_of_0_9():
    def share(members, partitions):
        return {}

    consumer = GroupedConsumer(["h:1"], "name", ["z:1", "z:2"], json.loads, share, False, 5, 6, 7)
    assert (consumer.group_name, consumer.autocommit, consumer.coordinator_id) == ("name", False, None)
    assert (consumer.max_wait_time, consumer.min_bytes, consumer.max_bytes) == (5, 6, 7)
    assert consumer.deserializer is json.loads
    assert consumer.topics_to_commit == set() == consumer.synced_offsets
    assert consumer.allocator.allocator_fn is share
    assert consumer.allocator.zk_hosts == ["z:1", "z:2"]
    assert consumer.allocator.group_name == "name"
    assert consumer.allocator.consumer_name == consumer.name
    assert consumer.allocation == {}
    assert grouped.naive_allocator(["m"], ["t:0"]) == {"m": {"t": [0]}}
    with pytest.raises(ValueError):
        GroupedConsumer(["h:1"], "name", ["z:1"], autocommit="sometimes")


@with_member(topics={"t": 1, "__consumer_offsets": 4})
def test_kafkas_own_topics_are_not_shared_out(cluster, consumer):
    assert consumer.allocation == {"t": [0]}


# -- D45: nothing is lost --


@with_member(brokers=2, topics={"t": 2})
def test_d45_every_message_once_while_the_coordinator_comes_and_goes(cluster, consumer):
    expected, got = [], []
    for number in range(12):
        cluster.coordinator = 1 + number % 2
        if number % 3 == 0:
            cluster[cluster.coordinator].on("offset_commit", CLOSE, times=1)
        value = b"%d" % number
        expected.append(value)
        cluster.log("t", number % 2).put(value)
        got.extend((yield gather(consumer, 1)))
    assert sorted(got) == sorted(expected)


# -- D55, D56 --


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@with_cluster(topics={"t": 1})
def test_d55_a_consumer_made_before_a_fork_has_another_name_after_it(cluster):
    consumer = make(cluster)
    name = consumer.name
    consumer._pid += 1  # as it looks in the child
    yield consumer.connect()
    assert consumer.name != name
    assert consumer.name.rpartition(":")[0] == name.rpartition(":")[0]
    assert consumer.name.rpartition(":")[2].isdigit()
    yield consumer.close()


@with_member(topics={"t": 1, "u": 1})
def test_d56_topics_come_and_go(cluster, consumer):
    assert not consumer.allocator.updates
    cluster.create("v", 2)
    yield consumer.cluster.heal()
    assert consumer.allocator.updates.pop() == ({"t": [0], "u": [0], "v": [0, 1]}, set())
    topics = dict(cluster.topics)
    # one answer that lacks a topic proves nothing
    del cluster.topics["v"]
    yield consumer.cluster.heal()
    assert not consumer.allocator.updates
    cluster.topics["v"] = topics["v"]
    yield gen.sleep(0.3)
    assert not consumer.allocator.updates
    # it is looked at again
    consumer.offsets["v"][0] = 1
    del cluster.topics["v"]
    yield consumer.cluster.heal()
    yield loop.until(lambda: consumer.allocator.updates)
    assert consumer.allocator.updates == [({"t": [0], "u": [0]}, {"v"})]
    assert "v" not in consumer.offsets


@with_member(topics={"t": 1})
def test_a_broker_that_knows_nothing_takes_no_topic_away(cluster, consumer):
    kept = cluster.topics.pop("t")
    for _ in range(3):
        yield consumer.cluster.heal()
        yield gen.sleep(0.15)
    assert not consumer.allocator.updates
    cluster.topics["t"] = kept


# -- messages that can't be read --


@with_member(dict(deserializer=json.loads), topics={"t": 1})
def test_a_poison_message_is_stepped_over_and_committed(cluster, consumer):
    cluster.log("t").put(b"{", b"1")
    assert (yield gather(consumer, 1)) == [1]
    cluster.log("t").put(b"{")
    assert (yield consumer.consume("t")) == []
    assert stored(cluster) == 3


@with_member(dict(deserializer=json.loads), topics={"t": 2})
def test_an_error_of_one_partition_does_not_lose_the_others(cluster, consumer):
    def on_error(record, failure):
        raise failure

    consumer.on_error = on_error
    cluster.log("t", 0).put(b"1", b"{")
    cluster.log("t", 1).put(b"2")
    got, errors = [], []
    for _ in range(6):
        try:
            got.extend((yield consumer.consume("t")))
        except ValueError as caught:
            errors.append(caught)
    assert sorted(got) == [1, 2]
    assert errors
    assert (stored(cluster, 0), stored(cluster, 1)) == (1, 1)
