"""Calls that are cancelled or timed out: as if they had not been called, or had been done."""
from __future__ import absolute_import

import time

import pytest
import six
from tornado import gen

from kiel import exc

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import MUTE, error, with_cluster


def cancel(future):
    """Cancel it, unless it is done already."""
    assert future.done() or future.cancel()


@pytest.mark.parametrize("call", ["room", "answer", "many", "flush", "topic"])
def test_a_call_that_is_cancelled_at_one_of_its_waits(call):
    @with_cluster(topics={"t": 1}, auto_create=True)
    def run(cluster):
        if six.PY2:
            return
        producer = yield connected(cluster, buffer_bytes=500, linger=None if call == "answer" else 0.01)
        cluster[1].on("metadata" if call == "topic" else "produce", MUTE, times=1)
        first = producer.produce("t" if call != "topic" else "new", b"1" * 400)
        yield gen.sleep(0.02)
        if call == "room":
            cancel(producer.produce("t", b"x" * 400))
            expected = 1
        elif call == "many":
            cancel(producer.produce_many("t", [b"x" * 400]))
            expected = 2
        elif call == "flush":
            cancel(producer.flush())
            expected = 1
        else:
            cancel(first)
            expected = 0 if call == "topic" else 1
        last = yield loop.within(8, producer.produce("t", b"last"))
        yield loop.within(8, producer.flush())
        yield last
        assert len(values(cluster)) == expected + 1 and settled(producer)
        assert (yield loop.within(5, producer.close())) == {}
    run()


@with_cluster(topics={"t": 1})
def test_a_flush_that_waits_for_a_message_whose_caller_gives_up(cluster):
    if six.PY2:
        return
    producer = yield connected(cluster, buffer_bytes=500, linger=0.01)
    cluster[1].on("produce", error(6), times=3)
    yield producer.produce("t", b"1" * 400)
    waiting = producer.produce("t", b"2" * 400)
    flushed = producer.flush()
    yield gen.moment
    cancel(waiting)
    yield loop.within(5, flushed)
    assert values(cluster) == [b"1" * 400]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_begin_that_is_cancelled_has_begun_nothing(cluster):
    if six.PY2:
        return
    producer = yield connected(cluster, transactional_id="x")
    cancel(producer.begin())
    yield gen.sleep(0.05)
    for block in (producer.transaction().future, producer.begin):
        begun = block()
        if not begun.done():
            cancel(begun)
            yield gen.sleep(0.02)
    yield loop.within(5, producer.begin())
    yield producer.produce("t", b"1")
    yield producer.commit()
    yield loop.within(5, producer.begin())
    ended = producer.abort()
    cancel(ended)
    yield loop.within(5, producer.begin())
    yield producer.produce("t", b"2")
    committed = producer.commit()
    yield gen.moment
    cancel(committed)
    yield loop.within(5, producer.begin())
    yield producer.abort()
    assert values(cluster) == [b"1", b"2"]
    yield producer.close()


@pytest.mark.parametrize("waits", ["room", "answer"])
def test_produce_with_a_time_limit(waits):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, buffer_bytes=500, linger=10 if waits == "room" else None)
        cluster[1].on("produce", MUTE, times=1)
        if waits == "room":
            yield producer.produce("t", b"1" * 400, timeout=1)
        begun = time.time()
        failed = yield loop.raises(exc.DeliveryTimeoutError, producer.produce("t", b"2" * 400, timeout=0.05))
        assert time.time() - begun < 5 and "timeout=0.05" in str(failed)
        assert ("not written" in str(failed)) == (waits == "room")
        try:
            yield loop.within(8, producer.flush())
        except exc.DeliveryTimeoutError:
            assert waits == "room"
        assert len(values(cluster)) == 1 and settled(producer)
        yield producer.produce("t", b"3", timeout=5)
        yield producer.flush()
        assert values(cluster)[1:] == [b"3"]
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_a_topic_made_anew_under_messages_that_are_under_way(cluster):
    import logging
    lines = []

    class Lines(logging.Handler):
        """Keeps them."""

        def emit(self, record):
            lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger("kiel.clients.producing.topic_watch").addHandler(handler)
    try:
        producer = yield connected(cluster, linger=0.01)
        yield (yield producer.produce("t", b"1"))
        cluster.topic_ids["t"] = b"n" * 16
        cluster[1].on("produce", error(100), times=1)
        yield loop.within(5, (yield producer.produce("t", b"2")).future())
        assert len(lines) == 1 and "deleted and recreated: 1 messages" in lines[0]
        cluster.topic_ids["t"] = b"o" * 16
        yield producer.cluster.heal()
        assert len(lines) == 1  # nothing was under way
        yield producer.close()
    finally:
        logging.getLogger("kiel.clients.producing.topic_watch").removeHandler(handler)
