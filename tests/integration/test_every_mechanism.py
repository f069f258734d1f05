"""
Each mechanism on the oldest broker that has it, on 2.8.2 and on the newest; what was written is read without a login.

`KIEL_LONG=1`, since each needs brokers of its own; `KIEL_KAFKA` says which of them.
"""
from __future__ import absolute_import

import base64
import json
import os
import time

import pytest
from tornado import gen

from kiel import clients, exc, sasl, testing

from tests import kdc, loop
from tests.integration import peer
from tests.needs import needed
from tests.tokens import LISTENER, Signer

pytestmark = pytest.mark.skipif(not peer.LONG, reason="brokers of every age: KIEL_LONG=1")

USER, PASSWORD = "alice", "alice-secret"


def password(mechanism):
    """A way in by user and password."""
    def way(directory, finish):
        made = sasl.Plain(USER, PASSWORD) if mechanism == "PLAIN" else sasl.Scram(USER, PASSWORD, mechanism)
        return {"sasl": [mechanism]}, lambda kafka: made
    return way


def unsecured_token(directory, finish):
    """Tokens that nobody signed, which brokers took before they knew better (KIP-255)."""
    module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
    settings = {LISTENER + "sasl.jaas.config": module + " required unsecuredLoginStringClaim_sub=kafka;"}

    def encoded(fields):
        return base64.urlsafe_b64encode(json.dumps(fields).encode("ascii")).rstrip(b"=").decode("ascii")

    def token():
        now = int(time.time())
        return "%s.%s." % (encoded({"alg": "none"}), encoded({"sub": USER, "iat": now - 1, "exp": now + 60}))
    return {"sasl": ["OAUTHBEARER"], "settings": settings}, lambda kafka: sasl.OAuthBearer(token)


def signed_token(directory, finish):
    """Tokens of an identity provider (KIP-768)."""
    needed("jwt", "pip install pyjwt cryptography")
    signer = Signer(directory)
    return {"sasl": ["OAUTHBEARER"], "settings": signer.settings(), "jvm": signer.jvm()}, (
        lambda kafka: sasl.OAuthBearer(signer.token))


def kerberos(release):
    """Tickets of a KDC."""
    def way(directory, finish):
        needed("gssapi", "apt-get install --no-install-recommends libkrb5-dev gcc; pip install gssapi")
        realm = kdc.Realm(directory)
        finish(realm.stop)
        os.environ["KRB5_CONFIG"] = realm.config
        settings, jvm = realm.settings(release), realm.jvm(release)
        mechanism = sasl.Gssapi(principal="alice", keytab=realm.keytab("alice"), host="localhost")
        return {"sasl": ["GSSAPI"], "settings": settings, "jvm": jvm}, lambda kafka: mechanism
    return way


def delegation_token(directory, finish):
    """A token that the brokers gave (KIP-48)."""
    def mechanism(kafka):
        @gen.coroutine
        def ask():
            admin = clients.Admin(kafka.bootstrap, sasl=sasl.Scram(USER, PASSWORD))
            yield admin.connect()
            token = yield admin.create_delegation_token()
            known = []
            while not known:  # it is spread among the brokers
                known = yield admin.describe_delegation_tokens()
            yield admin.close()
            raise gen.Return(sasl.Scram(token.token_id, token.hmac, tokenauth=True))
        return loop.run(ask)
    settings = {"delegation.token.secret.key": "of-the-tests", "delegation.token.master.key": "of-the-tests"}
    return {"sasl": ["SCRAM-SHA-256"], "settings": settings}, mechanism


#: mechanism, release -> its way in
WAYS = dict(
    [(("PLAIN", release), password("PLAIN")) for release in ("0.10.0.1", "2.8.2", "4.4.0")] +
    [((name, release), password(name)) for name in ("SCRAM-SHA-256", "SCRAM-SHA-512")
     for release in ("0.10.2.2", "2.8.2", "4.4.0")] +
    [(("OAUTHBEARER", release), unsecured_token) for release in ("2.0.1", "2.8.2")] +
    [(("OAUTHBEARER", release), signed_token) for release in ("3.4.1", "4.4.0")] +
    [(("GSSAPI", release), kerberos(release)) for release in ("0.10.0.1", "2.8.2", "4.4.0")] +
    [(("delegation token", release), delegation_token) for release in ("1.1.1", "2.8.2", "4.4.0")]
)


@pytest.mark.parametrize("name,release", [way for way in sorted(WAYS) if peer.only(way[1])])
def test_every_client_logs_in(name, release, tmpdir, monkeypatch, request):
    monkeypatch.setenv("KRB5_CONFIG", os.environ.get("KRB5_CONFIG", ""))
    set_up, login = WAYS[name, release](str(tmpdir), request.addfinalizer)
    with testing.Kafka(release, **set_up) as kafka:
        kafka.create_topic("t")
        mechanism = login(kafka)

        def body():
            producer = clients.Producer(kafka.bootstrap, sasl=mechanism, serializer=bytes)
            single = clients.SingleConsumer(kafka.bootstrap, sasl=mechanism, deserializer=bytes, max_wait_time=200)
            stranger = clients.SingleConsumer(kafka.plaintext, deserializer=bytes, max_wait_time=200)
            member = clients.GroupedConsumer(
                kafka.bootstrap, "g", sasl=mechanism, deserializer=bytes, max_wait_time=200)
            made = [producer, single, stranger, member]
            yield [client.connect() for client in made]
            yield (yield producer.produce("t", b"1"))
            for consumer in (single, stranger):
                assert (yield peer.gather(consumer, "t", 1, start=consumer.BEGINNING)) == [b"1"]
            assert (yield peer.gather(member, "t", 1)) == [b"1"]
            yield [client.close() for client in made]
        loop.run(gen.coroutine(body), timeout=60)


@pytest.mark.skipif(not peer.only("0.9.0.1"), reason="KIEL_KAFKA names others")
def test_kerberos_on_0_9_is_said_not_to_be_there(tmpdir, monkeypatch, request):
    monkeypatch.setenv("KRB5_CONFIG", "")
    set_up, login = kerberos("0.9.0.1")(str(tmpdir), request.addfinalizer)
    with testing.Kafka("0.9.0.1", **set_up) as kafka:
        def body():
            producer = clients.Producer(kafka.bootstrap, sasl=login(kafka))
            error = yield loop.raises(exc.NoBrokersError, producer.connect(), 10)
            assert "is it Kafka 0.9, whose login by Kerberos kiel does not know" in str(error)
            yield producer.close()
        loop.run(gen.coroutine(body), timeout=60)
