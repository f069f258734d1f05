"""Sessions that brokers end are renewed over the same connection, in order (KIP-368)."""
from __future__ import absolute_import

import logging
import time

import pytest
from tornado import gen

from kiel import clients, exc, sasl
from kiel.connection_states import RENEWING
from kiel.protocol import metadata
from kiel.security import renewal

from tests import fake, loop
from tests.fake import with_cluster

SERVED = dict(fake.VERSIONS["4.4"], sasl_handshake=(0, 1), sasl_authenticate=(0, 2))


def producer_of(cluster, password="secret", **settings):
    return clients.Producer(
        cluster.bootstrap, sasl=sasl.Plain("alice", password), serializer=bytes, request_timeout=5, **settings)


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_a_session_is_renewed_in_its_time_and_nothing_overtakes(acks, caplog):
    @with_cluster(versions=SERVED, topics={"t": 1})
    def check(cluster):
        cluster.users["alice"] = "secret"
        cluster.session_lifetime = 1000
        producer = producer_of(cluster, required_acks=acks, idempotent=False)
        yield producer.connect()
        sent = 0
        while cluster.count("sasl_authenticate") < 5:
            delivery = yield producer.produce("t", b"%d" % sent if str is not bytes else str(sent))
            yield delivery
            sent += 1
            yield gen.sleep(0.005)
        yield producer.close()
        assert cluster[1].accepted == 3  # bootstrap, quick and produce: none was opened anew
        by_connection = {}
        for call in cluster[1].requests:
            by_connection.setdefault(call.connection, []).append(call)
        renewed = 0
        for calls in by_connection.values():
            logins = [place for place, call in enumerate(calls) if call.api == "sasl_handshake"]
            for place in logins:
                # nothing in between; the last login may have been cut short by close()
                assert [call.api for call in calls[place + 1:place + 2]] in ([], ["sasl_authenticate"])
            renewed += len(logins[1:])
        assert renewed >= 2
        assert cluster.log("t").end == sent
    with caplog.at_level(logging.INFO, logger="kiel"):
        check()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@with_cluster(versions=SERVED, topics={"t": 1})
def test_requests_wait_for_the_login_and_keep_their_order(cluster):
    cluster.users["alice"] = "secret"
    cluster.session_lifetime = 300
    producer = producer_of(cluster, idempotent=False)
    yield producer.connect()
    conn = producer.cluster[1].lanes["quick"]
    cluster[1].on("sasl_handshake", fake.delay(0.2))
    cluster.session_lifetime = 0
    yield loop.until(lambda: conn.state is RENEWING)
    answers = [conn.send(metadata.MetadataRequest(topics=["t"])) for _ in range(3)]
    assert len(conn.throttle.held) == 3
    yield answers
    quick = [call.connection for call in cluster[1].requests if call.api == "metadata"][-1]
    apis = [call.api for call in cluster[1].requests if call.connection == quick]
    assert apis[-5:] == ["sasl_handshake", "sasl_authenticate", "metadata", "metadata", "metadata"]
    yield producer.close()


@with_cluster(versions=SERVED, topics={"t": 1})
def test_after_a_blocked_loop_nothing_goes_out_on_an_expired_session(cluster):
    cluster.users["alice"] = "secret"
    cluster.session_lifetime = 300
    producer = producer_of(cluster, required_acks=0, idempotent=False)
    yield producer.connect()
    conn = producer.cluster[1].lanes["quick"]
    yield (yield producer.produce("t", b"first"))
    yield loop.until(lambda: cluster.log("t").end == 1)
    time.sleep(0.4)
    sent = len(cluster[1].requests)
    answer = conn.send(metadata.MetadataRequest(topics=["t"]))
    assert conn.state == "renewing" and len(conn.throttle.held) == 1
    written = yield producer.produce("t", b"second")
    yield [answer, written]
    by_connection = {}
    for call in cluster[1].requests[sent:]:
        by_connection.setdefault(call.connection, []).append(call.api)
    assert all(apis[:2] == ["sasl_handshake", "sasl_authenticate"] for apis in by_connection.values())
    assert cluster[1].accepted == 3  # none was opened anew
    yield loop.until(lambda: cluster.log("t").end == 2)
    yield producer.close()


@pytest.mark.parametrize("lifetime,earliest,latest", [
    (3600, 3060, 3420), (10, 8.5, 9), (3, 2, 2), (1, 0.5, 0.5), (0.2, 0.1, 0.1),
])
def test_a_login_begins_a_share_and_a_second_before_the_end(lifetime, earliest, latest):
    for _ in range(20):
        assert earliest - 0.001 <= renewal.beginning(lifetime) <= latest + 0.001


@with_cluster(versions=SERVED, topics={"t": 1})
def test_what_is_not_renewed_is_closed_before_the_broker_does(cluster):
    cluster.users["alice"] = "secret"
    cluster.session_lifetime = 300
    away = []

    def password():
        if away:
            raise exc.CredentialsError("the vault is sealed")
        return "secret"

    producer = producer_of(cluster, password, idempotent=False)
    yield producer.connect()
    conn = producer.cluster[1].lanes["quick"]
    away.append(True)
    yield loop.until(lambda: conn.closing)
    assert isinstance(conn.error, exc.BrokerConnectionError) and "vault" in str(conn.error)
    del away[:]
    yield (yield producer.produce("t", b"1"))
    yield producer.close()


@with_cluster(versions=SERVED, topics={"t": 1})
def test_a_refused_renewal_ends_the_connection(cluster):
    cluster.users["alice"] = "secret"
    cluster.session_lifetime = 300
    producer = producer_of(cluster)
    yield producer.connect()
    conn = producer.cluster[1].lanes["quick"]
    cluster.users["alice"] = "changed"
    yield loop.until(lambda: conn.closing)
    assert conn.error.retriable and "refused the login by PLAIN" in str(conn.error)
    yield producer.close()
