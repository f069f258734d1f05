"""When the time of each request of one connection is over that waits for its answer."""
from __future__ import absolute_import

from kiel.retry import monotonic

#: seconds, after a request's time is over, for an answer that may be in the socket already
GRACE = 0.1

#: seconds by which a deadline may be earlier than the timer without having it set anew: it is found that much later,
#: and `GRACE` comes on top
SLACK = 0.1

#: later than any deadline
NEVER = float("inf")


class Deadlines(dict):
    """
    Correlation id -> when the request's time is over (`kiel.retry.monotonic`), with one timer for all of them.

    Setting a timer for each request and taking it back would cost more than looking for the next one. So who enters
    a deadline calls `look_at` only where it is before `next`, and who takes one away tells nobody.

    :param on_overdue: called with the correlation id of the first request whose time is over without an answer
    """

    def __init__(self, on_overdue):
        super(Deadlines, self).__init__()
        self._on_overdue = on_overdue
        self._io_loop = None
        self._timer = None
        #: who enters a deadline before this has the timer set: `SLACK` before it looks; `NEVER` while it is not set
        self.next = NEVER

    def start(self, io_loop):
        """Note the loop that the timer runs on."""
        self._io_loop = io_loop

    def look_at(self, deadline):
        """Look for what is overdue at that time, instead of later."""
        self._stop()
        self._set(deadline, deadline - monotonic(), self._look)

    def end(self):
        """Forget all of them."""
        self.clear()
        self._stop()

    def _set(self, deadline, delay, callback, *args):
        self.next = deadline - SLACK
        self._timer = self._io_loop.call_later(delay, callback, *args)

    def _stop(self):
        if self._timer is not None:
            self._io_loop.remove_timeout(self._timer)
        self._forget_timer()

    def _forget_timer(self):
        self._timer, self.next = None, NEVER

    def _look(self):
        """
        Look for a request whose time is over; what may be in the socket already gets `GRACE`.

        Timers come before sockets in a turn of the loop: after a handler blocked it for long, the answer may be there,
        unread.
        """
        self._forget_timer()
        if not self:
            return
        key = min(self, key=self.get)
        deadline, now = self[key], monotonic()
        if deadline > now:
            self._set(deadline, deadline - now, self._look)
        else:
            self._set(deadline, GRACE, self._look_again, key)

    def _look_again(self, key):
        self._forget_timer()
        if key in self:
            self._on_overdue(key)
        else:
            self._look()


__all__ = ["Deadlines"]
