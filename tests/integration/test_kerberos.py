"""GSSAPI against a real broker and a KDC of the tests' own."""
from __future__ import absolute_import

import os
import time

import pytest
from tornado import gen

from kiel import clients, exc, sasl, testing

from tests import kdc, loop
from tests.needs import needed
from tests.integration import peer

#: the last release that answers to no last token, and the newest
RELEASES = peer.share("0.11.0.3", "4.4.0") if peer.LONG else peer.only("4.4.0")


@pytest.fixture(scope="module")
def realm(tmpdir_factory):
    needed("gssapi", "apt-get install --no-install-recommends libkrb5-dev gcc; pip install gssapi")
    made = kdc.Realm(str(tmpdir_factory.mktemp("kdc")))
    before = os.environ.get("KRB5_CONFIG")
    os.environ["KRB5_CONFIG"] = made.config
    try:
        yield made
    finally:
        made.stop()
        if before is None:
            del os.environ["KRB5_CONFIG"]
        else:
            os.environ["KRB5_CONFIG"] = before


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request, realm):
    with testing.Kafka(
        request.param, sasl=["GSSAPI"], settings=realm.settings(request.param), jvm=realm.jvm(request.param)
    ) as cluster:
        yield cluster


def gssapi(realm, **settings):
    return sasl.Gssapi(**dict(dict(principal="alice", keytab=realm.keytab("alice"), host="localhost"), **settings))


@gen.coroutine
def refused(kafka, error, words, mechanism):
    client = clients.Producer(kafka.bootstrap, sasl=mechanism, connect_timeout=8)
    failed = yield loop.raises(error, client.connect(), 20)
    for word in words:
        assert word.lower() in str(failed).lower(), (word, str(failed))
    yield client.close()


def test_a_login_by_kerberos(kafka, realm):
    kafka.create_topic("tickets")

    def body():
        mechanism = gssapi(realm)
        assert "alice" in repr(mechanism)
        producer = clients.Producer(kafka.bootstrap, sasl=mechanism, serializer=bytes)
        consumer = clients.SingleConsumer(kafka.bootstrap, sasl=mechanism, deserializer=bytes, max_wait_time=200)
        yield [producer.connect(), consumer.connect()]
        yield (yield producer.produce("tickets", b"1"))
        assert (yield peer.gather(consumer, "tickets", 1, start=consumer.BEGINNING)) == [b"1"]
        yield [producer.close(), consumer.close()]
    loop.run(gen.coroutine(body), timeout=30)


def test_what_kerberos_complains_of(kafka, realm):
    def body():
        yield refused(kafka, exc.AuthenticationError, ["GSSAPI", "nosuch@localhost"], gssapi(realm, service="nosuch"))
        yield refused(kafka, exc.AuthenticationError, ["GSSAPI"], gssapi(realm, principal="mallory"))
        yield refused(kafka, exc.AuthenticationError, ["GSSAPI"], gssapi(realm, keytab="/nowhere/keytab"))
        yield refused(kafka, exc.AuthenticationError, ["GSSAPI", "it offers: GSSAPI"], sasl.Plain("alice", "secret"))
    loop.run(gen.coroutine(body), timeout=60)


def test_a_kdc_that_is_away_blocks_nobody_and_is_asked_again(kafka, realm):
    def body():
        realm.stop()
        try:
            begun = time.time()
            work = refused(kafka, exc.KielError, ["kdc"], gssapi(realm))
            turns = 0
            while not work.done():
                yield gen.sleep(0.01)
                turns += 1
            yield work
            assert turns > (time.time() - begun) * 5  # the loop was not held up
        finally:
            realm.start()
        client = clients.Producer(kafka.bootstrap, sasl=gssapi(realm))
        yield client.connect()
        yield client.close()
    loop.run(gen.coroutine(body), timeout=60)
