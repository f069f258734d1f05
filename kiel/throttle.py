"""The pauses that a broker asks a connection for, since the client is over a quota (KIP-219)."""
from __future__ import absolute_import

import collections

#: the most seconds that a broker may have a connection wait; Kafka's own windows are far shorter
MOST_THROTTLE = 60.0


class Throttle(object):
    """
    Requests held back until a broker's pause is over.

    :param on_over: called when the pause is over
    """

    def __init__(self, on_over):
        self._on_over = on_over
        self._io_loop = None
        self._timer = None
        self._until = 0
        #: seconds asked for so far, in all
        self.total = 0.0
        #: (request, Future) of those held back, oldest first
        self.held = collections.deque()

    def start(self, io_loop):
        """Note the loop that the timer runs on."""
        self._io_loop = io_loop

    @property
    def left(self):
        """Seconds until the pause is over; 0 without one."""
        return 0.0 if self._timer is None else max(0.0, self._until - self._io_loop.time())

    @property
    def active(self):
        """Whether a pause is not over yet."""
        return self._timer is not None

    def extend(self, seconds):
        """Pause for so many seconds from now; of several pauses the one that ends last counts."""
        seconds = min(seconds, MOST_THROTTLE)
        self.total += seconds
        until = self._io_loop.time() + seconds
        if until <= self._until:
            return
        self._until = until
        if self._timer is not None:
            self._io_loop.remove_timeout(self._timer)
        self._timer = self._io_loop.call_at(until, self._over)

    def end(self):
        """End the pause without a word; return the Futures of what was held back."""
        if self._timer is not None:
            self._io_loop.remove_timeout(self._timer)
            self._timer = None
        held, self.held = self.held, collections.deque()
        return [future for _, future in held]

    def _over(self):
        self._timer = None
        self._on_over()
