"""OAUTHBEARER: what is sent, what is said of a refusal, and what can't be sent."""
from __future__ import absolute_import

import base64
import json
import time

import pytest

from kiel import exc, sasl
from kiel.sasl.oauth import described, expiry_of


def jwt(**claims):
    """A token whose signature is "signature"."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode("utf-8")).rstrip(b"=")
    return b".".join((part({"alg": "RS256"}), part(claims), b"signature")).decode("ascii")


@pytest.mark.parametrize("settings,sent", [
    ({"token": "abc.def"}, b"n,,\x01auth=Bearer abc.def\x01\x01"),
    ({"token": b"abc.def=="}, b"n,,\x01auth=Bearer abc.def==\x01\x01"),
    ({"token": lambda: u"abc"}, b"n,,\x01auth=Bearer abc\x01\x01"),
    ({"token": "abc", "authzid": "a,b=c"}, b"n,a=a=2Cb=3Dc,\x01auth=Bearer abc\x01\x01"),
    ({"token": "abc", "extensions": {"logicalCluster": "lkc-1", "identityPoolId": "p 2"}},
     b"n,,\x01auth=Bearer abc\x01identityPoolId=p 2\x01logicalCluster=lkc-1\x01\x01"),
    ({"token": "abc", "extensions": lambda: {"a": "b"}}, b"n,,\x01auth=Bearer abc\x01a=b\x01\x01"),
])
def test_what_is_sent(settings, sent):
    session = sasl.OAuthBearer(**settings).session("broker")
    assert session.step(None) == sent
    assert not session.done
    assert session.step(b"") is None
    assert session.done


def test_a_refusal_shows_the_token_but_not_what_makes_it_valid():
    token = jwt(iss="https://id.example", aud=["kafka"], sub="me", exp=int(time.time()) - 60, jti="private")
    session = sasl.OAuthBearer(token).session("broker")
    session.step(None)
    assert session.step(b'{"status":"invalid_token"}') == b"\x01"
    for word in ("invalid_token", "https://id.example", "kafka", "me", "expired 6", "log"):
        assert word in session.hint
    assert token not in session.hint and "signature" not in session.hint and "private" not in session.hint
    with pytest.raises(exc.AuthenticationError):
        session.step(b"")
    assert not session.done


@pytest.mark.parametrize("challenge", [b"nonsense", b"[]", b"{}", b"\xff"])
def test_a_refusal_that_is_no_json(challenge):
    session = sasl.OAuthBearer("abc").session("broker")
    session.step(None)
    assert session.step(challenge) == b"\x01"
    assert "unknown" in session.hint and "opaque" in session.hint


@pytest.mark.parametrize("token", ["", "a b", "abc\n", '"abc"', u"t\xf6ken", "a\x01b", "a\0b"])
def test_what_is_no_token(token):
    with pytest.raises(ValueError) as caught:
        sasl.OAuthBearer(token)
    assert not token or token not in str(caught.value)
    with pytest.raises(exc.AuthenticationError):
        sasl.OAuthBearer(lambda: token).session("broker")


@pytest.mark.parametrize("extensions", [
    {"auth": "x"}, {"a1": "x"}, {"": "x"}, {"a": "x\x01y"}, {"a": u"\xf6"}, {"a": 1}, {1: "a"},
])
def test_what_is_no_extension(extensions):
    with pytest.raises(ValueError):
        sasl.OAuthBearer("abc", extensions=extensions)


def test_a_function_that_returns_nothing():
    with pytest.raises(exc.AuthenticationError) as caught:
        sasl.OAuthBearer(lambda: None).session("broker")
    assert "token" in str(caught.value)


def test_no_secret_in_a_repr():
    assert "abc" not in repr(sasl.OAuthBearer("abc"))


def test_what_a_token_says_of_itself():
    assert expiry_of(jwt(exp=12)) == 12
    assert expiry_of(jwt(exp="soon")) is None
    assert expiry_of("opaque") is None
    assert "expires in" in described(jwt(exp=time.time() + 100))
    assert described(jwt()) == "without claims"
    assert described("a.b.c") == "opaque, no JWT"
