"""PLAIN: user name and password as they are (RFC 4616). Only the connection's TLS hides them."""
from __future__ import absolute_import

from kiel import exc
from kiel.sasl.text import to_bytes


class Plain(object):
    """
    Logs in by user name and password, sent as they are: use it over TLS.

    :param username: the user's name, text or UTF-8 bytes
    :param password: the user's password, text or UTF-8 bytes
    :raises ValueError: when one of them is empty or contains a NUL, which PLAIN can't carry
    """

    name = "PLAIN"

    def __init__(self, username, password):
        self.username = username
        self._message = b"\0".join((
            b"", to_bytes("username", username), to_bytes("password", password),
        ))

    def session(self):
        """Begins one login."""
        return PlainSession(self._message)

    def __repr__(self):
        return "Plain(%r, password=...)" % (self.username,)


class PlainSession(object):
    """One login by PLAIN: a single message, which the broker takes or refuses."""

    def __init__(self, message):
        self._message = message
        self.done = False

    def step(self, challenge):
        """
        Gives the one message of PLAIN, and then ``None``.

        :param challenge: ``None`` at first, then what the broker answered (nothing, in Kafka)
        :raises exc.AuthenticationError: when the broker wants more than PLAIN has
        """
        if challenge is None and self._message is not None:
            message, self._message = self._message, None
            return message
        if self._message is not None or self.done:
            raise exc.AuthenticationError(
                "SASL PLAIN: the broker spoke out of turn; is another SASL mechanism set up there?"
            )
        self.done = True
        return None
