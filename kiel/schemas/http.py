"""Requests to a schema registry: several addresses, back-off, logins, TLS, and errors in plain words."""
from __future__ import absolute_import

import base64
import json
import logging

import six
from six.moves.urllib.parse import quote, unquote, urlencode, urlsplit
from tornado import gen, httpclient, ioloop

from kiel import arguments
from kiel.events import outcome_of
from kiel.schemas import errors
from kiel.schemas.errors import caused
from kiel.security import tls

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
ACCEPT = CONTENT_TYPE + ", application/vnd.schemaregistry+json, application/json"

#: statuses with which a registry, or what stands before it, says that it is not its time
PASSING = (408, 429, 500, 502, 503, 504)


class Transport(object):
    """
    Sends requests to whichever of a registry's addresses answers.

    Parameters are those of `kiel.schemas.registry.Registry`.
    """

    def __init__(self, urls, username, password, token, ssl, headers, timeout, retry, http_client):
        logins = [login_of(url) for url in arguments.texts("urls", urls)]
        if not logins:
            raise ValueError("urls has to name at least one registry")
        #: addresses without logins, the one that answered last in front
        self.urls = [url for url, _ in logins]
        login = next((login for _, login in logins if login is not None), None)
        if username is not None:
            login = arguments.text("username", username), password
        if login is not None and login[1] is None:
            raise ValueError("a registry's username needs a password")
        if token is not None and login is not None:
            raise ValueError("a registry takes a user name and password, or a token, not both")
        self._login = login
        self._token = token
        for name, secret in (("password", None if login is None else login[1]), ("token", token)):
            if secret is not None and not callable(secret):
                checked_secret(name, secret)
        self._ssl = tls.checked(ssl)
        self._headers = dict(headers or {})
        self._timeout = arguments.seconds("timeout", timeout)
        self._retry = retry
        self._http_client = http_client

    @gen.coroutine
    def send(self, method, path, query=None, body=None, patient=True):
        """
        Send a request; return what its answer's JSON is.

        :param path: the words of the path, which are quoted here
        :param query: a dict of text
        :param body: what is sent as JSON
        :param patient: whether it is tried again where the registry does not answer
        :raises kiel.schemas.RegistryError: or one of its subclasses
        """
        where = "/".join(quote(native(part), safe="") for part in path)
        if query:
            where += "?" + urlencode(sorted(query.items()))
        clock = self._retry.start()
        told = False
        while True:
            for url in list(self.urls):
                try:
                    answer = yield self._send(url, method, where, body)
                except errors.RegistryUnavailableError as failed:
                    error = failed
                else:
                    self._prefer(url)
                    raise gen.Return(answer)
            delay = clock.delay() if patient else None
            if delay is None:
                raise error
            if not told:
                told = True
                log.warning("%s Retrying for %g s.", error, clock.left or 0)
            yield gen.sleep(delay)

    def _prefer(self, url):
        """Ask this address first from now on."""
        if self.urls[0] != url:
            self.urls.remove(url)
            self.urls.insert(0, url)

    @gen.coroutine
    def _send(self, url, method, where, body):
        """Send a request to one address."""
        client = self._http_client
        if client is None or getattr(client, "io_loop", None) not in (None, ioloop.IOLoop.current()):
            client = httpclient.AsyncHTTPClient()
        headers = yield self._all_headers()
        try:
            response = yield client.fetch(httpclient.HTTPRequest(
                "%s/%s" % (url, where), method=method, headers=headers, body=None if body is None else json.dumps(body),
                connect_timeout=self._timeout, request_timeout=self._timeout, follow_redirects=False,
                ssl_options=tls.context_of(self._ssl) if self._ssl not in (None, True) else None,
            ))
        except Exception as error:
            raise caused(translated(url, method, where, error), error)
        try:
            answer = json.loads(response.body.decode("utf-8")) if response.body else None
        except ValueError as error:
            raise caused(errors.RegistryError(
                "%s returned something that is not JSON (is this a schema registry's address?)" % url,
                response.code), error)
        raise gen.Return(answer)

    @gen.coroutine
    def _all_headers(self):
        """Return a request's headers; a password or token that is a function is asked for now."""
        headers = dict({"Accept": ACCEPT, "Content-Type": CONTENT_TYPE}, **self._headers)
        if self._login is not None:
            user, password = self._login
            password = yield asked("password", password)
            pair = ("%s:%s" % (native(user), password))
            pair = pair if isinstance(pair, bytes) else pair.encode("utf-8")
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        elif self._token is not None:
            token = yield asked("token", self._token)
            headers["Authorization"] = "Bearer " + token
        raise gen.Return(headers)


@gen.coroutine
def asked(name, secret):
    """Return a secret as text, which may be a function or coroutine function that is asked for it."""
    if callable(secret):
        try:
            secret = checked_secret(name, (yield outcome_of(secret())))
        except Exception as error:
            kind = errors.RegistryUnavailableError if getattr(error, "retriable", False) else errors.RegistryAccessError
            raise caused(kind("The registry's %s can't be had: %s: %s." % (name, type(error).__name__, error)), error)
    raise gen.Return(native(secret))


def checked_secret(name, secret):
    """Return a secret that is text; anything else is a TypeError, which does not show it."""
    if not isinstance(secret, (bytes, six.text_type)):
        raise TypeError("the registry's %s has to be text, not %s" % (name, type(secret).__name__))
    return secret


def native(text):
    """Return text or UTF-8 as the ``str`` of this Python."""
    if isinstance(text, str):
        return text
    return text.encode("utf-8") if six.PY2 else text.decode("utf-8")


def login_of(url):
    """
    Return an address without the login in it, and that: ``(user, password)``, or None.

    :raises ValueError: if it is not an address; the error never shows a password in it
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a registry's URL has to be https://host/..., not %s" % (
            repr(url) if "@" not in url else "what was given"))
    place = parts.netloc.rpartition("@")[2]
    login = None
    if parts.username is not None:
        login = unquote(parts.username), unquote(parts.password or "")
    return "%s://%s%s" % (parts.scheme, place, parts.path.rstrip("/")), login


def translated(url, method, where, error):
    """Return the `kiel.schemas.RegistryError` of whatever a request ended with."""
    what = "%s %s/%s" % (method, url, where)
    if not isinstance(error, httpclient.HTTPError):
        place = urlsplit(url)
        refused = tls.refusal(place.hostname, place.port or 443, error)
        if refused is not None:
            return errors.RegistryAccessError(str(refused))
        if isinstance(error, (TypeError, ValueError)):
            return errors.RegistryError("%s: %s" % (what, error))
        return errors.RegistryUnavailableError("Schema registry %s can't be reached: %s." % (
            url, str(error) or type(error).__name__))
    if error.response is None or error.code == 599:
        return errors.RegistryUnavailableError("Schema registry %s does not answer: %s." % (url, error))
    code, text = words(error.response.body)
    told = "%s: HTTP %d%s" % (what, error.code, ", " + text if text else "")
    return kind_of(error.code, code)(told + advice(error.code, code), error.code, code)


def kind_of(status, code):
    """Return the class of an answer that is an error."""
    if status in PASSING:
        return errors.RegistryUnavailableError
    if status in (401, 403, 407):
        return errors.RegistryAccessError
    if status == 404 and code is not None:  # else it is no registry that says so
        return errors.SchemaNotFoundError
    if status == 409:
        return errors.IncompatibleSchemaError
    if status == 422 and code == 42201:
        return errors.InvalidSchemaError
    return errors.RegistryError


def advice(status, code):
    """Return what to do about an answer that is an error."""
    if status == 401:
        return " (check username= and password=, or token=)"
    if status == 403:
        return " (the user needs the right to do that with this subject)"
    if status == 404 and code is None:
        return " (is the path of the registry's URL right?)"
    if status == 409:
        return " (check() tells beforehand; compatibility() tells by which rule)"
    if 300 <= status < 400:
        return " (redirects are not followed: give the address that answers itself)"
    return ""


def words(body):
    """Return a registry's own code and words for an error."""
    try:
        answer = json.loads((body or b"").decode("utf-8"))
        return answer.get("error_code"), native(six.text_type(answer.get("message") or ""))[:500]
    except (ValueError, AttributeError):
        return None, ""
