"""A broker that says that the client is over its quota is left alone for that long (KIP-219)."""
from __future__ import absolute_import

import mock
import pytest
from tornado import gen, ioloop

from kiel import exc, throttle
from kiel.connection import Connection
from kiel.connection_states import PAUSED, READY
from kiel.protocol import metadata, offset
from kiel.settings import Settings

from tests import fake, loop
from tests.fake import with_cluster
from tests.test_connection import ask_metadata, connection


def throttled(milliseconds):
    """A handler: the usual answer with a throttle time."""
    @gen.coroutine
    def handler(call):
        answer = yield call.usual()
        answer["throttle_time"] = milliseconds
        raise gen.Return(answer)
    return handler


@pytest.mark.parametrize("release", ["2.4", "4.4"])
def test_requests_wait_in_order_and_their_time_outs_begin_with_the_sending(release):
    @with_cluster(versions=release, topics={"t": 1})
    def check(cluster):
        conn = connection(cluster, request_timeout=0.4)
        yield conn.connect()
        cluster[1].on("metadata", throttled(600), times=1)
        yield conn.send(ask_metadata())
        begun = ioloop.IOLoop.current().time()
        asked = [conn.send(offset.OffsetRequest(topics=[])), conn.send(ask_metadata()), conn.send(ask_metadata())]
        yield gen.sleep(0.2)
        assert len(conn.throttle.held) == 3 and not conn.pending and cluster.count("metadata") == 1
        answers = yield asked
        assert 0.55 < ioloop.IOLoop.current().time() - begun < 1.2
        assert [type(answer) for answer in answers] == [offset.OffsetResponse] + [metadata.MetadataResponse] * 2
        times = [call.time for call in cluster[1].requests[-3:]]
        assert [call.api for call in cluster[1].requests[-3:]] == ["offset", "metadata", "metadata"]
        assert min(times) - begun > 0.55 and conn.throttled == 0.6 and not conn.throttle.held
        # and it is over
        yield loop.within(0.3, conn.send(ask_metadata()))
        # a request that is never answered still times out
        cluster[1].on("metadata", throttled(100), times=1)
        yield conn.send(ask_metadata())
        cluster[1].on("metadata", fake.MUTE)
        yield loop.raises(exc.RequestTimeoutError, conn.send(ask_metadata()), 2)
    check()


@with_cluster(versions="0.11", topics={"t": 1})
def test_an_older_broker_has_waited_already(cluster):
    conn = connection(cluster)
    yield conn.connect()
    cluster[1].on("metadata", throttled(5000), times=1)
    yield conn.send(ask_metadata())
    yield loop.within(0.5, conn.send(ask_metadata()))
    assert conn.throttled == 0
    conn.close()


@with_cluster(topics={"t": 1})
def test_a_longer_throttle_counts_whichever_comes_first(cluster):
    conn = connection(cluster)
    yield conn.connect()
    begun = ioloop.IOLoop.current().time()
    waits = iter([500, 100])
    cluster[1].on("metadata", lambda call: throttled(next(waits))(call), times=2)
    yield [conn.send(ask_metadata()), conn.send(ask_metadata())]
    yield conn.send(ask_metadata())
    assert 0.45 < ioloop.IOLoop.current().time() - begun < 1
    conn.close()


@with_cluster(topics={"t": 1})
def test_what_waits_fails_with_the_connection(cluster):
    conn = connection(cluster)
    yield conn.connect()
    cluster[1].on("metadata", throttled(60000), times=1)
    yield conn.send(ask_metadata())
    waiting = conn.send(ask_metadata())
    yield gen.sleep(0.05)
    cluster[1].hang_up()
    yield loop.raises(exc.BrokerConnectionError, waiting, 1)
    assert not conn.throttle.held
    yield loop.raises(exc.BrokerConnectionError, conn.send(ask_metadata()), 1)


@with_cluster(topics={"t": 1})
def test_no_broker_may_ask_for_an_age(cluster):
    conn = connection(cluster)
    yield conn.connect()
    cluster[1].on("metadata", throttled(0x7fffffff), times=1)
    yield conn.send(ask_metadata())
    assert conn.throttled == throttle.MOST_THROTTLE
    conn.close()


@with_cluster(topics={"t": 1}, versions="2.4")
def test_a_pause_that_is_asked_for_while_opening(cluster):
    """By the answer that tells whose broker it is: what others send waits for the end of the pause."""
    usual = fake.Call.usual

    @gen.coroutine
    def throttling(call):
        answer = yield usual(call)
        if call.api == "metadata":
            answer["throttle_time"] = 300
        raise gen.Return(answer)

    conn = Connection(cluster[1].host, cluster[1].port, broker_id=1, settings=Settings())
    conn.settings.cluster_id = cluster.cluster_id
    begun = ioloop.IOLoop.current().time()
    with mock.patch.object(fake.Call, "usual", throttling):
        yield conn.connect()
    assert conn.state == PAUSED
    yield conn.send(ask_metadata())
    assert ioloop.IOLoop.current().time() - begun > 0.25 and conn.state == READY
    conn.close()
