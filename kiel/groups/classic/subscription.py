"""The topics that a classic member subscribes to, and who waits for a share of them."""
from __future__ import absolute_import

from kiel.groups.waiters import Waiters


class Topics(object):
    """Names, and the Futures of those who asked for them."""

    def __init__(self):
        #: what this member subscribes to
        self.wanted = set()
        #: what the present share was made for
        self.covered = frozenset()
        self._waiters = Waiters()

    def add(self, topics):
        """Adds topics; gives the set of those that are new."""
        fresh = set(topics) - self.wanted
        self.wanted |= fresh
        return fresh

    def wait(self, topics, error=None):
        """A Future that is done when there is a share of these topics; one that has failed, with an error."""
        future = self._waiters.add(topics)
        if error is not None:
            self._waiters.end(error)
        else:
            self._waiters.release(self.covered)
        return future

    def cover(self, topics):
        """There is a share, made for these topics: ends the waiting of those who wanted no more."""
        self.covered = frozenset(topics)
        self._waiters.release(self.covered)

    def lose(self):
        """There is no share any more."""
        self.covered = frozenset()

    def end(self, error):
        """There will be none: whoever waits gets the error."""
        self.covered = frozenset()
        self._waiters.end(error)
