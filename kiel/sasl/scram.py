"""SCRAM: proof of a password that never crosses the wire, by both sides (RFC 5802, RFC 7677)."""
from __future__ import absolute_import

import base64
import binascii
import hashlib
import hmac
import os

from kiel import exc
from kiel.sasl import credentials
from kiel.sasl.text import to_bytes

#: SASL name -> hash
HASHES = {
    "SCRAM-SHA-256": "sha256",
    "SCRAM-SHA-512": "sha512",
}

#: The least that RFC 7677 allows, and Kafka's default.
MIN_ITERATIONS = 4096

#: More than this is refused: the hashing holds up the IOLoop, 1 to 3 ms per 4096 iterations on
#: Python 3 and 9 to 12 ms on 2.7 (once per client, see `Scram.salted_password`), and a lying broker
#: must not hold it for long. Kafka 4 itself refuses to set up a user with more than 16384.
MAX_ITERATIONS = 1000000


class Scram(object):
    """
    Logs in by proof of a password, and has the broker prove that it knows the password too.

    :param username: the user's name, text or UTF-8 bytes; or a function or coroutine function without arguments, which
        is asked at each login
    :param password: the user's password, the same
    :param mechanism: ``"SCRAM-SHA-256"`` or ``"SCRAM-SHA-512"``, as the user was set up on the
        brokers
    :param tokenauth: whether the two are the id and the HMAC (in base64) of a delegation token (KIP-48)
    :raises ValueError: for another mechanism, an empty name or password
    """

    def __init__(self, username, password, mechanism="SCRAM-SHA-256", tokenauth=False):
        if mechanism not in HASHES:
            raise ValueError("SCRAM mechanism %r is not one of %s" % (
                mechanism, ", ".join(sorted(HASHES))
            ))
        self.name = mechanism
        self.username = username
        self.tokenauth = tokenauth
        self.hint = "check the delegation token's id and HMAC, and whether it has expired" if tokenauth else (
            "check user name and password")
        self._username = credentials.checked("username", username)
        self._password = credentials.checked("password", password)
        # every lane of every broker logs in: the slow hash of the last salt is kept,
        # as ((password, salt, iterations), hash)
        self._salted = (None, None)

    def session(self, host=None):
        """Begin one login, with a nonce of its own; a Future of it where credentials are asked for."""
        return credentials.resolve(self._session, username=self._username, password=self._password)

    def _session(self, username, password):
        return ScramSession(self, to_bytes("username", username), to_bytes("password", password))

    def __repr__(self):
        return "Scram(%s, password=..., mechanism=%r%s)" % (
            credentials.shown(self.username), self.name, ", tokenauth=True" if self.tokenauth else ""
        )

    def salted_password(self, password, salt, iterations):
        """Return the slow hash of a password (RFC 5802's ``Hi``); the last one is remembered."""
        key = (password, salt, iterations)
        if self._salted[0] != key:
            self._salted = (
                key, hashlib.pbkdf2_hmac(HASHES[self.name], password, salt, iterations)
            )
        return self._salted[1]


class ScramSession(object):
    """
    One login by SCRAM: client-first, server-first, client-final, server-final.

    ``done`` is true only after the broker's signature was found right.
    """

    def __init__(self, scram, username, password, nonce=None):
        self.scram = scram
        self._password = password
        self.done = False
        self._hash = getattr(hashlib, HASHES[scram.name])
        self._nonce = nonce or base64.b64encode(os.urandom(24))
        self._bare = b"n=" + escaped(username) + b",r=" + self._nonce + (b",tokenauth=true" if scram.tokenauth else b"")
        self._signature = None
        self._next = self._client_first

    def step(self, challenge):
        """
        Answer the broker's challenge; the first one is ``None``.

        :raises exc.AuthenticationError: when the broker refuses, or does not prove that it knows
            the password
        """
        # a session that failed stays failed
        step, self._next = self._next, self._out_of_turn
        return step(challenge)

    def _client_first(self, challenge):
        if challenge is not None:
            return self._out_of_turn(challenge)
        self._next = self._client_final
        return b"n,," + self._bare

    def _client_final(self, challenge):
        found = self._fields(challenge, b"r", b"s", b"i")
        nonce, salt, iterations = found[b"r"], self._base64(found[b"s"]), found[b"i"]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise self._error(
                "the broker answered with a foreign nonce; is something between replaying a login?"
            )
        # the length first: int() of a very long number is slow
        if not iterations.isdigit() or len(iterations) > 10:
            raise self._error("the broker's iteration count is no sane number")
        iterations = int(iterations)
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise self._error(
                "the broker asks for %d iterations, allowed are %d to %d; set the user up anew "
                "with a count in between" % (iterations, MIN_ITERATIONS, MAX_ITERATIONS)
            )
        salted = self.scram.salted_password(self._password, salt, iterations)
        client_key = self._hmac(salted, b"Client Key")
        without_proof = b"c=biws,r=" + nonce
        auth = b",".join((self._bare, challenge, without_proof))
        client_signature = self._hmac(self._hash(client_key).digest(), auth)
        proof = bytes(bytearray(
            a ^ b for a, b in zip(bytearray(client_key), bytearray(client_signature))
        ))
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), auth)
        self._next = self._server_final
        return without_proof + b",p=" + base64.b64encode(proof)

    def _server_final(self, challenge):
        theirs = self._base64(self._fields(challenge, b"v")[b"v"])
        if not hmac.compare_digest(theirs, self._signature):
            raise self._error(
                "the broker could not prove that it knows the password; "
                "is this the right cluster, or an impostor?"
            )
        self.done = True
        return None

    def _out_of_turn(self, challenge):
        raise self._error("the broker spoke out of turn")

    def _fields(self, challenge, *names):
        """Return a server's message by name; it must begin with those named, in this order."""
        fields = [part.partition(b"=") for part in (challenge or b"").split(b",")]
        found = dict((name, value) for name, _, value in fields)
        if b"e" in found:
            raise self._error("the broker refused the login: %s; %s" % (
                found[b"e"].decode("ascii", "replace"), self.scram.hint
            ))
        if tuple(name for name, _, _ in fields[:len(names)]) != names:
            raise self._error(
                "the broker's message is not a SCRAM message; is the user set up for this mechanism?"
            )
        return found

    def _base64(self, value):
        try:
            data = base64.b64decode(value)
        except (TypeError, binascii.Error):
            data = b""
        if not data:
            raise self._error("the broker's message is not SCRAM's: bad base64")
        return data

    def _hmac(self, key, message):
        return hmac.new(key, message, self._hash).digest()

    def _error(self, text):
        return exc.AuthenticationError("SASL %s: %s" % (self.scram.name, text))


def escaped(name):
    """Return a user name as SCRAM writes it: ``=`` and ``,`` escaped."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")
