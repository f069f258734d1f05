"""The producer against a scripted Kafka; each defect of 0.9 by its number in defects-0.9.md."""
from __future__ import absolute_import

import gc
import json
import logging
import os
import random
import time

import pytest
from tornado import gen, ioloop

from kiel import clients, constants, exc, partitioners
from kiel.clients.producing import batch as batches, encoding, sender
from kiel.clients.delivery import Delivery
from kiel.clients.producing.append_run import AppendRun
from kiel.protocol import messages
from kiel.retry import Backoff

from tests import fake, loop
from tests.fake import CLOSE, CUT, MUTE, error, with_cluster


def make(cluster, **settings):
    settings.setdefault("serializer", lambda message: message)
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("retry", Backoff(first=0.02, most=0.05, deadline=1))
    producer = clients.Producer(cluster.bootstrap, **settings)
    producer.settings.probe_timeout = 0.1
    return producer


@gen.coroutine
def connected(cluster, **settings):
    producer = make(cluster, **settings)
    yield producer.connect()
    raise gen.Return(producer)


def records(cluster, topic="t", partition=0):
    """All that was written to a partition: (offset, timestamp, key, value, headers)."""
    data = b"".join(entry[3] for entry in cluster.log(topic, partition).batches)
    return [record for batch in messages.batches(data) for record in batch.records()]


def values(cluster, topic="t", partition=0):
    return [record[3] for record in records(cluster, topic, partition)]


def settled(producer):
    """Nothing is left of what was under way."""
    return not producer.sent and not producer.unsent_count and producer.buffered == 0


# -- the plain way --


@pytest.mark.parametrize("release", ["0.8", "0.9", "0.10", "0.11", "2.4", "3.9", "4.4"])
def test_one_message_waits_for_the_broker(release):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        before = int(time.time() * 1000)
        delivery = yield producer.produce("t", b"one", key=b"k")
        assert delivery.done()
        metadata = yield delivery
        assert metadata[:3] == ("t", 0, 0)
        assert before - 5 <= metadata.timestamp <= time.time() * 1000 + 5
        assert [record[2:4] for record in records(cluster)] == [(b"k", b"one")]
        second = yield (yield producer.produce("t", b"two"))
        assert second.offset == 1
        assert settled(producer)
        assert (yield producer.close()) == {}
    run()


@with_cluster(topics={"t": 1})
def test_json_with_sorted_keys_is_the_default(cluster):
    producer = yield connected(cluster, serializer=None)
    yield producer.produce("t", {"b": 1, "a": u"\xe4"})
    yield producer.produce("t", "text")
    assert values(cluster) == [b'{"a": "\\u00e4", "b": 1}', b'"text"']
    yield producer.close()


@with_cluster(topics={"t": 4})
def test_keys_partitions_headers_timestamps(cluster):
    seen = []

    def partitioner(key, ids):
        seen.append((key, ids))
        return 2

    producer = yield connected(
        cluster, key_maker=lambda message: 123, partitioner=partitioner, linger=0.01
    )
    yield producer.produce("t", u"te\xe4t")
    yield producer.produce("t", b"b", key=u"k\xe4", headers={"h": u"\xe4"}, timestamp=5)
    yield producer.produce("t", None, partition=3, headers=[("n", None), (b"m", b"x")])
    yield producer.flush()
    first, second = records(cluster, partition=2)
    assert first[2:] == (b"123", u"te\xe4t".encode("utf-8"), ())
    assert second[1:] == (5, u"k\xe4".encode("utf-8"), b"b", (("h", u"\xe4".encode("utf-8")),))
    assert records(cluster, partition=3)[0][2:] == (b"123", None, (("n", None), ("m", b"x")))
    assert seen == [(123, [0, 1, 2, 3]), (u"k\xe4", [0, 1, 2, 3])]
    yield producer.close()


@with_cluster(topics={"t": 8})
def test_chance_stays_with_a_partition_while_a_batch_takes_messages(cluster):
    producer = yield connected(cluster, linger=0.5, batch_size=10000)
    for _ in range(2):
        for number in range(300):
            yield producer.produce("t", b"%d" % number)
        yield producer.produce_many("t", [b"%d" % number for number in range(300, 600)])
        yield producer.produce_many("t", [b"%d" % number for number in range(600, 700)], keys=[b"k"] * 100)
        producer.produce_nowait("t", b"700")
        yield producer.flush()
    logs = [values(cluster, partition=number) for number in range(8)]
    written = [log for log in logs if log]
    assert sum(map(len, written)) == 1402 and len(written) <= 2
    whole = [b"%d" % number for number in range(701)]
    assert written in ([whole * 2], [whole, whole])
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_chance_uses_all_partitions_that_have_a_leader(cluster):
    cluster.log("t", 1).leader = -1
    producer = yield connected(cluster, linger=0.001)
    for _ in range(60):
        yield producer.produce("t", b"x")
        yield producer.flush()
    assert values(cluster, partition=0) and values(cluster, partition=2)
    assert len(values(cluster, partition=0)) + len(values(cluster, partition=2)) == 60
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_murmur2_as_partitioner(cluster):
    producer = yield connected(cluster, partitioner=partitioners.murmur2)
    delivery = yield producer.produce("t", b"x", key=b"foobar")
    assert delivery.partition == (-790332482 & 0x7fffffff) % 2
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_connect_twice_and_before_every_produce(cluster):
    producer = make(cluster)
    for value in (b"1", b"2", b"3"):
        yield producer.connect()
        yield producer.produce("t", value)
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_producer_goes_on_after_close_and_connect(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    yield producer.close()
    yield producer.connect()
    yield producer.produce("t", b"2")
    assert values(cluster) == [b"1", b"2"]
    yield producer.close()


# -- batches --


@with_cluster(topics={"t": 1})
def test_the_call_that_fills_the_batch_waits(cluster):
    producer = yield connected(cluster, batch_size=3)
    one = yield producer.produce("t", b"1")
    two = yield producer.produce("t", b"2")
    assert not one.done() and not two.done() and producer.unsent_count == 2
    assert [message.value for message in producer.unsent["t"]] == [b"1", b"2"]
    assert cluster.count("produce") == 0
    three = yield producer.produce("t", b"3")
    assert one.done() and two.done() and three.done()
    assert cluster.count("produce") == 1
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(topics={"t": 1, "u": 1})
def test_batch_size_counts_over_all_topics(cluster):
    producer = yield connected(cluster, batch_size=2)
    yield producer.produce("t", b"1")
    yield producer.produce("u", b"2")
    assert values(cluster) == [b"1"] and values(cluster, "u") == [b"2"]
    yield producer.close()


@pytest.mark.parametrize("batch_size", [0, None, 1])
def test_each_call_flushes(batch_size):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, batch_size=batch_size)
        yield producer.produce("t", b"1")
        yield producer.produce("t", b"2")
        assert cluster.count("produce") == 2
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_what_queued_during_a_flight_goes_together(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"0")
    yield [producer.produce("t", b"%d" % i if str is not bytes else str(i)) for i in range(1, 9)]
    assert cluster.count("produce") == 3  # 0; 1; 2 to 8
    assert len(values(cluster)) == 9 and values(cluster) == sorted(values(cluster))
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_linger_waits_only_for_room(cluster):
    producer = yield connected(cluster, linger=0.05, batch_size=1000)
    deliveries = []
    for i in range(10):
        deliveries.append((yield producer.produce("t", b"x")))
    assert cluster.count("produce") == 0
    yield deliveries[0]
    assert all(delivery.done() for delivery in deliveries)
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_several_partitions_in_one_request(cluster):
    producer = yield connected(cluster, linger=10, batch_size=1000)
    for i in range(4):
        yield producer.produce("t", b"x", partition=i % 2)
    yield producer.flush()
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(brokers=2, topics={"t": 2})
def test_a_mute_leader_does_not_hold_up_another(cluster):
    cluster[1].on("produce", MUTE)
    producer = yield connected(cluster, linger=0)
    stuck = yield producer.produce("t", b"x", partition=0)
    for _ in range(5):
        yield (yield producer.produce("t", b"y", partition=1))
    assert not stuck.done()
    cluster[1].on("produce", None)
    yield loop.within(5, stuck.future())
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_a_leaderless_partition_does_not_hold_up_another(cluster):
    cluster.log("t", 0).leader = -1
    producer = yield connected(cluster, linger=0)
    stuck = yield producer.produce("t", b"x", partition=0)
    yield (yield producer.produce("t", b"y", partition=1))
    assert not stuck.done()
    cluster.log("t", 0).leader = 1
    yield loop.within(5, stuck.future())
    assert values(cluster) == [b"x"]
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_many_at_once(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    texts = [("%03d" % i).encode("ascii") for i in range(500)]
    deliveries = yield producer.produce_many("t", texts)
    found = yield deliveries
    assert len(deliveries) == 500
    for text, delivery, metadata in zip(texts, deliveries, found):
        written = records(cluster, "t", metadata.partition)[metadata.offset]
        assert written[3] == text and delivery.result() == metadata
    for partition in range(3):
        assert values(cluster, "t", partition) == sorted(values(cluster, "t", partition))
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_many_with_keys_and_one_that_is_bad(cluster):
    def partitioner(key, ids):
        return {b"a": 0, b"b": 1, b"c": 7}[key]

    producer = yield connected(cluster, partitioner=partitioner)
    deliveries = yield producer.produce_many(
        "t", [b"1", b"2", b"3", b"4"], keys=iter([b"a", b"x", b"b", b"c"])
    )
    assert [delivery.exception().__class__ for delivery in deliveries] == [
        type(None), KeyError, type(None), exc.UnknownTopicOrPartitionError
    ]
    assert values(cluster, partition=0) == [b"1"] and values(cluster, partition=1) == [b"3"]
    with pytest.raises(KeyError):
        yield deliveries
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_runs_give_what_one_by_one_gives(cluster):
    """`AppendRun.extend` beside its plain twin `append`: the same messages, in order, with deliveries that fit."""
    rnd = random.Random(5)

    def odd(message):
        """A serializer of which some messages are text, some null, and one in a while none at all."""
        if message % 97 == 96:
            raise ValueError(message)
        text = "%d:%s" % (message, "x" * rnd.randrange(200))
        return None if message % 50 == 49 else text.encode("ascii") if message % 1000 < 900 else text

    producer = yield connected(cluster, linger=0.001, batch_size=100, serializer=odd, max_request_bytes=60000)
    taken = []
    plain = AppendRun.extend
    AppendRun.extend = lambda *args: taken.append(plain(*args)) or taken[-1]
    messages = [number for number in range(6000) if number < 2000 or number % 50 != 49 and number % 97 != 96]
    try:
        deliveries = yield producer.produce_many("t", messages)
    finally:
        AppendRun.extend = plain
    written = []
    for message, delivery in zip(messages, deliveries):
        try:
            metadata = yield delivery
        except ValueError:
            assert message % 97 == 96
        else:
            value = records(cluster)[metadata.offset][3] if len(written) < 300 else True
            if value is None:
                assert message % 50 == 49
            elif value is not True:
                assert value.split(b":")[0] == b"%d" % message if str is not bytes else str(message)
            written.append(metadata.offset)
    assert written == sorted(written) and len(written) == len(values(cluster))
    assert max(taken) > 100 and len(taken) > 10 and sum(taken) < len(written)
    assert producer.buffered == 0
    yield producer.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_books_are_right_whoever_looks(seed):
    """Messages in a streak are counted afterwards: nobody may see that, whatever comes between them."""
    rnd = random.Random(seed)

    @with_cluster(topics={"t": 2, "u": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=10, batch_size=700, max_request_bytes=20000, retry=None)
        inner = []

        def meddle(message):
            """Now and then an application's own function produces something itself."""
            for topic in "ttu" if rnd.random() < 0.05 else "":
                inner.append(b"inner" + message)
                producer.produce(topic, inner[-1])
            return message

        producer.serializer = lambda message: message if message.startswith(b"inner") else meddle(message)
        waited = []
        for number in range(3000):
            topic = rnd.choice("tttu")
            value = b"%d" % number
            value += b"x" * rnd.choice((0, 0, 10, 90, 90, 300 if rnd.random() < 0.9 else 9000))
            how = rnd.choice([{}] * 30 + [{"partition": 0}] * 9 + [
                {"key": b"k"}, {"timestamp": 5}, {"headers": {"a": b"b"}}
            ])
            if rnd.random() < 0.02:
                waited.append((topic, (yield producer.produce_many(topic, [value]))[0], value))
            elif rnd.random() < 0.02:
                waited.append((topic, producer.produce_nowait(topic, value, **how), value))
            else:
                waited.append((topic, (yield producer.produce(topic, value, **how)), value))
            look = rnd.random()
            if look < 0.05:
                buffered, held = producer.buffered, producer._sender.batches()
                for batch in held:
                    batch.end_run()
                assert buffered == producer.buffered
                assert buffered == sum(batch.size - batches.BATCH_OVERHEAD for batch in held)
                for batch in held:
                    rows = list(batch.records)
                    assert len(rows) == len(batch)
                    assert batch.size - batches.BATCH_OVERHEAD == sum(
                        batches.record_size(key, val, headers) for key, val, headers, _ in rows)
            elif look < 0.06:
                producer.batch_size = rnd.choice((1, 50, 700))
            elif look < 0.07:
                assert sum(map(len, producer.unsent.values())) == producer.unsent_count
            elif look < 0.08:
                yield producer.cluster.heal()
            elif look < 0.1:
                producer.partitioner = rnd.choice((
                    partitioners.random_partition, lambda key, ids: meddle(b"p") and ids[-1],
                ))
            elif look < 0.12:
                producer.key_maker = rnd.choice((None, None, lambda message: meddle(b"k") and None))
        yield producer.flush()
        written = dict((place, values(cluster, *place)) for place in (("t", 0), ("t", 1), ("u", 0)))
        for topic, delivery, value in waited:
            metadata = yield delivery
            assert written[topic, metadata.partition][metadata.offset] == value
        assert sorted(sum(written.values(), [])) == sorted([value for _, _, value in waited] + inner)
        assert settled(producer) and producer._accumulator.unflushed < 700
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_messages_without_key_and_headers_take_no_columns_for_them(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    yield producer.produce("t", b"a")
    producer.produce_nowait("t", b"b")
    yield producer.produce_many("t", [b"c", None])
    batch = producer._accumulator._routes.get("t").chosen
    assert len(batch) == 4 and batch.records.keys is None and batch.records.headers is None
    yield producer.produce("t", b"d", key=b"")
    yield producer.produce("t", b"e", headers={"h": None})
    yield producer.produce("t", b"f")
    assert batch.records.keys == [None] * 4 + [b"", None, None]
    assert batch.records.headers == [None] * 5 + [[(b"h", None)], None]
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_a_streak_ends_when_what_it_took_for_granted_changes(cluster):
    """Partitioner, key maker, time and size of a message that follows."""
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    taken = yield [producer.produce("t", b"%d" % i if str is not bytes else str(i)) for i in range(50)]
    assert len({delivery.partition for delivery in taken}) == 1
    producer.partitioner = lambda key, ids: 1
    moved = yield [producer.produce("t", b"p") for _ in range(3)]
    assert [delivery.partition for delivery in moved] == [1] * 3
    producer.partitioner = partitioners.random_partition
    yield producer.produce("t", b"again")
    producer.key_maker = lambda message: b"made"
    yield producer.produce("t", b"keyed")
    producer.key_maker = None
    begun = time.time()
    yield producer.produce("t", b"early")
    yield gen.sleep(0.02)
    yield producer.produce("t", b"late")
    yield producer.produce("t", b"large" * 1000)
    yield producer.flush()
    found = {record[3]: record for number in (0, 1) for record in records(cluster, partition=number)}
    assert found[b"keyed"][2] == b"made" and found[b"again"][2] is None and found[b"early"][2] is None
    assert found[b"late"][1] - found[b"early"][1] >= 19 and abs(found[b"early"][1] - begun * 1000) < 5
    assert found[b"large" * 1000]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_many_more_than_the_buffer_holds(cluster):
    producer = yield connected(cluster, linger=0.001, buffer_bytes=5000)
    deliveries = yield producer.produce_many("t", (b"%04d" % i if str is not bytes else "%04d" % i
                                                   for i in range(2000)))
    yield deliveries
    assert values(cluster) == sorted(values(cluster)) and len(values(cluster)) == 2000
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_nowait(cluster):
    producer = yield connected(cluster, linger=0.01, buffer_bytes=1000)
    delivery = producer.produce_nowait("t", b"x" * 400)
    producer.produce_nowait("t", b"x" * 400)
    with pytest.raises(exc.BufferFullError) as caught:
        producer.produce_nowait("t", b"x" * 400)
    assert caught.value.topic == "t"
    with pytest.raises(exc.UnknownTopicOrPartitionError):
        producer.produce_nowait("unknown", b"x")
    with pytest.raises(exc.UnknownTopicOrPartitionError):
        producer.produce_nowait("t", b"x", partition=9)
    assert (yield delivery).offset == 0
    yield producer.flush()
    producer.produce_nowait("t", b"x" * 2000)  # alone, it may be larger than the whole buffer
    yield producer.close()
    with pytest.raises(exc.ClosedError):
        producer.produce_nowait("t", b"x")
    assert len(values(cluster)) == 3


@with_cluster(topics={"t": 1})
def test_ready_answers_let_the_loop_turn(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 9)
    longest = [0, time.time()]

    def tick():
        now = time.time()
        longest[0] = max(longest[0], now - longest[1])
        longest[1] = now

    ticker = ioloop.PeriodicCallback(tick, 1)
    yield producer.produce("t", b"x")
    ticker.start()
    begun = longest[1] = time.time()
    while time.time() < begun + 0.5:
        yield producer.produce("t", b"x")
    ticker.stop()
    assert longest[0] < 0.15  # without turns: 0.5
    yield producer.close()


# -- errors --


@with_cluster(topics={"t": 1})
def test_an_unserialisable_message_is_raised_at_once(cluster):
    producer = yield connected(cluster, serializer=None)
    yield loop.raises(TypeError, producer.produce("t", object()))
    yield producer.produce("t", 1)
    assert values(cluster) == [b"1"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_message_too_large_is_raised_at_once(cluster):
    producer = yield connected(cluster, linger=0.01, max_request_bytes=2000)
    failed = yield loop.raises(exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 2000))
    assert failed.topic == "t" and "max_request_bytes=2000" in str(failed)
    unknown = yield loop.raises(
        exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 2000, partition=None)
    )
    assert unknown.code == 10
    yield (yield producer.produce("t", b"x" * 1500))
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(versions="0.10", topics={"t": 1})
def test_headers_where_there_is_no_place_for_them(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    deliveries = []
    for i, headers in enumerate([None, {"h": b"v"}, None, None, {"h": b"v"}, {"i": b"w"}]):
        deliveries.append((yield producer.produce("t", b"abcdef"[i:i + 1], headers=headers)))
    yield loop.raises(exc.UnsupportedVersionError, producer.flush())
    assert [delivery.exception() is None for delivery in deliveries] == [
        True, False, True, True, False, False
    ]
    assert values(cluster) == [b"a", b"c", b"d"]
    yield producer.close()


@with_cluster(versions="0.11", topics={"t": 1})
def test_zstd_where_it_is_not_known(cluster):
    producer = yield connected(cluster, compression="zstd")
    failed = yield loop.raises(exc.UnsupportedVersionError, producer.produce("t", b"x"))
    assert "2.1" in str(failed) and failed.topic == "t"
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_not_authorized_is_no_passing_error(cluster):
    cluster[1].on("produce", error(29))
    producer = yield connected(cluster)
    failed = yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", b"x"))
    assert (failed.topic, failed.partition, failed.code) == ("t", 0, 29)
    assert cluster.count("produce") == 1 and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_bug_while_sending_fails_the_messages_instead_of_holding_them(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")

    class Strange(Exception):
        pass

    def broken(self, request):
        raise Strange("broken")

    producer.cluster[1].send = broken
    yield loop.raises((Strange, TypeError), producer.produce("t", b"y"))
    del producer.cluster[1].send
    yield producer.produce("t", b"z")
    assert values(cluster) == [b"x", b"z"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_broker_back_on_its_port_takes_what_waited(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield (yield producer.produce("t", b"1"))
    cluster[1].stop()
    waiting = []
    for value in (b"2", b"3", b"4"):
        waiting.append((yield producer.produce("t", value)))
        yield gen.sleep(0.02)
    assert not any(delivery.done() for delivery in waiting)
    cluster[1].start()
    yield loop.within(5, waiting)
    assert values(cluster) == [b"1", b"2", b"3", b"4"]
    yield producer.close()


@with_cluster(brokers=2, topics={"t": 1})
def test_a_new_leader_takes_what_waited(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield (yield producer.produce("t", b"1"))
    cluster.log("t").leader = 2
    for value in (b"2", b"3"):
        yield (yield producer.produce("t", value))
    assert values(cluster) == [b"1", b"2", b"3"]
    assert cluster[2].count("produce") == 2
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_topic_made_anew_is_found_under_its_new_id(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    cluster.topic_ids["t"] = b"n" * 16
    cluster[1].on("produce", error(100), times=1)
    yield loop.within(5, producer.produce("t", b"2"))
    assert values(cluster) == [b"1", b"2"]
    assert cluster[1].requests[-1].request.topics[0].topic_id == b"n" * 16
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_flush_raises_the_first_error_and_waits_for_all(cluster):
    producer = yield connected(cluster, linger=10, batch_size=1000, idempotent=False)
    cluster[1].on("produce", error(87), times=1)
    first = yield producer.produce("t", b"1")
    flushed = producer.flush()
    second = yield producer.produce("t", b"2")
    yield loop.raises(exc.InvalidRecordError, flushed)
    assert isinstance(first.exception(), exc.InvalidRecordError)
    yield producer.flush()
    assert second.result().offset == 0
    yield producer.flush()  # nothing to do
    assert cluster.count("produce") == 2
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_flush_has_a_time_limit(cluster):
    cluster[1].on("produce", MUTE)
    producer = yield connected(cluster, linger=0)
    delivery = yield producer.produce("t", b"1")
    begun = time.time()
    yield loop.raises(exc.DeliveryTimeoutError, producer.flush(0.1))
    assert time.time() - begun < 0.4
    assert not delivery.done()
    cluster[1].on("produce", None)
    yield loop.within(5, delivery.future())
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_unknown_partition(cluster):
    producer = yield connected(cluster)
    failed = yield loop.raises(
        exc.UnknownTopicOrPartitionError, producer.produce("t", b"x", partition=5)
    )
    assert (failed.topic, failed.partition) == ("t", 5)
    cluster.create("t", 6)  # and one that was added just now
    delivery = yield producer.produce("t", b"x", partition=5)
    assert delivery.partition == 5
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_no_broker_to_look_up_a_topic(cluster):
    producer = yield connected(cluster)
    cluster.stop()
    yield loop.raises(exc.NoBrokersError, producer.produce("new", b"x"), 8)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_handle_produce_response_ignores_a_stranger(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")

    class Stranger(object):
        correlation_id = -5

    producer.handle_produce_response(Stranger())
    yield producer.close()


# -- D33, D70 to D79 --


@with_cluster(auto_create=True)
def test_d33_a_new_topic_is_asked_for_by_name_and_made(cluster):
    producer = yield connected(cluster)
    yield loop.within(3, producer.produce("new", b"x"))
    assert values(cluster, "new") == [b"x"]
    assert cluster.count("metadata") < 12
    yield producer.close()


@with_cluster(auto_create=True)
def test_d33_order_holds_while_the_topic_is_looked_up(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield [producer.produce("new", b"abcdefgh"[i:i + 1]) for i in range(8)]
    yield producer.flush()
    assert b"".join(values(cluster, "new")) == b"abcdefgh"
    yield producer.close()


@with_cluster(auto_create=False)
def test_d33_where_it_is_not_made_the_caller_learns_it(cluster):
    producer = yield connected(cluster)
    failed = yield loop.raises(
        exc.UnknownTopicOrPartitionError, producer.produce("new", b"x"), 8
    )
    assert failed.topic == "new" and failed.code == 3
    yield producer.close()


@pytest.mark.parametrize("idempotent", [None, False])
@pytest.mark.parametrize("fault", [CLOSE, CUT, MUTE])
def test_d70_a_lost_connection_loses_no_message(fault, idempotent):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, idempotent=idempotent)
        yield producer.produce("t", b"1")
        cluster[1].on("produce", fault, times=1)
        yield loop.within(5, producer.produce("t", b"2"))
        written = values(cluster)
        # where the answer was cut, the message had been written: without idempotence it is twice
        twice = fault == CUT and idempotent is False
        assert written == ([b"1", b"2", b"2"] if twice else [b"1", b"2"])
        assert producer.sent == {} and settled(producer)
        yield producer.close()
    run()


@pytest.mark.parametrize("code,cls", [
    (10, exc.MessageSizeTooLargeError), (87, exc.InvalidRecordError), (4711, exc.BrokerError),
])
def test_d71_a_fatal_or_unknown_code_reaches_the_caller(code, cls):
    @with_cluster(topics={"t": 2})
    def run(cluster):
        cluster[1].on("produce", error(code, "t", 1), times=1)
        producer = yield connected(cluster, linger=0.01, batch_size=100)
        good = yield producer.produce("t", b"good", partition=0)
        bad = yield producer.produce("t", b"bad", partition=1)
        failed = yield loop.raises(cls, bad.future())
        assert (failed.topic, failed.partition, failed.code) == ("t", 1, code)
        assert (yield good).offset == 0
        assert settled(producer)
        # and with a batch of one the call itself raises
        producer.linger, producer.batch_size = None, 1
        cluster[1].on("produce", error(code), times=1)
        yield loop.raises(cls, producer.produce("t", b"bad"))
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_d71_a_closing_producer_refuses(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")
    yield producer.close()
    failed = yield loop.raises(exc.ClosedError, producer.produce("t", b"y"))
    assert failed.topic == "t"
    yield loop.raises(exc.ClosedError, producer.produce_many("t", [b"y"]))
    assert values(cluster) == [b"x"]


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d72_without_acks_the_write_is_enough(release):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, required_acks=0)
        delivery = yield loop.within(2, producer.produce("t", b"x"))
        assert (yield delivery).offset == -1
        yield producer.produce("t", b"y")
        yield loop.until(lambda: values(cluster) == [b"x", b"y"])
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1, "gone": 1})
def test_d73_one_bad_message_does_not_lose_the_batch(cluster):
    def partitioner(key, ids):
        if key == b"bad":
            raise ZeroDivisionError("bad key")
        return ids[0]

    producer = yield connected(
        cluster, batch_size=10, linger=10, partitioner=partitioner, delivery_timeout=0.5
    )
    good = [(yield producer.produce("t", b"1"))]
    yield loop.raises(ZeroDivisionError, producer.produce("t", b"2", key=b"bad"))
    gone = yield producer.produce("gone", b"3")
    good.append((yield producer.produce("t", b"4")))
    del cluster.topics["gone"]
    yield loop.raises(exc.KielError, producer.flush())
    assert [delivery.result().offset for delivery in good] == [0, 1]
    assert gone.exception().topic == "gone"
    assert isinstance(gone.exception().cause, exc.UnknownTopicOrPartitionError)
    assert values(cluster) == [b"1", b"4"]
    assert settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d74_close_tries_again(cluster):
    producer = yield connected(cluster, batch_size=100, linger=10)
    delivery = yield producer.produce("t", b"x")
    cluster[1].on("produce", error(6), times=3)
    assert (yield producer.close()) == {}
    assert delivery.result().offset == 0
    assert values(cluster) == [b"x"]


@with_cluster(topics={"t": 2})
def test_d74_close_reports_what_it_could_not_deliver(cluster):
    producer = yield connected(cluster, batch_size=100, linger=10, buffer_bytes=300)
    cluster[1].on("produce", error(6, "t", 1))
    cluster[1].on("metadata", None)
    good = yield producer.produce("t", b"x" * 50, partition=0)
    bad = yield producer.produce("t", b"x" * 50, partition=1)
    late = producer.produce("t", b"x" * 200, partition=1)
    lines = []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = Lines(logging.ERROR)
    logging.getLogger("kiel.clients.producer").addHandler(handler)
    try:
        begun = time.time()
        assert (yield producer.close(timeout=0.3)) == {("t", 1): 2}
    finally:
        logging.getLogger("kiel.clients.producer").removeHandler(handler)
    assert 0.25 < time.time() - begun < 1
    assert producer.undelivered == {("t", 1): 2}
    assert good.exception() is None
    assert isinstance(bad.exception(), exc.ClosedError) and bad.exception().partition == 1
    yield loop.raises(exc.ClosedError, late)
    assert len(lines) == 1 and "2 for t:1" in lines[0]
    assert settled(producer)


@pytest.mark.parametrize("fault", [error(6), error(7), error(19), CLOSE])
def test_d75_order_and_partition_hold_on_a_retry(fault):
    @with_cluster(brokers=2, topics={"t": 4})
    def run(cluster):
        producer = yield connected(cluster, linger=0)
        first = []
        for partition in range(4):
            first.append((yield producer.produce("t", b"a", partition=partition)))
        yield first
        for broker in (1, 2):
            cluster[broker].on("produce", fault, times=2)
        deliveries = []
        for text in (b"b", b"c", b"d"):
            for partition in range(4):
                deliveries.append((yield producer.produce("t", text, partition=partition)))
            yield gen.sleep(0.01)
        yield loop.within(5, deliveries)
        for partition in range(4):
            assert values(cluster, partition=partition) == [b"a", b"b", b"c", b"d"]
        yield producer.close()
    run()


@with_cluster(topics={"t": 4})
def test_d75_the_partitioner_is_asked_once(cluster):
    asked = []

    def partitioner(key, ids):
        asked.append(key)
        return ids[len(asked) % len(ids)]

    producer = yield connected(cluster, partitioner=partitioner)
    cluster[1].on("produce", error(6), times=3)
    delivery = yield producer.produce("t", b"x", key=b"k")
    assert asked == [b"k"] and delivery.partition == 1
    assert values(cluster, partition=1) == [b"x"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d76_a_part_filled_batch_leaves_by_itself(cluster):
    producer = yield connected(cluster, batch_size=1000)
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    yield loop.within(1, delivery.future())
    assert 0.04 < time.time() - begun < 0.3
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d76_retries_come_by_themselves_with_pauses_and_an_end(cluster):
    producer = yield connected(cluster, linger=0, delivery_timeout=0.5)
    cluster[1].on("produce", error(6))
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    failed = yield loop.raises(exc.DeliveryTimeoutError, delivery.future(), 3)
    assert 0.4 < time.time() - begun < 1
    assert (failed.topic, failed.partition) == ("t", 0)
    assert isinstance(failed.cause, exc.NotPartitionLeaderError)
    assert 3 <= cluster.count("produce") < 30
    # the next message is none the worse for it
    cluster[1].on("produce", None)
    yield loop.within(2, (yield producer.produce("t", b"y")).future())
    assert values(cluster) == [b"y"] and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d76_a_message_in_flight_is_given_up_in_time_too(cluster):
    producer = yield connected(cluster, linger=0, delivery_timeout=0.2, request_timeout=0.6)
    cluster[1].on("produce", MUTE, times=1)
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    yield loop.raises(exc.DeliveryTimeoutError, delivery.future(), 3)
    assert time.time() - begun < 0.45
    late = yield producer.produce("t", b"y")
    yield loop.raises(exc.DeliveryTimeoutError, late.future(), 3)  # its turn did not come
    yield gen.sleep(1)
    yield loop.within(2, (yield producer.produce("t", b"z")).future())
    assert values(cluster) == [b"z"] and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1, "u": 1})
def test_d77_messages_of_several_topics_go_out_on_every_python(cluster):
    producer = yield connected(cluster, serializer=None, batch_size=4)
    for i in range(4):
        yield producer.produce("tu"[i % 2], {"n": i})
    assert [json.loads(value.decode("ascii"))["n"] for value in values(cluster, "t")] == [0, 2]
    assert [json.loads(value.decode("ascii"))["n"] for value in values(cluster, "u")] == [1, 3]
    yield producer.close()


@with_cluster(topics={"t": 5})
def test_d78_requests_stay_below_the_limit(cluster):
    producer = yield connected(
        cluster, linger=10, batch_size=10 ** 6, max_request_bytes=10000
    )
    for i in range(300):
        yield producer.produce("t", b"x" * 200, partition=i % 5)
    yield producer.flush()
    sizes = [len(call.payload) for call in cluster[1].requests if call.api == "produce"]
    assert max(sizes) <= 10000 and len(sizes) > 6
    assert sum(len(values(cluster, partition=i)) for i in range(5)) == 300
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d78_a_batch_too_large_for_the_broker_is_split(cluster):
    def limit(call):
        if len(call.payload) > 1000:
            call.error_at = (10, None, None)

    cluster[1].on("produce", limit)
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    deliveries = []
    for i in range(40):
        size = 2000 if i == 13 else 50
        deliveries.append((yield producer.produce("t", b"%c" % (65 + i) * size
                                                  if str is not bytes else chr(65 + i) * size)))
    yield loop.raises(exc.MessageSizeTooLargeError, producer.flush())
    failures = [i for i, delivery in enumerate(deliveries) if delivery.exception() is not None]
    assert failures == [13]
    assert [value[:1] for value in values(cluster)] == [
        chr(65 + i).encode("ascii") for i in range(40) if i != 13
    ]
    assert [d.result().offset for i, d in enumerate(deliveries) if i != 13] == list(range(39))
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d78_the_buffer_is_bounded_and_produce_waits_in_order(cluster):
    producer = yield connected(cluster, linger=0, buffer_bytes=2000)
    cluster[1].on("produce", fake.delay(0.05))
    futures = [producer.produce("t", b"%03d" % i * 100 if str is not bytes else "%03d" % i * 100)
               for i in range(20)]
    assert sum(future.done() for future in futures) == 5
    assert producer.buffered <= 2000
    most = 0
    while not all(future.done() for future in futures):
        most = max(most, producer.buffered)
        yield gen.sleep(0.005)
    assert most <= 2000
    yield producer.flush()
    assert [int(value[:3]) for value in values(cluster)] == list(range(20))
    assert producer.buffered == 0
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_d78_flights_are_bounded(cluster):
    now, most = [0], [0]

    @gen.coroutine
    def slow(call):
        now[0] += 1
        most[0] = max(most[0], now[0])
        yield gen.sleep(0.01)
        now[0] -= 1

    cluster[1].on("produce", slow)
    producer = yield connected(cluster, linger=0)
    for i in range(300):
        yield producer.produce("t", b"x", partition=i % 3)
        if i % 10 == 0:
            yield gen.sleep(0.001)
        assert len(producer.sent) <= 2
        underway = [pid for topics in producer.sent.values() for pid in topics["t"]]
        assert len(underway) == len(set(underway))  # each partition in one of them at most
    yield producer.flush()
    yield producer.close()


@pytest.mark.parametrize("compression", [9, "bzip2", False, -1])
def test_d79_the_error_names_what_was_given_and_what_is_allowed(compression):
    with pytest.raises(ValueError) as caught:
        clients.Producer(["localhost"], compression=compression)
    text = str(caught.value)
    assert repr(compression) in text
    assert "None" in text and "1" in text and "'gzip'" in text or "gzip" in text
    assert "%" not in text


@pytest.mark.parametrize("compression,expected", [
    (None, None), (1, 1), ("gzip", constants.GZIP), ("snappy", constants.SNAPPY),
    ("lz4", constants.LZ4), ("zstd", constants.ZSTD),
])
def test_compressions(compression, expected):
    assert clients.Producer(["localhost"], compression=compression).compression == expected


def test_required_acks_are_checked():
    with pytest.raises(ValueError):
        clients.Producer(["localhost"], required_acks=-2)


@pytest.mark.parametrize("seed", range(int(os.environ.get("KIEL_SEEDS", 4))))
def test_whatever_happens_all_is_written_in_order(seed):
    """Faults by chance: no message vanishes, none passes another, and nothing is left behind."""
    @with_cluster(brokers=3, topics={"t": 6}, timeout=60)
    def run(cluster):
        chance = random.Random(seed)
        producer = yield connected(
            cluster, linger=chance.choice([0, 0.005]), batch_size=chance.choice([1, 20]),
            max_request_bytes=chance.choice([2000, 100000]), buffer_bytes=8000,
            request_timeout=0.1, connect_timeout=0.3
        )
        faults = [error(6), error(7), error(19), error(5), CLOSE, CUT, MUTE, fake.delay(0.02)]
        done = []

        @gen.coroutine
        def trouble():
            while not done:
                yield gen.sleep(chance.uniform(0, 0.03))
                what = chance.random()
                broker = cluster[chance.randint(1, 3)]
                if what < 0.6:
                    broker.on("produce", chance.choice(faults), times=chance.randint(1, 2))
                elif what < 0.8:
                    cluster.log("t", chance.randrange(6)).leader = chance.randint(1, 3)
                elif what < 0.9:
                    broker.hang_up()
                else:
                    cluster.log("t", chance.randrange(6)).leader = -1
            for number in range(6):
                cluster.log("t", number).leader = 1
            for broker in cluster.brokers.values():
                broker.on("produce", None)

        worker = trouble()
        deliveries = []
        for i in range(300):
            if chance.random() < 0.1:
                yield gen.sleep(0.005)
            text = ("%06d" % i).encode("ascii").ljust(chance.randint(6, 60), b".")
            future = producer.produce("t", text, partition=i % 6)
            if chance.random() < 0.5:
                yield future
            deliveries.append(future)
        done.append(True)
        yield worker
        accepted = yield deliveries
        metadata = yield accepted
        for partition in range(6):
            found = records(cluster, partition=partition)
            numbers = [int(record[3][:6]) for record in found]
            once = [n for i, n in enumerate(numbers) if n not in numbers[:i]]
            assert once == list(range(partition, 300, 6)), "seed %d" % seed
            for number in once:
                assert numbers[metadata[number].offset] == number
        assert settled(producer)
        assert (yield producer.close()) == {}
    run()


@pytest.mark.parametrize("settings", [{}, {"transactional_id": "x"}])
def test_the_loop_turns_between_two_encodings(monkeypatch, settings):
    """Whoever comes first: what is left when a turn is over goes on in the next one."""
    encode = encoding.encode

    @with_cluster(topics={"t": 6}, brokers=2)
    def run(cluster):
        turns = []
        now = [0]

        def count():
            now[0] += 1
            if now[0] < 10 ** 6:
                ioloop.IOLoop.current().add_callback(count)

        def noting(*args):
            turns.append(now[0])
            return encode(*args)

        monkeypatch.setattr(encoding, "encode", noting)
        monkeypatch.setattr(sender, "WORTH_ASKING", 0)
        producer = yield connected(cluster, linger=10, batch_size=10 ** 6, **settings)
        if settings:
            yield producer.begin()
        producer._turn.limit = 0
        count()
        deliveries = yield [producer.produce("t", b"%d" % i, partition=i % 6) for i in range(60)]
        yield loop.within(5, producer.flush())
        assert len(turns) >= 6
        assert max(turns.count(turn) for turn in turns) <= 2  # the one that is due, and the first of the next desk
        for partition in range(6):
            assert values(cluster, "t", partition) == [b"%d" % i for i in range(partition, 60, 6)]
        assert all(delivery.done() for delivery in deliveries) and settled(producer)
        producer.produce("t", b"late")
        if settings:
            yield producer.commit()
        assert (yield producer.close()) == {}
        now[0] = 10 ** 6
    run()


@pytest.mark.parametrize("compression", ["gzip", None])
def test_batches_that_gzip_compresses_are_small_enough_for_a_turn(compression):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, compression=compression, linger=10, batch_size=10 ** 6)
        many = [(b"%06d" % i) * 20 for i in range(4000)]
        large = [bytes(bytearray(random.Random(1).randrange(256) for _ in range(200000)))]
        deliveries = yield producer.produce_many("t", many + large + many[:10])
        yield producer.flush()
        yield deliveries
        assert values(cluster) == many + large + many[:10]
        counts = [batch.count for entry in cluster.log("t", 0).batches for batch in messages.batches(entry[3])]
        assert (max(counts) < 1000) == (compression is not None)
        assert (yield producer.close()) == {}
    run()


@with_cluster(topics={"t": 1})
def test_no_object_stays_per_message(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    yield producer.produce("t", b"x")
    gc.collect()
    before = len([1 for item in gc.get_objects() if isinstance(item, (Delivery, gen.Future))])
    for _ in range(1000):
        yield producer.produce("t", b"x")
    gc.collect()
    after = len([1 for item in gc.get_objects() if isinstance(item, (Delivery, gen.Future))])
    assert after - before < 20
    yield producer.close()
