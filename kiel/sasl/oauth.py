"""OAUTHBEARER: a token instead of a password (RFC 7628, KIP-255, KIP-342)."""
from __future__ import absolute_import

import base64
import json
import re
import time

import six

from kiel import exc
from kiel.sasl import credentials
from kiel.sasl.text import to_bytes

#: what a token may be made of (RFC 6750, 2.1)
TOKEN = re.compile(br"[A-Za-z0-9._~+/-]+=*\Z")
#: names and values of extensions (KIP-342)
EXTENSION_NAME = re.compile(r"[A-Za-z]+\Z")
EXTENSION_VALUE = re.compile(r"[\x21-\x7E \t\r\n]*\Z")

#: what is shown of a token that is refused; never the token itself, nor its signature
CLAIMS = ("iss", "aud", "sub", "azp", "scope", "scp")


class OAuthBearer(object):
    """
    Logs in by a bearer token, asked for at each login: use it over TLS.

    :param token: a function or coroutine function without arguments that returns the token, such as
        `kiel.oidc.ClientCredentials`; or the token itself, text or bytes, which then must not expire
    :param extensions: ``{name: value}`` for the broker, as Confluent's ``logicalCluster``; or a function or coroutine
        function of such
    :param authzid: the identity to act as, where the broker knows such; default: the token's own
    :raises ValueError: for a token or an extension that can't be sent
    """

    name = "OAUTHBEARER"

    def __init__(self, token, extensions=None, authzid=""):
        self.authzid = authzid
        self._token = token if callable(token) else checked_token(token)
        self._extensions = extensions if callable(extensions) else checked_extensions(extensions or {})

    def session(self, host=None):
        """Begin one login; the session, or a Future of it."""
        return credentials.resolve(self._session, token=self._token, extensions=self._extensions)

    def _session(self, token, extensions):
        return OAuthSession(checked_token(token), checked_extensions(extensions), self.authzid)

    def __repr__(self):
        return "OAuthBearer(token=...)"


class OAuthSession(object):
    """One login: the token, and, when the broker does not like it, the byte with which it wants to be asked why."""

    def __init__(self, token, extensions, authzid):
        who = b"a=" + to_bytes("authzid", authzid.replace("=", "=3D").replace(",", "=2C")) if authzid else b""
        fields = [b"auth=Bearer " + token]
        fields += [to_bytes("extension", "%s=%s" % item) for item in sorted(extensions.items())]
        self._first = b"n," + who + b",\x01" + b"\x01".join(fields) + b"\x01\x01"
        self._claims = described(token)
        self._status = None
        self.done = False

    @property
    def hint(self):
        """What is known of the refusal: brokers say no more than that it is one."""
        return "%sthe broker's own log says why; the token: %s" % (
            "status %s; " % self._status if self._status else "", self._claims
        )

    def step(self, challenge):
        """
        Return the token; then ``None``, or the byte that follows a refusal.

        :param challenge: ``None`` at first; then nothing, or a JSON object that tells of a refusal
        """
        if challenge is None:
            first, self._first = self._first, None
            return first
        if self._first is not None or self._status is not None:
            raise exc.AuthenticationError("SASL OAUTHBEARER: unexpected message from the broker (%s)" % self.hint)
        if not challenge:
            self.done = True
            return None
        self._status = _status_of(challenge)
        return b"\x01"


def checked_token(token):
    """
    Return a token as bytes.

    :raises ValueError: when it can't be one; its text is not in the error
    """
    token = to_bytes("token", token)
    if not TOKEN.match(token):
        raise ValueError("not a valid bearer token: only letters, digits and -._~+/ are allowed (a line break in it, "
                         "or quotes around it?)")
    return token


def checked_extensions(extensions):
    """
    Return a broker's extensions.

    :raises ValueError: for names but of letters, the reserved name "auth", and values that are no printable ASCII
    """
    for name, value in extensions.items():
        if not isinstance(name, six.string_types) or not EXTENSION_NAME.match(name) or name == "auth":
            raise ValueError("the name of an extension consists of letters, and is not 'auth': %r" % (name,))
        if not isinstance(value, six.string_types) or not EXTENSION_VALUE.match(value):
            raise ValueError("the value of the extension %s must be text, in printable ASCII" % name)
    return extensions


def expiry_of(token):
    """Return when a token expires, in seconds since 1970; None where it does not say so itself."""
    expires = (_claims_of(token) or {}).get("exp")
    return expires if isinstance(expires, (int, float)) else None


def described(token):
    """Return what a token says of itself, without what makes it valid."""
    claims = _claims_of(token)
    if claims is None:
        return "opaque, no JWT"
    shown = ["%s %s" % (name, json.dumps(claims[name])) for name in CLAIMS if name in claims]
    expires = expiry_of(token)
    if expires is not None:
        left = expires - time.time()
        shown.append("expires in %d s" % left if left > 0 else "expired %d s ago by the clock here" % -left)
    return ", ".join(shown) or "without claims"


def _claims_of(token):
    """Return the claims of a JWT, None for what is none."""
    parts = to_bytes("token", token).split(b".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)).decode("utf-8"))
    except (TypeError, ValueError):  # binascii.Error is the latter on Python 3
        return None
    return claims if isinstance(claims, dict) else None


def _status_of(challenge):
    """Return the ``status`` of a broker's refusal, such as ``invalid_token``."""
    try:
        status = json.loads(challenge.decode("utf-8"))["status"]
    except (ValueError, KeyError, TypeError):
        status = "unknown"
    return str(status)[:100]


__all__ = ["OAuthBearer", "OAuthSession", "described", "expiry_of"]
