"""
One broker socket on the IOLoop: dialling, TLS, the handshake, and a Future for each request.

What goes over the socket is decided by `kiel.protocol.wire.Wire`; errors of sockets, TLS and name look-ups become
`kiel.exc` errors here and nowhere else.
"""
from __future__ import absolute_import

import collections
import datetime
import errno
import logging
import socket
import ssl

import tornado
from tornado import concurrent, gen, ioloop, iostream, netutil, tcpclient

from kiel import exc, handshake
from kiel.events import ignore, settle
from kiel.protocol import response as responses
from kiel.protocol.wire import Wire, correlation_struct, size_struct
from kiel.retry import monotonic
from kiel.settings import Settings
from kiel.stream import Stream

log = logging.getLogger(__name__)

#: api name -> the class of its answer
response_classes = responses.classes

#: seconds, after a request's time is over, for an answer that may be in the socket already
GRACE = 0.1

#: the most seconds that a broker may have a connection wait for going over a quota; Kafka's own windows are far shorter
MOST_THROTTLE = 60.0


class Connection(object):
    """
    One socket to one broker.

    A connection lives once: `connect`, any number of `send`, then `close` or the first error. ``closing`` is True
    from then on, and no Future that `send` gave stays pending.

    :param host: name or address
    :param port: number
    :param broker_id: the broker's id, for errors and logs
    :param settings: `Settings`
    """

    def __init__(self, host, port, broker_id=None, settings=None):
        self.host = host
        self.port = int(port)
        self.broker_id = broker_id
        self.settings = settings or Settings()
        self.wire = Wire()
        self.stream = None
        self.closing = False
        self.io_loop = None
        #: why the connection ended, once it has
        self.error = None
        #: correlation id -> Future, oldest first
        self.pending = collections.OrderedDict()
        #: correlation id -> the api's name, of what is pending
        self.api_correlation = {}
        #: whether the handshake is through, so that requests may be sent
        self.ready = False
        #: whether the last request asked for no answer, so that nothing tells whether the broker has read it
        self.unheard = False
        #: seconds for which brokers have had this connection wait, in all
        self.throttled = 0.0
        #: (request, Future) of those that wait for a throttle to end, oldest first
        self.held = collections.deque()
        self._muted = None
        self._muted_until = 0
        #: correlation id -> when its time is over (`kiel.retry.monotonic`)
        self._deadlines = {}
        # one timer for all of them: setting one and taking it back for each request would cost more than the look
        self._timer = None
        self._timer_at = 0
        self._opened = None
        self._bare = None
        self._companion = None

    def __repr__(self):
        return "Connection(%s:%d)" % (self.host, self.port)

    # -- opening --

    @property
    def opening(self):
        """Whether `connect` is under way."""
        return self._opened is not None and not self._opened.done()

    def connect(self):
        """
        Dials, finds out what the broker speaks, and logs in.

        Gives a Future; a second call gives the same one.

        :raises kiel.exc.BrokerConnectionError: when the broker can't be reached within the connect time-out
        :raises kiel.exc.AuthenticationError: when its certificate, or our login, is not accepted
        """
        if self._opened is None:
            self._opened = ignore(self._connect())
        return self._opened

    @gen.coroutine
    def _connect(self):
        """Does the work of `connect`, within the time-out; whatever goes wrong ends the connection."""
        self.io_loop = ioloop.IOLoop.current()
        work = self.prepare()
        try:
            yield gen.with_timeout(
                datetime.timedelta(seconds=self.settings.connect_timeout), work, quiet_exceptions=Exception
            )
        except gen.TimeoutError:
            error = exc.RequestTimeoutError(
                self.host, self.port, self.broker_id,
                hint="no connection within %g s" % self.settings.connect_timeout
            )
            self.fail(error)
            raise error
        except Exception as error:
            error = self.translate(error)
            self.fail(error)
            self.error = error  # it may have ended before, with less to say
            raise error

    @gen.coroutine
    def prepare(self):
        """Opens the socket and makes it ready for requests."""
        yield self.open()
        if not self.wire.versions.get("fetch"):
            yield handshake.negotiate(self)
        if self.settings.sasl is not None:
            yield handshake.authenticate(self)
        self.ready = True

    @gen.coroutine
    def open(self):
        """Dials; TCPClient tries every address of a name, IPv6 too."""
        stream = yield _tcp_client().connect(
            self.host, self.port, ssl_options=self.settings.ssl_context(), **self._dial_limit()
        )
        if self.closing:  # closed, or timed out, while the dialling went on
            stream.close()
            raise exc.BrokerConnectionError(self.host, self.port, self.broker_id, hint="closed while connecting")
        stream.set_nodelay(True)
        self.stream = Stream(self.io_loop, stream, self.read_loop, self._lost)

    def _dial_limit(self):
        """The time-out of TCPClient itself, from Tornado 5 on: without it, a dial given up would go on for minutes."""
        return {} if tornado.version_info < (5,) else {"timeout": self.settings.connect_timeout}

    def companion(self, versions):
        """
        Gives another connection to the same broker, for one question in versions that are known; it ends with this.
        """
        other = self._companion = Connection(self.host, self.port, self.broker_id, self.settings)
        other.io_loop = self.io_loop
        other.wire.versions = versions
        return other

    def begin_anew(self):
        """Forgets the connection of the probe."""
        previous, self.stream = self.stream, None
        if previous is not None:
            previous.close()
        self._drop_pending(exc.BrokerConnectionError(self.host, self.port, self.broker_id))
        self.closing = False
        self.error = None

    @gen.coroutine
    def exchange_bare(self, token):
        """Sends one SASL token the way brokers before 1.0 take it, size and bytes alone, and gives the answer."""
        future = concurrent.Future()
        self._bare = future
        self.pending["bare"] = future
        self.stream.incoming.bare = True
        self.stream.write(size_struct.pack(len(token)) + token)
        challenge = yield future
        raise gen.Return(challenge)

    # -- sending and receiving --

    def send(self, request):
        """
        Sends a request; gives a Future of its response at once.

        The Future ends in time: with the response (``None`` when the request asks for none, once it is written), with
        `kiel.exc.RequestTimeoutError`, or with the error that ended the connection. While the broker has asked for a
        pause, the request waits for its end, in order; the request's time-out begins when it is written.
        """
        return self.transmit(request)

    def transmit(self, request):
        """`send`, for the handshake too, which comes before anybody else's requests."""
        future = concurrent.Future()
        if self.closing or self.stream is None:
            future.set_exception(self._refusal())
            return future
        if self._muted is not None:
            self.held.append((request, future))
            return future
        return self._write(request, future)

    def _write(self, request, future):
        """Writes a request; its Future is given back, with an error if that fails."""
        request.client_id = self.settings.client_id
        try:
            pieces = self.wire.send(request)
        except Exception as error:  # nothing was written: the connection is as good as before
            future.set_exception(error if isinstance(error, exc.KielError) else _unsendable(request, error))
            return future
        if request.expects_response:
            key = request.correlation_id
            self.pending[key] = future
            self.api_correlation[key] = request.api
            limit = self.settings.request_timeout + request.wait_time / 1000.0
            self._deadlines[key] = deadline = monotonic() + limit
            if self._timer is None or deadline < self._timer_at:
                self._watch(deadline, limit)
        self.unheard = not request.expects_response
        try:
            for piece in pieces[:-1]:
                self.stream.write(piece)
            self.stream.write(pieces[-1], None if request.expects_response else future)
        except Exception as error:
            self.fail(self.translate(error))
            settle(future, error=self.error)
        return future

    def _refusal(self):
        """The error of a request on a connection that is not, or no longer, open."""
        if isinstance(self.error, exc.AuthenticationError):
            return self.error
        cause = None if self.error is None else getattr(self.error, "cause", None) or self.error
        hint = getattr(self.error, "hint", None)
        return exc.BrokerConnectionError(self.host, self.port, self.broker_id, cause=cause, hint=hint)

    def read_loop(self):
        """Reads the answers that have come."""
        for frame in self.stream.receive():
            self.read_message(frame)

    def read_message(self, frame):
        """Reads one answer and resolves its request's Future."""
        if self._bare is not None:
            # a token, which may be empty: PLAIN's answer is
            future, self._bare = self._bare, None
            self.stream.incoming.bare = False
            self.pending.pop("bare", None)
            future.set_result(frame)
            return
        if not self.wire.pending:
            raise exc.ProtocolError("an answer came that nobody asked for (id %d)" %
                                    correlation_struct.unpack_from(frame))
        request, response = self.wire.receive(frame)
        if self.ready:
            self.settings.served = True
        if getattr(response, "throttle_time", 0) > 0:
            self._obey(response.throttle_time / 1000.0)
        future = self._forget(response.correlation_id)  # the request's own may be that of its second sending
        if future is not None and not future.done():
            if request.on_answer is not None:
                request.on_answer(response)
            future.set_result(response)

    def _lost(self, error):
        """The socket is closed or broken, or what it brought makes no sense."""
        self.fail(self.translate(error))

    def _obey(self, seconds):
        """
        Sends nothing more for a while, since the client is over a quota (KIP-219).

        From Kafka 2.0 on a broker answers first and does not read the connection for the time; it has waited before it
        answered if it is older.
        """
        if not self.wire.reaches("fetch", 8):
            return
        seconds = min(seconds, MOST_THROTTLE)
        log.debug("%r waits for %g s: the client is over a quota", self, seconds)
        self.throttled += seconds
        until = self.io_loop.time() + seconds
        if until <= self._muted_until:
            return
        self._muted_until = until
        if self._muted is not None:
            self.io_loop.remove_timeout(self._muted)
        self._muted = self.io_loop.call_at(until, self._unmute)

    @property
    def pause(self):
        """Seconds until what is sent now may go out, since the broker asked for a pause; 0 without one."""
        return 0.0 if self._muted is None else max(0.0, self._muted_until - self.io_loop.time())

    def _unmute(self):
        """The throttle's time is over: what was held goes out."""
        self._muted = None
        while self.held and not self.closing:
            self._write(*self.held.popleft())

    def _forget(self, key):
        """Takes a request out of the books; gives its Future."""
        self._deadlines.pop(key, None)
        self.api_correlation.pop(key, None)
        return self.pending.pop(key, None)

    # -- requests without an answer --

    def _watch(self, deadline, delay):
        """Sets the timer."""
        self._stop_watching()
        self._timer_at = deadline
        self._timer = self.io_loop.call_later(delay, self._look)

    def _stop_watching(self):
        """Takes back the timer."""
        if self._timer is not None:
            self.io_loop.remove_timeout(self._timer)
            self._timer = None

    def _look(self):
        """
        The time of some request may be over, but for what is in the socket: that gets `GRACE`.

        Timers come before sockets in a turn: after a handler has blocked the loop, the answer may be there unread.
        """
        self._timer = None
        if not self._deadlines:
            return
        key = min(self._deadlines, key=self._deadlines.get)
        deadline, now = self._deadlines[key], monotonic()
        if deadline > now:
            self._watch(deadline, deadline - now)
        else:
            self._timer_at = deadline
            self._timer = self.io_loop.call_later(GRACE, self._look_once_more, key)

    def _look_once_more(self, key):
        """Ends the connection: what comes after an answer that is missing can't be waited for either."""
        self._timer = None
        if key not in self._deadlines:
            self._look()
            return
        request, _ = self.wire.pending[key]
        self.fail(exc.RequestTimeoutError(
            self.host, self.port, self.broker_id,
            hint="no answer to '%s' within %g s" % (
                request.api, self.settings.request_timeout + request.wait_time / 1000.0
            )
        ))

    # -- ending --

    def close(self):
        """Ends the connection; what is pending fails with `kiel.exc.BrokerConnectionError`. May be called twice."""
        self.abort()

    def abort(self, error=None):
        """The same as `close`, with an error for what is pending."""
        self.fail(error or exc.BrokerConnectionError(self.host, self.port, self.broker_id))

    def fail(self, error):
        """Ends the connection and fails all that is pending: the one place where that happens."""
        if self.closing:
            return
        self.closing = True
        self.error = error
        unwritten = [] if self.stream is None else self.stream.close()
        if self._companion is not None:
            self._companion.fail(error)
        self._drop_pending(error, unwritten)

    def _drop_pending(self, error, unwritten=()):
        """Fails every pending Future. State first: on Tornado 4.5 a waiter runs inside ``set_exception``."""
        pending, self.pending = self.pending, collections.OrderedDict()
        self._deadlines.clear()
        self._stop_watching()
        self.api_correlation.clear()
        self.wire.pending.clear()
        self._bare = None
        if self._muted is not None:
            self.io_loop.remove_timeout(self._muted)
            self._muted = None
        held, self.held = self.held, collections.deque()
        for future in list(pending.values()) + list(unwritten) + [future for _, future in held]:
            if settle(future, error=error):
                ignore(future)  # a caller that has gone away makes no noise in the log

    def translate(self, error):
        """Turns a stranger's exception into one of kiel's, with the cause kept and a hint where there is one."""
        if isinstance(error, exc.KielError):
            return error
        hint = None
        if isinstance(error, iostream.StreamClosedError):
            error = error.real_error or error
        # ENOTCONN: what Tornado 4.5 gives for a TLS handshake that the other side hung up on
        if isinstance(error, iostream.StreamClosedError) or getattr(error, "errno", None) in (
                errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            hint = "the broker closed the connection"
            if not self.settings.modern:
                hint += "; does the port %s?" % ("speak TLS" if self.settings.ssl else "expect TLS or SASL")
            elif not self.settings.served and self.settings.sasl is None:
                hint += "; does the port expect a login? Then give sasl="
        if isinstance(error, (ssl.CertificateError, ssl.SSLError)):
            text = str(error).upper()
            if "ALERT" in text and ("CERTIFICATE" in text or "UNKNOWN" in text):  # the broker's own complaint
                return exc.AuthenticationError(
                    "%s:%d asks for a client certificate, or does not accept it: %s (load one into the context in ssl=)"
                    % (self.host, self.port, error)
                )
            if isinstance(error, ssl.CertificateError) or "CERTIFICATE" in text:
                return exc.AuthenticationError(
                    "the certificate of %s:%d is not accepted: %s (check the host name, and the authorities in ssl=)"
                    % (self.host, self.port, error)
                )
            hint = "does the port speak TLS?"
        elif isinstance(error, socket.gaierror):
            hint = "the host name can't be resolved: check the spelling, and the broker's advertised listeners"
        return exc.BrokerConnectionError(self.host, self.port, self.broker_id, cause=error, hint=hint)


def _tcp_client():
    """A TCPClient whose name look-ups don't block; before Tornado 5 the default resolver did."""
    if tornado.version_info < (5,):
        return tcpclient.TCPClient(resolver=netutil.ThreadedResolver())
    return tcpclient.TCPClient()


def _unsendable(request, error):
    """The error of a request whose values don't fit its fields."""
    return exc.ProtocolError("the '%s' request can't be written: %s: %s" % (
        request.api, type(error).__name__, error
    ))


__all__ = ["Connection", "Settings", "correlation_struct", "response_classes", "size_struct"]
