"""The topics that a classic member subscribes to, and who waits for an assignment that covers them."""
from __future__ import absolute_import

from kiel.groups.waiters import Waiters


class ClassicSubscription(object):
    """Names of topics, and the Futures of those who asked for them."""

    def __init__(self):
        #: the names that this member subscribes to
        self.topics = set()
        #: those that the present assignment was made for
        self.covered = frozenset()
        self._waiters = Waiters()

    def add(self, topics):
        """Add topics; return the set of those that are new."""
        new = set(topics) - self.topics
        self.topics |= new
        return new

    def wait(self, topics, error=None):
        """Return a Future that is done once an assignment covers these topics; a failed one, if there is an error."""
        future = self._waiters.add(topics)
        if error is not None:
            self._waiters.end(error)
        else:
            self._waiters.release(self.covered)
        return future

    def cover(self, topics):
        """There is an assignment made for these topics: resolve the Futures of those who wanted no more."""
        self.covered = frozenset(topics)
        self._waiters.release(self.covered)

    def lose(self):
        """There is no assignment any more."""
        self.covered = frozenset()

    def end(self, error):
        """There will be none: whoever waits gets the error."""
        self.covered = frozenset()
        self._waiters.end(error)

    def clear(self):
        """Forget the topics."""
        self.topics.clear()
