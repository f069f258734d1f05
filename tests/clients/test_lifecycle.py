"""Every client x every order of connect() and close(): overlapped, twice, cancelled, after a failure."""
from __future__ import absolute_import

import itertools

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.retry import Backoff

from tests import loop
from tests.clients.grouping import members
from tests.fake import CLOSE, MUTE, VERSIONS, with_cluster

SETTINGS = dict(connect_timeout=0.5, request_timeout=0.5)


def producer(cluster, **settings):
    return clients.Producer(cluster.bootstrap, serializer=bytes, **dict(SETTINGS, **settings))


def lingering(cluster, **settings):
    return producer(cluster, linger=0.01, batch_size=10, **settings)


def transactional(cluster, **settings):
    return producer(cluster, transactional_id="t", **settings)


def single(cluster, **settings):
    settings = dict(SETTINGS, **settings)
    return clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=100, **settings)


def grouped(cluster, **settings):
    consumer = clients.GroupedConsumer(
        cluster.bootstrap, "g", ["nowhere:1"], deserializer=bytes, max_wait_time=100, **dict(SETTINGS, **settings))
    consumer.allocator = members.Given()
    return consumer


def in_kafka(cluster, **settings):
    """A member that joins a group in Kafka at its first consume()."""
    return clients.GroupedConsumer(
        cluster.bootstrap, "g", deserializer=bytes, group_protocol="classic", **dict(SETTINGS, **settings))


def next_generation(cluster, **settings):
    return clients.GroupedConsumer(
        cluster.bootstrap, "g", deserializer=bytes, group_protocol="consumer", **dict(SETTINGS, **settings))


def admin(cluster, **settings):
    return clients.Admin(cluster.bootstrap, **dict(SETTINGS, **settings))


KINDS = (producer, lingering, transactional, single, grouped, in_kafka, next_generation, admin)

#: one call after the other, not waited for ("c"onnect, "x" close), waited for ("C", "X"), cancelled at once ("k", "q")
STEPS = "cxCXkq"
ORDERS = ["".join(steps) for steps in itertools.chain(
    itertools.product(STEPS), itertools.product(STEPS, repeat=2), itertools.product("cxk", repeat=3))]

#: the last call of an order, by which the client is connected afterwards or not
OPENING = "cCk"


def at_work(client):
    """Return a Future of what needs a connection."""
    if isinstance(client, clients.Producer) and client.transactional_id is None:
        return client.produce("t", b"x")
    if isinstance(client, (clients.SingleConsumer, clients.Admin)):
        return client.beginning_offsets("t")
    return client.cluster.get_metadata()


@gen.coroutine
def run(client, order):
    """Call in an order; return what was not waited for."""
    calls = []
    for step in order:
        future = client.connect() if step in OPENING else client.close()
        if step in "kq":
            if not future.done() and hasattr(future, "cancelled"):
                future.cancel()  # which does nothing on Python 2
        elif step in "CX":
            try:
                yield loop.within(5, future)
            except exc.ClosedError:  # another call came in between
                pass
            continue
        calls.append(future)
    for future in calls:
        if getattr(future, "cancelled", bool)():
            continue
        try:
            yield loop.within(5, future)
        except exc.ClosedError:
            pass


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_order(kind):
    @with_cluster(topics={"t": 1}, timeout=50, versions=dict(VERSIONS["4.4"], consumer_group_heartbeat=(0, 1)))
    def check(cluster):
        cluster[1].on("consumer_group_heartbeat", {"error_code": 25})  # the answer to the look whether it is served
        for order in ORDERS:
            client = kind(cluster)
            yield run(client, order)
            try:
                yield loop.within(5, client.connect())
                yield loop.within(5, at_work(client))
                assert not client.closing
            except Exception as error:
                raise AssertionError("%s: %r" % (order, error))
            finally:
                yield loop.within(5, client.close())
            assert client.closing and not any(not conn.closing for conn in client.cluster.conns.values()), order
        yield loop.until(lambda: not cluster[1].streams)
    check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_closing_while_the_bootstrap_host_is_silent(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        cluster[1].on("metadata", MUTE)
        client = kind(cluster, request_timeout=60, connect_timeout=60)
        connecting = client.connect()
        yield loop.until(lambda: cluster.count("metadata"))
        yield loop.within(2, client.close())
        yield loop.raises(exc.ClosedError, connecting)
    check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_connect_waits_by_the_retry_that_was_given(kind):
    @with_cluster(topics={"t": 1}, versions=dict(VERSIONS["4.4"], consumer_group_heartbeat=(0, 1)))
    def check(cluster):
        cluster[1].on("consumer_group_heartbeat", {"error_code": 25})
        cluster.stop()
        client = kind(cluster, retry=Backoff(first=0.02, most=0.02, deadline=20))
        connecting = client.connect()
        yield gen.sleep(0.05)
        assert not connecting.done()
        cluster.start()
        yield loop.within(5, connecting)
        yield client.close()
        cluster.stop()
        client = kind(cluster, retry=Backoff(first=0.01, deadline=0.05))
        yield loop.raises(exc.NoBrokersError, client.connect())
        client = kind(cluster, retry=Backoff(first=0.01, deadline=None))
        connecting = client.connect()
        yield loop.within(2, client.close())
        yield loop.raises(exc.ClosedError, connecting)
    check()


@with_cluster(topics={"t": 1})
def test_connect_waits_for_as_long_as_it_is_told(cluster):
    cluster.stop()
    client = single(cluster)
    connecting = client.connect(timeout=20)
    yield gen.sleep(0.05)
    assert not connecting.done()
    cluster.start()
    yield loop.within(5, connecting)
    yield client.close()
    cluster.stop()
    for retry in None, Backoff(first=0.01, deadline=60), Backoff(first=0.01, deadline=None):
        client = single(cluster, retry=retry)
        yield loop.raises(exc.NoBrokersError, client.connect(timeout=0.05), 2)
    cluster.start()
    cluster[1].on("metadata", MUTE)
    client = single(cluster, request_timeout=60)
    error = yield loop.raises(exc.NoBrokersError, client.connect(timeout=0.05), 2)
    assert "within 0.05 s" in str(error)


@with_cluster(topics={"t": 1})
def test_without_being_told_to_wait_each_host_is_asked_once(cluster):
    cluster[1].on("metadata", CLOSE)
    client = single(cluster)
    error = yield loop.raises(exc.NoBrokersError, client.connect(), 2)
    assert "connect(timeout=seconds)" in str(error) and cluster.count("metadata") == 1
    yield loop.raises(TypeError, client.connect(timeout="1"))
    yield loop.raises(ValueError, client.connect(timeout=-1))


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whether_a_topic_may_be_created_by_its_use(kind, allowed):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        cluster.auto_create = 1
        client = kind(cluster, allow_auto_create_topics=allowed)
        yield client.cluster.start()
        assert (yield client.cluster.ensure("new", 0.2)) is allowed
        assert ("new" in cluster.topics) is allowed
        yield client.close()
    check()
