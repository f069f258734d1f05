"""PLAIN: user name and password as they are (RFC 4616). Only the connection's TLS hides them."""
from __future__ import absolute_import

from kiel import exc
from kiel.sasl import credentials
from kiel.sasl.text import to_bytes


class Plain(object):
    """
    Logs in by user name and password, sent as they are: use it over TLS.

    :param username: the user's name, text or UTF-8 bytes; or a function or coroutine function without arguments, which
        is asked at each login
    :param password: the user's password, the same
    :raises ValueError: when one of them is empty or contains a NUL, which PLAIN can't carry
    """

    name = "PLAIN"
    hint = "check user name and password"

    def __init__(self, username, password):
        self.username = username
        self._username = credentials.checked("username", username)
        self._password = credentials.checked("password", password)

    def session(self, host=None):
        """Begin one login; the session, or a Future of it where credentials are asked for."""
        return credentials.resolve(_session, username=self._username, password=self._password)

    def __repr__(self):
        return "Plain(%s, password=...)" % credentials.shown(self.username)


def _session(username, password):
    return PlainSession(b"\0".join((b"", to_bytes("username", username), to_bytes("password", password))))


class PlainSession(object):
    """One login by PLAIN: a single message, which the broker takes or refuses."""

    def __init__(self, message):
        self._message = message
        self.done = False

    def step(self, challenge):
        """
        Return the one message of PLAIN, and then ``None``.

        :param challenge: ``None`` at first, then what the broker answered (nothing, in Kafka)
        :raises exc.AuthenticationError: when the broker wants more than PLAIN has
        """
        if challenge is None and self._message is not None:
            message, self._message = self._message, None
            return message
        if self._message is not None or self.done:
            raise exc.AuthenticationError(
                "SASL PLAIN: unexpected message from the broker; is another SASL mechanism set up there?"
            )
        self.done = True
        return None
