"""TLS: what ``ssl=`` takes, impostors, and files that are renewed."""
from __future__ import absolute_import

import io
import logging
import os
import shutil
import ssl

import pytest
from tornado import gen

import kiel
from kiel import clients, exc, sasl
from kiel.protocol import sasl_authenticate
from kiel.security import tls

from tests import loop
from tests.fake import with_cluster

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls")
CLIENTS = (clients.Producer, clients.SingleConsumer, clients.Admin)


def path(name):
    return os.path.join(HERE, name)


def text(name):
    with io.open(path(name), encoding="ascii") as source:
        return source.read()


def serving(name, client_auth=False):
    """The context of a broker that shows the certificate of that name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=path("ca.pem"))
    context.load_cert_chain(path(name + ".pem"), path(name + ".key"))
    if client_auth:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(cluster, host="127.0.0.1", **settings):
    return clients.Producer(
        ["%s:%d" % (host, broker.port) for broker in cluster.brokers.values()],
        serializer=bytes, connect_timeout=3, request_timeout=3, **settings
    )


# -- what it takes --

@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("value", [
    "", {}, [], 0, 1, "ca.pem", u"ca.pem", b"ca.pem", {"ca_certs": "ca.pem"}, {"cafile": "ca.pem"}, object(),
    ssl.SSLContext, kiel.ssl, tls.TLS, ("ca.pem",), "true",
])
def test_anything_else_is_refused_in_the_constructor(cls, value):
    with pytest.raises(TypeError) as caught:
        cls(["127.0.0.1:1"], ssl=value)
    assert "ssl=" in str(caught.value)


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("value", [
    "", {}, 0, 1, True, False, "PLAIN", ("alice", "Pa55word"), {"username": "alice", "password": "Pa55word"},
    sasl.Plain, object(),
])
def test_what_is_no_mechanism_is_refused_in_the_constructor(cls, value):
    with pytest.raises(TypeError) as caught:
        cls(["127.0.0.1:1"], sasl=value)
    assert "sasl=" in str(caught.value) and "Pa55word" not in str(caught.value)


@pytest.mark.parametrize("value", [None, False, True, ssl.create_default_context()])
def test_what_is_taken(value):
    for cls in CLIENTS:
        cls(["127.0.0.1:1"], ssl=value)


@pytest.mark.parametrize("settings,error,words", [
    ({"cafile": "/nowhere/ca.pem"}, ValueError, ["/nowhere/ca.pem", "No such file"]),
    ({"cafile": path("broker.key")}, ValueError, ["broker.key"]),
    ({"certfile": path("client.pem"), "keyfile": path("broker.key")}, ValueError, ["client.pem", "broker.key"]),
    ({"certfile": path("locked.pem"), "keyfile": path("locked.key")}, ValueError, ["password="]),
    ({"certfile": path("locked.pem"), "keyfile": path("locked.key"), "password": "Pa55word"}, ValueError, ["locked"]),
    ({"keyfile": path("client.key")}, TypeError, ["certfile"]),
    ({"cafile": 5}, TypeError, ["cafile", "path", "int"]),
    ({"cafile": True}, TypeError, ["cafile"]),
    ({"ca_certs": path("ca.pem")}, TypeError, ["ca_certs"]),
    ({"check_hostname": "no"}, TypeError, ["check_hostname"]),
    ({"ciphers": "NO-SUCH-CIPHER"}, ValueError, ["cipher"]),
])
def test_files_and_values_that_will_not_do(settings, error, words):
    with pytest.raises(error) as caught:
        kiel.ssl(**settings)
    for word in words:
        assert word in str(caught.value)
    assert "Pa55word" not in str(caught.value)


def test_a_repr_without_secrets():
    made = kiel.ssl(cafile=path("ca.pem"), certfile=path("locked.pem"), keyfile=path("locked.key"),
                    password="opensesame", check_hostname=False)
    assert "opensesame" not in repr(made) and "ca.pem" in repr(made) and "check_hostname=False" in repr(made)
    token = sasl_authenticate.SaslAuthenticateRequest(auth_bytes=b"\0alice\0Pa55word")
    assert "Pa55word" not in repr(token) and "Pa55word" not in str(token)
    assert "token" not in repr(sasl_authenticate.SaslAuthenticateResponse(auth_bytes=b"a token"))


def test_a_context_that_verifies_nothing_is_told_of(caplog):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with caplog.at_level(logging.WARNING, logger="kiel"):
        clients.Producer(["127.0.0.1:1"], ssl=context)
    assert "pose as the broker" in caplog.text


# -- connections --

@pytest.mark.parametrize("make", [
    lambda: kiel.ssl(cafile=path("ca.pem")),
    lambda: ssl.create_default_context(cafile=path("ca.pem")),
    lambda: kiel.ssl(cadata=text("ca.pem")),
    lambda: kiel.ssl(cafile=path("ca.pem"), certfile=path("client.pem"), keyfile=path("client.key")),
    lambda: kiel.ssl(cafile=path("ca.pem"), certfile=path("locked.pem"), keyfile=path("locked.key"),
                     password="opensesame"),
])
def test_the_right_broker(make):
    @with_cluster(topics={"t": 1}, tls=serving("broker"))
    def check(cluster):
        for host in ("127.0.0.1", "localhost"):
            producer = client(cluster, host, ssl=make())
            yield producer.connect()
            yield (yield producer.produce("t", b"1"))
            yield producer.close()
    check()


@pytest.mark.parametrize("who,host,advice", [
    ("other-authority", "127.0.0.1", "authorit"),
    ("self-signed", "127.0.0.1", "authorit"),
    ("expired", "127.0.0.1", "dates|renewed"),
    ("other-name", "127.0.0.1", "host name"),
    ("other-name", "localhost", "host name"),
])
@pytest.mark.parametrize("trust", ["kiel", "context", "system"])
def test_an_impostor_is_refused_before_the_first_request(who, host, advice, trust, caplog, monkeypatch):
    quiet_tornado(monkeypatch)

    @with_cluster(topics={"t": 1}, tls=serving(who))
    def check(cluster):
        settings = {"kiel": lambda: kiel.ssl(cafile=path("ca.pem")), "system": lambda: True,
                    "context": lambda: ssl.create_default_context(cafile=path("ca.pem"))}[trust]()
        producer = client(cluster, host, ssl=settings, sasl=sasl.Plain("alice", "Pa55word"))
        error = yield loop.raises(exc.AuthenticationError, producer.connect())
        assert "certificate" in str(error) and "Pa55word" not in str(error)
        if trust != "system":
            assert any(word in str(error) for word in advice.split("|")), str(error)
        assert cluster[1].requests == []
        yield producer.close()
    check()
    assert "Pa55word" not in caplog.text


@with_cluster(topics={"t": 1})
def test_an_impostor_in_plain_text_is_refused(cluster):
    producer = client(cluster, ssl=True, sasl=sasl.Plain("alice", "Pa55word"))
    error = yield loop.raises(exc.NoBrokersError, producer.connect())
    assert "TLS" in str(error)
    assert not any(call.api.startswith("sasl") for call in cluster[1].requests)
    yield producer.close()


# -- files that are renewed --

def put(directory, name, source):
    """Replace a file as cert-manager and Vault do: written beside it, then renamed."""
    target = str(directory.join(name))
    shutil.copyfile(path(source), target + ".new")
    os.rename(target + ".new", target)
    return target


def test_renewed_files_serve_new_connections(tmpdir, caplog):
    """The client's certificate is refused once, is renewed on the disk, and is accepted without a restart."""
    @with_cluster(topics={"t": 1}, tls=serving("broker", client_auth=True))
    def check(cluster):
        cert, key = put(tmpdir, "c.pem", "other-authority.pem"), put(tmpdir, "c.key", "other-authority.key")
        settings = kiel.ssl(cafile=path("ca.pem"), certfile=cert, keyfile=key)
        producer = client(cluster, ssl=settings)
        error = yield loop.raises(exc.KielError, producer.connect())
        assert "client certificate" in str(error) or "closed the connection" in str(error)
        put(tmpdir, "c.pem", "client-renewed.pem")
        with caplog.at_level(logging.INFO, logger="kiel"):
            before = settings.context()
            assert settings.context() is before  # they don't go together yet: the pair before goes on
            assert caplog.text.count("can't be used") == 1
            put(tmpdir, "c.key", "client-renewed.key")
            assert settings.context() is not before
            assert settings.context() is settings.context()
        assert "new connections use it" in caplog.text
        yield gen.sleep(0.3)
        yield producer.connect()
        yield (yield producer.produce("t", b"1"))
        yield producer.close()
    check()


def test_a_file_that_is_gone_leaves_the_last_good_one(tmpdir, caplog):
    settings = kiel.ssl(cafile=put(tmpdir, "ca.pem", "ca.pem"))
    before = settings.context()
    os.remove(str(tmpdir.join("ca.pem")))
    assert settings.context() is before
    assert "can't be used" in caplog.text
    put(tmpdir, "ca.pem", "self-signed.pem")
    assert settings.context() is not before


class Passing(object):
    def __init__(self, filter):
        self.filter = filter


def quiet_tornado(monkeypatch):
    """On Python 2.7 a wrong name passes Tornado's own nets, which log it besides."""
    logger = logging.getLogger("tornado.application")
    monkeypatch.setattr(logger, "filters", [Passing(
        lambda record: not (record.exc_info and issubclass(record.exc_info[0], (ssl.CertificateError, ssl.SSLError))))])
