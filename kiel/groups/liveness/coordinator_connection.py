"""The heart's line to the coordinator, wherever that is."""
from __future__ import absolute_import

import copy
import logging
import random

from tornado import gen

from kiel import events, exc
from kiel.connection import Connection
from kiel.protocol import coordinator

log = logging.getLogger(__name__)

#: what brokers answer at once; all else, such as JoinGroup, may wait for other members
SIGNS = ("heartbeat", "consumer_group_heartbeat", "leave_group", "group_coordinator")

#: how many brokers at a time are asked for the coordinator
ASKED_AT_ONCE = 3


class Line(object):
    """
    One connection to the coordinator of a group, which is opened when needed and follows the coordinator.

    All but the constructor runs on one thread, whose loop need not be the application's.

    :param settings: `kiel.settings.Settings` of the application's own connections, whose TLS and login hold here too
    :param group: the group's name
    :param patience: seconds that a broker has for an answer to one of `SIGNS`, and for a connection, unless
        the settings give it less
    """

    def __init__(self, settings, group, patience):
        settings.ssl_context()  # made here, so that no two threads do
        self.settings = copy.copy(settings)
        self.settings.connect_timeout = min(patience, settings.connect_timeout)
        self.patience = min(patience, settings.request_timeout)
        self.group = group
        #: (host, port) of the coordinator, and of brokers to ask when it has moved
        self.address = None
        self.others = ()
        #: whether the coordinator may be another broker by now
        self.astray = False
        self.conn = None
        #: connections that are open or being opened
        self.open = set()
        self.closing = False

    def turn_to(self, address, others):
        """The coordinator is there now."""
        if address != self.address:
            self.hang_up()
        self.address, self.others, self.astray = address, others, False

    def hang_up(self):
        """Ends the connection; the next request opens another."""
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def close(self):
        """Ends all connections for good."""
        self.closing = True
        for conn in list(self.open):
            conn.close()

    @gen.coroutine
    def send(self, request):
        """
        Sends a request to the coordinator; gives the response.

        :raises kiel.exc.KielError: when that can't be done
        """
        conn = yield self._connected()
        response = yield self._sent(conn, request)
        raise gen.Return(response)

    @gen.coroutine
    def _sent(self, conn, request):
        """Sends a request over a connection; gives the response."""
        future = conn.send(request)
        if request.api in SIGNS:
            future = events.within(conn.pause + self.patience, future)
        try:
            response = yield future
        except gen.TimeoutError:
            error = exc.RequestTimeoutError(
                conn.host, conn.port, hint="no answer to '%s' within %g s" % (request.api, self.patience)
            )
            conn.abort(error)
            raise error
        raise gen.Return(response)

    @gen.coroutine
    def _connected(self):
        """The connection to the coordinator, opened if need be."""
        while self.conn is None or self.conn.closing:
            if self.astray:
                silent = set()
                self.address = (yield self._find(silent)) or self.address
                if self.address in silent:  # asked this moment: no need to dial it again
                    raise exc.BrokerConnectionError(
                        self.address[0], self.address[1], hint="and nobody knows another coordinator of the group"
                    )
            address = self.address
            conn = yield self._opened(address)
            if address != self.address:
                conn.close()  # begun anew with another one meanwhile
                continue
            self.conn, self.astray = conn, False
        raise gen.Return(self.conn)

    @gen.coroutine
    def _opened(self, address):
        """A new connection to a broker."""
        conn = Connection(address[0], address[1], settings=self.settings)
        if self.closing:
            raise exc.ClosedError("the heart of group %s has stopped" % self.group)
        self.open = set(other for other in self.open if not other.closing)
        self.open.add(conn)
        yield conn.connect()
        raise gen.Return(conn)

    def stray(self):
        """The coordinator has moved, or can't be reached: it is looked up before the next request."""
        self.astray = True
        self.hang_up()

    @gen.coroutine
    def _find(self, silent):
        """
        Asks brokers for the coordinator, a few at a time; gives its (host, port), or None where nobody knows.

        :param silent: a set, to which the addresses are added that gave no answer
        """
        others = [address for address in self.others if address != self.address]
        random.shuffle(others)
        others.append(self.address)
        for at in range(0, len(others), ASKED_AT_ONCE):
            asked = gen.WaitIterator(*[self._ask(address, silent) for address in others[at:at + ASKED_AT_ONCE]])
            while not asked.done():
                found = yield asked.next()
                if found is not None:
                    raise gen.Return(found)
        raise gen.Return(None)

    @gen.coroutine
    def _ask(self, address, silent):
        """Asks one broker; None where it does not know or can't be reached."""
        conn = None
        try:
            conn = yield self._opened(address)
            response = yield self._sent(conn, coordinator.GroupCoordinatorRequest(group=self.group))
        except exc.KielError as error:
            log.info("Group %s: %s:%s was asked for the coordinator: %s", self.group, address[0], address[1],
                     error)
            silent.add(address)
            raise gen.Return(None)
        finally:
            if conn is not None:
                conn.close()
        if response.error_code:
            raise gen.Return(None)
        raise gen.Return((response.coordinator_host, response.coordinator_port))
