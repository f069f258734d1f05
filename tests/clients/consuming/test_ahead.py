"""Fetching ahead: the next fetch of a partition while what came before waits to be taken, and how much each brings."""
from __future__ import absolute_import

import pytest
from six.moves import range
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.consuming import source
from kiel.clients.consuming.cursor import AHEAD, BUFFERED, IN_FLIGHT, Cursor
from kiel.clients.consuming.fetch import Fetch
from kiel.events import settle

from tests import answers, fake
from tests.clients.consuming.consumers import fetched_from, gather, with_consumer
from tests.loop import until

#: few bytes of a fetch, so that a batch fills it, and patience, so that a fetch that finds nothing stays
SMALL = dict(max_bytes=200, buffer_bytes=100000, max_wait_time=3000)

#: what a message begins with, made longer so that one batch fills a fetch
VALUES = [b"%d" % number + b"x" * 100 for number in range(9)]


class Gate(object):
    """Has a broker's fetches from an offset on wait until it is opened, and answers the first of them as told."""

    def __init__(self, broker, offset, then=None):
        self.offset = offset
        self.then = then
        self.opened = concurrent.Future()
        self.waiting = 0
        broker.on("fetch", self.answer)

    @gen.coroutine
    def answer(self, call):
        if all(part.offset < self.offset for topic in call.request.topics for part in topic.partitions):
            return
        self.waiting += 1
        yield self.opened
        then, self.then = self.then, None
        raise gen.Return(then(call) if callable(then) else then)

    def open(self):
        settle(self.opened)


def with_cursor_ahead(then=None, release="4.4", **settings):
    """
    Runs the test with a cluster, a consumer, a cursor and a `Gate`: message 0 was handed out, message 1 of the same
    batch is here, and the fetch of those from 2 on is under way.
    """
    def decorate(test):
        @with_consumer(dict(SMALL, **settings), topics={"t": 1}, versions=release)
        def run(cluster, consumer):
            cluster.log("t").put(*VALUES[:2])
            for value in VALUES[2:]:
                cluster.log("t").put(value)
            gate = Gate(cluster[1], 2, then)
            assert (yield consumer.consume("t", consumer.BEGINNING, max_records=1)) == VALUES[:1]
            yield until(lambda: gate.waiting)
            cursor = consumer.fetcher.find("t", 0)
            assert cursor.state == AHEAD
            yield gen.coroutine(test)(cluster, consumer, cursor, gate)
        run.__name__ = test.__name__
        return run
    return decorate


@with_cursor_ahead()
def test_what_is_fetched_ahead_comes_after_what_is_here(cluster, consumer, cursor, gate):
    gate.open()
    yield until(lambda: cursor.state == BUFFERED and len(cursor.batches) > 1)
    assert (yield gather(consumer, 8)) == VALUES[1:]
    assert fetched_from(cluster)[:2] == [0, 2]


@with_cursor_ahead()
def test_what_is_here_is_taken_while_a_fetch_is_under_way(cluster, consumer, cursor, gate):
    assert (yield consumer.consume("t")) == VALUES[1:2]
    assert cursor.state == IN_FLIGHT and cursor.size == 0
    gate.open()
    assert (yield gather(consumer, 7)) == VALUES[2:]


@with_cursor_ahead()
def test_a_seek_drops_both(cluster, consumer, cursor, gate):
    consumer.seek("t", 0, 5)
    gate.open()
    assert (yield gather(consumer, 4)) == VALUES[5:]


@with_cursor_ahead()
def test_a_paused_partition_keeps_both_and_is_asked_for_no_more(cluster, consumer, cursor, gate):
    consumer.pause("t", 0)
    gate.open()
    yield until(lambda: cursor.state == BUFFERED)
    asked = cluster.count("fetch")
    assert (yield consumer.consume("t", max_wait_time=50)) == []
    assert cluster.count("fetch") == asked
    consumer.resume("t", 0)
    assert (yield gather(consumer, 8)) == VALUES[1:]


@with_cursor_ahead()
def test_a_partition_that_is_given_away_takes_nothing_more(cluster, consumer, cursor, gate):
    consumer.fetcher.revoke("t", 0)
    gate.open()
    yield until(lambda: not consumer.fetcher.sources[1].under_way)
    assert not cursor.size and not consumer.fetcher.buffered


@with_cursor_ahead()
def test_closing_ends_it(cluster, consumer, cursor, gate):
    gate.open()
    yield consumer.close()
    assert (yield consumer.consume("t")) is None and not cursor.size


@pytest.mark.parametrize("then", [fake.CLOSE, fake.CUT, fake.error(6), fake.error(5), b"\0nonsense"])
def test_trouble_ahead_loses_nothing_and_repeats_nothing(then):
    @with_cursor_ahead(then)
    def check(cluster, consumer, cursor, gate):
        gate.open()
        yield until(lambda: cursor.state == BUFFERED)
        assert (yield gather(consumer, 8)) == VALUES[1:]
    check()


@pytest.mark.parametrize("code, expected", [(29, exc.BrokerError), (1, exc.OffsetOutOfRangeError)])
def test_an_error_ahead_is_raised_once_what_came_before_is_taken(code, expected):
    @with_cursor_ahead(fake.error(code), offset_reset="error")
    def check(cluster, consumer, cursor, gate):
        cluster[1].on("fetch", fake.error(code))
        gate.open()
        yield until(lambda: cursor.state == BUFFERED)
        assert (yield consumer.consume("t")) == VALUES[1:2]
        with pytest.raises(expected):
            yield consumer.consume("t")
        cluster[1].on("fetch", None)
        consumer.seek("t", 0, 2)
        assert (yield gather(consumer, 7)) == VALUES[2:]
    check()


@pytest.mark.parametrize("reset", [None, "beginning", "error"])
def test_a_log_cut_ahead_of_what_was_handed_out(reset):
    """What waits to be taken is not in the log any more: it is not handed out."""
    @with_cursor_ahead(offset_reset=reset)
    def check(cluster, consumer, cursor, gate):
        consumer.fetcher.validator.diverged(cursor, 1, 0)
        assert (cursor.position, cursor.size, cursor.error) == (1, 0, None)
        gate.open()
        assert (yield gather(consumer, 8)) == VALUES[1:]
    check()


@pytest.mark.parametrize("reset", [None, "beginning", "error"])
def test_a_log_cut_behind_what_was_handed_out(reset):
    @with_cursor_ahead(offset_reset=reset)
    def check(cluster, consumer, cursor, gate):
        consumer.fetcher.validator.diverged(cursor, 0, 0)
        assert (cursor.position, cursor.size) == (1 if reset == "error" else 0, 0)
        gate.open()
        if reset != "beginning":
            with pytest.raises(exc.LogTruncationError):
                yield consumer.consume("t")
        if reset == "error":
            consumer.seek("t", 0, 0)
        assert (yield gather(consumer, 9)) == VALUES
    check()


@with_cursor_ahead()
def test_what_is_here_is_dropped_for_a_topic_that_somebody_waits_for(cluster, consumer, cursor, gate):
    consumer.fetcher.hungry["u"] += 1
    assert consumer.fetcher._drop(1) <= 0
    assert cursor.position == 1 and not cursor.size
    consumer.fetcher.hungry["u"] -= 1
    gate.open()
    assert (yield gather(consumer, 8)) == VALUES[1:]


@with_consumer(SMALL, topics={"t": 1})
def test_nothing_is_asked_for_ahead_where_there_is_no_more(cluster, consumer):
    """A quiet topic costs no more requests than those that somebody waits for."""
    cluster.log("t").put(*VALUES[:2])
    assert (yield consumer.consume("t", consumer.BEGINNING, max_records=1)) == VALUES[:1]
    yield gen.sleep(0.05)
    assert cluster.count("fetch") == 1


@with_consumer(dict(SMALL, buffer_bytes=1000), topics={"t": 4})
def test_what_nobody_takes_stays_within_the_buffer(cluster, consumer):
    most = []

    def note(call):
        most.append(consumer.fetcher._reserved + consumer.fetcher.buffered)

    for partition in range(4):
        for value in VALUES:
            cluster.log("t", partition).put(value)
    cluster[1].on("fetch", note)
    assert len((yield consumer.consume("t", consumer.BEGINNING, max_records=1))) == 1
    yield gen.sleep(0.05)
    assert cluster.count("fetch") > 2 and 400 < consumer.fetcher.buffered and max(most) <= 1000
    assert sorted((yield gather(consumer, 35))) == sorted(VALUES * 4)[1:]


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_brokers_of_every_era_are_asked_ahead(release):
    @with_consumer(SMALL, topics={"t": 3}, versions=release)
    def check(cluster, consumer):
        for partition in range(3):
            for value in VALUES:
                cluster.log("t", partition).put(b"%d" % partition + value)
        messages = yield gather(consumer, 27)
        for partition in range(3):
            mine = [message[1:] for message in messages if message.startswith(b"%d" % partition)]
            assert mine == VALUES
    check()


# -- how much --


def asked(cluster, topic="t"):
    """(max_bytes, {partition: its max_bytes}) of each fetch, oldest first."""
    return [
        (call.request.max_bytes, dict((part.partition_id, part.max_bytes) for part in each.partitions))
        for call in cluster[1].requests if call.api == "fetch" for each in call.request.topics
        if answers.named(call, each) == topic
    ]


def far(monkeypatch):
    """Each answer takes long."""
    monkeypatch.setattr(source, "LONG", -1)


def test_fetches_grow_where_answers_take_long(monkeypatch):
    far(monkeypatch)

    @with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 1})
    def check(cluster, consumer):
        for value in VALUES * 40:
            cluster.log("t").put(value)
        assert (yield gather(consumer, 360)) == VALUES * 40
        sizes = [most for most, _ in asked(cluster)]
        assert sizes[0] == 200 and 800 in sizes and max(sizes) <= 10000, sizes
        assert [parts[0] for _, parts in asked(cluster)][:2] == sizes[:2]
    check()


def test_partitions_that_are_behind_share_what_a_fetch_has_grown_to(monkeypatch):
    far(monkeypatch)

    @with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 4})
    def check(cluster, consumer):
        for partition in range(3):
            for value in VALUES * 20:
                cluster.log("t", partition).put(value)
        assert len((yield gather(consumer, 540))) == 540
        most, parts = next((most, parts) for most, parts in asked(cluster) if most > 600)
        assert sorted(set(parts.values()) - {200}) == [most // sum(size > 200 for size in parts.values())]
    check()


@with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 1})
def test_how_far_fetches_grow(cluster, consumer):
    """Up to half of the buffer, by full answers that somebody waited for, while the way takes longer than the bytes."""
    cluster.log("t").put(VALUES[0])
    yield gather(consumer, 1)
    one = consumer.fetcher.sources[1]
    one._grown, one._distance, grown = 0, 1, []
    for full, starved, waited, took in (
        (False, True, 1, 0), (True, False, 1, 0), (True, True, 1, 1), (True, True, 1, 0.5), (True, True, 1, 0),
        (True, True, 1, 0), (True, True, 1, 0), (True, True, 0.001, 0),
    ):
        fetch = Fetch([consumer.fetcher.find("t", 0)], one._wanted(200), False, 20000, 200)
        fetch.full, fetch.starved, fetch.waited, fetch.took = full, starved, waited, took
        one._adapt(fetch)
        grown.append(one._wanted(200))
    assert grown == [200, 200, 200, 800, 3200, 10000, 10000, 200]


@with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 1})
def test_what_the_loop_was_busy_with_makes_no_distance(cluster, consumer):
    cluster.log("t").put(VALUES[0])
    yield gather(consumer, 1)
    one = consumer.fetcher.sources[1]
    one._distance, found = 1.0, []
    for starved, waited, idle in (
        (True, 17, -1), (True, 17, 0.5), (False, 17, 17), (True, 17, 17), (False, 0.5, 0), (True, 17, 0.4),
    ):
        fetch = Fetch([consumer.fetcher.find("t", 0)], 200, False, 20000, 200)
        fetch.full, fetch.starved, fetch.waited, fetch.idle, fetch.took = True, starved, waited, idle, 20
        one._adapt(fetch)
        found.append(one._distance)
    assert found == [1, 1, 1, 2, 0.5, 0.5]


def test_only_what_somebody_waited_counts_as_idle():
    fetch = Fetch([], 200, False, 20000, 200)
    fetch.sent = 5
    for began, since, expected in ((7, 4, (2, 2)), (7, 6, (2, 1)), (7, 8, (2, -1))):
        fetch.came(began, since)
        assert (fetch.waited, fetch.idle) == expected


def test_fetches_do_not_grow_where_answers_are_quick(monkeypatch):
    monkeypatch.setattr(source, "LONG", 60)

    @with_consumer(SMALL, topics={"t": 1})
    def check(cluster, consumer):
        for value in VALUES * 10:
            cluster.log("t").put(value)
        assert (yield gather(consumer, 90)) == VALUES * 10
        assert set(most for most, _ in asked(cluster)) == {200}
    check()


def test_fetches_shrink_where_they_are_not_taken_as_fast(monkeypatch):
    far(monkeypatch)

    @with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 1})
    def check(cluster, consumer):
        for value in VALUES * 40:
            cluster.log("t").put(value)
        assert (yield consumer.consume("t", consumer.BEGINNING))
        one = consumer.fetcher.sources[1]
        yield until(lambda: consumer.fetcher.buffered > 400)
        fetch = Fetch([consumer.fetcher.find("t", 0)], 200, False, 20000, 200)
        fetch.full = True
        assert one._grown > 200
        one._distance = 1
        for _ in range(20):
            one._adapt(fetch)
        assert one._grown < 200
    check()


def behind(end):
    """A cursor at 0 of a partition that ends there."""
    cursor = Cursor("t", 0)
    cursor.locate(0)
    cursor.end = end
    return cursor


def test_a_fetch_is_busy_where_the_broker_has_something():
    assert [Fetch([behind(end)], 100, False, 1000, 100).busy for end in (None, 0, 1)] == [False, False, True]


# -- with whom --


@with_consumer(SMALL, topics={"t": 2})
def test_partitions_at_their_end_go_with_those_that_are_behind(cluster, consumer):
    """It is not asked for again and again by itself."""
    for value in VALUES:
        cluster.log("t", 1).put(value)
    cluster.log("t", 0).put(b"only")
    assert sorted((yield gather(consumer, 10))) == sorted(VALUES + [b"only"])
    alone = [parts for _, parts in asked(cluster) if 1 not in parts]
    assert len(alone) <= 1  # the long poll that it waits in, should nobody take what is here of the other


@pytest.mark.parametrize("release", ["0.8", "2.4", "4.4"])
@pytest.mark.parametrize("partitions", [4, 20])
def test_partitions_that_are_behind_are_shared_out_to_both_lanes(partitions, release):
    """While one fetch is on its way, the other's messages are read; no partition is in both."""
    @with_consumer(SMALL, topics={"t": partitions}, versions=release)
    def check(cluster, consumer):
        for partition in range(partitions):
            for value in VALUES:
                cluster.log("t", partition).put(b"%02d" % partition + value)
        both = []

        @gen.coroutine
        def note(call):
            under_way = consumer.fetcher.sources[1].under_way
            yield gen.moment
            if len(under_way) == 2:
                both.append([set(fetch.cursors) for fetch in under_way.values()])

        cluster[1].on("fetch", note)
        messages = yield gather(consumer, 9 * partitions)
        for partition in range(partitions):
            assert [each[2:] for each in messages if each.startswith(b"%02d" % partition)] == VALUES
        assert both and not any(one & other for one, other in both)
    check()


@with_consumer(dict(SMALL, max_bytes=100), topics={"t": 2})
def test_a_fetch_that_would_bring_little_waits_for_one_that_is_soon_back(cluster, consumer):
    for partition in (0, 1):
        for value in VALUES:
            cluster.log("t", partition).put(value)
    one = consumer.fetcher._source(1)
    one._grown, one._full, one._distance = 50000, True, 1
    cursors = [consumer.fetcher.cursor("t", partition) for partition in (0, 1)]
    for cursor in cursors:
        cursor.locate(0)
        cursor.end = 9
    consumer.fetcher._reserved = 40000
    one.fetch(cursors, [])
    assert [fetch.share for fetch in one.under_way.values()] == [50000]
    consumer.fetcher._reserved -= 40000
    assert len((yield gather(consumer, 18))) == 18


@pytest.mark.parametrize("far", [False, True])
def test_the_first_answer_alone_does_not_tell_how_far_a_broker_is(far):
    """It may take long since the connection was to be opened; what the broker was asked before did not."""
    @with_consumer(dict(SMALL, buffer_bytes=20000), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(VALUES[0])
        yield gather(consumer, 1)
        conn, one = consumer.cluster.conns[1], consumer.fetcher.sources[1]
        assert 0 < conn.round_trip < 5
        conn.lanes["quick"].round_trip = 0.5 if far else 0.001
        one._grown, one._distance = 0, None
        fetch = Fetch([consumer.fetcher.find("t", 0)], 200, False, 20000, 200)
        fetch.full, fetch.starved, fetch.waited = True, True, 1
        one._adapt(fetch)
        assert one._wanted(200) == (800 if far else 200)
    check()
