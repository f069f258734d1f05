"""kazoo's threads, made so that none of them can hold up the end of a process."""
from __future__ import absolute_import

import threading

from kazoo.handlers import threading as kazoo_threading

#: seconds that the end of a client, or of the process, waits for a thread of kazoo's that is busy
PATIENCE = 1.0


class Handler(kazoo_threading.SequentialThreadingHandler):
    """
    kazoo's own threading handler with bounded waits; one for each client.

    As it is, kazoo joins its workers without limit when a process ends. With ZooKeeper down a worker may be repeating
    a read for ever, so a program that left its loop without `close()` would never end.
    """

    def __init__(self):
        super(Handler, self).__init__()
        self._stopped = threading.Event()

    def sleep_func(self, seconds):
        """Sleeps, but no longer than until `stop`; kazoo's pauses between attempts."""
        self._stopped.wait(seconds)

    def spawn(self, func, *args, **kwargs):
        """Starts a daemon thread whose ``join`` has a limit."""
        thread = Thread(target=func, args=args, kwargs=kwargs)
        thread.daemon = True
        thread.start()
        return thread

    def start(self):
        """Starts the workers; kazoo calls `stop` before it, to be sure."""
        self._stopped.clear()
        super(Handler, self).start()

    def stop(self):
        """Ends the workers; kazoo calls it when a client stops, and when the process ends."""
        self._stopped.set()
        super(Handler, self).stop()


class Thread(threading.Thread):
    """A thread that is left alone when it does not end in time."""

    def join(self, timeout=None):
        """Waits for the end, for `PATIENCE` seconds when no time is given."""
        super(Thread, self).join(PATIENCE if timeout is None else timeout)
