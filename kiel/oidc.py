"""
Tokens from an OpenID Connect or OAuth 2 provider, for `kiel.sasl.OAuthBearer` (KIP-768, KIP-1139).

They are asked for over Tornado's own HTTP client, kept until shortly before they expire, and shared by all connections.
"""
from __future__ import absolute_import

import base64
import json
import logging
import threading
import time
import uuid

from six.moves.urllib.parse import quote_plus, urlencode, urlsplit
from tornado import gen, httpclient, ioloop

from kiel import exc
from kiel.events import ignore, outcome_of
from kiel.retry import Backoff, monotonic
from kiel.sasl.oauth import checked_token, expiry_of
from kiel.security import tls

log = logging.getLogger(__name__)

#: the part of a token's life after which a new one is asked for, while the old one is still good
RENEWAL = 0.8

#: seconds for which a token is kept whose provider does not say when it expires
UNKNOWN_LIFETIME = 60.0

#: seconds between attempts while the provider does not answer
PAUSE = Backoff(first=0.1, most=0.5, deadline=None)

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenSource(object):
    """
    A token that is asked of a provider when needed: ``source()`` returns a Future of it.

    Callers that need it at the same time share one request. From `RENEWAL` of its life on a new token is asked for, and
    the old one returned until it is there. While the provider is away, it is asked again after a growing pause.

    :param url: the provider's token endpoint
    :param ssl: the provider's TLS, as the ``ssl`` of a client; default: the system's authorities
    :param timeout: seconds for an answer
    :param http_client: a `tornado.httpclient.AsyncHTTPClient` of the application's, such as one that knows a proxy
    :raises TypeError: when ``ssl`` is anything else
    :raises ValueError: if the URL is not valid
    """

    def __init__(self, url, ssl=None, timeout=10, http_client=None):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("the provider's URL has to be https://host/..., not %r" % (url,))
        self.url = url
        self.timeout = timeout
        self._ssl = tls.checked(ssl)
        self._http_client = http_client
        self._token = None
        self._renew_at = 0.0
        self._expires_at = 0.0
        # a group's heartbeats log in on a thread and a loop of their own: each has its own request under way
        self._local = threading.local()
        self._error = None
        self._clock = PAUSE.start()
        self._again_at = 0.0

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, self.url)

    def __call__(self):
        """
        Return a Future of a token that is good now.

        :raises kiel.exc.AuthenticationError: when the provider refuses
        :raises kiel.exc.CredentialsError: when it can't be reached, or answers with nonsense
        """
        now = monotonic()
        if self._token is not None and now < self._renew_at:
            return outcome_of(self._token)
        still_good = self._token is not None and now < self._expires_at
        asking = getattr(self._local, "asking", None)
        if asking is None or asking.done():
            if self._error is not None and now < self._again_at:
                return outcome_of(self._token) if still_good else self._failed()
            asking = self._local.asking = ignore(self._ask())
        return outcome_of(self._token) if still_good else asking

    def forget(self):
        """Drop the token: a broker refused it."""
        self._token = None

    @gen.coroutine
    def _failed(self):
        """End with the last error, while it is too early to ask again."""
        raise self._error

    @gen.coroutine
    def _ask(self):
        """Ask for a token, and note how long it is good."""
        try:
            fields, headers = yield self.fields()
            answer = yield self._post(fields, headers)
            self._take(answer)
        except Exception as error:
            if not isinstance(error, exc.KielError):
                error = _caused(exc.CredentialsError("%r: %s: %s" % (self, type(error).__name__, error)), error)
            self._error = error
            self._again_at = monotonic() + self._clock.delay()
            log.warning("Could not get a token: %s", error)
            raise error
        raise gen.Return(self._token)

    def fields(self):
        """Return, as a Future, the request: ``(form fields, headers)``."""
        raise NotImplementedError

    @gen.coroutine
    def _post(self, fields, headers):
        """Send the form; return the answer's JSON."""
        client = self._http_client
        if client is None or getattr(client, "io_loop", None) is not ioloop.IOLoop.current():
            client = httpclient.AsyncHTTPClient()
        request = httpclient.HTTPRequest(
            self.url, method="POST", body=urlencode(sorted(fields.items())),
            headers=dict(headers, Accept="application/json", **{"Content-Type": "application/x-www-form-urlencoded"}),
            connect_timeout=self.timeout, request_timeout=self.timeout, follow_redirects=False,
            ssl_options=tls.context_of(self._ssl) if self._ssl not in (None, True) else None,
        )
        try:
            response = yield client.fetch(request)
        except Exception as error:
            raise _caused(self._translated(error), error)
        try:
            answer = json.loads(response.body.decode("utf-8"))
        except ValueError as error:
            raise _caused(
                exc.CredentialsError("%r: the response is not JSON (is this the token endpoint?)" % self), error)
        raise gen.Return(answer)

    def _translated(self, error):
        """Return the `kiel.exc.KielError` of an error of Tornado's HTTP client: one that may pass, or one for good."""
        if not isinstance(error, httpclient.HTTPError):
            where = urlsplit(self.url)
            refusal = tls.refusal(where.hostname, where.port or 443, error)
            return refusal or exc.CredentialsError("%r can't be reached: %s" % (self, error))
        if error.response is None or error.code in (429, 599) or error.code >= 500:
            return exc.CredentialsError("%r does not answer: %s" % (self, error))
        return exc.AuthenticationError("%r issued no token: HTTP %d %s (%s)" % (
            self, error.code, _reason(error.response.body),
            "check client id, secret and scope" if error.code in (400, 401, 403) else "is this the token endpoint?"))

    def _take(self, answer):
        """Take over a provider's answer."""
        try:
            token = answer["access_token"]
            checked_token(token)
        except (KeyError, TypeError, ValueError):
            raise exc.CredentialsError(
                "%r: the response has no usable access_token (is this the token endpoint?)" % self)
        lifetime = answer.get("expires_in")
        if lifetime is None:
            expires = expiry_of(token)
            lifetime = UNKNOWN_LIFETIME if expires is None else expires - time.time()
        lifetime = max(0.0, float(lifetime))
        now = monotonic()
        self._token = token
        self._renew_at, self._expires_at = now + RENEWAL * lifetime, now + lifetime
        self._error = None
        self._clock.reset()


class ClientCredentials(TokenSource):
    """
    Tokens by a client's id and secret (RFC 6749, 4.4).

    :param url: the provider's token endpoint
    :param client_id: who asks
    :param client_secret: its secret; or a function or coroutine function that is asked for it
    :param scope: what the token is for, with blanks between several
    :param audience: for providers that want one, such as Auth0
    :param in_body: whether id and secret go into the form, instead of a header of HTTP Basic
    :param settings: those of `TokenSource`
    :raises TypeError: for a secret that is neither text nor bytes nor a function
    """

    def __init__(self, url, client_id, client_secret, scope=None, audience=None, in_body=False, **settings):
        super(ClientCredentials, self).__init__(url, **settings)
        self.client_id = client_id
        self.scope = scope
        self.audience = audience
        self.in_body = in_body
        self._secret = client_secret if callable(client_secret) else _checked_secret(client_secret)

    @gen.coroutine
    def fields(self):
        """Return the request: ``(form fields, headers)``."""
        secret = self._secret
        if callable(secret):
            secret = _checked_secret((yield outcome_of(secret())))
        fields = {"grant_type": "client_credentials"}
        for name, value in (("scope", self.scope), ("audience", self.audience)):
            if value:
                fields[name] = value
        if self.in_body:
            fields.update(client_id=self.client_id, client_secret=secret)
            raise gen.Return((fields, {}))
        pair = "%s:%s" % (quote_plus(self.client_id), quote_plus(secret))
        raise gen.Return((fields, {"Authorization": "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")}))


class JwtBearer(TokenSource):
    """
    Tokens by an assertion that the client signs itself (RFC 7523), without a shared secret.

    :param url: the provider's token endpoint
    :param assertion: the signed JWT, or a function or coroutine function that makes one, such as `Assertion`
    :param scope: what the token is for, with blanks between several
    :param settings: those of `TokenSource`
    """

    def __init__(self, url, assertion, scope=None, **settings):
        super(JwtBearer, self).__init__(url, **settings)
        self.scope = scope
        self._assertion = assertion

    @gen.coroutine
    def fields(self):
        """Return the request: ``(form fields, headers)``."""
        assertion = (yield outcome_of(self._assertion())) if callable(self._assertion) else self._assertion
        if isinstance(assertion, bytes):
            assertion = assertion.decode("ascii")
        fields = {"grant_type": JWT_BEARER, "assertion": assertion}
        if self.scope:
            fields["scope"] = self.scope
        raise gen.Return((fields, {}))


class Assertion(object):
    """
    Makes a signed JWT at each call; needs the packages ``PyJWT`` and ``cryptography``.

    :param keyfile: path of the private key, PEM; it is read at each call, so that it may be renewed
    :param claims: ``{"iss": ..., "sub": ..., "aud": ...}``; ``iat``, ``exp`` and ``jti`` are added
    :param algorithm: such as ``"RS256"`` or ``"ES256"``
    :param headers: of the JWT, such as ``{"kid": ...}``
    :param lifetime: seconds until it expires
    :raises ImportError: when PyJWT is not there
    """

    def __init__(self, keyfile, claims, algorithm="RS256", headers=None, lifetime=300):
        try:
            import jwt
        except ImportError as error:
            raise ImportError("oidc.Assertion needs PyJWT: pip install pyjwt cryptography (%s)" % error)
        self._jwt = jwt
        self.keyfile = keyfile
        self.claims = dict(claims)
        self.algorithm = algorithm
        self.headers = dict(headers or {})
        self.lifetime = lifetime

    def __repr__(self):
        return "Assertion(%r, ...)" % (self.keyfile,)

    def __call__(self):
        """Return a JWT that is good for `lifetime` seconds."""
        now = int(time.time())
        with open(self.keyfile, "rb") as source:
            key = source.read()
        claims = dict({"iat": now, "exp": now + self.lifetime, "jti": uuid.uuid4().hex}, **self.claims)
        return self._jwt.encode(claims, key, algorithm=self.algorithm, headers=self.headers or None)


def _checked_secret(secret):
    """Return a client's secret; anything but text and bytes is a TypeError."""
    if not isinstance(secret, (bytes, type(u""))):
        raise TypeError("the client secret has to be text, not %s" % type(secret).__name__)
    return secret


def _reason(body):
    """Return a provider's own words for a refusal (RFC 6749, 5.2)."""
    try:
        answer = json.loads((body or b"").decode("utf-8"))
        words = [str(answer[name]) for name in ("error", "error_description") if answer.get(name)]
    except (ValueError, AttributeError, TypeError):
        words = []
    return ": ".join(words)[:300] or "without a reason"


def _caused(error, cause):
    """Return an error with what is beneath it."""
    error.__cause__ = cause
    return error


__all__ = ["Assertion", "ClientCredentials", "JwtBearer", "TokenSource"]
