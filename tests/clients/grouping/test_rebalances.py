"""Members of a group while their partitions come and go: what is handed out and committed then."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel.clients import GroupedConsumer
from kiel.clients.offsets import BEGINNING

from tests import fake, loop
from tests.clients.grouping.members import MANUAL, PROCESSED, commits, fetched_from, gather, slow, stored, with_member

pytestmark = pytest.mark.usefixtures("short_times")


@with_member(MANUAL, topics={"t": 2, "u": 1})
def test_d41_only_what_was_read_and_is_still_ours_is_committed(cluster, consumer):
    yield consumer.allocator.give(t=[1])
    cluster.log("t", 0).put(b"x", b"y", b"z")
    cluster.log("t", 1).put(*[b"%d" % number for number in range(81)])
    yield gather(consumer, 81)
    yield consumer.allocator.give(t=[0])
    yield consumer.commit_offsets()
    assert commits(cluster) == []
    # and what is regained is not committed as it stood before
    yield consumer.allocator.give(t=[0, 1], u=[0])
    yield consumer.commit_offsets()
    assert commits(cluster) == []
    yield gather(consumer, 84)
    yield consumer.commit_offsets()
    assert commits(cluster) == [{("t", 0): 3, ("t", 1): 81}]


@with_member(topics={"t": 2})
def test_d41_with_autocommit(cluster, consumer):
    yield consumer.allocator.give(t=[0])
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    yield consumer.allocator.give(t=[1])
    cluster.kafka_offsets["g", "t", 0] = 5, ""  # its new owner's
    cluster.log("t", 1).put(b"b")
    yield gather(consumer, 1)
    assert commits(cluster) == [{("t", 0): 1}, {("t", 1): 1}]
    assert stored(cluster, 0) == 5


@with_member(topics={"t": 2})
def test_d42_a_rebalance_during_the_look_up(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(b"0", b"1", b"2")
        cluster.kafka_offsets["g", "t", partition] = 2, ""
    yield consumer.allocator.give(t=[0])
    cluster[1].on("offset_fetch", fake.delay(0.15), times=1)
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset_fetch") == 1)
    yield consumer.allocator.give(t=[1])
    messages = yield consuming
    messages += yield gather(consumer, 1 - len(messages))
    assert messages == [b"2"]
    assert fetched_from(cluster, partition=0) == []
    assert fetched_from(cluster, partition=1)[0] == 2


@with_member(topics={"t": 1})
def test_d42_given_away_and_regained_during_the_look_up(cluster, consumer):
    cluster.log("t").put(b"0", b"1", b"2", b"3")
    cluster.kafka_offsets["g", "t", 0] = 1, ""

    @gen.coroutine
    def late(call):
        answer = yield call.usual()
        yield gen.sleep(0.15)
        raise gen.Return(answer)

    cluster[1].on("offset_fetch", late, times=1)
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset_fetch") == 1)
    yield consumer.allocator.give()
    cluster.kafka_offsets["g", "t", 0] = 3, ""  # meanwhile another member went on
    yield consumer.allocator.give(t=[0])
    messages = (yield consuming) or (yield gather(consumer, 1))
    assert messages == [b"3"]


@with_member(slow(0.2), topics={"t": 2})
def test_a_partition_given_away_while_its_messages_are_decoded(cluster, consumer):
    cluster.log("t", 0).put(b"a", b"slow", b"b")
    consuming = gather(consumer, 1)
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    yield consumer.allocator.give(t=[1])  # the new owner begins where we have committed
    assert stored(cluster, 0) is None
    cluster.log("t", 1).put(b"c")
    assert (yield consuming) == [b"c"]  # so what it will hand out is not handed out here
    assert commits(cluster) == [{("t", 1): 1}]


@with_member(topics={"t": 2})
def test_a_partition_given_away_while_its_messages_are_committed(cluster, consumer):
    cluster[1].on("offset_commit", fake.delay(0.1), times=1)
    cluster.log("t", 0).put(b"a")
    consuming = gather(consumer, 1)
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    told = consumer.allocator.give(t=[1])
    assert not told.done()  # the partition stays fenced until the commit is through
    yield told
    assert stored(cluster, 0) == 1
    assert (yield consuming) == [b"a"]  # committed: nobody else would hand it out
    assert cluster.count("offset_commit") == 1


@with_member(topics={"t": 1})
def test_a_seek_during_the_look_up_wins(cluster, consumer):
    cluster.log("t").put(b"0", b"1", b"2")
    cluster.kafka_offsets["g", "t", 0] = 2, ""
    cluster[1].on("offset_fetch", fake.delay(0.1), times=1)
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset_fetch") == 1)
    consumer.seek("t", 0, BEGINNING)
    messages = (yield consuming) or (yield gather(consumer, 1))
    assert messages == [b"0", b"1", b"2"]


@with_member(PROCESSED, topics={"t": 2})
def test_processed_a_revocation_waits_for_the_work(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    told = consumer.allocator.give(t=[1])
    yield gen.sleep(0.1)
    assert not told.done() and stored(cluster) is None
    assert (yield consumer.consume("t")) == []  # done with it
    yield loop.within(1, told)
    assert stored(cluster) == 1
    assert not consumer.topics_to_commit and not consumer.progress.working and not consumer.progress._waiting


@with_member(PROCESSED, topics={"t": 2})
def test_processed_only_work_on_what_is_revoked_is_waited_for(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    yield loop.within(0.5, consumer.allocator.give(t=[0]))
    yield consumer.consume("t")
    assert stored(cluster) == 1


@with_member(dict(PROCESSED, rebalance_timeout=0.2), topics={"t": 2})
def test_processed_work_that_takes_too_long_is_not_committed(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    yield loop.within(1, consumer.allocator.give(t=[1]))
    cluster.log("t", 1).put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    yield consumer.commit_offsets()
    assert (stored(cluster, 0), stored(cluster, 1)) == (None, 1)


def test_the_partition_outlasts_its_last_commit():
    consumer = GroupedConsumer(["h:1"], "g", ["z:1"], rebalance_timeout=7, request_timeout=3)
    assert consumer.allocator._claims.release_timeout > 7 + 3


@with_member(dict(owned={}), topics={"t": 1})
def test_d49_a_member_without_partitions(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t")) == []
    assert (yield consumer.consume("unknown")) == []
    yield consumer.commit_offsets()
    yield consumer.allocator.give(t=[])
    assert (yield consumer.consume("t")) == []
    assert cluster.count("offset_fetch") == cluster.count("fetch") == cluster.count("offset_commit") == 0
    consuming = consumer.consume("t")
    yield consumer.allocator.give(t=[0])
    assert (yield loop.within(1, consuming)) == [b"a"]


@with_member(topics={"t": 1})
def test_d49_d29_an_allocation_of_what_is_not_there(cluster, consumer):
    yield consumer.allocator.give(t=[0, 5], gone=[0])
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    begun = cluster.count("metadata")
    assert (yield consumer.consume("gone")) == []
    assert cluster.count("metadata") - begun < 20
