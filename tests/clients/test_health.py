"""`health` of every client: one concept, told in the same words."""
from __future__ import absolute_import

import json

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients import health
from kiel.retry import Backoff

from tests import loop
from tests.fake import CLOSE, error, with_cluster

QUICK = dict(connect_timeout=0.3, request_timeout=0.3, retry=Backoff(first=0.01, most=0.05, deadline=2))
KINDS = {
    "Producer": lambda hosts: clients.Producer(hosts, **QUICK),
    "SingleConsumer": lambda hosts: clients.SingleConsumer(hosts, max_wait_time=100, **QUICK),
    "Admin": lambda hosts: clients.Admin(hosts, **QUICK),
    "GroupedConsumer": lambda hosts: clients.GroupedConsumer(hosts, "g", ["nowhere:1"], **QUICK),
}
WELL = dict(connected=True, ready=True, ended=False, error=None, error_since=None)


def common(client):
    """What every client tells, without the times."""
    found = client.health()
    json.dumps(found)
    return dict((word, found[word]) for word in WELL)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_before_connect_and_after_close_a_client_is_not_ready(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        client = KINDS[kind](cluster.bootstrap)
        assert common(client) == dict(WELL, connected=False, ready=False)
        if kind == "GroupedConsumer":
            return
        yield client.connect()
        assert common(client) == WELL
        yield client.close()
        assert common(client) == dict(WELL, connected=False, ready=False)
    check()


@pytest.mark.parametrize("kind", ["Admin", "Producer", "SingleConsumer"])
def test_while_no_broker_can_be_reached_a_client_is_not_ready(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        client = KINDS[kind](cluster.bootstrap)
        yield client.connect()
        cluster[1].stop()

        @gen.coroutine
        def healed(client):
            try:
                yield client.cluster.heal()
            except exc.KielError:
                pass
            raise gen.Return(client.health()["error"] is None)
        while (yield healed(client)):
            pass
        found = client.health()
        assert not found["ready"] and found["connected"] and not found["ended"] and found["error_since"] >= 0
        cluster[1].start()
        while not (yield healed(client)):
            pass
        assert common(client) == WELL
        yield client.close()
    check()


@with_cluster(topics={"t": 1})
def test_a_connect_that_failed_is_not_connected(cluster):
    client = clients.Admin(cluster.bootstrap, connect_timeout=0.2)
    cluster.stop()
    yield loop.raises(exc.NoBrokersError, client.connect())
    assert not client.health()["connected"] and not client.health()["ready"]
    yield client.close()


@with_cluster(topics={"t": 1})
def test_a_producer_tells_of_an_error_until_a_batch_is_written(cluster):
    producer = KINDS["Producer"](cluster.bootstrap)
    yield producer.connect()
    yield producer.produce("t", 1)
    cluster[1].on("produce", CLOSE, times=2)
    sent = producer.produce("t", 2)
    yield loop.until(lambda: producer.health()["error"] is not None)
    found = producer.health()
    assert not found["ready"] and found["buffered"] > 0 and found["error_since"] is not None
    yield sent
    assert common(producer) == WELL and producer.health()["buffered"] == 0
    cluster[1].on("produce", error(29), times=1)
    yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", 3))
    assert "Write" in producer.health()["error"] and not producer.health()["ended"]
    yield producer.produce("t", 4)
    assert common(producer) == WELL
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_producer_whose_transactional_id_was_taken_over_has_ended(cluster):
    producer = clients.Producer(cluster.bootstrap, transactional_id="x", **QUICK)
    yield producer.connect()
    yield producer.begin()
    cluster[1].on("produce", error(90))
    yield loop.raises(exc.ProducerFencedError, producer.produce("t", 1))
    found = producer.health()
    assert found["ended"] and not found["ready"] and found["error"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_consumer_tells_of_an_error_until_the_first_answer_without(cluster):
    consumer = KINDS["SingleConsumer"](cluster.bootstrap)
    yield consumer.connect()
    yield consumer.consume("t")
    assert common(consumer) == WELL
    cluster[1].on("fetch", CLOSE, times=2)
    for _ in range(50):
        if consumer.health()["error"] is not None:
            break
        yield consumer.consume("t")
    assert not consumer.health()["ready"]
    for _ in range(50):
        if consumer.health()["error"] is None:
            break
        yield consumer.consume("t")  # nothing was written: an answer is enough
    assert common(consumer) == WELL
    yield consumer.close()


def test_each_kind_of_trouble_has_an_end_of_its_own():
    trouble = health.Trouble()
    trouble.note("a", None)
    assert not trouble.errors
    first, second = ValueError("1"), ValueError("2")
    trouble.note("a", first)
    trouble.note("b", second)
    assert trouble.of("a") is first and trouble.of("b") is second
    trouble.note("b", None)
    assert trouble.of("b") is None and trouble.of("a") is first
