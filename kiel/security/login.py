"""A login by SASL over one connection, and what to say when it fails."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.events import outcome_of, run_blocking
from kiel.protocol import errors, sasl_authenticate, sasl_handshake
from kiel.retry import monotonic


class Login(object):
    """
    Logs in over a connection, by the mechanism of its settings.

    Tokens are framed by SaslAuthenticate from Kafka 1.0 on (KIP-152), and bare before.

    :param conn: the `kiel.connection.Connection`
    """

    def __init__(self, conn):
        self.conn = conn
        self.mechanism = conn.settings.sasl
        #: the mechanism's state of this login, once it has begun
        self.session = None
        #: when the last token went out, by `kiel.retry.monotonic`: the broker's session begins after it
        self.sent = 0.0

    @gen.coroutine
    def run(self):
        """
        Log in; return the seconds after which the broker ends the session (KIP-368), 0 for never.

        :raises kiel.exc.AuthenticationError: when the broker refuses, or the mechanism gives up
        :raises kiel.exc.CredentialsError: when there are no credentials to be had at the moment
        :raises kiel.exc.BrokerConnectionError: when the connection ended meanwhile
        """
        token = yield self.begin()
        lifetime = yield self.exchange(token)
        raise gen.Return(lifetime)

    @gen.coroutine
    def begin(self):
        """Return the first token; the credentials are asked for here, before the broker waits for anything."""
        self.session = yield self._of_mechanism(self.mechanism.session, self.conn.host)
        token = yield self._step(None)
        raise gen.Return(token)

    @gen.coroutine
    def exchange(self, token):
        """Agree on the mechanism, then exchange tokens with the broker until one side is through."""
        name = self.mechanism.name
        try:
            yield self._agree()
            framed = self.conn.wire.reaches("sasl_authenticate", 0)
            lifetime = 0
            while token is not None:
                self.sent = monotonic()
                if framed:
                    answer = yield self.conn.exchange(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=token))
                    if answer.error_code:
                        raise self._refused(answer)
                    challenge, lifetime = answer.auth_bytes, answer.session_lifetime
                elif self.session.done:  # the last token of some mechanisms, such as GSSAPI, has no answer
                    self.conn.write_bare(token)
                    break
                else:
                    challenge = yield self.conn.exchange_bare(token)
                if self.session.done:
                    break
                token = yield self._step(challenge)
        except exc.BrokerConnectionError as error:
            if framed_or_silent(self.conn, error):
                error.hint = _during(error, name)
                raise
            raise exc.AuthenticationError("%r hung up during the login by %s%s" % (
                self.conn, name, _in_parentheses(self._hint())
            ))
        if not self.session.done:
            raise exc.AuthenticationError("%r ended the login by %s before it was complete" % (self.conn, name))
        lifetime = max(0, lifetime) / 1000.0
        if self.conn.observer is not None:
            self.conn.observer.authenticated(name, lifetime)
        raise gen.Return(lifetime)

    @gen.coroutine
    def _agree(self):
        """Name the mechanism to the broker."""
        name = self.mechanism.name
        try:
            response = yield self.conn.exchange(sasl_handshake.SaslHandshakeRequest(mechanism=name))
        except exc.UnsupportedVersionError as error:
            raise exc.AuthenticationError("%r offers no SASL login: %s" % (self.conn, error))
        if response.error_code == errors.illegal_sasl_state:
            raise exc.AuthenticationError("%r has no SASL login: leave out sasl=, or check the port" % self.conn)
        if response.error_code:
            raise exc.AuthenticationError("%r refuses the SASL mechanism %s (%s); it offers: %s" % (
                self.conn, name, exc.for_code(response.error_code), ", ".join(response.mechanisms) or "none"
            ))

    @gen.coroutine
    def _step(self, challenge):
        """Return the mechanism's answer to a challenge."""
        token = yield self._of_mechanism(self.session.step, challenge)
        if token is not None and not isinstance(token, bytes):
            raise exc.AuthenticationError("step() of the SASL mechanism %s returned %s, not bytes or None" % (
                self.mechanism.name, type(token).__name__
            ))
        raise gen.Return(token)

    @gen.coroutine
    def _of_mechanism(self, call, argument):
        """
        Return what a call of the mechanism comes to.

        An exception of its own, such as a bug, is final: it would come again.
        """
        try:
            if getattr(self.mechanism, "blocking", False):
                result = yield run_blocking(self.conn.io_loop, call, argument)
            else:
                result = yield outcome_of(call(argument))
        except exc.KielError:
            raise
        except Exception as error:
            failure = exc.AuthenticationError("%r: the SASL mechanism %s failed: %s: %s" % (
                self.conn, self.mechanism.name, type(error).__name__, error
            ))
            failure.__cause__ = error
            raise failure
        raise gen.Return(result)

    def _hint(self):
        """Return what the session, or else the mechanism, has to say of a refusal."""
        return getattr(self.session, "hint", None) or getattr(self.mechanism, "hint", None)

    def _refused(self, answer):
        """Return the error of a refusal, in the broker's words and with the mechanism's advice."""
        return exc.AuthenticationError("%r refused the login by %s: %s%s" % (
            self.conn, self.mechanism.name, answer.error_message or exc.for_code(answer.error_code),
            _in_parentheses(self._hint())
        ))


def framed_or_silent(conn, error):
    """
    Return whether a connection that ended during a login says nothing of the credentials.

    From Kafka 1.0 on a refusal is an answer; before, hanging up is all that a broker says.
    """
    return conn.wire.reaches("sasl_authenticate", 0) or isinstance(error, exc.RequestTimeoutError)


def _during(error, name):
    """Return the hint of a connection that ended, with the login named."""
    where = "during the login by %s" % name
    if error.hint and "the login by %s" % name in error.hint:
        return error.hint
    return "%s: %s" % (where, error.hint) if error.hint else "%s: does this port expect SASL?" % where


def _in_parentheses(hint):
    return " (%s)" % hint if hint else ""


__all__ = ["Login"]
