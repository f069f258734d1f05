"""
`SingleConsumer` on real brokers: where it begins, how it goes on, and what it costs when nothing comes.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas; "3.9.1-zk" is 3.9.1 with ZooKeeper.
"""
from __future__ import absolute_import

import collections
import datetime
import json
import os
import struct
import time
import uuid

import pytest
from tornado import gen

from kiel import constants, events, exc
from kiel.clients import GroupedConsumer, SingleConsumer
from kiel.clients.consuming import offset_lookup as offsets
from kiel.connection import Connection
from kiel.testing import admin

from tests import loop
from tests.integration import peer

BEGINNING, END = SingleConsumer.BEGINNING, SingleConsumer.END

#: an hour and a half ago, in milliseconds: young enough for retention, and for what brokers accept
BASE = int(time.time() * 1000) - 5400 * 1000 - 123


@pytest.fixture(scope="module", params=peer.RELEASES)
def kafka(request):
    return peer.shared(request.param)


@pytest.fixture(scope="module")
def three():
    cluster = peer.cluster_of("4.4.0", brokers=3)
    yield cluster
    cluster.stop()


@pytest.fixture
def topic():
    return "consumed-" + uuid.uuid4().hex[:8]


def run(kafka, body, **settings):
    settings.setdefault("deserializer", bytes)
    settings.setdefault("max_wait_time", 200)
    peer.with_clients(kafka, body, **settings)


def values_of(*numbers):
    return [b"%d" % number if bytes is not str else str(number) for number in numbers]


def at(milliseconds, zone=None):
    """A datetime of so many milliseconds since 1970, naive and in UTC or aware."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=milliseconds)
    return moment if zone is None else (moment + zone.utcoffset(None)).replace(tzinfo=zone)


class HalfPastFive(datetime.tzinfo):
    """Five and a half hours before UTC's clocks."""

    def utcoffset(self, moment):
        return datetime.timedelta(hours=5, minutes=30)

    def dst(self, moment):
        return datetime.timedelta(0)


class Sent(object):
    """Counts what all connections of the process send, by api."""

    def __init__(self, monkeypatch):
        self.counts = collections.Counter()
        transmit = Connection.transmit

        def counting(connection, request):
            self.counts[request.api] += 1
            return transmit(connection, request)

        monkeypatch.setattr(Connection, "transmit", counting)

    def __call__(self, api):
        return self.counts[api]


# -- where to begin --

def test_the_beginning_and_the_end(kafka, topic):
    kafka.create_topic(topic, partitions=2)

    def body(writer, start):
        yield writer.put(topic, 0, values_of(0, 1, 2))
        yield writer.put(topic, 1, values_of(3, 4))
        first = yield start(SingleConsumer)
        assert sorted((yield peer.gather(first, topic, 5, start=BEGINNING))) == values_of(0, 1, 2, 3, 4)
        last, default = yield [start(SingleConsumer), start(SingleConsumer)]
        assert (yield last.consume(topic, END)) == []
        assert (yield default.consume(topic)) == []
        yield writer.put(topic, 1, values_of(5))
        for consumer in (first, last, default):
            assert (yield peer.gather(consumer, topic, 1)) == values_of(5)
            assert consumer.offsets[topic][1] == 3
    run(kafka, body)


@pytest.mark.parametrize("codec", [0, constants.GZIP])
def test_a_start_by_time_is_right_to_the_millisecond(kafka, topic, codec, monkeypatch):
    """Messages of two partitions, 3 ms apart, partition 1 a millisecond late; in one batch each."""
    tells = peer.release(kafka) >= (0, 10, 1)
    kafka.create_topic(topic, partitions=2)
    monkeypatch.setenv("TZ", "America/New_York")  # which must not matter
    time.tzset()
    times = [[BASE + 3 * i + partition for i in range(10)] for partition in (0, 1)]

    def body(writer, start):
        for partition in (0, 1):
            yield writer.put(topic, partition, values_of(*range(partition, 20, 2)), times[partition], codec)

        @gen.coroutine
        def begins(when, milliseconds):
            expected = [2 * i + partition for partition in (0, 1) for i in range(10)
                        if times[partition][i] >= milliseconds or not tells]
            consumer = yield start(SingleConsumer)
            found = yield peer.gather(consumer, topic, len(expected), start=when, records=True)
            assert sorted(int(record.value) for record in found) == sorted(expected), when
            assert [record.timestamp in times[record.partition] for record in found] == [tells] * len(found)
            yield consumer.close()

        for milliseconds in (BASE + 12, BASE + 13, BASE + 14):
            yield begins(at(milliseconds), milliseconds)
        yield begins(at(BASE + 13, HalfPastFive()), BASE + 13)
        yield begins(datetime.timedelta(days=2), 0)

        class Clock(object):
            """The time module of `kiel.clients.consuming.offset_lookup`, an hour after the time asked for."""

            @staticmethod
            def time():
                return (BASE + 16 + 3600 * 1000) / 1000.0 + 0.0000001

        with monkeypatch.context() as patch:
            patch.setattr(offsets, "time", Clock)
            yield begins(datetime.timedelta(hours=1), BASE + 16)

        # nothing is that late: the end
        late = yield start(SingleConsumer)
        assert (yield late.consume(topic, datetime.timedelta(seconds=-10))) == []
        yield writer.put(topic, 0, values_of(99), [int(time.time() * 1000)])
        assert (yield peer.gather(late, topic, 1)) == values_of(99)
    try:
        run(kafka, body)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_offsets_of_a_topic(kafka, topic):
    kafka.create_topic(topic, partitions=2)
    tells = peer.release(kafka) >= (0, 10, 1)

    def body(writer, start):
        yield writer.put(topic, 0, values_of(0, 1, 2, 3), [BASE, BASE + 5, BASE + 5, BASE + 10])
        consumer = yield start(SingleConsumer)
        assert (yield consumer.beginning_offsets(topic)) == {0: 0, 1: 0}
        assert (yield consumer.end_offsets(topic)) == {0: 4, 1: 0}
        found = yield consumer.offsets_for_times(topic, BASE + 1)
        if tells:
            assert found == {0: (1, BASE + 5), 1: None}
            assert (yield consumer.offsets_for_times(topic, at(BASE + 6))) == {0: (3, BASE + 10), 1: None}
            assert (yield consumer.offsets_for_times(topic, {0: BASE + 11})) == {0: None}
            assert (yield consumer.offsets_for_times(topic, {0: at(BASE, HalfPastFive())})) == {0: (0, BASE)}
        else:  # by log segments: never after the time
            assert found == {0: (0, -1), 1: (0, -1)}
        missing = "missing-" + topic
        if kafka.version == "4.4.0":
            yield loop.raises(exc.KielError, consumer.end_offsets("not a name!"), 10)
        else:
            assert (yield consumer.end_offsets(missing)) == {0: 0}  # the broker made it
    run(kafka, body)


# -- going on --

def test_seek_pause_resume_position_and_lag(kafka, topic):
    kafka.create_topic(topic, partitions=2)

    def body(writer, start):
        yield writer.put(topic, 0, values_of(*range(10)))
        yield writer.put(topic, 1, values_of(*range(10, 20)), codec=constants.GZIP)
        consumer = yield start(SingleConsumer)
        assert consumer.position(topic, 0) is None and consumer.lag(topic, 0) is None
        yield peer.gather(consumer, topic, 20, start=BEGINNING)
        assert [consumer.position(topic, partition) for partition in (0, 1)] == [10, 10]
        assert [consumer.lag(topic, partition) for partition in (0, 1)] == [0, 0]

        consumer.seek(topic, 0, 7)
        consumer.seek(topic, 1, 9)  # into the middle of a compressed batch
        assert consumer.position(topic, 0) == 7 and consumer.lag(topic, 0) == 3
        assert sorted((yield peer.gather(consumer, topic, 4))) == sorted(values_of(7, 8, 9, 19))
        assert (yield consumer.consume(topic)) == []

        consumer.seek(topic, 0, BEGINNING)
        consumer.seek(topic, 1, END)
        assert (yield peer.gather(consumer, topic, 10)) == values_of(*range(10))
        assert (yield consumer.consume(topic)) == []
        assert consumer.position(topic, 1) == 10

        consumer.pause(topic, 0)
        yield writer.put(topic, 0, values_of(20))
        yield writer.put(topic, 1, values_of(21))
        assert (yield peer.gather(consumer, topic, 1)) == values_of(21)
        assert (yield consumer.consume(topic)) == []
        assert consumer.position(topic, 0) == 10
        consumer.pause(topic)
        yield writer.put(topic, 1, values_of(22))
        assert (yield consumer.consume(topic)) == []
        consumer.resume(topic, 0)
        assert (yield peer.gather(consumer, topic, 1)) == values_of(20)
        assert (yield consumer.consume(topic)) == []
        consumer.resume(topic)
        assert (yield peer.gather(consumer, topic, 1)) == values_of(22)
        with pytest.raises(ValueError):
            consumer.seek(topic, 2, 0)
    run(kafka, body)


@pytest.mark.parametrize("begin,expected", [(BEGINNING, [0, 1, 2]), (END, [])])
def test_out_of_range_in_one_partition(kafka, topic, begin, expected):
    """That partition begins anew where it began; the other one's position stays."""
    kafka.create_topic(topic, partitions=2)

    def body(writer, start):
        consumer = yield start(SingleConsumer)
        assert (yield consumer.consume(topic, begin)) == []
        yield writer.put(topic, 0, values_of(0, 1, 2))
        yield writer.put(topic, 1, values_of(10, 11, 12))
        yield peer.gather(consumer, topic, 6)
        consumer.seek(topic, 0, 1000)
        consumer.seek(topic, 1, 1)
        found = yield peer.gather(consumer, topic, 2 + len(expected))
        for _ in range(3):
            found += yield consumer.consume(topic)
        assert sorted(found) == sorted(values_of(*(expected + [11, 12])))
        yield writer.put(topic, 0, values_of(3))
        assert (yield peer.gather(consumer, topic, 1)) == values_of(3)
        assert dict(consumer.offsets[topic]) == {0: 4, 1: 3}
    run(kafka, body)


def test_what_retention_took_is_out_of_range_too(three, topic):
    """Messages deleted under a consumer's feet, in one partition of two."""
    three.create_topic(topic, partitions=2)

    def body(writer, start):
        consumer = yield start(SingleConsumer)
        for partition in (0, 1):
            yield writer.put(topic, partition, values_of(0))
        yield peer.gather(consumer, topic, 2, start=BEGINNING)
        consumer.pause(topic)
        yield gen.sleep(0.5)  # the fetch that was sent ahead ends
        for partition in (0, 1):
            for i in range(1, 6):
                yield writer.put(topic, partition, values_of(i))
        leader = three.brokers[consumer.cluster.get_leader(topic, 0)]
        yield events.run_blocking(consumer.io_loop, delete_records, leader, topic, 0, 4)
        consumer.resume(topic)
        found = yield peer.gather(consumer, topic, 7, records=True)
        assert sorted((record.partition, record.offset) for record in found) == [
            (0, 4), (0, 5), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]
        assert (yield consumer.beginning_offsets(topic)) == {0: 4, 1: 0}
    run(three, body)


def delete_records(broker, topic, partition, offset):
    """DeleteRecords v0, as a raw request."""
    partitions = admin._array([struct.pack(">iq", partition, offset)])
    answer = admin.call(broker.inner_address, 21, 0,
                        admin._array([admin._string(topic) + partitions]) + admin._int(10000))
    answer.take("i")
    for _ in range(answer.take("i")):
        answer.string()
        assert answer.array(lambda: (answer.take("i"), answer.take("q"), answer.take("h"))) == [(partition, offset, 0)]


def test_partitions_and_topics_that_come_later(kafka, topic):
    kafka.create_topic(topic)
    other = "later-" + topic

    def body(writer, start):
        consumer = yield start(SingleConsumer, metadata_max_age=0.5)
        assert (yield consumer.consume(topic)) == []
        assert (yield consumer.consume(other, BEGINNING)) == []  # the broker makes it
        yield events.run_blocking(consumer.io_loop, kafka.create_partitions, topic, 3)
        yield writer.cluster.heal()
        for partition in range(3):
            yield writer.put(topic, partition, values_of(partition))
        # from their beginning, though the topic is read from its end
        assert sorted((yield peer.gather(consumer, topic, 3))) == values_of(0, 1, 2)
        yield writer.cluster.ensure(other)
        yield writer.put(other, 0, values_of(7))
        assert (yield peer.gather(consumer, other, 1, start=BEGINNING)) == values_of(7)
    run(kafka, body)


# -- large and broken messages --

@pytest.mark.parametrize("codec", [0, constants.GZIP])
def test_a_message_larger_than_max_bytes(kafka, topic, codec):
    kafka.create_topic(topic)
    large = os.urandom(700 * 1000)

    def body(writer, start):
        for value in (b"before", large, b"between", large[::-1], b"after"):
            yield writer.put(topic, 0, [value], codec=codec)
        consumer = yield start(SingleConsumer, max_bytes=50 * 1000)
        found = yield peer.gather(consumer, topic, 5, start=BEGINNING)
        assert found == [b"before", large, b"between", large[::-1], b"after"]
    run(kafka, body)


def test_what_is_buffered_is_bounded(kafka, topic):
    """50 partitions with 3 MB, of which nobody takes more than a little: at most ``buffer_bytes`` come."""
    partitions, count = 50, 30
    kafka.create_topic(topic, partitions=partitions)
    bound = 512 * 1024

    def body(writer, start):
        for partition in range(partitions):
            yield writer.put(topic, partition, values_of(partition) + [b"x" * 2000] * count)
        consumer = yield start(SingleConsumer, max_bytes=100 * 1000, buffer_bytes=bound)
        most = [0]
        fetched = consumer.fetcher.responses.handle

        def measured(response, *args):
            fetched(response, *args)
            most[0] = max(most[0], consumer.fetcher.buffered)

        consumer.fetcher.responses.handle = measured
        found = yield peer.gather(consumer, topic, 1, start=BEGINNING)
        yield gen.sleep(0.4)  # the network goes on as long as there is room
        assert 0 < most[0] <= bound, most
        found += yield peer.gather(consumer, topic, partitions * (count + 1) - len(found), 30)
        assert most[0] <= bound, most
        assert sorted(value for value in found if len(value) < 3) == sorted(values_of(*range(partitions)))
        assert len(found) == partitions * (count + 1)
    run(kafka, body)


def test_messages_that_do_not_deserialise(kafka, topic):
    kafka.create_topic(topic)
    seen = []

    @gen.coroutine
    def send_elsewhere(record, error):
        yield gen.sleep(0.01)
        seen.append((record.offset, record.key, record.value, type(error)))

    def refuse(record, error):
        raise KeyError("stop at %d" % record.offset)

    def body(writer, start):
        for values in ([b"1", b"{", b"3"], [b"}"], [b"5"]):
            yield writer.put(topic, 0, values, key=b"k")
        default, elsewhere, strict = yield [
            start(SingleConsumer, deserializer=None, on_error=on_error) for on_error in (None, send_elsewhere, refuse)]
        assert (yield peer.gather(default, topic, 3, start=BEGINNING)) == [1, 3, 5]
        assert default.position(topic, 0) == 5
        found = yield peer.gather(elsewhere, topic, 3, start=BEGINNING, records=True)
        assert [(record.offset, record.value) for record in found] == [(0, 1), (2, 3), (4, 5)]
        assert [item[:3] for item in seen] == [(1, b"k", b"{"), (3, b"k", b"}")]
        try:
            json.loads("{")
        except ValueError as error:
            assert all(issubclass(item[3], ValueError) for item in seen), (seen, error)

        assert (yield peer.gather(strict, topic, 1, start=BEGINNING)) == [1]
        for _ in range(2):  # it stays there
            failed = yield loop.raises(KeyError, strict.consume(topic), 10)
            assert "stop at 1" in str(failed) and strict.position(topic, 0) == 1
        strict.seek(topic, 0, 2)
        assert (yield peer.gather(strict, topic, 1)) == [3]
        yield loop.raises(KeyError, strict.consume(topic), 10)
        strict.seek(topic, 0, 4)
        assert (yield peer.gather(strict, topic, 1)) == [5]
    run(kafka, body)


# -- what it costs --

def test_an_idle_consumer_sends_no_fetches(kafka, topic, monkeypatch):
    kafka.create_topic(topic, partitions=4)

    def body(writer, start):
        yield writer.put(topic, 0, values_of(*range(100)))
        sent = Sent(monkeypatch)
        consumer = yield start(SingleConsumer, max_wait_time=300)
        yield peer.gather(consumer, topic, 100, start=BEGINNING)
        yield gen.sleep(0.5)  # the fetch that was sent ahead ends
        before = sent("fetch")
        assert before
        yield gen.sleep(1)
        assert sent("fetch") == before and not sent("offset_fetch")
        # waiting, it asks once per `max_wait_time`
        begun = time.time()
        for _ in range(3):
            assert (yield consumer.consume(topic)) == []
        assert sent("fetch") - before <= 6, (sent("fetch") - before, time.time() - begun)
        yield writer.put(topic, 1, values_of(7))
        assert (yield peer.gather(consumer, topic, 1)) == values_of(7)
    run(kafka, body)


def test_any_of_several_leaders(three, topic):
    """A message is handed out at once, whichever leader has it, however long the others wait for theirs."""
    three.create_topic(topic, partitions=3)

    def body(writer, start):
        assert sorted(writer.cluster.leaders[topic].values()) == [0, 1, 2]
        consumer = yield start(SingleConsumer, max_wait_time=10000)
        waiting = consumer.consume(topic, BEGINNING)
        yield gen.sleep(0.5)
        for number in range(9):
            yield writer.put(topic, number % 3, values_of(number))
            assert (yield loop.within(1, waiting)) == values_of(number)
            waiting = consumer.consume(topic)
            yield gen.sleep(0.1 * (number % 2))
        yield writer.put(topic, 0, values_of(99))
        assert (yield loop.within(1, waiting)) == values_of(99)
    run(three, body)


# -- streams --

@gen.coroutine
def drain(stream, most=None):
    """Take what a stream gives, to its end or so many."""
    found = []
    while len(found) != most and (yield loop.within(20, stream.more())):
        found.append((yield loop.within(20, stream.next())))
    raise gen.Return(found)


def test_streams_of_several_topics_and_bounded_ones(kafka, topic):
    other = topic + "-other"
    for name in (topic, other):
        kafka.create_topic(name, partitions=2)

    def body(writer, start):
        for name, first in ((topic, 0), (other, 100)):
            for partition in range(2):
                begun = first + 10 * partition
                yield writer.put(name, partition, values_of(*range(begun, begun + 10)))
        consumer = yield start(SingleConsumer)
        bounded = consumer.stream([topic, other], start=BEGINNING, until=END)
        found = yield drain(bounded, 5)
        yield writer.put(topic, 0, values_of(500))
        found += yield drain(bounded)
        assert sorted(found) == sorted(values_of(*(list(range(20)) + list(range(100, 120)))))
        yield consumer.close()
        again = yield start(SingleConsumer)
        records = yield drain(again.stream_records({topic: [1]}, start=BEGINNING, until={1: 4}))
        assert [(record.partition, record.offset) for record in records] == [(1, offset) for offset in range(4)]
        stream = again.stream(topic, start=BEGINNING)
        assert len((yield drain(stream, 17))) == 17  # four were given by the other
        waiting = stream.next()
        yield writer.put(topic, 1, values_of(600))
        assert (yield loop.within(20, waiting)) == values_of(600)[0]
    run(kafka, body)


def test_a_partition_goes_to_another_member_between_two_messages(three, topic):
    """Of two members that stream, each message is processed by one of them: what is committed is what was given."""
    three.create_topic(topic, partitions=4)
    given = {"first": [], "second": []}

    def body(writer, start):
        for partition in range(4):
            yield writer.put(topic, partition, values_of(*range(100 * partition, 100 * partition + 40)))

        @gen.coroutine
        def member(name):
            consumer = yield start(GroupedConsumer, topic, autocommit="processed", group_protocol="classic",
                                   heartbeat_interval=0.2, topics=[topic])
            stream = consumer.stream(topic)
            while (yield stream.more()):
                given[name].append((yield stream.next()))
                yield gen.sleep(0.01)
        first = events.ignore(member("first"))
        yield loop.until(lambda: len(given["first"]) > 20, 20)
        second = events.ignore(member("second"))
        yield loop.until(lambda: len(given["first"]) + len(given["second"]) >= 160 or first.done() or second.done(), 40)
        assert given["second"]
        assert sorted(given["first"] + given["second"]) == sorted(
            values_of(*[100 * partition + number for partition in range(4) for number in range(40)]))
    run(three, body)
