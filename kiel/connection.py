"""
One broker socket on the IOLoop: dialling, TLS, the handshake, and a Future for each request.

What goes over the socket is decided by `kiel.protocol.wire.Wire`; errors of sockets, TLS and name look-ups become
`kiel.exc` errors here (`kiel.foreign_errors`) and nowhere else. The life of a connection is a table,
`kiel.connection_states`.
"""
from __future__ import absolute_import

import datetime
import logging

from tornado import concurrent, gen, ioloop

from kiel import dialling, exc, handshake, identity
from kiel.connection_states import (
    BEGIN_ANEW, CLOSED, DIAL, DIALLED, END, NEW, PAUSE, PAUSED, READY, RECEIVE_TOKEN, RENEW, RENEWING, RESUME,
    SEND_TOKEN, SERVE, TOKEN, after
)
from kiel.events import ignore, settle
from kiel.foreign_errors import translate
from kiel.observer import Observer
from kiel.pending import PendingRequests
from kiel.protocol import response as responses
from kiel.protocol.wire import Wire, correlation_struct, size_struct
from kiel.security.login import Login
from kiel.security.renewal import Renewal
from kiel.retry import monotonic
from kiel.settings import Settings
from kiel.stream import Stream
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
        #: the address that was dialled, once it is known; see `kiel.dialling.addresses`
        self.address = address
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
        #: the requests that wait for their answers
        self.requests = PendingRequests(self._overdue)
        #: the session of our login, which brokers may end
        self.renewal = Renewal(self)
        #: what takes its time while connecting, for the text of a time-out
        self._waits_for = ""
        #: the requests that wait for a pause to be over
        self.throttle = Throttle(self._resume)
        #: the Future of `connect`, once that was called
        self._opened = None
        #: the socket, while it is being dialled
        self._dial = None
        #: other connections to the same broker that end with this one
        self._others = []
        #: tells the client's hooks; None where nobody listens
        self.observer = Observer.of(self, self.settings.hooks)
        #: whether it is one of its own, rather than part of opening another
        self.counts = True

    def __repr__(self):
        return "Connection(%s:%d)" % (self.host, self.port)

    def _step(self, event):
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
    def pending(self):
        """The requests that wait for their answers: correlation id -> Future, oldest first."""
        return self.requests.futures

    @property
    def api_correlation(self):
        """The requests that wait for their answers: correlation id -> the api's name."""
        return self.requests.apis

    # -- opening --

    def connect(self):
        """
        Dial, find out what the broker speaks, and log in.

        Return a Future; a second call returns the same one.

        :raises kiel.exc.BrokerConnectionError: when the broker can't be reached within the connect time-out
        :raises kiel.exc.AuthenticationError: when its certificate, or our login, is not accepted
        """
        if self._opened is None:
            self._opened = ignore(self._connect())
        return self._opened

    @gen.coroutine
    def _connect(self):
        """Do the work of `connect`, within the time-out; whatever goes wrong ends the connection."""
        if self.closing:
            raise self._refusal()
        self._step(DIAL)
        if self.observer is not None:
            self.observer.dials()
        self.start(ioloop.IOLoop.current())
        work = self.prepare()
        try:
            yield gen.with_timeout(
                datetime.timedelta(seconds=self.settings.connect_timeout), work, quiet_exceptions=Exception
            )
        except gen.TimeoutError:
            error = exc.RequestTimeoutError(
                self.host, self.port, self.broker_id,
                hint="no connection within %g s%s" % (self.settings.connect_timeout, self._waits_for)
            )
            self.fail(error)
            raise error
        except Exception as error:
            error = translate(error, self)
            self.fail(error)
            self.error = error  # it may have ended before, with less to say
            raise error
        self.settings.opened += self.counts
        if self.observer is not None:
            self.observer.opened()

    def observe(self, hooks):
        """
        Tell other hooks from now on.

        :param hooks: the client's `kiel.hooks.Hooks`; None: nobody
        """
        self.observer = Observer.of(self, hooks, self.ready)

    def start(self, io_loop):
        """Note the loop that the socket and the timers are on."""
        self.io_loop = io_loop
        self.requests.start(io_loop)
        self.throttle.start(io_loop)

    @gen.coroutine
    def prepare(self):
        """Open the socket and make it ready for requests."""
        if self.address is None:
            proxy = self.settings.proxy
            addresses = yield dialling.addresses((proxy or self).host, (proxy or self).port)
            self._check_open()
            if len(addresses) > 1:
                yield self._try_side_by_side(addresses)
                return
            self.address = addresses[0]
        yield self.open()
        if not self.wire.versions.get("fetch"):
            yield handshake.negotiate(self)
        if self.settings.sasl is not None:
            self._waits_for = ", waiting for the login by %s" % self.settings.sasl.name
            login = Login(self)
            lifetime = yield login.run()
            self.renewal.start(lifetime, login.sent)
        yield identity.check(self)
        self._step(SERVE)

    @gen.coroutine
    def _try_side_by_side(self, addresses):
        """Take over the first of several addresses that gets through the handshake, and remember it."""
        known = self.settings.reached.get((self.host, self.port))
        addresses.sort(key=lambda address: address != known)  # the one that worked is first
        through = yield dialling.first_through([self.companion(address=address) for address in addresses])
        self._check_open()
        self.settings.reached[self.host, self.port] = self.address = through.address
        self.wire = through.wire
        self.renewal.start(through.renewal.lifetime, through.renewal.since)
        self.stream = through.give_stream(self.read_loop, self._lost)
        self._others = []
        self._step(DIALLED)
        self._step(SERVE)

    def give_stream(self, on_readable, on_end):
        """Hand the open socket over to another connection; this one has ended then."""
        stream, self.stream = self.stream, None
        stream.hand_over(on_readable, on_end)
        self.close()
        return stream

    @gen.coroutine
    def open(self):
        """Dial the address and do the handshake of TLS."""
        self._dial = dialling.Dial(
            self.address, self.host, self.settings.ssl_context(), self.port, self.settings.proxy
        )
        try:
            stream = yield self._dial.connect()
        finally:
            self._check_open()
            self._dial = None
        self._step(DIALLED)
        stream.set_nodelay(True)
        self.stream = Stream(self.io_loop, stream, self.read_loop, self._lost)

    def _check_open(self):
        if self.closing:  # closed, or timed out, meanwhile
            raise exc.BrokerConnectionError(self.host, self.port, self.broker_id, hint="closed while connecting")

    def companion(self, versions=None, address=None):
        """
        Return another connection to the same broker, which ends with this one.

        :param versions: what the broker serves, where that is known; see `kiel.protocol.wire.Wire`
        :param address: the one to dial; default: the same
        """
        other = Connection(self.host, self.port, self.broker_id, self.settings, address or self.address)
        other.start(self.io_loop)
        other.wire.versions = versions or self.wire.versions
        other.observer, other.counts = None, False  # it is part of opening this one
        self._others.append(other)
        return other

    def begin_anew(self):
        """Forget the socket of the version probe, upon which the broker hung up or kept silent."""
        self._step(BEGIN_ANEW)
        self.error = None
        previous, self.stream = self.stream, None
        if previous is not None:
            previous.close()
        self.wire.pending.clear()
        self.requests.end(exc.BrokerConnectionError(self.host, self.port, self.broker_id))

    @gen.coroutine
    def exchange_bare(self, token):
        """Send one SASL token the way brokers before 1.0 take it, size and bytes alone, and return the answer."""
        self._step(SEND_TOKEN)
        future = self.requests.futures["token"] = concurrent.Future()
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
            settle(future, error=self._refusal())
            return future
        return self._write(request, future)

    def hold(self):
        """Hold requests back until `release`, since a login is due again."""
        self._step(RENEW)

    def release(self):
        """Let requests go out again, those held back first, in their order."""
        self._step(SERVE)
        if self.throttle.active:
            self._step(PAUSE)
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
                settle(future, error=self._refusal())
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
            self.requests.add(request, future, self.settings.request_timeout + request.wait_time / 1000.0)
        else:
            written = future
        self.requests.unheard = not request.expects_response
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

    def _refusal(self):
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
            self._step(RECEIVE_TOKEN)
            self.stream.incoming.bare = False
            self.requests.take("token").set_result(frame)
            return
        if not self.wire.pending:
            raise exc.ProtocolError("an answer came that nobody asked for (id %d)" %
                                    correlation_struct.unpack_from(frame))
        request, response = self.wire.receive(frame)
        if self.observer is not None:
            self.observer.answered(request, response.correlation_id, len(frame), self.stream.began)
        if self.state is READY:
            self.settings.served = True
        if getattr(response, "throttle_time", 0) > 0:
            self._pause(request.api, response.throttle_time / 1000.0)
        future = self.requests.take(response.correlation_id)  # the request's own may be that of its second sending
        if future is not None and not future.done():
            if request.on_answer is not None:
                request.on_answer(response)
            future.set_result(response)

    def _lost(self, error):
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
        self._step(PAUSE)
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
        self._step(RESUME)
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
        self._step(END)
        self.error = error
        self.renewal.stop()
        unwritten = [] if self.stream is None else self.stream.close()
        if self._dial is not None:
            self._dial.close()
        for other in self._others:
            other.fail(error)
        self.wire.pending.clear()
        pending = len(self.requests.futures)
        self.requests.end(error, unwritten + self.throttle.end())
        if self.observer is not None:
            self.observer.ended(None if _is_plain(error) else error, pending)


def _is_plain(error):
    """Return whether an error says no more than that the connection has ended, as that of `Connection.close` does."""
    return type(error) is exc.BrokerConnectionError and error.cause is None and error.hint is None


def _unsendable(request, error):
    """Return the error of a request whose values don't fit its fields."""
    return exc.ProtocolError("the '%s' request can't be written: %s: %s" % (
        request.api, type(error).__name__, error
    ))


__all__ = ["Connection", "Settings", "correlation_struct", "response_classes", "size_struct"]
