"""Logs that were cut, leader epochs, and positions out of range: what a consumer is told and where it goes on."""
from __future__ import absolute_import

import copy
import datetime

import pytest

from kiel import exc
from kiel.clients.consuming import log_validator
from kiel.clients.consuming.cursor import Offset, epoch_of, offset_of
from kiel.clients.single import SingleConsumer

from tests import fake, loop
from tests.clients.consuming.consumers import gather, times_asked, with_consumer
from tests.clients.grouping.members import gather as member_gather, stored, with_member

#: fetches find out by themselves from 2.7 on; 2.4 has to be asked; 0.11 can't tell consumers
FINDS_OUT = ["2.4", "2.8", "4.4"]


def asked(cluster, api="fetch"):
    """The partition requests of an api, oldest first."""
    return [
        part for broker in cluster.brokers.values() for call in broker.requests if call.api == api
        for topic in call.request.topics for part in topic.partitions
    ]


# -- offsets and policies --

def test_an_offset_is_a_number_with_an_epoch():
    offset = offset_of(5, 3)
    assert offset == 5 and offset + 1 == 6 and {5: "x"}[offset] == "x" and "%d %s" % (offset, offset) == "5 5"
    assert epoch_of(offset) == 3 and epoch_of(5) == -1 and epoch_of(None) == -1
    assert type(offset_of(5, -1)) is int
    for twin in (copy.copy(offset), copy.deepcopy(offset)):
        assert isinstance(twin, Offset) and twin == 5 and twin.epoch == 3


@pytest.mark.parametrize("given,meant", [
    (None, None), ("error", "error"), ("beginning", -2), ("end", -1), (90, datetime.timedelta(seconds=90)),
    (0.5, datetime.timedelta(seconds=0.5)), (datetime.timedelta(1), datetime.timedelta(1)),
])
def test_policies(given, meant):
    assert log_validator.policy(given) == meant


@pytest.mark.parametrize("given", ["latest", True, -1, [], -2.5])
def test_what_is_no_policy(given):
    with pytest.raises(ValueError):
        SingleConsumer("localhost:1", offset_reset=given)


# -- epochs in requests --

@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_epochs_are_sent_where_the_broker_has_them(release):
    @with_consumer(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.epoch = 5
        yield consumer.cluster.heal()
        log.put(b"a")
        assert (yield gather(consumer, 1)) == [b"a"]
        log.put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
        modern = release in ("2.4", "2.8", "3.9", "4.4")
        assert [part.current_leader_epoch for part in asked(cluster)] == [5 if modern else -1] * len(asked(cluster))
        assert set(part.current_leader_epoch for part in asked(cluster, "offset")) == {5 if modern else -1}
        fetched = [part.last_fetched_epoch for part in asked(cluster) if part.offset]
        assert fetched and set(fetched) == {5 if release in ("2.8", "3.9", "4.4") else -1}
        assert cluster.count("offset_for_leader_epoch") == 0
    check()


@pytest.mark.parametrize("release", FINDS_OUT)
def test_a_leader_with_another_epoch_is_asked_again_with_fresh_metadata(release):
    @with_consumer(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.put(b"a")
        assert (yield gather(consumer, 1)) == [b"a"]
        log.epoch = 7  # a new term of the same broker; nothing was lost
        log.put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
        assert consumer.cluster.leader_epochs["t"] == {0: 7}
        assert cluster.count("offset_for_leader_epoch") == (1 if release == "2.4" else 0)
        assert epoch_of(consumer.fetcher.cursors["t"][0].handed) == 7
        cluster[1].on("fetch", fake.error(75), times=1)  # it does not know yet what we know
        yield consumer.consume("t")
        log.put(b"c")
        assert (yield gather(consumer, 1)) == [b"c"]
    check()


# -- truncation --

def cut_behind(cluster, keep=2):
    """Five messages, of which the unclean leader kept some, and two of its own."""
    log = cluster.log("t")
    log.cut(keep)
    log.put(b"new")
    log.put(b"newer")


@pytest.mark.parametrize("release", FINDS_OUT)
def test_truncation_is_raised_once_and_reading_goes_on_at_the_cut(release, caplog):
    @with_consumer(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        for value in (b"0", b"1", b"2", b"3", b"4"):
            log.put(value)
        assert len((yield gather(consumer, 5))) == 5
        cut_behind(cluster)
        error = yield loop.raises(exc.LogTruncationError, gather(consumer, 1))
        assert (error.topic, error.partition, error.offset, error.divergent_offset) == ("t", 0, 5, 2)
        assert str(error) == "the log of t:0, read up to 5, was cut at 2" and not error.retriable
        assert (yield gather(consumer, 2)) == [b"new", b"newer"]
        assert consumer.position("t", 0) == 4
        assert consumer.last_error is None
        assert cluster.count("offset_for_leader_epoch") == (1 if release == "2.4" else 0)
    check()
    assert [record.getMessage() for record in caplog.records if "was cut at" in record.getMessage()]


@pytest.mark.parametrize("release", FINDS_OUT)
@pytest.mark.parametrize("policy", ["beginning", "end", 3600])
def test_truncation_with_a_policy_goes_on_at_the_cut_with_a_warning(release, policy, caplog):
    @with_consumer(dict(offset_reset=policy), versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        for value in (b"0", b"1", b"2", b"3", b"4"):
            log.put(value)
        assert len((yield gather(consumer, 5))) == 5
        cut_behind(cluster)
        assert (yield gather(consumer, 2)) == [b"new", b"newer"]
    check()
    assert "read up to 5, was cut at 2" in caplog.text


@pytest.mark.parametrize("release", FINDS_OUT)
def test_truncation_as_an_error_is_raised_until_the_caller_seeks(release):
    @with_consumer(dict(offset_reset="error"), versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        for value in (b"0", b"1", b"2", b"3", b"4"):
            log.put(value)
        assert len((yield gather(consumer, 5))) == 5
        cut_behind(cluster)
        for _ in range(3):
            yield loop.raises(exc.LogTruncationError, gather(consumer, 1))
            assert consumer.position("t", 0) == 5
        consumer.seek("t", 0, 3)
        assert (yield gather(consumer, 1)) == [b"newer"]
    check()


@pytest.mark.parametrize("release", FINDS_OUT)
def test_what_was_fetched_and_not_handed_out_is_no_loss_to_the_caller(release):
    @with_consumer(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.put(b"0")
        assert (yield gather(consumer, 1)) == [b"0"]
        log.put(b"1")
        yield loop.until(lambda: consumer.fetcher.buffered)
        cursor = consumer.fetcher.cursors["t"][0]
        batches = cursor.take(1 << 20)  # as `consume` does before it decodes
        log.cut(1)
        log.put(b"another")
        yield loop.until(lambda: len(batches) == 1 and consumer.cluster.leader_epochs["t"][0] == 0)
        consumer.fetcher.hungry["t"] += 1
        consumer.fetcher.pump()
        yield loop.until(lambda: cursor.position == 1 or cursor.size)
        consumer.fetcher.hungry["t"] -= 1
        assert (yield gather(consumer, 1)) == [b"another"]
        assert consumer.last_error is None
    check()


@pytest.mark.parametrize("policy,expected", [(None, exc.LogTruncationError), ("error", exc.LogTruncationError)])
def test_a_leader_that_knows_nothing_of_the_epoch(policy, expected):
    @with_consumer(dict(offset_reset=policy), versions="2.4", topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.epoch = 3
        yield consumer.cluster.heal()
        log.put(b"0")
        assert (yield gather(consumer, 1)) == [b"0"]
        log.cut(0)
        log.put(b"another")
        error = yield loop.raises(expected, gather(consumer, 1))
        assert error.divergent_offset is None and "unknown" in str(error)
        if policy is None:
            assert (yield gather(consumer, 1)) == [b"another"]
        else:
            yield loop.raises(expected, gather(consumer, 1))
    check()


def test_a_check_that_is_not_allowed_is_given_up(caplog):
    @with_consumer(versions="2.4", topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.put(b"0")
        assert (yield gather(consumer, 1)) == [b"0"]
        cluster[1].on("offset_for_leader_epoch", fake.error(29))
        log.epoch = 1
        log.put(b"1")
        assert (yield gather(consumer, 1)) == [b"1"]
        assert cluster.count("offset_for_leader_epoch") == 1
    check()
    assert "can't check whether the log was truncated" in caplog.text


@with_consumer(versions="2.4", topics={"t": 1})
def test_a_check_is_tried_again(cluster, consumer):
    log = cluster.log("t")
    log.put(b"0")
    assert (yield gather(consumer, 1)) == [b"0"]
    cluster[1].on("offset_for_leader_epoch", fake.CLOSE, times=1)
    log.epoch = 1
    log.put(b"1")
    assert (yield gather(consumer, 1)) == [b"1"]
    assert cluster.count("offset_for_leader_epoch") == 2


# -- groups --

@pytest.mark.parametrize("release", FINDS_OUT)
def test_the_epoch_is_committed_and_compared_by_who_goes_on(release):
    @with_member(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.epoch = 4
        yield consumer.cluster.heal()
        for value in (b"0", b"1", b"2"):
            log.put(value)
        yield member_gather(consumer, 3)
        assert stored(cluster) == 3
        assert cluster.committed_epochs["g", "t", 0] == 4
        log.cut(1)
        log.put(b"another")
        yield consumer.cluster.heal()
        # a new member, as it were
        consumer.fetcher.cursors["t"][0].reset()
        error = yield loop.raises(exc.LogTruncationError, member_gather(consumer, 1))
        assert (error.offset, error.divergent_offset) == (3, 1)
        assert (yield member_gather(consumer, 1)) == [b"another"]
        assert stored(cluster) == 2 and cluster.committed_epochs["g", "t", 0] == 5
    check()


# -- out of range --

@pytest.mark.parametrize("policy,first,said", [
    ("beginning", b"5", "reading goes on at 5: 4 offsets are skipped"),
    (None, b"5", "reading goes on at 5: 4 offsets are skipped"),
    ("end", b"7", "reading goes on at 7: 6 offsets are skipped"),
    (datetime.timedelta(hours=1), b"6", "reading goes on at 6: 5 offsets are skipped"),
])
def test_where_reading_goes_on_when_the_position_is_out_of_range(policy, first, said, caplog):
    @with_consumer(dict(offset_reset=policy), topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        for value in range(5):
            log.put(b"old")
        log.truncate(5)
        log.put(b"5", timestamp=1)
        log.put(b"6", timestamp=1 << 42)
        yield consumer.consume("t", SingleConsumer.BEGINNING)
        consumer.seek("t", 0, 1)
        if policy == "end":
            assert (yield consumer.consume("t")) == []
            log.put(b"7")
        assert (yield gather(consumer, 1))[0] == first
    check()
    assert "t:0: offset 1 is out of range, " + said in caplog.text


def test_a_position_behind_the_end_says_so(caplog):
    @with_consumer(dict(offset_reset="end"), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield gather(consumer, 1)
        consumer.seek("t", 0, 9)
        assert (yield consumer.consume("t")) == []
        yield loop.until(lambda: consumer.position("t", 0) == 1)
    check()
    assert "t:0: offset 9 is out of range, reading goes on at 1: 8 offsets are read again" in caplog.text


@with_consumer(dict(offset_reset="error"), topics={"t": 1})
def test_out_of_range_as_an_error_is_raised_until_the_caller_seeks(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.seek("t", 0, 9)
    for _ in range(2):
        yield loop.raises(exc.OffsetOutOfRangeError, gather(consumer, 1))
    assert times_asked(cluster) == [-2]
    consumer.seek("t", 0, 0)
    assert (yield gather(consumer, 1)) == [b"a"]


# -- followers --

@pytest.mark.parametrize("release", ["2.4", "4.4"])
def test_a_follower_is_read_and_left_when_it_cannot_serve(release):
    @with_consumer(dict(rack_id="here"), versions=release, brokers=2, topics={"t": 1})
    def check(cluster, consumer):
        log = cluster.log("t")
        log.followers, log.preferred = [2], 2
        log.put(b"a")
        assert (yield gather(consumer, 1)) == [b"a"]
        assert cluster[2].count("fetch") and cluster[1].count("fetch") == 1
        racks = [call.request.rack_id for call in cluster[1].requests + cluster[2].requests if call.api == "fetch"]
        assert set(racks) == {"here"}
        cluster[2].on("fetch", fake.error(1), times=1)  # it lags: its log does not reach that far
        log.put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
        yield consumer.consume("t")
        log.put(b"c")
        assert (yield gather(consumer, 1)) == [b"c"]
        assert times_asked(cluster) == [-2]
        led = cluster[1].count("fetch")
        assert led >= 2
        cluster[2].stop()
        log.preferred = None
        log.put(b"d")
        assert (yield gather(consumer, 1)) == [b"d"]
        assert cluster[1].count("fetch") > led
    check()


@with_consumer(dict(rack_id="here", metadata_max_age=0.3), brokers=2, topics={"t": 1})
def test_a_follower_is_good_for_a_time(cluster, consumer):
    log = cluster.log("t")
    log.followers, log.preferred = [2], 2
    log.put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    for _ in range(3):
        yield consumer.consume("t")
    assert cluster[1].count("fetch") >= 2


@with_consumer(brokers=2, topics={"t": 1})
def test_without_a_rack_the_leader_is_read(cluster, consumer):
    log = cluster.log("t")
    log.followers, log.preferred = [2], 2
    log.put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    assert not cluster[2].count("fetch")
