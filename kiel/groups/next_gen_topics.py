"""The topics that a next-generation member subscribes to, and who waits for a subscription to hold."""
from __future__ import absolute_import

from tornado import concurrent


class Subscription(object):
    """Topics, and the Futures of those who asked for them."""

    def __init__(self):
        #: the names that this member wants to share
        self.wanted = set()
        #: those that the coordinator has heard of
        self.told = frozenset()
        self._waiting = []

    def add(self, topics):
        """Adds topics; gives whether any is new, and a Future that `hold` resolves once the coordinator knows all."""
        topics = frozenset(topics)
        new = not topics <= self.wanted
        self.wanted.update(topics)
        future = concurrent.Future()
        self._waiting.append((topics, future))
        return new, future

    def hold(self):
        """The member has its share of what it told: resolves the Futures of that."""
        ready = [entry for entry in self._waiting if entry[0] <= self.told]
        self._waiting = [entry for entry in self._waiting if not entry[0] <= self.told]
        for _, future in ready:
            future.set_result(None)

    def end(self, error=None):
        """Nothing more is waited for."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting

    def clear(self):
        """Forgets the topics."""
        self.wanted.clear()
        self.told = frozenset()
