"""`flush` and `close`: what they wait for, and what they tell."""
from __future__ import absolute_import

import logging
import time

from kiel import exc

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import MUTE, error, with_cluster


@with_cluster(topics={"t": 1})
def test_flush_raises_the_first_error_and_waits_for_all(cluster):
    producer = yield connected(cluster, linger=10, batch_size=1000, idempotent=False)
    yield producer.produce("t", b"0")
    yield producer.flush()
    cluster[1].on("produce", error(87), times=1)
    first = yield producer.produce("t", b"1")
    flushed = producer.flush()
    second = yield producer.produce("t", b"2")
    yield loop.raises(exc.InvalidRecordError, flushed)
    assert isinstance(first.exception(), exc.InvalidRecordError)
    yield producer.flush()
    assert second.result().offset == 1
    yield producer.flush()  # nothing to do
    assert cluster.count("produce") == 3
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
def test_d71_a_closing_producer_refuses(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")
    yield producer.close()
    failed = yield loop.raises(exc.ClosedError, producer.produce("t", b"y"))
    assert failed.topic == "t"
    yield loop.raises(exc.ClosedError, producer.produce_many("t", [b"y"]))
    assert values(cluster) == [b"x"]


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
