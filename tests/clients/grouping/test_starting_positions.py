"""Where a member goes on, and where a group begins; with a scripted broker. Defects of 0.9 by their number."""
from __future__ import absolute_import

import pytest
from tornado import ioloop

from kiel.clients.offsets import BEGINNING, END

from tests.clients.grouping.members import fetched_from, gather, stored, with_member

pytestmark = pytest.mark.usefixtures("short_times")


@with_member(topics={"t": 1})
def test_d44_out_of_range_leads_to_the_start_once(cluster, consumer):
    cluster.log("t").put(b"0", b"1", b"2", b"3")
    cluster.log("t").truncate(2)
    cluster.log("t").put(b"4", b"5")
    cluster.kafka_offsets["g", "t", 0] = 100, ""
    messages = yield gather(consumer, 4)
    assert messages == [b"2", b"3", b"4", b"5"]
    yield consumer.consume("t")
    assert fetched_from(cluster).count(100) == 1
    assert cluster.count("offset_fetch") == 1
    assert stored(cluster) == 6


@with_member(topics={"t": 1})
def test_d44_a_committed_offset_that_retention_has_passed(cluster, consumer):
    cluster.log("t").put(b"0", b"1", b"2", b"3")
    cluster.log("t").truncate(4)
    cluster.log("t").put(b"4")
    cluster.kafka_offsets["g", "t", 0] = 1, ""
    assert (yield gather(consumer, 1)) == [b"4"]
    assert fetched_from(cluster).count(1) == 1


@pytest.mark.parametrize("release", ["0.8", "2.8", "4.4"])
def test_d57_start_counts_without_a_committed_offset_and_only_there(release):
    @with_member(versions=release, topics={"t": 2})
    def check(cluster, consumer):
        for partition in (0, 1):
            cluster.log("t", partition).put(b"%d-0" % partition, b"%d-1" % partition)
        cluster.kafka_offsets["g", "t", 1] = 1, ""
        assert (yield gather(consumer, 1, start=END)) == [b"1-1"]
        yield consumer.consume("t", END)
        cluster.log("t", 0).put(b"0-2")
        assert (yield gather(consumer, 1, start=END)) == [b"0-2"]
    check()


@with_member(topics={"t": 2})
def test_d57_start_counts_for_a_partition_that_comes_by_a_rebalance(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(b"old")
    yield consumer.allocator.give(t=[0])
    assert (yield consumer.consume("t", END)) == []
    yield consumer.allocator.give(t=[0, 1])
    assert (yield consumer.consume("t", END)) == []
    cluster.log("t", 1).put(b"new")
    assert (yield gather(consumer, 1, start=END)) == [b"new"]


@with_member(topics={"t": 1})
def test_a_partition_added_later_is_read_from_its_beginning(cluster, consumer):
    assert (yield consumer.consume("t", END)) == []
    cluster.create("t", 2)
    cluster.log("t", 1).put(b"first")
    yield consumer.cluster.heal()
    partitions, gone = consumer.allocator.updates[-1]
    assert (partitions, gone) == ({"t": [0, 1]}, set())
    yield consumer.allocator.give(t=[0, 1])
    assert (yield gather(consumer, 1, start=END)) == [b"first"]


@with_member(brokers=2, topics={"t": 2})
def test_a_leaderless_partition_does_not_hold_up_the_others(cluster, consumer):
    cluster.log("t", 0).leader = -1
    cluster.log("t", 1).put(b"a")
    yield consumer.cluster.heal()
    begun = ioloop.IOLoop.current().time()
    assert (yield gather(consumer, 1)) == [b"a"]
    assert ioloop.IOLoop.current().time() - begun < 1
    cluster.log("t", 0).leader = 2
    cluster.log("t", 0).put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]


@with_member(topics={"t": 2})
def test_seek_decides_over_what_is_committed(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(b"%d-0" % partition, b"%d-1" % partition)
        cluster.kafka_offsets["g", "t", partition] = 2, ""
    consumer.seek("t", 0, 1)
    assert (yield gather(consumer, 1)) == [b"0-1"]
    consumer.seek("t", 1, BEGINNING)
    assert (yield gather(consumer, 2)) == [b"1-0", b"1-1"]
    with pytest.raises(ValueError):
        consumer.seek("t", 2, 0)
