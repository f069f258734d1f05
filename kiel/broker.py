"""One broker: a socket for each kind of request that may take its time, so that none waits for another."""
from __future__ import absolute_import

import datetime
import logging

from tornado import concurrent, gen

from kiel import exc
from kiel.connection import Connection
from kiel.events import settle
from kiel.security.login_pause import LoginPause
from kiel.protocol import offset
from kiel.retry import monotonic
from kiel.settings import Settings

log = logging.getLogger(__name__)

#: seconds that a client's close waits for a broker to have read what asked for no answer
DRAIN_TIME = 1.0

#: The lane for all that is answered at once. It is opened first, and finds out what the broker speaks.
QUICK = "quick"

#: api -> the lane of requests that may take their time: a broker answers one connection's requests one after the other
LANES = {"produce": "produce", "fetch": "fetch", "join_group": "join", "sync_group": "join"}


class Broker(object):
    """
    The connections to one broker, each opened when first needed, and again after it was lost.

    Losing one lane (a request that timed out, or a broker that closes what is idle) leaves the others alone.
    ``closing`` is True once the broker was closed or could not be reached; then it is not used again. A login that it
    refuses closes nothing: the error is raised to those who need the new connection, and the next use after a pause
    (`kiel.security.login_pause`) tries again.

    :param host: name or address
    :param port: number
    :param broker_id: the broker's id
    :param settings: `kiel.settings.Settings`
    """

    def __init__(self, host, port, broker_id=None, settings=None):
        self.host = host
        self.port = int(port)
        self.broker_id = broker_id
        self.settings = settings or Settings()
        self.closing = False
        #: why it can't be used any more
        self.error = None
        self._logins = LoginPause()
        #: lane -> `kiel.connection.Connection`
        self.lanes = {QUICK: Connection(host, port, broker_id, self.settings)}
        #: the `kiel.protocol.wire.Wire` of the quick lane that was opened last; None before one was
        self._known = None

    def __repr__(self):
        return "Broker(%s at %s:%d)" % (self.broker_id, self.host, self.port)

    @property
    def wire(self):
        """
        The `kiel.protocol.wire.Wire` of the quick lane: what the broker serves.

        While that lane is opened again, after it was lost alone, it is the one before: other lanes go on by it.
        """
        return self._known or self.lanes[QUICK].wire

    @property
    def pending(self):
        """Pending requests of the quick lane: correlation id -> Future."""
        return self.lanes[QUICK].pending

    @property
    def api_correlation(self):
        """Pending requests of the quick lane: correlation id -> name of the API."""
        return self.lanes[QUICK].api_correlation

    @property
    def stream(self):
        """The quick lane's `kiel.stream.Stream`; None while it has none."""
        return self.lanes[QUICK].stream

    def version(self, request):
        """Return the version in which a request would go out; see `kiel.protocol.wire.Wire.version`."""
        return self.wire.version(request)

    def supports(self, api, version):
        """Return whether the broker serves that version of an api."""
        return self.wire.supports(api, version)

    def reaches(self, api, version):
        """Return whether the broker serves that version of an api or a later one."""
        return self.wire.reaches(api, version)

    def connect(self):
        """
        Open the quick lane, when it is not open; return a Future.

        :raises kiel.exc.KielError: as `kiel.connection.Connection.connect`; the broker is `closing` then
        """
        return self._open(QUICK)

    def send(self, request, lane=None):
        """
        Send a request over the lane of its api; return a Future of its response at once.

        :param lane: the name of another lane
        """
        name = lane or LANES.get(request.api, QUICK)
        connection = self.lanes.get(name)
        if connection is not None and connection.ready:
            return connection.send(request)
        if self.closing:
            return failed(self._refusal())
        return self._send_when_open(name, request)

    @property
    def round_trip(self):
        """Seconds between the first request and its response; None if there was none."""
        return self.lanes[QUICK].round_trip

    @gen.coroutine
    def _send_when_open(self, name, request):
        """Send once the lane is open; waiting requests are sent in their order."""
        request.asked = monotonic()
        connection = yield self._open(name)
        response = yield connection.send(request)
        raise gen.Return(response)

    def lane(self, api):
        """
        Return the `kiel.connection.Connection` for an api where it is open, else None.

        Where it is, requests go out in the order in which they are sent.
        """
        connection = self.lanes.get(LANES.get(api, QUICK))
        return connection if connection is not None and connection.ready else None

    def is_open(self, api):
        """Whether the lane of an api is open."""
        return self.lane(api) is not None

    def open(self, api):
        """Open the lane of an api, when it is not open; return a Future. It raises as `connect`."""
        return self._open(LANES.get(api, QUICK))

    def open_ahead(self, api):
        """
        Begin to open the lane of an api before anything is sent on it.

        Where that fails, nothing else does: whoever sends something opens it again, and is told.
        """
        name = LANES[api]
        lane = self.lanes.get(name)
        if self.closing or not (lane is None or lane.closing) or self._logins.current() is not None:
            return

        def tell(opened):
            error = None if opened.cancelled() else opened.exception()
            if error is not None:
                log.debug("%r could not be dialled ahead for '%s': %s", self, api, error)

        lane = self.lanes[name] = Lane(self)
        lane.connect().add_done_callback(tell)

    def _open(self, name):
        """Open a lane if it is not open; return a Future of it."""
        connection = self.lanes.get(name)
        if (connection is None or connection.closing) and not self.closing:
            refusal = self._logins.current()
            if refusal is not None:
                return failed(refusal)
            if name == QUICK:
                connection = Connection(self.host, self.port, self.broker_id, self.settings)
            else:
                connection = Lane(self)
            self.lanes[name] = connection
        return self._opened(connection)

    @gen.coroutine
    def _opened(self, connection):
        """Wait until a connection is open. If the broker can't be reached, give it up."""
        if self.closing:
            raise self._refusal()
        try:
            yield connection.connect()
        except (exc.AuthenticationError, exc.CredentialsError) as error:
            self._logins.refused(error)
            raise
        except exc.KielError as error:
            self.fail(error)
            raise
        self._logins.accepted()
        if connection is self.lanes[QUICK]:
            self._known = connection.wire
        raise gen.Return(connection)

    def _refusal(self):
        """Return the error of a request to a broker that was given up."""
        return exc.BrokerConnectionError(
            self.host, self.port, self.broker_id, cause=getattr(self.error, "cause", None),
            hint=getattr(self.error, "hint", None)
        )

    @gen.coroutine
    def drain(self):
        """
        Waits, for `DRAIN_TIME` at most, until the broker has read all that was sent without asking for an answer.

        Brokers before 0.10.1 throw away requests not yet handled when the connection closes (KAFKA-3703). They handle
        those of a connection in order: the answer to a last question, about no topic, tells that all before it is done.
        """
        asked = [
            connection.send(offset.OffsetRequest(topics=[])) for connection in list(self.lanes.values())
            if connection.ready and connection.unheard
        ]
        for future in asked:
            try:
                yield gen.with_timeout(datetime.timedelta(seconds=DRAIN_TIME), future, quiet_exceptions=exc.KielError)
            except (exc.KielError, gen.TimeoutError) as error:
                log.debug("%r may not have read all that was sent: %s", self, error)

    def close(self):
        """Close every lane; what is pending fails with `kiel.exc.BrokerConnectionError`."""
        self.abort()

    def abort(self, error=None):
        """Close every lane; pending requests fail with this error."""
        self.fail(error or exc.BrokerConnectionError(self.host, self.port, self.broker_id))

    def fail(self, error):
        """Give the broker up: fail the pending requests of all lanes."""
        if self.closing:
            return
        self.closing = True
        self.error = error
        for connection in list(self.lanes.values()):
            connection.fail(error)


def failed(error):
    """Return a Future that is done, with an error that need not be looked at."""
    future = concurrent.Future()
    settle(future, error=error)
    return future


class Lane(Connection):
    """A further connection to a broker, opened once the first is, whose results (versions, identity) it uses."""

    def __init__(self, broker):
        super(Lane, self).__init__(broker.host, broker.port, broker.broker_id, broker.settings)
        self.broker = broker

    @gen.coroutine
    def prepare(self):
        """Open the socket with the versions that the broker's first connection knows, at the address that it found."""
        quick = yield self.broker.connect()
        self.wire.versions = quick.wire.versions
        self.opener.address = self.opener.address or quick.address
        yield super(Lane, self).prepare()
