"""Work that several ask for at the same time, and that is done once."""
from __future__ import absolute_import

from tornado import ioloop

from kiel.events import detached, ignore, is_elsewhere


class Flights(object):
    """
    What is under way, by key.

    A caller that gives up takes nothing from the others; the work goes on.
    """

    def __init__(self):
        #: key -> (the IOLoop of the work, its Future)
        self._flights = {}

    def join(self, key, begin):
        """
        Return a Future of work, which is begun unless it is under way.

        :param begin: a function without arguments that returns the work's Future
        """
        flight = self._flights.get(key)
        if flight is None or is_elsewhere(flight[0]):  # on a loop that is closed it would never end
            future = ignore(begin())
            if future.done():
                return future
            flight = self._flights[key] = ioloop.IOLoop.current(), future
            future.add_done_callback(lambda _: self._land(key, flight))
        return detached(flight[1])

    def _land(self, key, flight):
        """Work has ended: who asks from now on begins anew."""
        if self._flights.get(key) is flight:
            del self._flights[key]
