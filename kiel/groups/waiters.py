"""Those who wait until a member has its share of some topics."""
from __future__ import absolute_import

from tornado import concurrent

from kiel.events import ignore


class Waiters(object):
    """Futures, each of a set of topics."""

    def __init__(self):
        self._waiting = []

    def add(self, topics):
        """A Future that is done when all of these topics are there."""
        # a caller that does not wait is told by the allocator's `error`
        future = ignore(concurrent.Future())
        self._waiting.append((frozenset(topics), future))
        return future

    def release(self, topics):
        """These topics are there: ends the waiting of those who want no more."""
        ready = [entry for entry in self._waiting if entry[0] <= topics]
        self._waiting = [entry for entry in self._waiting if not entry[0] <= topics]
        for _, future in ready:
            future.set_result(None)

    def end(self, error=None):
        """Ends all waiting, by an error or without."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
