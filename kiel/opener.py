"""How a connection becomes one that takes requests: dialling, TLS, the version probe, the login."""
from __future__ import absolute_import

import datetime

from tornado import gen, ioloop

from kiel import dialling, exc, handshake, identity
from kiel.connection_states import BEGIN_ANEW, DIAL, DIALLED, SERVE
from kiel.foreign_errors import translate
from kiel.security.login import Login
from kiel.stream import Stream


class Opener(object):
    """
    Opens one connection.

    :param conn: the `kiel.connection.Connection`
    :param make: its class, for further ones to the same broker
    :param address: the one address of the name to dial, as `kiel.dialling.addresses` returns it; None: all of them
    """

    def __init__(self, conn, make, address=None):
        self.conn = conn
        self._make = make
        #: the address that was dialled, once it is known
        self.address = address
        #: what takes its time, for the text of a time-out
        self._waits_for = ""
        #: the socket, while it is being dialled
        self._dial = None
        #: other connections to the same broker that end with this one
        self._others = []
        #: whether it is one of its own, rather than part of opening another
        self._counts = True

    @gen.coroutine
    def run(self):
        """Do the work of `Connection.connect`, within the time-out; whatever goes wrong ends the connection."""
        conn = self.conn
        settings = conn.settings
        if conn.closing:
            raise conn.refusal()
        conn.step(DIAL)
        if conn.observer is not None:
            conn.observer.dials()
        conn.start(ioloop.IOLoop.current())
        work = conn.prepare()
        try:
            yield gen.with_timeout(
                datetime.timedelta(seconds=settings.connect_timeout), work, quiet_exceptions=Exception
            )
        except gen.TimeoutError:
            error = exc.RequestTimeoutError(
                conn.host, conn.port, conn.broker_id,
                hint="no connection within %g s%s" % (settings.connect_timeout, self._waits_for)
            )
            conn.fail(error)
            raise error
        except Exception as error:
            error = translate(error, conn)
            conn.fail(error)
            conn.error = error  # it may have ended before, with less to say
            raise error
        settings.opened += self._counts
        if conn.observer is not None:
            conn.observer.opened()

    @gen.coroutine
    def prepare(self):
        """Open the socket and make it ready for requests."""
        conn = self.conn
        sasl = conn.settings.sasl
        if self.address is None:
            way = conn.settings.proxy or conn
            addresses = yield dialling.addresses(way.host, way.port)
            self._check_open()
            if len(addresses) > 1:
                yield self._try_side_by_side(addresses)
                return
            self.address = addresses[0]
        yield self.dial()
        if not conn.wire.versions.get("fetch"):
            yield handshake.negotiate(self)
        if sasl is not None:
            self._waits_for = ", waiting for the login by %s" % sasl.name
            login = Login(conn)
            lifetime = yield login.run()
            conn.renewal.start(lifetime, login.sent)
        yield identity.check(conn)
        conn.release()

    @gen.coroutine
    def dial(self):
        """Dial the address and do the handshake of TLS."""
        conn = self.conn
        self._check_open()
        self._dial = dialling.Dial(
            self.address, conn.host, conn.settings.ssl_context(), conn.port, conn.settings.proxy
        )
        try:
            dialled = yield self._dial.connect()
        finally:
            if conn.closing:
                self._dial.close()
            self._check_open()
            self._dial = None
        conn.step(DIALLED)
        dialled.set_nodelay(True)
        conn.stream = Stream(conn.io_loop, dialled, conn.read_loop, conn.lost)

    @gen.coroutine
    def _try_side_by_side(self, addresses):
        """Take over the first of several addresses that gets through the handshake, and remember it."""
        conn = self.conn
        reached, name = conn.settings.reached, (conn.host, conn.port)
        addresses.sort(key=lambda address: address != reached.get(name))  # the one that worked is first
        through = yield dialling.first_through([self.companion(address=address).conn for address in addresses])
        self._check_open()
        reached[name] = self.address = through.address
        conn.wire = through.wire
        conn.round_trip = through.round_trip
        conn.renewal.start(through.renewal.lifetime, through.renewal.since)
        conn.stream = through.give_stream(conn.read_loop, conn.lost)
        self._others = []
        conn.step(DIALLED)
        conn.step(SERVE)

    def _check_open(self):
        if self.conn.closing:  # closed, or timed out, meanwhile
            raise exc.BrokerConnectionError(
                self.conn.host, self.conn.port, self.conn.broker_id, hint="closed while connecting")

    def companion(self, versions=None, address=None):
        """
        Return the opener of another connection to the same broker, which ends with this one.

        :param versions: what the broker serves, where that is known; see `kiel.protocol.wire.Wire`
        :param address: the one to dial; default: the same
        """
        conn = self.conn
        other = self._make(conn.host, conn.port, conn.broker_id, conn.settings, address or self.address)
        other.start(conn.io_loop)
        other.wire.versions = versions or conn.wire.versions
        other.observer, other.opener._counts = None, False  # it is part of opening this one
        self._others.append(other)
        return other.opener

    def begin_anew(self):
        """Forget the socket of the version probe, upon which the broker hung up or kept silent."""
        conn = self.conn
        conn.step(BEGIN_ANEW)
        conn.error = None
        previous, conn.stream = conn.stream, None
        if previous is not None:
            previous.close()
        conn.end_pending(exc.BrokerConnectionError(conn.host, conn.port, conn.broker_id))

    def end(self, error):
        """The connection has ended, and so do those that were opened with it."""
        if self._dial is not None:
            self._dial.close()
        for other in self._others:
            other.fail(error)


__all__ = ["Opener"]
