"""The requests of one connection that wait for their answers."""
from __future__ import absolute_import

import collections

from kiel.events import ignore, settle
from kiel.retry import monotonic

#: seconds, after a request's time is over, for an answer that may be in the socket already
GRACE = 0.1


class PendingRequests(object):
    """
    Requests that wait for their answers, with one timer for the time-outs of all.

    :param on_overdue: called with the correlation id of the first request whose time is over without an answer
    """

    def __init__(self, on_overdue):
        self._on_overdue = on_overdue
        self._io_loop = None
        #: correlation id -> Future of the answer, oldest first
        self.futures = collections.OrderedDict()
        #: correlation id -> the api's name
        self.apis = {}
        #: whether the last request asked for no answer, so that nothing tells whether the broker has read it
        self.unheard = False
        #: correlation id -> when its time is over (`kiel.retry.monotonic`)
        self._deadlines = {}
        # setting a timer for each request and taking it back would cost more than looking for the next one
        self._timer = None
        self._timer_at = 0

    def start(self, io_loop):
        """Note the loop that the timer runs on."""
        self._io_loop = io_loop

    def add(self, request, future, limit):
        """Note a request that is written, and the seconds that its answer may take."""
        key = request.correlation_id
        self.futures[key] = future
        self.apis[key] = request.api
        self._deadlines[key] = deadline = monotonic() + limit
        if self._timer is None or deadline < self._timer_at:
            self._set_timer(deadline, limit)

    def take(self, key):
        """Return the Future of a request whose answer came, and forget it; None when there is no such request."""
        self._deadlines.pop(key, None)
        self.apis.pop(key, None)
        return self.futures.pop(key, None)

    def end(self, error, others=()):
        """
        Fail all that waits, and ``others`` (Futures) with it.

        State first: on Tornado 4.5 whoever waits runs inside ``set_exception``.
        """
        waiting = list(self.futures.values()) + list(others)
        self.futures.clear()
        self.apis.clear()
        self._deadlines.clear()
        self._stop_timer()
        for future in waiting:
            if settle(future, error=error):
                ignore(future)  # a caller that has gone away makes no noise in the log

    def _set_timer(self, deadline, delay):
        self._stop_timer()
        self._timer_at = deadline
        self._timer = self._io_loop.call_later(delay, self._look)

    def _stop_timer(self):
        if self._timer is not None:
            self._io_loop.remove_timeout(self._timer)
            self._timer = None

    def _look(self):
        """
        Look for a request whose time is over; what may be in the socket already gets `GRACE`.

        Timers come before sockets in a turn of the loop: after a handler blocked it for long, the answer may be there,
        unread.
        """
        self._timer = None
        if not self._deadlines:
            return
        key = min(self._deadlines, key=self._deadlines.get)
        deadline, now = self._deadlines[key], monotonic()
        if deadline > now:
            self._set_timer(deadline, deadline - now)
        else:
            self._timer_at = deadline
            self._timer = self._io_loop.call_later(GRACE, self._look_again, key)

    def _look_again(self, key):
        self._timer = None
        if key in self._deadlines:
            self._on_overdue(key)
        else:
            self._look()
