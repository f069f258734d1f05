"""One connection against a broker that misbehaves; each defect of 0.9 by its number in defects-0.9.md."""
from __future__ import absolute_import

import contextlib
import socket
import ssl
import threading
import time

import mock
import pytest
from tornado import gen, testing

from kiel import constants, exc, sasl
from kiel.broker import Broker
from kiel.connection import Connection, Settings
from kiel.protocol import fetch, metadata, request as requests

from tests import fake, loop
from tests.fake import with_cluster
from tests.groups.brokers import Brokers


def connection(cluster, cls=Connection, broker_id=1, **settings):
    settings.setdefault("connect_timeout", 1)
    settings.setdefault("request_timeout", 1)
    settings.setdefault("probe_timeout", 0.2)
    broker = cluster[broker_id]
    return cls(broker.host, broker.port, settings=Settings(**settings))


def ask_metadata():
    return metadata.MetadataRequest(topics=[])


def long_poll(topic_id=b"\0" * 16, wait=5000):
    return fetch.FetchRequest(replica_id=-1, max_wait_time=wait, min_bytes=1, topics=[
        fetch.TopicRequest(name="t", topic_id=topic_id, partitions=[
            fetch.PartitionRequest(partition_id=0, offset=0, max_bytes=1000),
        ]),
    ])


def idle(conn):
    """Whether nothing waits any more in a connection."""
    return not conn.pending and not conn.wire.pending and not conn.api_correlation


@contextlib.contextmanager
def full_port():
    """A port whose queue of connections is full, so that further ones are neither taken nor refused."""
    server = socket.socket()
    fillers = []
    try:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        time.sleep(0.05)
        yield server.getsockname()[1]
    finally:
        for sock in fillers + [server]:
            sock.close()


# -- what works --

@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_every_release_is_negotiated(release):
    @with_cluster(versions=release, topics={"t": 1})
    def check(cluster):
        conn = connection(cluster)
        yield conn.connect()
        for api, theirs in cluster.versions.items():
            if api not in ("produce", "api_versions"):
                assert conn.wire.versions[api] == theirs
        response = yield conn.send(ask_metadata())
        assert response.topics[0].name == "t"
        assert response.topics[0].partitions[0].leader == 1
        conn.close()
        yield loop.until(lambda: not cluster[1].streams)
    check()


@with_cluster(versions="4.4")
def test_produce_below_3_is_never_used_on_4_x(cluster):
    conn = connection(cluster)
    yield conn.connect()
    assert conn.wire.versions["produce"] == (3, 13)
    conn.close()


@with_cluster(versions="2.4")
def test_a_version_too_new_is_asked_again_in_the_brokers_own(cluster):
    conn = connection(cluster)
    yield conn.connect()
    asked = [call.asked_version for call in cluster[1].requests if call.api == "api_versions"]
    assert len(asked) == 2 and asked[0] > 3 and asked[1] == 3
    conn.close()


#: what brokers and lookalikes write behind the code of a refusal
REFUSALS = {
    "a flexible one, as librdkafka's mock cluster": b"\x01\x00\x12\x00\x00\x00\x03\x00\x00",
    "one in version 1": b"\x00\x00\x00\x01\x00\x12\x00\x00\x00\x00\x00\x00\x00\x00",
    "no range": b"\x00\x00\x00\x00",
    "no list": b"\xff\xff\xff\xff",
    "nothing": b"",
    "half a number": b"\x00\x00",
    "noise": b"\x7f\xfe\x00\x01\x02",
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_refusal_that_cannot_be_read_is_one_all_the_same(name):
    @with_cluster(versions="4.4")
    def body(cluster):
        cluster[1].on("api_versions", b"\x00\x23" + REFUSALS[name], times=1)
        conn = connection(cluster)
        yield conn.connect()
        assert conn.wire.versions["fetch"] == (4, 18)
        assert [call.version for call in cluster[1].requests if call.api == "api_versions"][1:] == [0]
        conn.close()

    body()


@with_cluster(versions="4.4")
def test_a_slow_broker_is_not_taken_for_0_9(cluster):
    for api in ("api_versions", "metadata"):
        cluster[1].on(api, fake.delay(0.3))
    conn = connection(cluster, probe_timeout=0.1)
    yield conn.connect()
    assert conn.wire.versions["fetch"] == (4, 18)
    conn.close()
    yield loop.until(lambda: not cluster[1].streams)


@with_cluster(versions="4.4", brokers=2)
def test_no_broker_is_taken_for_an_old_one_beside_a_new_one(cluster):
    first = connection(cluster)
    yield first.connect()
    for answer in (fake.MUTE, fake.CLOSE):
        cluster[2].on("api_versions", answer)
        second = Connection(cluster[2].host, cluster[2].port, settings=first.settings)
        yield loop.raises(exc.BrokerConnectionError, second.connect(), 2)
        assert idle(second)
    first.close()


@with_cluster(topics={"t": 1})
def test_a_long_poll_does_not_hold_up_the_quick_lane(cluster):
    broker = connection(cluster, cls=Broker)
    yield broker.connect()
    poll = broker.send(long_poll(cluster.topic_ids["t"], wait=700))
    yield loop.until(lambda: cluster.count("fetch"))
    yield loop.within(0.3, broker.send(ask_metadata()))
    assert not poll.done()
    response = yield loop.within(2, poll)
    assert response.topics[0].partitions[0].error_code == 0
    assert cluster.count("api_versions") == 1
    broker.close()
    yield loop.until(lambda: not cluster[1].streams)


@with_cluster()
def test_the_client_id_is_sent(cluster):
    conn = connection(cluster, client_id="me")
    yield conn.connect()
    yield conn.send(ask_metadata())
    assert set(call.client_id for call in cluster[1].requests) == {"me"}
    conn.close()


@pytest.mark.parametrize("handshake,authenticate", [((0, 0), None), ((0, 1), (0, 0)), ((0, 1), (0, 2))])
def test_a_login_by_plain(handshake, authenticate):
    served = dict(fake.VERSIONS["2.4"], sasl_handshake=handshake)
    if authenticate:
        served["sasl_authenticate"] = authenticate

    @with_cluster(versions=served)
    def check(cluster):
        cluster.users["alice"] = "secret"
        conn = connection(cluster, sasl=sasl.Plain("alice", "secret"))
        yield conn.connect()
        yield loop.within(1, conn.send(ask_metadata()))
        conn.close()
        wrong = connection(cluster, sasl=sasl.Plain("alice", "guess"))
        error = yield loop.raises(exc.AuthenticationError, wrong.connect(), 1)
        assert "PLAIN" in str(error) and "guess" not in str(error)
        assert wrong.closing and idle(wrong)
        later = yield loop.raises(exc.AuthenticationError, wrong.send(ask_metadata()), 1)
        assert later is error
        other = connection(cluster, sasl=sasl.Scram("alice", "secret"))
        error = yield loop.raises(exc.AuthenticationError, other.connect(), 1)
        assert "SCRAM-SHA-256" in str(error) and "it offers: PLAIN" in str(error)
        assert idle(other)
    check()


# -- section A --

@with_cluster(topics={"t": 1})
def test_d1_in_flight_requests_end_when_the_peer_closes(cluster):
    conn = connection(cluster, request_timeout=5)
    yield conn.connect()
    cluster[1].on("fetch", fake.CLOSE)
    futures = [conn.send(long_poll(cluster.topic_ids["t"])), conn.send(ask_metadata())]
    for future in futures:
        error = yield loop.raises(exc.BrokerConnectionError, future, 1)
        assert error.retriable and error.cure == "metadata"
        assert "127.0.0.1:%d" % cluster[1].port in str(error)
    assert conn.closing and idle(conn)
    # and what is sent later ends at once
    yield loop.raises(exc.BrokerConnectionError, conn.send(ask_metadata()), 0.1)
    assert idle(conn)


@with_cluster(topics={"t": 1})
def test_d1_a_failing_write_ends_the_requests_too(cluster):
    conn = connection(cluster)
    yield conn.connect()
    before = conn.send(long_poll(cluster.topic_ids["t"]))
    with mock.patch.object(conn.stream, "write", side_effect=EnvironmentError("broken")):
        after = conn.send(ask_metadata())
    for future in (before, after):
        error = yield loop.raises(exc.BrokerConnectionError, future, 0.5)
        assert "broken" in str(error)
    assert conn.closing and idle(conn)


@with_cluster()
def test_d2_connecting_to_a_mute_port_ends_in_time(cluster):
    cluster[1].on("accept", fake.MUTE)
    conn = connection(cluster, connect_timeout=0.3, probe_timeout=0.1)
    begun = time.time()
    error = yield loop.raises(exc.RequestTimeoutError, conn.connect(), 1)
    assert 0.2 < time.time() - begun < 0.8
    assert "0.3" in str(error)
    assert conn.closing and idle(conn)
    yield loop.until(lambda: not cluster[1].streams)  # the probe's second connection too


def test_d2_connecting_to_an_address_that_drops_packets_ends_in_time():
    @gen.coroutine
    def body():
        with full_port() as port:
            conn = Connection("127.0.0.1", port, settings=Settings(connect_timeout=0.3))
            yield loop.raises(exc.BrokerConnectionError, conn.connect(), 1)
            assert conn.closing and idle(conn)
    loop.run(body)


@with_cluster()
def test_d2_a_request_that_is_not_answered_ends_in_time(cluster):
    conn = connection(cluster, request_timeout=0.2)
    yield conn.connect()
    cluster[1].on("metadata", fake.MUTE)
    futures = [conn.send(ask_metadata()) for _ in range(3)]
    error = yield loop.raises(exc.RequestTimeoutError, futures[0], 1)
    assert "metadata" in str(error) and error.retriable
    for future in futures[1:]:
        yield loop.raises(exc.BrokerConnectionError, future, 0.1)
    assert conn.closing and idle(conn)


@with_cluster(topics={"t": 1})
def test_d2_the_wait_that_a_request_asks_for_is_no_time_out(cluster):
    conn = connection(cluster, request_timeout=0.2)
    yield conn.connect()
    response = yield loop.within(2, conn.send(long_poll(cluster.topic_ids["t"], wait=500)))
    assert response.topics[0].partitions[0].highwater_mark_offset == 0
    conn.close()


def test_an_answer_that_came_while_the_loop_was_blocked_is_no_time_out():
    with Brokers() as brokers:
        @gen.coroutine
        def body():
            conn = connection(brokers.cluster, request_timeout=0.2)
            yield conn.connect()
            for blocked in (0.2, 1.0):  # just as long as the time-out, and much longer
                pending = [conn.send(ask_metadata()) for _ in range(3)]
                time.sleep(blocked)
                for future in pending:
                    yield loop.within(1, future)
            # one that really has no answer still ends in time
            brokers[1].on("metadata", fake.MUTE)
            mute = conn.send(ask_metadata())
            time.sleep(1.0)
            yield loop.raises(exc.RequestTimeoutError, mute, 1)
        loop.run(body)


@with_cluster(topics={"t": 1})
def test_d3_close_ends_what_is_pending(cluster):
    broker = connection(cluster, cls=Broker)
    yield broker.connect()
    poll = broker.send(long_poll(cluster.topic_ids["t"]))
    yield loop.until(lambda: cluster.count("fetch"))
    broker.close()
    yield loop.raises(exc.BrokerConnectionError, poll, 0.5)
    assert idle(broker)
    yield loop.until(lambda: not cluster[1].streams)


@with_cluster(topics={"t": 1})
def test_d3_close_while_connecting(cluster):
    cluster[1].on("api_versions", fake.MUTE)
    conn = connection(cluster, connect_timeout=5, probe_timeout=5)
    connecting = conn.connect()
    yield loop.until(lambda: cluster.count("api_versions"))
    conn.close()
    yield loop.raises(exc.BrokerConnectionError, connecting, 0.5)
    yield loop.until(lambda: not cluster[1].streams)


@with_cluster(topics={"t": 1})
def test_d8_abort_resolves_each_pending_request_with_the_exception(cluster):
    conn = connection(cluster)
    yield conn.connect()
    cluster[1].on("metadata", fake.MUTE)
    futures = [conn.send(ask_metadata()) for _ in range(4)]
    reason = exc.ProtocolError("for a reason")
    conn.abort(reason)
    for future in futures:
        error = yield loop.raises(exc.ProtocolError, future, 0.5)
        assert error is reason
    conn.abort()  # a second time does nothing
    assert idle(conn)


@with_cluster(host="::1")
def test_d9_ipv6(cluster):
    conn = connection(cluster)
    yield conn.connect()
    response = yield conn.send(ask_metadata())
    assert response.brokers[0].host == "::1"
    conn.close()


@with_cluster()
def test_d9_a_slow_name_look_up_does_not_stop_the_loop(cluster):
    look_up = socket.getaddrinfo
    turned = threading.Event()
    begun = threading.Event()

    def slow(host, *args, **kwargs):
        if host == "kafka.example":
            begun.set()
            # it would never be over if the loop stood still for it
            assert turned.wait(20)
            host = "127.0.0.1"
        return look_up(host, *args, **kwargs)

    with mock.patch("socket.getaddrinfo", slow):
        conn = Connection("kafka.example", cluster[1].port, settings=Settings(connect_timeout=30))
        connecting = conn.connect()
        yield loop.until(begun.is_set, 20)
        turned.set()
        yield connecting
    conn.close()


def test_d10_close_before_connect_does_nothing():
    conn = Connection("127.0.0.1", 1)
    conn.close()
    conn.abort()
    assert conn.closing


@with_cluster()
def test_d10_a_strange_correlation_id_ends_the_connection(cluster):
    conn = connection(cluster)
    yield conn.connect()

    def other_id(call):
        call.correlation_id += 5

    cluster[1].on("metadata", other_id)
    first = ask_metadata()
    futures = [conn.send(first), conn.send(ask_metadata())]
    for future in futures:
        error = yield loop.raises(exc.KielError, future, 0.5)
        assert error.retriable
        assert str(first.correlation_id + 5) in str(error)
    assert conn.closing and idle(conn)


@with_cluster()
def test_d10_an_answer_that_nobody_asked_for_ends_the_connection(cluster):
    conn = connection(cluster)
    yield conn.connect()
    list(cluster[1].streams)[0].write(b"\0\0\0\4\0\0\0\1")
    yield loop.until(lambda: conn.closing, 1)
    error = yield loop.raises(exc.KielError, conn.send(ask_metadata()), 0.5)
    assert error.retriable


@with_cluster()
def test_d64_the_correlation_id_wraps_on_a_live_connection(cluster):
    conn = connection(cluster)
    yield conn.connect()
    with mock.patch("kiel.protocol.request.next_id", requests.ids_after(2 ** 31 - 3)):
        for _ in range(5):
            yield loop.within(1, conn.send(ask_metadata()))
    conn.close()


@with_cluster()
def test_one_request_object_may_be_sent_twice(cluster):
    conn = connection(cluster)
    yield conn.connect()
    request = ask_metadata()
    answers = yield loop.within(1, gen.multi([conn.send(request), conn.send(request)]))
    assert len(answers) == 2
    conn.close()


# -- bad input --

def test_a_closed_port():
    @gen.coroutine
    def body():
        sock, port = testing.bind_unused_port()
        sock.close()
        conn = Connection("127.0.0.1", port, settings=Settings(connect_timeout=1))
        error = yield loop.raises(exc.BrokerConnectionError, conn.connect(), 1)
        assert "refused" in str(error).lower() and str(port) in str(error)
        assert idle(conn)
    loop.run(body)


def test_a_host_name_that_does_not_exist():
    @gen.coroutine
    def body():
        failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=failure):
            conn = Connection("no.such.host", 9092, settings=Settings(connect_timeout=1))
            error = yield loop.raises(exc.BrokerConnectionError, conn.connect(), 1)
        assert "no.such.host" in str(error) and "resolved" in str(error)
        assert idle(conn)
    loop.run(body)


@pytest.mark.parametrize("greeting,word", [
    (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
    (b"\xff\xff\xff\xff", "frame"), (b"SSH-2.0-x\r\n", "frame"),
])
def test_a_port_that_speaks_something_else(greeting, word):
    @with_cluster()
    def check(cluster):
        cluster[1].on("accept", greeting)
        conn = connection(cluster)
        error = yield loop.raises(exc.KielError, conn.connect(), 1)
        assert word in str(error)
        assert conn.closing and idle(conn)
    check()


@with_cluster()
def test_a_tls_port_that_just_hangs_up(cluster):
    cluster[1].on("accept", fake.CLOSE)
    conn = connection(cluster)
    error = yield loop.raises(exc.BrokerConnectionError, conn.connect(), 1)
    assert "TLS" in str(error)
    assert idle(conn)


@with_cluster()
def test_a_plain_port_spoken_to_in_tls(cluster):
    conn = connection(cluster, ssl=ssl.create_default_context())
    error = yield loop.raises(exc.BrokerConnectionError, conn.connect(), 1)
    assert "TLS" in str(error)
    assert idle(conn)


@with_cluster()
def test_a_port_that_offers_no_login(cluster):
    conn = connection(cluster, sasl=sasl.Plain("alice", "secret"))
    error = yield loop.raises(exc.AuthenticationError, conn.connect(), 1)
    assert "secret" not in str(error)
    assert conn.closing and idle(conn)


@with_cluster(versions="0.8")
def test_a_login_to_a_broker_that_hangs_up_on_the_probe(cluster):
    conn = connection(cluster, sasl=sasl.Plain("alice", "secret"))
    yield loop.raises(exc.KielError, conn.connect(), 1)
    assert conn.closing and idle(conn)


@with_cluster(topics={"t": 1})
def test_a_broker_that_closes_in_mid_answer(cluster):
    conn = connection(cluster)
    yield conn.connect()
    cluster[1].on("metadata", fake.CUT)
    futures = [conn.send(ask_metadata()), conn.send(ask_metadata())]
    for future in futures:
        yield loop.raises(exc.BrokerConnectionError, future, 1)
    assert conn.closing and idle(conn)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0" + b"\xff" * 40, b"\0\0\0\0\0\x7f" * 20])
def test_an_answer_that_makes_no_sense(payload):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        conn = connection(cluster)
        yield conn.connect()
        cluster[1].on("metadata", payload)
        futures = [conn.send(ask_metadata()), conn.send(ask_metadata())]
        for future in futures:
            error = yield loop.raises(exc.KielError, future, 1)
            assert error.retriable
        assert conn.closing and idle(conn)
    check()


@with_cluster()
def test_a_value_that_does_not_fit_its_field_harms_nobody_else(cluster):
    conn = connection(cluster)
    yield conn.connect()
    good = conn.send(ask_metadata())
    bad = conn.send(long_poll(wait=2 ** 40))
    yield loop.raises(exc.KielError, bad, 0.5)
    yield loop.within(1, good)
    assert not conn.closing and idle(conn)
    conn.close()


@with_cluster()
def test_an_api_that_the_broker_does_not_serve(cluster):
    conn = connection(cluster)
    yield conn.connect()
    conn.wire.versions = dict(conn.wire.versions, metadata=(77, 78))
    error = yield loop.raises(exc.UnsupportedVersionError, conn.send(ask_metadata()), 0.5)
    assert "77" in str(error) and "metadata" in str(error)
    assert not conn.closing and idle(conn)
    conn.close()


def test_the_default_port():
    assert constants.DEFAULT_KAFKA_PORT == 9092
