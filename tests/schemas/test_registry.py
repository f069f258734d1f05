"""The registry's client: what it asks and how often, and what it says when that goes wrong."""
from __future__ import absolute_import

import base64
import logging
import os
import ssl
import sys

import pytest
from tornado import concurrent, gen

import kiel
from kiel import exc, schemas
from kiel.schemas import Reference, Registered, Registry, Schema

from tests import loop
from tests.schemas.registry import IMPATIENT, QUICK, Fault, Server, with_registry

TLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tls")

INT = Schema('"int"')
POINT = {"type": "record", "name": "Point", "namespace": "x", "fields": [{"name": "n", "type": "int"}]}


@with_registry()
def test_a_subject_from_its_first_version_to_its_end(server, registry):
    found = yield registry.register("t-value", POINT)
    assert (found.id, found.subject, found.schema) == (1, "t-value", Schema(POINT)) and found.guid
    assert (yield registry.register("t-value", INT)).id == 2
    assert (yield registry.subjects()) == ["t-value"]
    assert (yield registry.subjects(prefix="u")) == []
    assert (yield registry.versions("t-value")) == [1, 2]
    assert (yield registry.get(2)) == INT
    assert (yield registry.get(found.guid)) == Schema(POINT)
    latest = yield registry.get_version("t-value")
    assert latest == Registered(INT, 2, "t-value", 2, server.schemas[2][0])
    assert (yield registry.get_version("t-value", 1)).schema == Schema(POINT)
    assert (yield registry.lookup("t-value", INT)).version == 2
    assert (yield registry.check("t-value", INT))
    server.incompatible.add("t-value")
    answer = yield registry.check("t-value", INT)
    assert not answer and answer.messages == ["reader field missing default"]
    assert (yield registry.compatibility()) == "BACKWARD"
    yield registry.set_compatibility("FULL", "t-value")
    assert (yield registry.compatibility("t-value")) == "FULL"
    assert (yield registry.delete("t-value", 1)) == [1]
    assert (yield registry.versions("t-value")) == [2]
    assert (yield registry.delete("t-value")) == [1, 2]
    assert (yield registry.subjects()) == []


@with_registry()
def test_nothing_is_asked_twice(server, registry):
    for _ in range(2):
        yield registry.register("t-value", INT)
        yield registry.get(1)
        yield registry.get_version("t-value", 1)
    assert len(server.requests) == 3
    yield registry.delete("t-value")
    yield registry.register("t-value", INT)
    assert server.subjects["t-value"] == [[1, False]]
    yield registry.get_version("t-value")
    yield registry.get_version("t-value")
    assert server.asked().count("/subjects/t-value/versions/latest") == 2


@with_registry()
def test_many_who_ask_at_the_same_time_make_one_request(server, registry):
    server.add("t-value", INT.to_json())
    server.gate = concurrent.Future()
    futures = [registry.get(1) for _ in range(100)]
    others = [registry.register("u-value", INT) for _ in range(3)] + [registry.register("u-value", INT, True)]
    yield loop.until(lambda: len(server.requests) == 3)
    if hasattr(futures[0], "cancel"):
        futures[0].cancel()  # which takes nothing from the others
    server.gate.set_result(None)
    for future in futures[1:]:
        assert (yield future) == INT
    for future in others:
        yield future
    assert len(server.requests) == 3


@with_registry()
def test_references_are_found_each_once_before_what_needs_them(server, registry):
    yield registry.register("a", {"type": "enum", "name": "A", "symbols": ["x"]})
    b = Schema({"type": "record", "name": "B", "fields": [{"name": "a", "type": "A"}]}, references=[("A", "a", 1)])
    yield registry.register("b", b)
    top = Schema('["A", "B"]', references=[Reference("B", "b", 1), Reference("A", "a", 1)])
    found = yield registry.resolve(top)
    assert [name for name, _ in found] == ["A", "B"] and found[1][1].schema == b


# -- errors --

REFUSALS = [
    (404, 40403, schemas.SchemaNotFoundError), (404, None, schemas.RegistryError),
    (401, 40101, schemas.RegistryAccessError), (403, 40301, schemas.RegistryAccessError),
    (409, 409, schemas.IncompatibleSchemaError), (422, 42201, schemas.InvalidSchemaError),
    (422, 42202, schemas.RegistryError), (302, None, schemas.RegistryError), (405, 405, schemas.RegistryError),
]


@pytest.mark.parametrize("status,code,kind", REFUSALS)
def test_a_refusal_is_final_and_in_plain_words(status, code, kind):
    @with_registry()
    def check(server, registry):
        body = b'{"error_code": %s, "message": "the reason"}' % str(code).encode("ascii") if code else b"<html>"
        server.faults.append(Fault(status, body))
        error = yield loop.raises(schemas.RegistryError, registry.get(7))
        assert type(error) is kind and not error.retriable and len(server.requests) == 1
        assert (error.status, error.code) == (status, code)
        assert "/schemas/ids/7" in str(error) and str(status) in str(error)
        assert (code is None) != ("the reason" in str(error))
    check()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_what_passes_is_tried_again(status):
    @with_registry(retry=QUICK)
    def check(server, registry):
        server.add("t", INT.to_json())
        server.faults.append(Fault(status, b'{"error_code": 50001, "message": "busy"}', times=3))
        assert (yield registry.get(1)) == INT
        assert len(server.requests) == 4
    check()


@with_registry(retry=IMPATIENT)
def test_what_does_not_pass_in_time_is_an_error_that_may_pass(server, registry):
    server.faults.append(Fault(500, b'{"error_code": 50001, "message": "out of disk"}', times=10 ** 6))
    error = yield loop.raises(schemas.RegistryUnavailableError, registry.subjects())
    assert error.retriable and "out of disk" in str(error) and (error.status, error.code) == (500, 50001)


@with_registry(timeout=0.05)
def test_silence_is_not_waited_for_without_end(server, registry):
    server.add("t", INT.to_json())
    server.faults.append(Fault(silent=True))
    assert (yield loop.within(5, registry.get(1))) == INT


def test_another_address_is_asked_where_one_does_not_answer():
    @gen.coroutine
    def body():
        gone, good = Server(), Server()
        gone.stop()
        good.add("t", INT.to_json())
        registry = Registry([gone.url, good.url + "/"], retry=QUICK)
        assert (yield registry.get(1)) == INT
        yield registry.subjects()
        assert len(good.requests) == 2
        good.stop()
        registry = Registry([gone.url, good.url], retry=IMPATIENT)
        error = yield loop.raises(schemas.RegistryUnavailableError, registry.subjects())
        assert "can't be reached" in str(error) or "does not answer" in str(error)
    loop.run(body)


@with_registry()
def test_an_id_that_is_not_known_is_not_asked_for_all_the_time(server, registry):
    for _ in range(5):
        yield loop.raises(schemas.SchemaNotFoundError, registry.get(7))
    assert len(server.requests) == 1


@with_registry()
def test_something_else_than_a_registry(server, registry):
    server.faults.append(Fault(200, b"<html>welcome</html>"))
    error = yield loop.raises(schemas.RegistryError, registry.subjects())
    assert "not JSON" in str(error) and not error.retriable
    server.faults.append(Fault(200, b"{}"))
    yield loop.raises(schemas.RegistryError, registry.get(3))
    server.faults.append(Fault(200, b"{}"))
    yield loop.raises(schemas.RegistryError, registry.register("t", INT))


# -- logins and TLS --

@pytest.mark.parametrize("settings,wanted", [
    (dict(username="key", password=u"s\u00e9cret"), b"Basic " + base64.b64encode(u"key:s\u00e9cret".encode("utf-8"))),
    (dict(username="key", password=lambda: "secret"), b"Basic " + base64.b64encode(b"key:secret")),
    (dict(username="key", password=gen.coroutine(lambda: b"secret")), b"Basic " + base64.b64encode(b"key:secret")),
    (dict(token="secret"), b"Bearer secret"),
    (dict(token=gen.coroutine(lambda: "secret")), b"Bearer secret"),
], ids=["text", "function", "coroutine", "token", "token of a coroutine"])
def test_logins(settings, wanted):
    @with_registry(server=dict(accepts=wanted.decode("ascii")), **settings)
    def check(server, registry):
        assert (yield registry.subjects()) == []
        assert "cret" not in repr(registry)
        server.accepts = "Basic other"
        error = yield loop.raises(schemas.RegistryAccessError, registry.subjects())
        assert "password" in str(error) and "cret" not in str(error) and len(server.requests) == 2
    check()


def test_a_login_in_the_address_is_seen_nowhere(caplog):
    caplog.set_level(logging.DEBUG)

    @gen.coroutine
    def body():
        server = Server(accepts="Basic " + base64.b64encode(b"u:s3c/ret").decode("ascii"))
        registry = Registry(server.url.replace("://", "://u:s3c%2Fret@"), headers={"target-sr-cluster": "lsrc-1"},
                            retry=QUICK)
        assert (yield registry.subjects()) == []
        assert server.requests[0][3]["target-sr-cluster"] == "lsrc-1"
        server.stop()
        error = yield loop.raises(schemas.RegistryError, Registry(
            registry._transport.urls[0].replace(str(server.port), "1"), username="u", password="s3cret",
            retry=IMPATIENT).subjects())
        for text in (repr(registry), str(error), repr(error), caplog.text):
            assert "s3c" not in text
    loop.run(body)


@pytest.mark.parametrize("wrong,kind", [
    (dict(urls="localhost:8081"), ValueError), (dict(urls="ftp://h"), ValueError), (dict(urls=[]), ValueError),
    (dict(urls=5), TypeError), (dict(ssl="ca.pem"), TypeError), (dict(timeout="1"), TypeError),
    (dict(username="u", password="p", token="t"), ValueError),
])
def test_wrong_settings(wrong, kind):
    with pytest.raises(kind):
        Registry(**dict(dict(urls="http://h"), **wrong))


def test_a_wrong_password_is_not_shown():
    for wrong in (dict(username="u", password=5), dict(token=5)):
        with pytest.raises(TypeError) as caught:
            Registry("http://h", **wrong)
        assert "has to be text" in str(caught.value) and "5" not in str(caught.value)
    with pytest.raises(ValueError):
        Registry("http://h", username="u")


@pytest.mark.parametrize("outcome,kind", [
    (5, schemas.RegistryAccessError), (ValueError("no file"), schemas.RegistryAccessError),
    (exc.CredentialsError("not now"), schemas.RegistryUnavailableError),
])
def test_a_token_that_can_not_be_had(outcome, kind):
    def token():
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @with_registry(token=token, retry=IMPATIENT)
    def check(server, registry):
        error = yield loop.raises(schemas.RegistryError, registry.subjects())
        assert type(error) is kind and "token can't be had" in str(error) and not server.requests
    check()


def serving(name, client_auth=False):
    """The context of a registry that shows the certificate of that name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.path.join(TLS, "ca.pem"))
    context.load_cert_chain(os.path.join(TLS, name + ".pem"), os.path.join(TLS, name + ".key"))
    if client_auth:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def trusting(**more):
    return kiel.ssl(cafile=os.path.join(TLS, "ca.pem"), **more)


@with_registry(server=dict(ssl_options=serving("broker")), ssl=trusting())
def test_tls(server, registry):
    assert (yield registry.subjects()) == []


@with_registry(server=dict(ssl_options=serving("broker", True)), ssl=trusting(
    certfile=os.path.join(TLS, "client.pem"), keyfile=os.path.join(TLS, "client.key")))
def test_a_certificate_of_the_clients_own(server, registry):
    assert (yield registry.subjects()) == []


@pytest.mark.parametrize("trust", [None, True, trusting()])
def test_a_certificate_that_nobody_vouches_for(trust):
    @with_registry(server=dict(ssl_options=serving("other-authority")), ssl=trust)
    def check(server, registry):
        error = yield loop.raises(schemas.RegistryAccessError, registry.subjects())
        assert "certificate" in str(error) and not error.retriable and not server.requests
    check()


# -- values --

def test_schemas_are_values():
    assert Schema('"int"') == Schema(u'"int"') and hash(Schema("a", "JSON")) == hash(Schema("a", "JSON"))
    assert Schema("a") != Schema("a", "JSON") and Schema("a", references=[("n", "s", 1)]) != Schema("a")
    assert "Reference" in repr(Schema("a" * 100, references=[("n", "s", 1)])) and len(repr(Schema("a" * 100))) < 90
    for wrong in (5, None):
        with pytest.raises(TypeError):
            Schema(wrong)
    with pytest.raises(ValueError):
        Schema("a", "THRIFT")


@pytest.mark.skipif(sys.version_info < (3, 6), reason="there is no async def")
def test_awaited():
    namespace = {}
    exec("async def main(registry):\n    return await registry.subjects()\n", namespace)

    @with_registry()
    def check(server, registry):
        assert (yield namespace["main"](registry)) == []
    check()
