"""Where consumers begin: by time, at either end, in topics and partitions that come later or go."""
from __future__ import absolute_import

import calendar
import datetime
import struct
import time

import pytest
from tornado import gen

from kiel.clients.single import SingleConsumer, start_to_timestamp

from tests import fake, loop
from tests.clients.consuming.consumers import fetched_from, gather, times_asked, with_consumer


@with_consumer(topics={"t": 1})
def test_start_at_the_end_is_the_default(cluster, consumer):
    cluster.log("t").put(b"old")
    assert (yield consumer.consume("t")) == []
    cluster.log("t").put(b"new")
    assert (yield gather(consumer, 1, start=None)) == [b"new"]


class Zone(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return datetime.timedelta(0)


def test_d20_times_are_whole_milliseconds():
    naive = datetime.datetime(2016, 10, 19, 12, 0, 0, 345678)
    expected = calendar.timegm((2016, 10, 19, 12, 0, 0)) * 1000 + 345
    assert start_to_timestamp(naive) == expected
    aware = datetime.datetime(2016, 10, 19, 14, 0, 0, 345678, Zone())
    assert start_to_timestamp(aware) == expected
    back = start_to_timestamp(datetime.timedelta(hours=1))
    assert abs(back - (time.time() - 3600) * 1000) < 1000
    for value in (start_to_timestamp(naive), back):
        struct.pack(">q", value)
        assert isinstance(value, int) or str(value).isdigit()
    assert start_to_timestamp(SingleConsumer.BEGINNING) == -2
    assert start_to_timestamp(SingleConsumer.END) == start_to_timestamp(None) == -1


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d20_the_time_goes_out_in_milliseconds(release):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        yield consumer.consume("t", datetime.datetime(2001, 9, 9, 1, 46, 40))
        assert times_asked(cluster)[0] == 1000000000000
    check()


@with_consumer(topics={"t": 1})
def test_d20_a_start_by_time_begins_there(cluster, consumer):
    for second in range(5):
        cluster.log("t").put(b"%d" % second, timestamp=1000 * second)
    start = datetime.datetime(1970, 1, 1, 0, 0, 3)
    assert (yield gather(consumer, 2, start=start)) == [b"3", b"4"]


@with_consumer(topics={"t": 1})
def test_d21_a_retriable_error_of_the_look_up_is_looked_up_again(cluster, consumer):
    for number in range(100):
        cluster.log("t").put(b"%d" % number)
    cluster[1].on("offset", fake.error(6), times=1)
    cluster.log("t").truncate(99)
    assert (yield gather(consumer, 1)) == [b"99"]
    assert set(fetched_from(cluster)) <= {99, 100}
    assert cluster.count("offset") == 2


@with_consumer(topics={"other": 1}, auto_create=False)
def test_d22_a_topic_that_appears_later_is_read_from_the_asked_start(cluster, consumer):
    assert (yield loop.within(2, consumer.consume("t", SingleConsumer.END))) == []
    cluster.create("t")
    cluster.log("t").put(b"before anyone looked")
    asked = cluster.count("offset")
    for _ in range(10):
        yield consumer.consume("t", SingleConsumer.END)
        if cluster.count("offset") > asked:
            break
    assert times_asked(cluster)[0] == -1
    cluster.log("t").put(b"new")
    assert (yield gather(consumer, 1, start=SingleConsumer.END)) == [b"new"]
    assert 0 not in fetched_from(cluster)


@with_consumer(dict(metadata_max_age=0.1), topics={"t": 1})
def test_d22_d34_a_partition_added_later(cluster, consumer):
    yield consumer.consume("t", SingleConsumer.END)
    cluster.create("t", 2)
    cluster.log("t", 1).put(b"in the new one")
    assert (yield gather(consumer, 1, start=SingleConsumer.END)) == [b"in the new one"]
    assert times_asked(cluster, partition=1)  # looked up before it was fetched
    assert consumer.last_error is None


@with_consumer(topics={"t": 2})
def test_d23_out_of_range_moves_only_its_own_partition(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(*[b"%d" % partition] * 3)
    assert len((yield gather(consumer, 6))) == 6
    cluster.log("t", 0).put(b"kept")
    cluster.log("t", 1).put(b"lost")
    cluster.log("t", 1).truncate(500)
    cluster.log("t", 1).put(b"later")
    messages = yield gather(consumer, 2)
    assert sorted(messages) == [b"kept", b"later"]
    assert times_asked(cluster, partition=0) == [-2]
    assert len(times_asked(cluster, partition=1)) == 2


@pytest.mark.parametrize("release", ["0.8", "4.4"])
@pytest.mark.parametrize("stored", [0, 2])
def test_d28_a_time_that_nothing_is_as_old_or_as_late_as(release, stored):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        for _ in range(stored):
            cluster.log("t").put(b"x", timestamp=1000)
        assert isinstance((yield loop.within(2, consumer.consume(
            "t", datetime.datetime(2030, 1, 1)))), list)
        cluster.log("t").put(b"new")
        messages = yield gather(consumer, 1)
        assert messages[-1] == b"new"
    check()


@with_consumer(dict(max_wait_time=50), topics={"other": 1})
def test_d32_an_unknown_topic_does_not_spin(cluster, consumer):
    begun, calls = time.time(), 0
    while time.time() - begun < 1:
        calls += 1
        assert (yield consumer.consume("t")) == []
    assert calls < 40 and len(cluster[1].requests) < 60
    assert consumer.last_error.code == 3


@with_consumer(topics={}, auto_create=True)
def test_d33_a_topic_is_made_by_consuming_it(cluster, consumer):
    yield loop.within(2, consumer.consume("t"))
    yield loop.until(lambda: "t" in cluster.topics)
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]


def with_a_topic_that_goes(gone_after):
    """Runs the rest of a test in which topic "t" goes from metadata and comes back with one message more."""
    def decorate(test):
        @with_consumer(topics={"t": 1, "other": 1})
        def run(cluster, consumer):
            consumer.positions.watch.gone_after = gone_after
            cluster.log("t").put(b"a", b"b")
            assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a", b"b"]
            kept = cluster.topics.pop("t")
            yield consumer.cluster.heal()
            assert "t" not in consumer.cluster.topics
            assert (yield consumer.consume("t")) == []
            yield gen.sleep(0.1)
            assert (yield consumer.consume("t")) == []
            cluster.topics["t"] = kept
            cluster.log("t").put(b"c")
            yield consumer.cluster.heal()
            yield gen.coroutine(test)(consumer)
        run.__name__ = test.__name__
        return run
    return decorate


@with_a_topic_that_goes(gone_after=30.0)
def test_a_topic_that_a_starting_broker_does_not_know_goes_on_where_it_was(consumer):
    assert (yield consumer.consume("t")) == [b"c"]


@with_a_topic_that_goes(gone_after=0.05)
def test_a_topic_that_was_gone_for_long_is_a_new_one(consumer):
    assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a", b"b", b"c"]
