"""Those who wait until a member has its share of some topics."""
from __future__ import absolute_import

from tornado import concurrent

from kiel.events import ignore, settle


class Waiters(object):
    """Futures, each of a set of topics."""

    def __init__(self):
        self._waiting = []

    def add(self, topics):
        """Return a Future that is done when all of these topics are there."""
        # a caller that does not wait is told by the allocator's `error`
        future = ignore(concurrent.Future())
        self._waiting.append((frozenset(topics), future))
        return future

    def release(self, topics):
        """These topics are there: resolve the Futures of those who want no more."""
        ready = [entry for entry in self._waiting if entry[0] <= topics]
        self._waiting = [entry for entry in self._waiting if not entry[0] <= topics]
        for _, future in ready:
            settle(future)

    def end(self, error=None):
        """Resolve all, by an error or without."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            settle(future, error=error)
