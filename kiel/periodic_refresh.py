"""When metadata are asked for again though nothing failed: once they are old, or to see whether a broker is back."""
from __future__ import absolute_import

from tornado import ioloop

from kiel.events import weakly
from kiel.retry import Backoff

#: When it is looked whether a broker is back that could not be reached: after about as long as it has been away.
#: Without that, the next look would be the periodic one, and nobody were told that the trouble is over.
RETURN = Backoff(first=2.0, most=300.0, deadline=None)


class PeriodicRefresh(object):
    """
    The timer of a cluster's next refresh.

    :param refresh: called without arguments when it is time; has `schedule` called after that
    :param troubles: what `kiel.outage.Outage.troubles` is: the (host, port) of brokers that can't be reached are in it
    """

    def __init__(self, refresh, troubles):
        self._refresh = refresh
        self._troubles = troubles
        #: seconds after which metadata are old; set by `schedule`
        self._max_age = None
        #: (loop, timer) of the next refresh; None while none is set
        self._timer = None
        #: the run of `RETURN`, and the (host, port) that it is about: of brokers that could not be reached
        self._return = None
        self._away = set()

    def schedule(self, max_age):
        """
        Set the timer.

        :param max_age: seconds after which metadata are old
        """
        self._max_age = max_age
        self.stop()
        self._away.intersection_update(self._troubles)
        delay = min(max_age, self._return.delay()) if self._away else max_age
        loop = ioloop.IOLoop.current()
        # weakly: the timer must not keep a client alive that the application has dropped
        self._timer = (loop, loop.call_later(delay, weakly(self._on_timer)))

    def watch_for(self, address):
        """A broker can't be reached: see to it that metadata are asked for soon."""
        if not self._away:
            self._return = RETURN.start()
            self._away.add(address)
            if self._timer is not None:
                self.schedule(self._max_age)
        self._away.add(address)

    def _on_timer(self):
        self._timer = None
        return self._refresh()

    def forget(self):
        """Drop the timer of a loop that is closed, or of another process."""
        self._timer = None

    def stop(self):
        """Take the timer back."""
        if self._timer is not None:
            loop, handle = self._timer
            self._timer = None
            loop.remove_timeout(handle)
