"""The topics that a next-generation member subscribes to, and who waits for a subscription to hold."""
from __future__ import absolute_import

from kiel.groups.waiters import Waiters


class Subscription(object):
    """Topics, and the Futures of those who asked for them."""

    def __init__(self):
        #: the names that this member wants to share
        self.wanted = set()
        #: those that the coordinator has heard of
        self.told = frozenset()
        self._waiters = Waiters()

    def add(self, topics):
        """Adds topics; gives whether any is new, and a Future that `hold` resolves once the coordinator knows all."""
        topics = frozenset(topics)
        new = not topics <= self.wanted
        self.wanted.update(topics)
        return new, self._waiters.add(topics)

    def hold(self):
        """The member has its share of what it told: resolves the Futures of that."""
        self._waiters.release(self.told)

    def end(self, error=None):
        """Nothing more is waited for."""
        self._waiters.end(error)

    def clear(self):
        """Forgets the topics."""
        self.wanted.clear()
        self.told = frozenset()
