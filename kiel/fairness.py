"""
The loop's turn: a caller that only ever gets answers that are ready must not starve everybody else.
"""
from __future__ import absolute_import

from tornado import concurrent, ioloop


class Turn(object):
    """
    Counts how long answers have been ready in a row, and says when the IOLoop is due its turn.

    A coroutine that yields Futures which are done already never gives way to the loop. So whoever
    hands such answers out asks now and then (`tick`, at least once a millisecond of work), and when
    `over` says so, gives the next answer through `later`.

    ``ms`` is the time of the last `tick` in milliseconds since 1970, good for time stamps.

    :param limit: seconds of ready answers in a row
    """

    __slots__ = ("io_loop", "limit", "last", "next", "ms", "_until", "_watching")

    def __init__(self, limit=0.002):
        self.io_loop = None
        self.limit = limit
        #: when `tick` was called last, and when it is to be called again (`time.time`)
        self.last = 0.0
        self.next = 0.0
        self.ms = 0
        self._until = 0.0
        self._watching = False

    def forget(self):
        """Begin anew on the loop that runs next: the one before is closed, and will not turn any more."""
        self.io_loop = None
        self._watching = False

    def tick(self, now):
        """Note the time, as `time.time` gives it; it may have jumped."""
        self.last = now
        self.next = now + 0.001
        self.ms = int(now * 1000)

    def over(self, now):
        """
        Return whether answers have been ready for long enough, so that the next has to wait for the loop.

        Only for answers that are ready: one that waits for a broker anyway gives the loop its turn
        by itself.
        """
        if not self._watching:
            self._watching = True
            self._until = now + self.limit
            if self.io_loop is None:
                self.io_loop = ioloop.IOLoop.current()
            self.io_loop.add_callback(self._turned)
            return False
        # a clock set back must not switch this off
        return now >= self._until or now < self._until - self.limit

    def _turned(self):
        """The loop had its turn: whatever was in a row is over."""
        self._watching = False

    def later(self, value, future=None):
        """
        Return a Future of a value that is there already; resolves after the loop has turned.

        :param future: the Future to use
        """
        future = concurrent.Future() if future is None else future
        self.io_loop.add_callback(_resolve, future, value)
        return future


def _resolve(future, value):
    """Resolve a Future, unless its owner has cancelled it meanwhile."""
    if not future.done():
        future.set_result(value)
