"""Transactions on real brokers: all or nothing, for Java's consumer too, whoever dies, is fenced, or gets no answer."""
from __future__ import absolute_import

import os
import random
import uuid

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients.offsets import BEGINNING
from kiel.retry import Backoff

from tests import loop
from tests.integration import losing, peer
from tests.integration.test_idempotence import RELEASES, numbered, run

#: the class of the console consumer before 3.5, and now
CONSOLE = ("kafka.tools.ConsoleConsumer", "org.apache.kafka.tools.consumer.ConsoleConsumer")

#: the keys of Produce and of what the coordinators are asked
ALL_APIS = (0, 10, 22, 24, 25, 26, 28)


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    return peer.shared(request.param)


def new_topic(kafka, partitions=1, **settings):
    topic = "txn-" + uuid.uuid4().hex[:8]
    kafka.create_topic(topic, partitions, **settings)
    return topic


def new_id():
    return "id-" + uuid.uuid4().hex[:8]


@gen.coroutine
def connected(kafka, transactional_id=None, **settings):
    """A transactional producer."""
    producer = clients.Producer(
        kafka.bootstrap, serializer=lambda message: message, transactional_id=transactional_id or new_id(), **settings
    )
    yield producer.connect()
    raise gen.Return(producer)


@gen.coroutine
def committed(kafka, topic, level="read_committed"):
    """All values of a topic that a consumer of that isolation level gets."""
    consumer = clients.SingleConsumer(
        kafka.bootstrap, deserializer=lambda value: value, isolation_level=level, max_wait_time=200
    )
    yield consumer.connect()
    ends = yield consumer.end_offsets(topic)
    found = []
    for _ in range(100):
        found.extend((yield consumer.consume(topic, start=BEGINNING)))
        if all(consumer.position(topic, partition) == end for partition, end in ends.items()):
            break
    else:
        raise AssertionError("did not get to the end: %r" % ends)
    yield consumer.close()
    raise gen.Return(found)


def console(kafka, topic, count, level):
    """What Java's console consumer prints of a topic, so many lines."""
    new = tuple(int(part) for part in kafka.version.split(".")) >= (3, 5)
    printed = kafka.run_tool(
        CONSOLE[new], "--bootstrap-server", ",".join(kafka.bootstrap), "--topic", topic, "--from-beginning",
        "--isolation-level", level, "--max-messages", count, "--timeout-ms", 20000
    )
    return [line.encode("ascii") for line in printed.splitlines() if line]


@gen.coroutine
def write(producer, topic, values, partitions=(0,)):
    for number, value in enumerate(values):
        yield producer.produce(topic, value, partition=partitions[number % len(partitions)])


@gen.coroutine
def die(producer):
    """What a crash does: the connections end, and nothing is said."""
    producer.cluster.stop()
    producer._sender.stop(exc.ClosedError("died"))
    producer._transactions.reset()
    producer.closing = True
    yield gen.moment


def test_committed_is_seen_and_aborted_is_not(kafka):
    topic = new_topic(kafka, 2)

    def body():
        producer = yield connected(kafka, linger=0.01)
        for begun, ends in ((0, True), (10, False), (20, True), (30, False), (40, True)):
            yield producer.begin()
            yield write(producer, topic, numbered(begun, 10), (0, 1))
            yield producer.flush()
            yield (producer.commit() if ends else producer.abort())
        yield producer.begin()
        yield producer.abort()  # with nothing in it
        yield producer.begin()
        yield producer.commit()
        assert (yield producer.close()) == {}
        wanted = numbered(0, 10) + numbered(20, 10) + numbered(40, 10)
        assert sorted((yield committed(kafka, topic))) == wanted
        assert sorted((yield committed(kafka, topic, "read_uncommitted"))) == numbered(0, 50)
        assert sorted(console(kafka, topic, 30, "read_committed")) == wanted
        assert sorted(console(kafka, topic, 50, "read_uncommitted")) == numbered(0, 50)
    run(body)


def test_nothing_is_seen_before_the_commit(kafka):
    topic = new_topic(kafka)

    def body():
        producer = yield connected(kafka)
        with (yield producer.transaction()) as transaction:
            yield write(producer, topic, [b"1", b"2"])
            assert (yield committed(kafka, topic)) == []
        yield transaction.outcome()
        assert (yield committed(kafka, topic)) == [b"1", b"2"]
        with pytest.raises(ZeroDivisionError):
            with (yield producer.transaction()) as transaction:
                yield write(producer, topic, [b"3"])
                1 / 0
        yield transaction.outcome()
        yield producer.begin()
        yield write(producer, topic, [b"4"])
        yield producer.commit()
        assert (yield committed(kafka, topic)) == [b"1", b"2", b"4"]
        yield producer.close()
    run(body)


def test_a_message_that_fails_fails_the_transaction(kafka):
    topic = new_topic(kafka, config={"max.message.bytes": "2000"})

    def body():
        producer = yield connected(kafka, linger=0)
        for turn in (b"1", b"2"):
            yield producer.begin()
            yield write(producer, topic, [turn])
            yield producer.flush()
            refused = yield producer.produce(topic, b"x" * 4000)
            yield loop.raises(exc.MessageSizeTooLargeError, refused.future())
            failed = yield loop.raises(exc.TransactionFailedError, producer.commit())
            assert isinstance(failed.cause, exc.MessageSizeTooLargeError)
            yield loop.raises(exc.TransactionFailedError, producer.produce(topic, b"y"))
            yield loop.raises(exc.TransactionStateError, producer.begin())
            yield producer.abort()
            yield producer.begin()
            yield write(producer, topic, [turn * 2])
            yield producer.commit()
        assert (yield committed(kafka, topic)) == [b"11", b"22"]
        assert (yield producer.close()) == {}
    run(body)


def test_a_second_producer_fences_the_first(kafka):
    topic, name = new_topic(kafka), new_id()

    def body():
        first = yield connected(kafka, name)
        yield first.begin()
        yield write(first, topic, [b"first"])
        second = yield connected(kafka, name)
        yield second.begin()
        yield write(second, topic, [b"second"])
        yield second.commit()
        late = yield loop.raises(exc.KielError, first.produce(topic, b"late"))
        assert isinstance(late, (exc.ProducerFencedError, exc.InvalidProducerEpochError)), late
        yield loop.raises((exc.ProducerFencedError, exc.TransactionFailedError), first.commit())
        yield loop.raises(exc.ProducerFencedError, first.abort())
        for call in (first.begin, first.commit, first.abort):
            yield loop.raises(exc.ProducerFencedError, call())
        yield loop.raises(exc.ProducerFencedError, first.produce(topic, b"late"))
        assert (yield committed(kafka, topic)) == [b"second"]
        yield second.begin()
        yield write(second, topic, [b"third"])
        yield second.commit()
        assert (yield committed(kafka, topic)) == [b"second", b"third"]
        for producer in (first, second):
            yield producer.close()
    run(body)


def test_what_a_producer_left_open_when_it_died_is_aborted_by_the_next(kafka):
    topic, name = new_topic(kafka, 2), new_id()

    def body():
        for turn in range(3):
            producer = yield connected(kafka, name)
            yield producer.begin()
            yield write(producer, topic, [b"whole %d" % turn if str is not bytes else "whole %d" % turn])
            yield producer.commit()
            yield producer.begin()
            yield write(producer, topic, [b"half"] * 4, (0, 1))
            yield die(producer)
        producer = yield connected(kafka, name)
        assert sorted((yield committed(kafka, topic))) == [b"whole 0", b"whole 1", b"whole 2"]
        assert (yield committed(kafka, topic, "read_uncommitted")).count(b"half") == 12
        yield producer.close()
    run(body)


def test_closing_aborts(kafka):
    topic = new_topic(kafka)

    def body():
        producer = yield connected(kafka, linger=5, batch_size=100)
        yield producer.begin()
        yield write(producer, topic, [b"1"])
        yield producer.flush()
        waiting = yield producer.produce(topic, b"2")
        assert (yield producer.close()) == {}
        assert isinstance(waiting.exception(), exc.TransactionFailedError)
        assert (yield committed(kafka, topic)) == []  # and nobody waits for an end
        assert (yield committed(kafka, topic, "read_uncommitted")) == [b"1"]
    run(body)


def test_lost_answers(kafka):
    """Answers of every api get lost; still each transaction is whole or nothing, and each message there once."""
    topic = new_topic(kafka, 3)
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(10 ** 6))
    fates = random.Random(seed).sample(["abort"] * 6 + ["commit"] * 14, 20)

    def body():
        producer = clients.Producer(
            kafka.bootstrap, serializer=lambda message: message, transactional_id=new_id(), linger=0.002,
            retry=Backoff(first=0.02, most=0.2, deadline=20)
        )
        proxy = losing.Proxy(producer)
        yield producer.connect()
        proxy.choose = losing.Losses(seed, ALL_APIS)
        wanted = []
        for turn, fate in enumerate(fates):
            yield producer.begin()
            values = numbered(100 * turn, 12)
            yield write(producer, topic, values, (0, 1, 2))
            if fate == "abort":
                yield producer.abort()
            else:
                yield producer.commit()
                wanted.extend(values)
        proxy.choose = lambda api_key: losing.PASS
        yield producer.close()
        proxy.stop()
        assert sorted((yield committed(kafka, topic))) == wanted, "seed %d, %r" % (seed, proxy.lost)
        # each commit takes a request of either kind that is answered at last: ten of them there are
        assert min(proxy.lost[0], proxy.lost[26]) >= 3, "seed %d, %r" % (seed, proxy.lost)
    run(body)


# -- with a consumer --


def member(kafka, group):
    return clients.GroupedConsumer(
        kafka.bootstrap, group, autocommit=False, deserializer=lambda value: value, isolation_level="read_committed",
        max_wait_time=200
    )


def test_read_transform_write_each_once(kafka):
    """A loop that fails, aborts and dies every now and then: each message is transformed once."""
    source, target, group, name = new_topic(kafka, 2), new_topic(kafka, 2), "group-" + uuid.uuid4().hex[:8], new_id()
    count = 60
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(10 ** 6))
    chance = random.Random(seed)

    def body():
        filler = clients.Producer(kafka.bootstrap, serializer=lambda message: message, linger=0)
        yield filler.connect()
        coming = numbered(0, count)
        done = set()
        while len(done) < count:
            producer = yield connected(kafka, name, linger=0)
            consumer = member(kafka, group)
            yield consumer.connect()
            while len(done) < count:
                yield write(filler, source, coming[:6], (0, 1))
                del coming[:6]
                messages = yield consumer.consume(source)
                if not messages:
                    continue
                fate = chance.choice(["commit", "commit", "abort", "late abort", "crash"])
                yield producer.begin()
                for message in messages:
                    yield producer.produce(target, b"<" + message + b">")
                if fate == "abort":
                    yield producer.abort()
                    consumer.rewind()
                    continue
                offsets = yield producer.send_offsets(consumer)
                assert offsets
                if fate == "late abort":
                    yield producer.abort()
                    consumer.rewind()
                    continue
                if fate == "crash":
                    yield producer.flush()
                    yield die(producer)
                    break
                yield producer.commit()
                done.update(messages)
                assert consumer.handed_out() == {}
            yield consumer.close()
            if fate != "crash":
                yield producer.close()
        yield filler.close()
        found = yield committed(kafka, target)
        assert sorted(found) == [b"<" + value + b">" for value in numbered(0, count)], "seed %d" % seed
    loop.run(gen.coroutine(body), timeout=180)
