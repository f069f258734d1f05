"""Tokens of an identity provider: kept, renewed, asked for once, and asked for again while it is away."""
from __future__ import absolute_import

import base64
import functools
import os
import ssl

import pytest
from tornado import gen, httpclient

import kiel
from kiel import exc, oidc

from tests import loop
from tests.tokens import Provider

TLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls")
SECRET = "a-secret/with:signs"


def with_provider(answer, **settings):
    """Runs a test with a provider on its loop."""
    def decorate(test):
        @functools.wraps(test)
        def run():
            @gen.coroutine
            def body():
                provider = Provider(answer, **settings)
                try:
                    yield gen.coroutine(test)(provider)
                finally:
                    provider.stop()
                    httpclient.AsyncHTTPClient().close()
            loop.run(body)
        if hasattr(run, "__wrapped__"):
            del run.__wrapped__  # pytest must not take the provider for a fixture
        return run
    return decorate


def counting(lifetime=60):
    """Answers with token-1, token-2 ..."""
    count = []

    def answer(fields, request):
        count.append(fields)
        return 200, {"access_token": "token-%d" % len(count), "expires_in": lifetime, "token_type": "Bearer"}
    return answer


def source(provider, **settings):
    return oidc.ClientCredentials(provider.url, "me", SECRET, **settings)


@with_provider(counting())
def test_a_token_is_asked_for_once_and_kept(provider):
    tokens = source(provider, scope="a b")
    assert (yield [tokens() for _ in range(5)]) == ["token-1"] * 5
    assert (yield tokens()) == "token-1"
    assert len(provider.requests) == 1
    request = provider.requests[0]
    assert request.body == b"grant_type=client_credentials&scope=a+b"
    pair = base64.b64decode(request.headers["Authorization"].split(" ")[1])
    assert pair == b"me:a-secret%2Fwith%3Asigns"
    tokens.forget()  # as after a refusal
    assert (yield tokens()) == "token-2"
    assert SECRET not in repr(tokens)


@with_provider(lambda fields, request: (200, {"access_token": fields["client_secret"].replace(":", "")}))
def test_a_secret_that_is_asked_for_and_goes_into_the_form(provider):
    @gen.coroutine
    def secret():
        yield gen.moment
        raise gen.Return("a:b")
    tokens = oidc.ClientCredentials(provider.url, "me", secret, in_body=True, audience="kafka")
    assert (yield tokens()) == "ab"
    assert "Authorization" not in provider.requests[0].headers
    assert b"audience=kafka" in provider.requests[0].body


@with_provider(lambda fields, request: (200, {"access_token": fields["assertion"], "expires_in": 9}))
def test_an_assertion_instead_of_a_secret(provider):
    tokens = oidc.JwtBearer(provider.url, lambda: "signed", scope="kafka")
    assert (yield tokens()) == "signed"
    assert b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in provider.requests[0].body


@with_provider(counting(lifetime=0.5))
def test_a_token_is_renewed_before_it_expires_and_nobody_waits(provider):
    tokens = source(provider)
    assert (yield tokens()) == "token-1"
    yield gen.sleep(0.42)
    yield tokens()
    yield loop.until(lambda: len(provider.requests) == 2)
    yield gen.sleep(0.1)
    assert (yield tokens()) != "token-1"


@with_provider(counting())
def test_a_provider_that_is_away_is_asked_again_after_a_pause(provider):
    port = provider.port
    provider.stop()
    tokens = source(provider, timeout=2)
    error = yield loop.raises(exc.CredentialsError, tokens())
    assert error.retriable and SECRET not in str(error) and provider.url in str(error)
    again = yield loop.raises(exc.CredentialsError, tokens())
    assert again is error  # in the pause
    back = Provider(counting(), port=port)
    try:
        while True:
            try:
                assert (yield tokens()) == "token-1"
                break
            except exc.CredentialsError:
                yield gen.sleep(0.05)
    finally:
        back.stop()


@pytest.mark.parametrize("status,body,error,words", [
    (401, {"error": "invalid_client", "error_description": "no such client"}, exc.AuthenticationError,
     ["401", "invalid_client: no such client"]),
    (400, "nonsense", exc.AuthenticationError, ["400"]),
    (403, [], exc.AuthenticationError, ["403"]),
    (429, {}, exc.CredentialsError, ["429"]),
    (503, {}, exc.CredentialsError, ["503"]),
    (302, {}, exc.AuthenticationError, ["302"]),
    (200, {}, exc.CredentialsError, ["access_token"]),
    (200, {"access_token": "not a token"}, exc.CredentialsError, ["access_token"]),
    (200, {"access_token": None}, exc.CredentialsError, ["access_token"]),
    (200, "nonsense", exc.CredentialsError, []),
])
def test_a_provider_that_gives_none(status, body, error, words):
    @with_provider(lambda fields, request: (status, body if not isinstance(body, list) else "[]"))
    def check(provider):
        failed = yield loop.raises(error, source(provider)())
        for word in words:
            assert word in str(failed)
        assert SECRET not in str(failed)
    check()


def serving(name):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.path.join(TLS, name + ".pem"), os.path.join(TLS, name + ".key"))
    return context


@with_provider(counting(), ssl_options=serving("broker"))
def test_a_provider_with_an_authority_of_its_own(provider):
    tokens = source(provider, ssl=kiel.ssl(cafile=os.path.join(TLS, "ca.pem")))
    assert (yield tokens()) == "token-1"


@with_provider(counting(), ssl_options=serving("other-authority"))
def test_a_provider_that_is_an_impostor_hears_no_secret(provider):
    for trust in (None, True, kiel.ssl(cafile=os.path.join(TLS, "ca.pem"))):
        failed = yield loop.raises(exc.KielError, source(provider, ssl=trust)())
        assert "certificate" in str(failed).lower()
    assert not provider.requests


def test_what_is_no_tls():
    with pytest.raises(TypeError):
        oidc.ClientCredentials("https://127.0.0.1/", "a", "b", ssl={"ca_certs": "ca.pem"})


def test_an_assertion_is_signed_anew_at_each_call():
    jwt = pytest.importorskip("jwt", reason="PyJWT is installed where real brokers are")
    made = oidc.Assertion(os.path.join(TLS, "client.key"), {"iss": "me", "sub": "me", "aud": "there"})
    one, other = made(), made()
    assert one != other and "..." in repr(made)
    read = jwt.decode(one, options={"verify_signature": False, "verify_aud": False}, algorithms=["RS256"])
    assert read["iss"] == "me" and read["exp"] - read["iat"] == 300
