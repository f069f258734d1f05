"""The heartbeat thread's own connection to the coordinator, wherever that is."""
from __future__ import absolute_import

import copy
import logging
import random

from tornado import gen

from kiel import events, exc
from kiel.connection import Connection
from kiel.protocol import coordinator
from kiel.retry import Backoff

log = logging.getLogger(__name__)

#: the apis that brokers answer at once; others, such as JoinGroup, may wait for other members
IMMEDIATE = ("heartbeat", "consumer_group_heartbeat", "leave_group", "group_coordinator")

#: a request that failed is sent again soon: sessions are short; while all brokers are down, no more than once in two
#: seconds, since the application's own connections are tried too
RETRY = Backoff(first=0.1, most=2.0, deadline=None)

#: how many brokers at a time are asked for the coordinator
ASKED_AT_ONCE = 3


class CoordinatorConnection(object):
    """
    One connection to the coordinator of a group. It is opened when needed, and follows the coordinator.

    All but the constructor runs on one thread, whose loop need not be the application's.

    :param settings: `kiel.settings.Settings` of the application's own connections, whose TLS and login hold here too
    :param group: the group's name
    :param patience: seconds that a broker has for an answer to one of `IMMEDIATE`, and for a connection, unless
        the settings give it less
    :param hooks: what tells the client's hooks from this thread; None where nobody listens
    """

    def __init__(self, settings, group, patience, hooks=None):
        settings.ssl_context()  # made here, so that two threads never make it at the same time
        self.settings = copy.copy(settings)
        self.settings.hooks = hooks
        self.settings.connect_timeout = min(patience, settings.connect_timeout)
        self.patience = min(patience, settings.request_timeout)
        self.group = group
        #: (host, port) of the coordinator, and of brokers to ask when it has moved
        self.address = None
        self.others = ()
        #: whether the coordinator may be another broker by now: it is looked up before the next request
        self.moved = False
        #: the `kiel.connection.Connection` to the coordinator; None while there is none
        self.conn = None
        #: all connections that are open or being opened, those of look-ups too
        self.connections = set()
        #: True from `close` on
        self.closing = False

    def use(self, address, others):
        """Note where the coordinator is: ``(host, port)``, and other brokers to ask when it has moved."""
        if address != self.address:
            self.disconnect()
        self.address, self.others, self.moved = address, others, False

    def disconnect(self):
        """Close the connection; the next request opens another."""
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def close(self):
        """Close all connections, and open no more."""
        self.closing = True
        for conn in list(self.connections):
            conn.close()

    @gen.coroutine
    def send(self, request):
        """
        Send a request to the coordinator. Return a Future of the response.

        :raises kiel.exc.KielError: when that can't be done
        """
        conn = yield self._connect()
        response = yield self._exchange(conn, request)
        raise gen.Return(response)

    @gen.coroutine
    def _exchange(self, conn, request):
        future = conn.send(request)
        if request.api in IMMEDIATE:
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
    def _connect(self):
        """Return the connection to the coordinator; open it if need be."""
        while self.conn is None or self.conn.closing:
            if self.moved:
                silent = set()
                self.address = (yield self._look_up(silent)) or self.address
                if self.address in silent:  # asked this moment: no need to dial it again
                    raise exc.BrokerConnectionError(
                        self.address[0], self.address[1], hint="and nobody knows another coordinator of the group"
                    )
            address = self.address
            conn = yield self._open(address)
            if address != self.address:
                conn.close()  # `use` named another coordinator meanwhile
                continue
            self.conn, self.moved = conn, False
        raise gen.Return(self.conn)

    @gen.coroutine
    def _open(self, address):
        """Return a new connection to a broker."""
        conn = Connection(address[0], address[1], settings=self.settings)
        if self.closing:
            raise exc.ClosedError("group %s: the heartbeat thread is closing" % self.group)
        self.connections = set(other for other in self.connections if not other.closing)
        self.connections.add(conn)
        yield conn.connect()
        raise gen.Return(conn)

    def coordinator_moved(self):
        """Note that the coordinator has moved or can't be reached: it is looked up before the next request."""
        self.moved = True
        self.disconnect()

    @gen.coroutine
    def _look_up(self, silent):
        """
        Ask brokers for the coordinator, a few at a time. Return its (host, port), or None where nobody knows.

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
        """Ask one broker. Return None where it does not know, or can't be reached."""
        conn = None
        try:
            conn = yield self._open(address)
            response = yield self._exchange(conn, coordinator.GroupCoordinatorRequest(group=self.group))
        except exc.KielError as error:
            log.debug("Group %s: looking up the coordinator at %s:%s failed: %s", self.group, address[0], address[1],
                      error)
            silent.add(address)
            raise gen.Return(None)
        finally:
            if conn is not None:
                conn.close()
        if response.error_code:
            raise gen.Return(None)
        raise gen.Return((response.coordinator_host, response.coordinator_port))
