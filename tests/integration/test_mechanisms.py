"""
OAUTHBEARER and its kin against a real broker, and credentials that change; one broker for all.
"""
from __future__ import absolute_import

import subprocess
import sys
import time

import pytest
from tornado import gen, httpclient

from kiel import clients, exc, oidc, sasl, testing

from tests import loop
from tests.integration import peer
from tests.tokens import Provider, Signer

RELEASES = peer.only("4.4.0")

#: seconds from the cure to work
RECOVERY = 2.0


@pytest.fixture(scope="module")
def signer(tmpdir_factory):
    return Signer(str(tmpdir_factory.mktemp("jwks")))


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request, signer):
    with testing.Kafka(
        request.param, sasl=["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"], settings=signer.settings(), jvm=signer.jvm()
    ) as cluster:
        yield cluster


@pytest.fixture
def topic(kafka, request):
    name = "t-%x" % int(time.time() * 1000)
    kafka.create_topic(name)
    return name


def run(body, timeout=30):
    loop.run(gen.coroutine(body), timeout=timeout)


@gen.coroutine
def round_trip(kafka, topic, mechanism):
    """Produce, consume and look at groups with a mechanism."""
    producer = clients.Producer(kafka.bootstrap, sasl=mechanism, serializer=bytes)
    consumer = clients.SingleConsumer(kafka.bootstrap, sasl=mechanism, deserializer=bytes, max_wait_time=200)
    try:
        yield [producer.connect(), consumer.connect()]
        yield (yield producer.produce(topic, b"1"))
        assert b"1" in (yield peer.gather(consumer, topic, 1, start=consumer.BEGINNING))
    finally:
        yield [producer.close(), consumer.close()]


def test_a_token_of_ones_own(kafka, topic, signer):
    def body():
        yield round_trip(kafka, topic, sasl.OAuthBearer(signer.token))
    run(body)


def test_a_token_asked_of_a_coroutine_with_extensions(kafka, topic, signer):
    @gen.coroutine
    def token():
        yield gen.sleep(0.01)
        raise gen.Return(signer.token())

    def body():
        yield round_trip(kafka, topic, sasl.OAuthBearer(token, extensions={"logicalCluster": "lkc-1"}))
    run(body)


@pytest.mark.parametrize("claims,words", [
    ({"lifetime": -60}, ["expired", "sub \"alice\""]),
    ({"aud": "somebody"}, ["aud \"somebody\""]),
    ({"iss": "http://elsewhere"}, ["http://elsewhere"]),
    ({"kid": "key-2"}, ["iss"]),
])
def test_a_token_that_is_refused(kafka, signer, claims, words):
    def body():
        token = signer.token(**claims)
        producer = clients.Producer(kafka.bootstrap, sasl=sasl.OAuthBearer(token))
        error = yield loop.raises(exc.AuthenticationError, producer.connect(), 10)
        for word in words + ["OAUTHBEARER", "invalid_token", "broker's own log"]:
            assert word in str(error)
        assert token not in str(error)
        yield producer.close()
    run(body)


def test_client_credentials_and_a_provider_that_goes_away(kafka, topic, signer):
    def answer(fields, request):
        return 200, {"access_token": signer.token(), "expires_in": 60}

    def body():
        provider = Provider(answer)
        source = oidc.ClientCredentials(provider.url, "me", "secret", timeout=3)
        yield round_trip(kafka, topic, sasl.OAuthBearer(source))
        assert len(provider.requests) == 1
        producer = clients.Producer(kafka.bootstrap, sasl=sasl.OAuthBearer(source), serializer=bytes)
        yield producer.connect()
        yield (yield producer.produce(topic, b"2"))
        provider.stop()
        source.forget()
        for lane in peer.connections_of(producer):
            lane.close()
        delivery = produced(producer, topic)
        yield gen.sleep(1)
        assert not delivery.done()  # retriable: it waits, and is not given up
        provider = Provider(answer, port=provider.port)
        begun = time.time()
        yield delivery
        assert time.time() - begun < 4 * RECOVERY  # a busy machine
        yield producer.close()
        provider.stop()
        httpclient.AsyncHTTPClient().close()
    run(body)


def test_the_command_asks_a_provider(kafka, topic, signer, tmpdir):
    path = tmpdir.join("kiel.conf")

    def body():
        provider = Provider(lambda fields, request: (200, {"access_token": signer.token(), "expires_in": 60}))
        path.write("\n".join((
            "bootstrap.servers=" + ",".join(kafka.bootstrap), "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url=" + provider.url,
            "sasl.oauthbearer.client.id=me", "sasl.oauthbearer.client.secret=secret")))
        process = subprocess.Popen([sys.executable, "-m", "kiel", "topics", "list", "-F", str(path)],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        yield loop.until(lambda: process.poll() is not None, 25)
        provider.stop()
        told = process.communicate()[0].decode("utf-8")
        assert process.returncode == 0 and topic in told and len(provider.requests) == 1, told
    run(body)


def test_a_password_that_is_asked_for_at_each_login(kafka, topic):
    now = {"password": "alice-secret", "asked": 0}

    def password():
        now["asked"] += 1
        return now["password"]

    def body():
        for mechanism in (sasl.Plain("alice", password), sasl.Scram(lambda: "alice", password)):
            yield round_trip(kafka, topic, mechanism)
        asked = now["asked"]
        assert asked >= 4
        producer = clients.Producer(kafka.bootstrap, sasl=sasl.Scram("alice", password), serializer=bytes)
        yield producer.connect()
        yield (yield producer.produce(topic, b"1"))
        now["password"] = "old"
        for lane in peer.connections_of(producer):
            lane.close()
        failed = yield loop.raises(exc.AuthenticationError, produced(producer, topic))
        assert "SCRAM-SHA-256" in str(failed)
        now["password"] = "alice-secret"
        begun = time.time()
        while True:
            try:
                yield produced(producer, topic)
                break
            except exc.AuthenticationError:
                yield gen.sleep(0.05)
        assert time.time() - begun < 4 * RECOVERY
        yield producer.close()
    run(body)


@gen.coroutine
def produced(producer, topic):
    yield (yield producer.produce(topic, b"1"))
