"""One ZooKeeper session as the IOLoop sees it."""
from __future__ import absolute_import

import logging

from kazoo.protocol import states
from tornado import concurrent, gen

from kiel import events, exc


log = logging.getLogger(__name__)


class Session(object):
    """
    A kazoo client from its start to its end: blocking calls go off the loop, callbacks come onto it.

    After an expiry a new `Session` with a client of its own is made, so that nothing of an old session (an
    answer, a watch, a request in a queue) is ever taken for the new one's.

    :param io_loop: the loop that everything is brought to
    :param conn: a `kazoo.client.KazooClient` that was not started yet
    :param on_state: called on the loop with each `kazoo.protocol.states.KazooState`, until `close`
    """

    def __init__(self, io_loop, conn, on_state):
        self.io_loop = io_loop
        self.conn = conn
        self.hosts = ",".join("%s:%s" % (host, port) for host, port in conn.hosts)
        #: True from `close` on: no callback comes any more
        self.over = False
        self._connected = concurrent.Future()
        self._ended = concurrent.Future()
        self._on_state = on_state

    def crossing(self, method):
        """Return a function for kazoo's threads that has ``method`` called on the loop while this session lasts."""
        def on_loop(*args):
            """Run on the loop; what comes after the end is dropped."""
            if not self.over:
                method(*args)

        def cross(*args):
            """Run on kazoo's thread. Return None: some of kazoo's callers act on a result."""
            events.call_on_loop(self.io_loop, on_loop, *args)

        return cross

    @gen.coroutine
    def open(self, timeout):
        """Connect within ``timeout`` seconds, or raise `kiel.exc.ZooKeeperError`."""
        self.conn.add_listener(self.crossing(self._state_changed))
        yield self.run(timeout, self.conn.start_async)
        yield self._within(timeout, self._connected, (
            "no connection within %s s; is it running, are hosts and ports right, does a firewall let through?"
        ) % timeout)
        if self.conn.chroot and not (yield self.run(timeout, self.conn.exists, "/")):
            raise exc.ZooKeeperError(self.hosts, "there is no znode %s; create it, or correct the chroot in zk_hosts"
                                     % self.conn.chroot)

    @gen.coroutine
    def run(self, timeout, fn, *args):
        """
        Call a blocking recipe off the loop and return its result.

        Raises what it raises, or `exc.ZooKeeperError` when it takes longer than ``timeout`` seconds or the
        session is closed meanwhile. The call itself ends on its own then, unheeded.
        """
        result = events.run_blocking(self.io_loop, fn, *args)
        yield self._within(timeout, result, "no answer within %s s" % timeout)
        raise gen.Return(result.result())

    @gen.coroutine
    def _within(self, timeout, future, complaint):
        """Wait for the Future, the session's end or the time-out, whichever comes first."""
        # nobody may come back for it: an exception is then no news worth a log line
        events.ignore(future)
        first = gen.WaitIterator(future, self._ended)
        try:
            yield events.within(timeout, first.next())
        except gen.TimeoutError:
            raise exc.ZooKeeperError(self.hosts, complaint)
        except Exception:
            # the Future's own; whoever asked for the Future sees it there
            pass
        if not future.done():
            raise exc.ZooKeeperError(self.hosts, "the session was closed")

    def confirm(self, path, callback):
        """
        Ask whether this session still is the server's owner of ``path``; never blocks.

        ``callback(owned)`` is called on the loop when there is an answer; without one (connection lost)
        never.
        """
        answered = self.crossing(callback)

        def on_answer(result):
            """Run on kazoo's thread."""
            client_id = self.conn.client_id
            if result.successful() and client_id is not None:
                stat = result.get(block=False)
                answered(stat is not None and stat.owner_session_id == client_id[0])

        self.conn.exists_async(path).rawlink(on_answer)

    @gen.coroutine
    def close(self, timeout):
        """End the session within ``timeout`` seconds; kazoo closes by itself where it takes longer."""
        if self.over:
            return
        self.over = True
        self._ended.set_result(None)
        shut = events.run_blocking(self.io_loop, _shut, self.conn)
        try:
            yield events.within(timeout, shut)
        except gen.TimeoutError:
            log.warning("The ZooKeeper client for %s was not closed within %s s", self.hosts, timeout)
        except Exception as error:
            log.warning("Closing the ZooKeeper client for %s failed: %s", self.hosts, error)

    def _state_changed(self, state):
        """Note the first connection, and pass every state on."""
        if state == states.KazooState.CONNECTED and not self._connected.done():
            self._connected.set_result(None)
        self._on_state(state)


def _shut(conn):
    """Stop and close a kazoo client; blocks. It is closed even if stopping fails."""
    try:
        conn.stop()
    finally:
        conn.close()
