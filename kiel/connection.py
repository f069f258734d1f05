"""
One broker socket on the IOLoop, and a Future for each request.

What goes over the socket is decided by `kiel.protocol.wire.Wire`; errors of sockets, TLS and name look-ups become
`kiel.exc` errors here (`kiel.foreign_errors`) and nowhere else. How it gets there, dialling, TLS and the handshake, is
`kiel.opener.Opener`'s. The life of a connection is a table, `kiel.connection_states`.
"""
from __future__ import absolute_import

import collections
import logging

from tornado import concurrent, gen

from kiel import exc
from kiel.connection_states import (
    CLOSED, END, NEW, PAUSE, PAUSED, READY, RECEIVE_TOKEN, RENEW, RENEWING, RESUME, SEND_TOKEN, SERVE, TOKEN, after
)
from kiel.deadlines import Deadlines
from kiel.events import ignore, settle
from kiel.foreign_errors import translate
from kiel.observer import Observer
from kiel.opener import Opener
from kiel.protocol import response as responses
from kiel.protocol.wire import Wire, correlation_struct, size_struct
from kiel.security.renewal import Renewal
from kiel.retry import monotonic
from kiel.settings import Settings
from kiel.throttle import Throttle

log = logging.getLogger(__name__)

#: api name -> the class of its answer
response_classes = responses.classes


class Connection(object):
    """
    One socket to one broker.

    A connection lives once: `connect`, any number of `send`, then `close` or the first error. ``closing`` is True
    from then on, and no Future that `send` returned stays pending.

    :param host: name or address
    :param port: number
    :param broker_id: the broker's id, for errors and logs
    :param settings: `Settings`
    :param address: the one address of the name to dial, as `kiel.dialling.addresses` returns it; default: all of them
    """

    def __init__(self, host, port, broker_id=None, settings=None, address=None):
        self.host = host
        self.port = int(port)
        self.broker_id = broker_id
        self.settings = settings or Settings()
        #: where in its life it is: a state of `kiel.connection_states`
        self.state = NEW
        #: why the connection ended, once it has
        self.error = None
        self.io_loop = None
        self.wire = Wire()
        #: the `kiel.stream.Stream`, while the socket is open
        self.stream = None
        #: seconds until the broker's first answer came; None where it was not asked for versions
        self.round_trip = None
        #: dials, and all else that comes before the first request
        self.opener = Opener(self, Connection, address)
        #: the requests that wait for their answers: correlation id -> Future, oldest first
        self.pending = collections.OrderedDict()
        #: whether the last request asked for no answer, so that nothing tells whether the broker has read it
        self.unheard = False
        self._deadlines = Deadlines(self._overdue)
        #: the session of our login, which brokers may end
        self.renewal = Renewal(self)
        #: the requests that wait for a pause to be over
        self.throttle = Throttle(self._resume)
        #: the Future of `connect`, once that was called
        self._opened = None
        #: tells the client's hooks; None where nobody listens
        self.observer = Observer.of(self, self.settings.hooks)

    def __repr__(self):
        return "Connection(%s:%d)" % (self.host, self.port)

    def step(self, event):
        """Something happened: on to the state that it leads to."""
        self.state = after(self.state, event)

    @property
    def closing(self):
        """Whether it has ended."""
        return self.state is CLOSED

    @property
    def ready(self):
        """Whether it takes requests: the handshake is through."""
        return self.state in (READY, PAUSED, RENEWING)

    @property
    def dialled(self):
        """Whether the socket is open."""
        return self.stream is not None

    @property
    def opening(self):
        """Whether `connect` is under way."""
        return self._opened is not None and not self._opened.done()

    @property
    def address(self):
        """The address that was dialled, once it is known; see `kiel.dialling.addresses`."""
        return self.opener.address

    @property
    def api_correlation(self):
        """The requests that wait for their answers: correlation id -> the api's name."""
        return dict((key, request.api) for key, (request, _) in self.wire.pending.items())

    # -- opening --

    def connect(self):
        """
        Dial, find out what the broker speaks, and log in.

        Return a Future; a second call returns the same one.

        :raises kiel.exc.BrokerConnectionError: when the broker can't be reached within the connect time-out
        :raises kiel.exc.AuthenticationError: when its certificate, or our login, is not accepted
        """
        if self._opened is None:
            self._opened = ignore(self.opener.run())
        return self._opened

    def observe(self, hooks):
        """
        Tell other hooks from now on.

        :param hooks: the client's `kiel.hooks.Hooks`; None: nobody
        """
        self.observer = Observer.of(self, hooks, self.ready)

    def start(self, io_loop):
        """Note the loop that the socket and the timers are on."""
        self.io_loop = io_loop
        self._deadlines.start(io_loop)
        self.throttle.start(io_loop)

    def prepare(self):
        """Open the socket and make it ready for requests; return a Future."""
        return self.opener.prepare()

    def give_stream(self, on_readable, on_end):
        """Hand the open socket over to another connection; this one has ended then."""
        stream, self.stream = self.stream, None
        stream.hand_over(on_readable, on_end)
        self.close()
        return stream

    @gen.coroutine
    def exchange_bare(self, token):
        """Send one SASL token the way brokers before 1.0 take it, size and bytes alone, and return the answer."""
        self.step(SEND_TOKEN)
        future = self.pending["token"] = concurrent.Future()
        self.stream.incoming.bare = True
        self.stream.write(size_struct.pack(len(token)) + token)
        challenge = yield future
        raise gen.Return(challenge)

    def write_bare(self, token):
        """Send the last SASL token of a mechanism whose broker, older than 1.0, does not answer it."""
        self.stream.write(size_struct.pack(len(token)) + token)

    def exchange(self, request):
        """Send a request of a login, which comes before anybody else's; return a Future of its response."""
        future = concurrent.Future()
        if self.closing or self.stream is None:
            settle(future, error=self.refusal())
            return future
        return self._write(request, future)

    def hold(self):
        """Hold requests back until `release`, since a login is due again."""
        self.step(RENEW)

    def release(self):
        """Let requests go out again, those held back first, in their order."""
        self.step(SERVE)
        if self.throttle.active:
            self.step(PAUSE)
        else:
            self._let_go()

    # -- sending and receiving --

    def send(self, message):
        """
        Send a request; return a Future of its response at once.

        The Future ends in time: with the response (``None`` when the request asks for none, once it is written), with
        `kiel.exc.RequestTimeoutError`, or with the error that ended the connection. While the broker has asked for a
        pause, the request waits for its end, in order; the request's time-out begins when it is written.
        """
        return self.transmit(message)

    def transmit(self, request):
        """Send a request as `send` does, also during the handshake, which comes before anybody else's requests."""
        future = concurrent.Future()
        if self.renewal.deadline and self.state is READY and self.renewal.over():
            self.renewal.hurry()
        if self.state is not READY:
            if self.state is PAUSED or self.state is RENEWING:
                request.asked = request.asked or monotonic()
                self.throttle.held.append((request, future))
                return future
            if self.state is CLOSED or self.stream is None:
                settle(future, error=self.refusal())
                return future
        return self._write(request, future)

    def _write(self, request, future):
        """Write a request and return its Future, with an error if that fails."""
        request.client_id = self.settings.client_id
        try:
            pieces = self.wire.send(request)
        except Exception as error:  # nothing was written: the connection is as good as before
            settle(future, error=error if isinstance(error, exc.KielError) else _unsendable(request, error))
            return future
        written = None
        if request.expects_response:
            key, deadlines = request.correlation_id, self._deadlines
            self.pending[key] = future
            deadlines[key] = deadline = monotonic() + self.settings.request_timeout + request.wait_time / 1000.0
            if deadline < deadlines.next:
                deadlines.look_at(deadline)
            self.unheard = False
        else:
            written = future
            self.unheard = True
        sent = None if self.observer is None else self.observer.sends(request, *self.wire.measured(request, pieces))
        try:
            for piece in pieces[:-1]:
                self.stream.write(piece)
            self.stream.write(pieces[-1], written or sent)
        except Exception as error:
            self.fail(translate(error, self))
            settle(future, error=self.error)
        if sent is not None:
            self.observer.sent(request, sent)
        return future

    def refusal(self):
        """Return the error of a request on a connection that is not, or no longer, open."""
        if isinstance(self.error, exc.AuthenticationError):
            return self.error
        return exc.BrokerConnectionError(self.host, self.port, self.broker_id, cause=self.error)

    def read_loop(self):
        """Read the answers that have come."""
        for frame in self.stream.receive():
            self.read_message(frame)

    def read_message(self, frame):
        """Read one answer and resolve its request's Future."""
        if self.state is TOKEN:
            # what came is a token, which may be empty: PLAIN's answer is
            self.step(RECEIVE_TOKEN)
            self.stream.incoming.bare = False
            self.pending.pop("token").set_result(frame)
            return
        if not self.wire.pending:
            raise exc.ProtocolError("received a response that no request is waiting for (correlation id %d)" %
                                    correlation_struct.unpack_from(frame))
        request, response = self.wire.receive(frame)
        if self.observer is not None:
            self.observer.answered(request, response.correlation_id, len(frame), self.stream.began)
        if self.state is READY:
            self.settings.served = True
        if getattr(response, "throttle_time", 0) > 0:
            self._pause(request.api, response.throttle_time / 1000.0)
        key = response.correlation_id  # the request's own may be that of its second sending
        self._deadlines.pop(key, None)
        future = self.pending.pop(key, None)
        if future is not None and not future.done():
            if request.on_answer is not None:
                try:
                    request.on_answer(response)
                except Exception as error:  # the connection ends by it, and no longer knows this Future
                    settle(future, error=error)
                    raise
            future.set_result(response)

    def lost(self, error):
        """The socket is closed or broken, or what it brought makes no sense."""
        self.fail(translate(error, self))

    # -- pauses and time-outs --

    def _pause(self, api, seconds):
        """
        Send nothing more for a while, since the client is over a quota (KIP-219).

        From Kafka 2.0 on a broker answers first and does not read the connection for the time; it has waited before it
        answered if it is older.
        """
        if self.observer is not None:
            self.observer.throttled(api, seconds)
        if not self.wire.reaches("fetch", 8):
            return
        log.debug("%r waits for %g s: the client is over a quota", self, seconds)
        self.step(PAUSE)
        self.throttle.extend(seconds)

    @property
    def pause(self):
        """Seconds until what is sent now may go out, since the broker asked for a pause; 0 without one."""
        return self.throttle.left

    @property
    def throttled(self):
        """Seconds for which brokers have had this connection wait, in all."""
        return self.throttle.total

    def _resume(self):
        """The pause is over: what was held goes out."""
        self.step(RESUME)
        if self.state is READY and self.renewal.over():
            self.renewal.hurry()
        self._let_go()

    def _let_go(self):
        held = self.throttle.held
        while held and self.state is READY:
            self._write(*held.popleft())

    def _overdue(self, key):
        """End the connection: what comes after an answer that is missing can't be waited for either."""
        request, _ = self.wire.pending[key]
        self.fail(exc.RequestTimeoutError(
            self.host, self.port, self.broker_id,
            hint="no answer to '%s' within %g s" % (
                request.api, self.settings.request_timeout + request.wait_time / 1000.0
            )
        ))

    # -- ending --

    def close(self):
        """End the connection; what is pending fails with `kiel.exc.BrokerConnectionError`. May be called twice."""
        self.abort()

    def abort(self, error=None):
        """End the connection as `close` does, with an error for what is pending."""
        self.fail(error or exc.BrokerConnectionError(self.host, self.port, self.broker_id))

    def fail(self, error):
        """End the connection and fail all that is pending: the one place where that happens."""
        if self.closing:
            return
        self.step(END)
        self.error = error
        self.renewal.stop()
        unwritten = [] if self.stream is None else self.stream.close()
        self.opener.end(error)
        pending = len(self.pending)
        self.end_pending(error, unwritten + self.throttle.end())
        if self.observer is not None:
            self.observer.ended(None if _is_plain(error) else error, pending)

    def end_pending(self, error, others=()):
        """
        Fail all that waits for an answer, and ``others`` (Futures) with it.

        State first: on Tornado 4.5 whoever waits runs inside ``set_exception``.
        """
        waiting = list(self.pending.values()) + list(others)
        self.pending.clear()
        self.wire.pending.clear()
        self._deadlines.end()
        for future in waiting:
            if settle(future, error=error):
                ignore(future)  # a caller that has gone away makes no noise in the log


def _is_plain(error):
    """Return whether an error says no more than that the connection has ended, as that of `Connection.close` does."""
    return type(error) is exc.BrokerConnectionError and error.cause is None and error.hint is None


def _unsendable(request, error):
    """Return the error of a request whose values don't fit its fields."""
    return exc.ProtocolError("the '%s' request can't be written: %s: %s" % (
        request.api, type(error).__name__, error
    ))


__all__ = ["Connection", "Settings", "correlation_struct", "response_classes", "size_struct"]
