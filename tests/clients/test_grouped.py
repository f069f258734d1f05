"""GroupedConsumer against a scripted broker and an allocation that the test decides; defects of 0.9 by their number."""
from __future__ import absolute_import

import json
import os

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients import GroupedConsumer, grouped
from kiel.clients.grouping import committer, subscription
from kiel.clients.offsets import BEGINNING, END
from kiel.retry import Backoff

from tests import fake, loop
from tests.clients.grouping.members import commits, fetched_from, gather, make, requests, stored, with_member
from tests.fake import CLOSE, error, with_cluster

PROCESSED = dict(autocommit="processed")
MANUAL = dict(autocommit=False)


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", 0.3)
    monkeypatch.setattr(grouped, "CLOSING_TIME", 0.3)
    monkeypatch.setattr(subscription, "GONE_AFTER", 0.2)


def slow(seconds, bad=b"slow"):
    """Arguments of a member for whom a message takes its time: it does not deserialise, and `on_error` waits."""
    def deserializer(value):
        if value == bad:
            raise ValueError("not so fast")
        return value

    return dict(deserializer=deserializer, on_error=lambda record, failure: gen.sleep(seconds))


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


# -- D41, D42: rebalances --

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


class EveryBatch(object):
    """Lets the loop turn after each batch that is decoded."""

    def over(self, now):
        return True

    def tick(self, now):
        pass


@pytest.mark.parametrize("member", [{}, MANUAL])
def test_d31_two_consumes_at_once_share_one_partition_in_order(member):
    @with_member(dict(member, max_wait_time=100), topics={"t": 1})
    def check(cluster, consumer):
        consumer.reader.turn = EveryBatch()
        for number in range(1000):
            cluster.log("t").put(b"%d" % number)
        first = consumer.consume("t")
        yield loop.until(lambda: consumer.offsets["t"][0] > 1, step=0.001)
        second = consumer.consume("t")
        cluster.log("t").put(b"1000")
        messages = (yield first) + (yield second)
        messages += yield gather(consumer, 1001 - len(messages))
        assert [int(message) for message in messages] == list(range(1001))
        assert consumer.position("t", 0) == 1001
        assert not consumer._handing
    check()


@with_member(topics={"t": 1})
def test_what_is_committed_is_handed_out_whatever_comes(cluster, consumer):
    @gen.coroutine
    def then_doubt(call):
        answer = yield call.usual()
        consumer.allocator.doubt(True)
        consumer.allocator.give()
        raise gen.Return(answer)

    cluster[1].on("offset_commit", then_doubt)
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t")) == [b"a"]  # its next owner begins after it
    assert stored(cluster) == 1


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


# -- D43, D44, D57: where a group begins --

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


# -- D48: when offsets are committed --

@with_member(topics={"t": 2, "empty": 1})
def test_d48_nothing_read_nothing_committed(cluster, consumer):
    assert (yield consumer.consume("empty")) == []
    assert (yield consumer.consume("empty")) == []
    yield consumer.commit_offsets()
    assert cluster.count("offset_commit") == 0
    cluster.log("t", 1).put(b"a")
    yield gather(consumer, 1)
    yield consumer.consume("empty")
    yield consumer.consume("t")
    assert commits(cluster) == [{("t", 1): 1}]  # once, and what was not read is not named


@with_member(topics={"t": 1})
def test_d48_true_commits_before_it_hands_over(cluster, consumer):
    cluster.log("t").put(b"a")
    messages = yield consumer.consume("t")
    assert (messages, stored(cluster)) == ([b"a"], 1)


@with_member(PROCESSED, topics={"t": 1, "u": 1})
def test_d48_processed_commits_when_more_is_asked_for(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    assert stored(cluster) is None
    cluster.log("u").put(b"x")
    assert (yield consumer.consume("u")) == [b"x"]  # says nothing about what is done of t
    assert stored(cluster) is None
    cluster.log("t").put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    assert stored(cluster) == 1
    assert stored(cluster, topic="u") is None
    yield consumer.commit_offsets()
    assert stored(cluster) == 2
    assert stored(cluster, topic="u") == 1


@with_member(PROCESSED, topics={"t": 1})
def test_d48_processed_is_for_one_loop_per_topic(cluster, consumer):
    first = consumer.consume("t")
    caught = yield loop.raises(exc.ConcurrentConsumeError, consumer.consume("t"))
    assert "topic t" in str(caught)
    assert (yield first) == []
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    # while that is committed, too
    cluster[1].on("offset_commit", fake.delay(0.1), times=1)
    first = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    yield loop.raises(exc.ConcurrentConsumeError, consumer.consume("t"))
    assert (yield first) == []
    assert (yield consumer.consume("t")) == []


@with_member(dict(PROCESSED, **slow(0.2)), topics={"t": 1})
def test_d48_processed_does_not_count_what_is_not_handed_out_yet(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    yield consumer.commit_offsets()
    assert stored(cluster) is None
    assert (yield consuming) == [b"a", b"b"]
    yield consumer.commit_offsets()
    assert stored(cluster) == 3


@with_member(dict(MANUAL, **slow(0.2)), topics={"t": 1})
def test_d48_manual_does_not_count_what_is_not_handed_out_yet(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    yield consumer.commit_offsets()
    assert stored(cluster) is None
    assert (yield consuming) == [b"a", b"b"]
    yield consumer.commit_offsets()
    assert stored(cluster) == 3


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


# -- D49, D50: members without partitions --

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


# -- D52: ownership in doubt --

@with_member(topics={"t": 1})
def test_d52_in_doubt_nothing_is_handed_out_or_committed(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield gen.sleep(0.02)
    consumer.allocator.doubt(True)
    cluster.log("t").put(b"b")
    count = cluster.count("offset_commit")
    assert (yield consumer.consume("t")) == []
    assert cluster.count("offset_commit") == count
    consuming = consumer.consume("t")
    consumer.allocator.doubt(False)
    assert (yield loop.within(1, consuming)) == [b"b"]
    assert stored(cluster) == 2


@with_member(slow(0.1), topics={"t": 1})
def test_d52_doubt_while_messages_are_decoded_and_nothing_changed(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    consumer.allocator.doubt(True)
    assert (yield consuming) == []
    assert stored(cluster) is None and not consumer.topics_to_commit
    assert consumer.position("t", 0) == consumer.offsets["t"][0] == 0
    consumer.allocator.doubt(False)
    assert (yield gather(consumer, 2)) == [b"a", b"b"]
    assert stored(cluster) == 3


@with_member(topics={"t": 1})
def test_d52_lost_while_messages_are_committed(cluster, consumer):
    # the coordinator does not take the commit, then ZooKeeper is in doubt, then the session is over
    cluster[1].on("offset_commit", error(14))
    cluster.log("t").put(b"a")
    consuming = gather(consumer, 1)
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    consumer.allocator.doubt(True)
    yield consumer.allocator.give()
    cluster[1].on("offset_commit", None)
    yield gen.sleep(0.3)
    assert stored(cluster) is None
    # no other member took it: it comes again, once
    yield consumer.allocator.give(t=[0])
    consumer.allocator.doubt(False)
    assert (yield consuming) == [b"a"]
    assert (yield consumer.consume("t")) == []
    assert stored(cluster) == 1


@with_member(MANUAL, topics={"t": 1})
def test_d52_commit_offsets_waits_for_the_doubt_to_end(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.allocator.doubt(True)
    committing = consumer.commit_offsets()
    yield gen.sleep(0.2)
    assert not committing.done() and cluster.count("offset_commit") == 0
    consumer.allocator.doubt(False)
    yield loop.within(1, committing)
    assert stored(cluster) == 1


@with_member(dict(MANUAL, retry=Backoff(first=0.01, most=0.1, deadline=0.3)), topics={"t": 1})
def test_d52_commit_offsets_in_doubt_for_too_long_is_an_error(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.allocator.doubt(True)
    yield loop.raises(exc.ZooKeeperError, consumer.commit_offsets(), seconds=1)
    assert cluster.count("offset_commit") == 0
    assert consumer.topics_to_commit == {"t"}
    consumer.allocator.doubt(False)


@with_member(topics={"t": 1})
def test_d52_doubt_that_nobody_told_of(cluster, consumer):
    # a process that stood still: the allocator knows by its clock before its hook was called
    cluster.log("t").put(b"a")
    consumer.allocator.paused = True
    begun = cluster.count("fetch")
    assert (yield consumer.consume("t")) == []
    assert cluster.count("fetch") - begun < 8
    assert stored(cluster) is None
    consumer.allocator.paused = False
    assert (yield gather(consumer, 1)) == [b"a"]


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


# -- D58: closing --

@with_member(topics={"t": 1})
def test_d58_close_commits_what_could_not_be_before(cluster, consumer):
    cluster[1].on("offset_commit", error(14))
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", error(16), times=1)  # not at the first try either
    yield consumer.close()
    assert stored(cluster) == 1
    assert consumer.allocator.stopped == 1


@with_member(PROCESSED, topics={"t": 1, "u": 1})
def test_d58_close_commits_what_is_processed(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster.log("u").put(b"x")
    yield gather(consumer, 1, "u")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", error(14), times=1)
    consuming = consumer.consume("t")
    yield gen.sleep(0.05)
    yield consumer.close()
    assert (yield consuming) is None
    assert stored(cluster) == 1
    assert stored(cluster, topic="u") is None  # nobody said that it was done


@with_member(PROCESSED, topics={"t": 1})
def test_d58_close_gives_work_a_moment_to_end(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    closing = consumer.close()
    yield gen.sleep(0.1)
    assert stored(cluster) is None
    assert (yield consumer.consume("t")) is None
    yield closing
    assert stored(cluster) == 1


@with_member(MANUAL, topics={"t": 1})
def test_d58_close_leaves_commits_to_the_caller(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield consumer.close()
    assert cluster.count("offset_commit") == 0


@with_member(topics={"t": 1})
def test_d58_a_closing_consumer_sends_nothing(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    waiting = consumer.consume("t")
    yield gen.sleep(0.02)
    closing = consumer.close()
    late = consumer.consume("t")
    assert (yield loop.within(1, waiting)) is None
    assert (yield late) is None
    yield closing
    count = len(cluster[1].requests)
    assert (yield consumer.consume("t")) is None
    assert len(cluster[1].requests) == count


@with_cluster(topics={"t": 1})
def test_d58_the_allocator_is_stopped_whatever_the_commit_does(cluster):
    consumer = make(cluster)
    yield consumer.connect()
    cluster.log("t").put(b"a")
    cluster[1].on("offset_commit", error(30))
    yield gather(consumer, 1)
    cluster.stop()
    yield loop.within(3, consumer.close())
    assert consumer.allocator.stopped == 1
    assert not consumer.topics_to_commit


@with_cluster(topics={"t": 1})
def test_close_before_connect_and_connect_after_close(cluster):
    consumer = make(cluster)
    yield consumer.close()
    cluster.log("t").put(b"a")
    yield consumer.connect()
    yield consumer.connect()
    cluster[1].on("offset_commit", error(30))
    yield gather(consumer, 1)
    yield consumer.close()
    cluster[1].on("offset_commit", None)
    cluster.kafka_offsets["g", "t", 0] = 0, ""
    yield consumer.connect()
    assert (yield gather(consumer, 1)) == [b"a"]
    assert commits(cluster)[-1] == {("t", 0): 1}
    yield consumer.close()


# -- positions --

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


@with_member(topics={"t": 1})
def test_books_do_not_grow(cluster, consumer):
    for number in range(20):
        name = "topic-%d" % number
        cluster.create(name, 1)
        yield consumer.cluster.heal()
        yield consumer.allocator.give(**{name: [0]})
        cluster.log(name).put(b"a")
        yield gather(consumer, 1, name)
    progress = consumer.progress
    assert not any((progress.due, progress.working, progress.forfeited, progress._waiting, progress._taken))
    assert not consumer._handing and not consumer._calls and not consumer.assignment._releasing
    assert len(requests(cluster, "offset_commit")) == 20
