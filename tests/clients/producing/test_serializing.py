"""Serializers that have something to wait for, or that want to know the topic: order, errors, and giving up."""
from __future__ import absolute_import

import random
import sys

import pytest
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.producing.serializing import Serialized, Unserialized

from tests import loop
from tests.clients.producing.producers import connected, records, settled, values
from tests.fake import with_cluster


class Later(object):
    """A serializer that has to be asked twice about messages that begin with one of some bytes."""

    def __init__(self, late=b"a"):
        self.late = late
        #: message -> its Future
        self.futures = {}

    def __call__(self, message):
        if message[:1] not in self.late:
            return message
        self.futures[message] = concurrent.Future()
        return self.futures[message]

    def end(self, message, error=None):
        future = self.futures.pop(message)
        if error is None:
            future.set_result(message)
        else:
            future.set_exception(error)


def with_producer(serializer, topics=None, **settings):
    """Run the test with a cluster, a connected producer and its serializer."""
    def decorate(test):
        @with_cluster(topics=topics or {"t": 1})
        def run(cluster):
            made = serializer()
            producer = yield connected(cluster, serializer=made, **settings)
            yield gen.coroutine(test)(cluster, producer, made)
            yield loop.within(5, producer.close())
            assert settled(producer)
        run.__name__ = test.__name__
        return run
    return decorate


@pytest.mark.parametrize("settings", [{}, dict(linger=0.005, batch_size=1000), dict(batch_size=3)])
def test_messages_stay_in_their_order_while_one_is_serialized(settings):
    @with_producer(Later, **settings)
    def check(cluster, producer, later):
        taken = [producer.produce("t", message) for message in (b"b1", b"a1", b"b2", b"a2", b"b3", b"b4")]
        yield loop.until(lambda: len(later.futures) == 2)
        later.end(b"a2")
        yield loop.until(lambda: producer.cluster.topics.get("t"))
        assert not any(future.done() for future in taken[1:])
        later.end(b"a1")
        for future in taken:
            delivery = yield loop.within(5, future)
        yield loop.within(5, delivery)
        yield producer.flush()
        assert values(cluster) == [b"b1", b"a1", b"b2", b"a2", b"b3", b"b4"]
        yield producer.produce("t", b"b5")  # and the line is gone
        yield producer.flush()
        assert values(cluster)[6:] == [b"b5"] and producer.buffered == 0
    check()


@with_producer(Later)
def test_keys_headers_and_other_topics(cluster, producer, later):
    first = producer.produce("t", b"a1", key=b"k", headers={"h": b"x"})
    yield loop.until(lambda: later.futures)
    later.end(b"a1")
    yield loop.within(5, first)
    (offset, stamp, key, value, headers), = records(cluster)
    assert (key, value, list(headers)) == (b"k", b"a1", [("h", b"x")])


@with_producer(Later, topics={"t": 1, "u": 1})
def test_what_a_serializer_fails_with_is_its_messages_alone(cluster, producer, later):
    first, second, third = [producer.produce("t", message) for message in (b"a1", b"b1", b"a2")]
    other = producer.produce("u", b"b2")
    yield loop.until(lambda: len(later.futures) == 2)
    later.end(b"a1", ValueError("no such schema"))
    error = yield loop.raises(ValueError, first)
    assert "no such schema" in str(error)
    later.end(b"a2", exc.ClosedError("gone"))
    yield loop.raises(exc.ClosedError, third)
    yield loop.within(5, second)
    yield loop.within(5, other)
    assert values(cluster) == [b"b1"] and values(cluster, "u") == [b"b2"]


@with_producer(Later)
def test_a_message_that_is_given_up_is_not_written_and_stops_nobody(cluster, producer, later):
    first, second = producer.produce("t", b"a1"), producer.produce("t", b"b1")
    timed = producer.produce("t", b"a2", timeout=0.01)
    error = yield loop.raises(exc.DeliveryTimeoutError, timed)
    assert "serializer is not done" in str(error) and "not written" in str(error)
    if hasattr(first, "cancel") and first.cancel():
        assert not second.done()
    later.end(b"a1")
    yield loop.within(5, second)
    later.end(b"a2")
    yield producer.produce("t", b"b2")
    assert b"a2" not in values(cluster) and values(cluster)[-2:] == [b"b1", b"b2"]
    assert (b"a1" in values(cluster)) == (not first.cancelled())


@with_producer(Later)
def test_produce_nowait_does_not_wait_for_a_serializer_either(cluster, producer, later):
    yield producer.produce("t", b"b0")
    with pytest.raises(exc.BufferFullError) as caught:
        producer.produce_nowait("t", b"a1")
    assert "serializer" in str(caught.value)
    later.end(b"a1", ValueError("which nobody looks at"))
    yield gen.moment
    producer.produce_nowait("t", b"b1")
    yield producer.flush()
    assert values(cluster) == [b"b0", b"b1"]


@with_producer(Later)
def test_many_messages_are_serialized_in_their_order(cluster, producer, later):
    many = producer.produce_many("t", [b"b1", b"a1", b"a2", b"b2"])
    yield loop.until(lambda: len(later.futures) == 2)
    later.end(b"a2", ValueError("poison"))
    later.end(b"a1")
    deliveries = yield loop.within(5, many)
    yield loop.raises(ValueError, deliveries[2].future())
    yield loop.until(lambda: values(cluster) == [b"b1", b"a1", b"b2"])


@with_producer(Later)
def test_flush_waits_for_serializers(cluster, producer, later):
    first = producer.produce("t", b"a1")
    flushed = producer.flush()
    yield loop.until(lambda: later.futures)
    assert not flushed.done()
    later.end(b"a1")
    yield loop.within(5, flushed)
    assert values(cluster) == [b"a1"] and first.done()


@with_cluster(topics={"t": 1})
def test_close_gives_up_what_a_serializer_does_not_make(cluster):
    later = Later()
    producer = yield connected(cluster, serializer=later)
    first = producer.produce("t", b"a1")
    lost = yield loop.within(5, producer.close(0.05))
    assert lost == {("t", None): 1}
    yield loop.raises(exc.ClosedError, first)
    later.end(b"a1")
    yield gen.moment
    assert values(cluster) == []


@with_cluster(topics={"t": 1})
def test_a_message_too_large_once_it_is_serialized(cluster):
    large = concurrent.Future()
    producer = yield connected(cluster, serializer=lambda message: large, max_request_bytes=1000)
    first = producer.produce("t", b"a1")
    large.set_result(b"x" * 2000)
    yield loop.raises(exc.MessageSizeTooLargeError, first)
    yield producer.close()


def by_topic(message):
    """A serializer that says where a message goes, in its bytes and in its headers."""
    def serialize(topic, message):
        name = topic.encode("ascii")
        return Serialized(name + b":" + message, [("topic", name)])

    return Unserialized(serialize, message)


@with_producer(lambda: by_topic, topics={"t": 1, "u": 1})
def test_a_serializer_that_knows_the_topic_and_adds_headers(cluster, producer, serializer):
    yield producer.produce("t", b"1")
    yield producer.produce("u", b"2", key=b"k", headers=[("own", b"x")])
    yield producer.produce_many("t", [b"3"])
    producer.produce_nowait("u", b"4", headers={"own": b"y"})
    yield producer.flush()
    assert values(cluster) == [b"t:1", b"t:3"] and values(cluster, "u") == [b"u:2", b"u:4"]
    assert [list(record[4]) for record in records(cluster, "u")] == [
        [("own", b"x"), ("topic", b"u")], [("own", b"y"), ("topic", b"u")]]
    assert list(records(cluster)[0][4]) == [("topic", b"t")]


@with_producer(lambda: by_topic)
def test_the_same_later(cluster, producer, serializer):
    answers = []

    def serialize(topic, message):
        answers.append(concurrent.Future())
        return answers[-1]

    producer.serializer = lambda message: Unserialized(serialize, message)
    taken = [producer.produce("t", b"1", key=b"k"), producer.produce("t", b"2", headers={"own": b"x"}),
             producer.produce("t", b"3")]
    yield loop.until(lambda: len(answers) == 3)
    for number, answer in enumerate(answers):
        answer.set_result(Serialized(u"%d" % number, [("id", b"7")] if number < 2 else []))
    for future in taken:
        yield loop.within(5, future)
    assert [(record[2], record[3], list(record[4] or ())) for record in records(cluster)] == [
        (b"k", b"0", [("id", b"7")]), (None, b"1", [("own", b"x"), ("id", b"7")]), (None, b"2", [])]


@pytest.mark.skipif(sys.version_info < (3, 6), reason="there is no async def")
def test_a_native_coroutine_serializes():
    namespace = {"gen": gen}
    exec("async def serializer(message):\n    await gen.sleep(0.001)\n    return message * 2\n", namespace)

    @with_producer(lambda: namespace["serializer"])
    def check(cluster, producer, serializer):
        taken = [producer.produce("t", message) for message in (b"1", b"2")]
        for future in taken:
            yield loop.within(5, future)
        yield producer.produce_many("t", [b"3"])
        assert values(cluster) == [b"11", b"22", b"33"]
    check()


@with_producer(Later, transactional_id="x", linger=0.001)
def test_a_commit_waits_for_serializers(cluster, producer, later):
    yield producer.begin()
    taken = producer.produce("t", b"a1")
    committed = producer.commit()
    yield loop.until(lambda: later.futures)
    assert not committed.done()
    later.end(b"a1")
    yield loop.within(5, committed)
    yield loop.within(5, taken)
    assert values(cluster)[:1] == [b"a1"]

    yield producer.begin()
    taken = producer.produce("t", b"a2")
    committed = producer.commit()
    yield loop.until(lambda: later.futures)
    later.end(b"a2", ValueError("no such schema"))
    error = yield loop.raises(Exception, committed)
    assert "no such schema" in str(error)
    yield loop.raises(ValueError, taken)
    yield producer.abort()


def test_any_mixture_of_calls_keeps_its_order():
    """Each way of producing, serializers that end in any order, and room that runs out."""
    for seed in range(4):
        chance = random.Random(seed)

        @with_producer(lambda: Later(b"ab"), topics={"t": 1}, linger=chance.choice([None, 0.001]),
                       batch_size=chance.choice([1, 4, 1000]), buffer_bytes=chance.choice([300, 10 ** 6]))
        def check(cluster, producer, later):
            given, futures = [], []
            for number in range(60):
                message = b"abcdef"[number % 6:number % 6 + 1] if chance.random() < 0.3 else b"c"
                message += str(number).encode("ascii")
                given.append(message)
                futures.append(producer.produce("t", message, key=chance.choice([None, b"k"])))
                if later.futures and chance.random() < 0.3:
                    later.end(chance.choice(sorted(later.futures)))
                if chance.random() < 0.2:
                    yield gen.moment
            while later.futures:
                later.end(chance.choice(sorted(later.futures)))
                yield gen.moment
            for future in futures:
                yield loop.within(5, future)
            yield loop.within(5, producer.flush())
            assert values(cluster) == given, seed
        check()
