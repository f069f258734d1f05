"""The topics that a next-generation member subscribes to, and who waits for a subscription to hold."""
from __future__ import absolute_import

from kiel.groups.waiters import Waiters


class NextGenSubscription(object):
    """Names of topics, and the Futures of those who asked for them."""

    def __init__(self):
        #: the names that this member subscribes to
        self.topics = set()
        #: those that the coordinator has heard of
        self.told = frozenset()
        self._waiters = Waiters()

    def add(self, topics):
        """Add topics; return whether any is new, and a Future that `hold` resolves once the coordinator knows all."""
        topics = frozenset(topics)
        new = not topics <= self.topics
        self.topics.update(topics)
        return new, self._waiters.add(topics)

    def hold(self):
        """The member has its assignment of what it told: resolve the Futures of that."""
        self._waiters.release(self.told)

    def end(self, error=None):
        """Resolve all Futures, by an error or without."""
        self._waiters.end(error)

    def clear(self):
        """Forget the topics."""
        self.topics.clear()
        self.told = frozenset()
