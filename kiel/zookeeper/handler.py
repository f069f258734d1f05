"""kazoo's threads, made so that none of them can hold up the end of a process."""
from __future__ import absolute_import

import threading
import weakref

from kazoo import client as kazoo_client
from kazoo.handlers import threading as kazoo_threading

#: kazoo's own delays between attempts to connect double up to an hour; a member should be back soon
CONNECTION_RETRY = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 2.0}

#: seconds that the end of a client, or of the process, waits for a thread of kazoo's that is busy
PATIENCE = 1.0


def make_client(hosts, session_timeout):
    """
    Return a kazoo client that connects nowhere yet.

    :param hosts: text of ``host:port``, separated by commas
    :param session_timeout: seconds
    """
    handler = Handler()
    client = kazoo_client.KazooClient(
        hosts=hosts, timeout=session_timeout, handler=handler,
        connection_retry=dict(CONNECTION_RETRY, sleep_func=handler.sleep_func),
    )
    handler.client = weakref.ref(client)
    return client


class Handler(kazoo_threading.SequentialThreadingHandler):
    """
    kazoo's own threading handler with bounded waits; one for each client.

    As it is, kazoo joins its workers without limit when a process ends. With ZooKeeper down a worker may be repeating
    a read for ever, so a program that left its loop without `close()` would never end.
    """

    def __init__(self):
        super(Handler, self).__init__()
        self._stopped = threading.Event()
        #: weak reference to the client; a function that returns None while there is none
        self.client = lambda: None

    def sleep_func(self, seconds):
        """Sleep, but no longer than until `stop`; kazoo's pauses between attempts."""
        self._stopped.wait(seconds)

    def spawn(self, func, *args, **kwargs):
        """Start a daemon thread whose ``join`` has a limit."""
        thread = Thread(target=func, args=args, kwargs=kwargs)
        thread.daemon = True
        thread.start()
        return thread

    def start(self):
        """Start the workers; kazoo calls `stop` before it, to be sure."""
        self._stopped.clear()
        super(Handler, self).start()

    def stop(self):
        """
        End the workers; kazoo calls it when a client stops, and when the process ends.

        At the end of a process whose application has not closed its consumer, as after Ctrl-C with the loop left, the
        session is closed first: else the others would wait for its time-out.
        """
        client = self.client()
        if client is not None and client.connected and not client._stopped.is_set():
            client.stop()  # which calls this method again
            return
        self._stopped.set()
        super(Handler, self).stop()


class Thread(threading.Thread):
    """A thread that is left alone when it does not end in time."""

    def join(self, timeout=None):
        """Wait for the end, for `PATIENCE` seconds when no time is given."""
        super(Thread, self).join(PATIENCE if timeout is None else timeout)
