"""The topics that a classic member subscribes to, and who waits for a share of them."""
from __future__ import absolute_import

from tornado import concurrent


class Topics(object):
    """Names, and the Futures of those who asked for them."""

    def __init__(self):
        #: what this member subscribes to
        self.wanted = set()
        #: what the present share was made for
        self.covered = frozenset()
        self._waiting = []

    def add(self, topics):
        """Adds topics; gives the set of those that are new."""
        fresh = set(topics) - self.wanted
        self.wanted |= fresh
        return fresh

    def wait(self, topics, error=None):
        """A Future that is done when there is a share of these topics; one that has failed, with an error."""
        future = concurrent.Future()
        # looked at: a caller that does not wait is told by the allocator's `error`
        future.add_done_callback(lambda done: done.exception())
        if error is not None:
            future.set_exception(error)
        elif self.covered.issuperset(topics):
            future.set_result(None)
        else:
            self._waiting.append((frozenset(topics), future))
        return future

    def cover(self, topics):
        """There is a share, made for these topics: ends the waiting of those who wanted no more."""
        self.covered = frozenset(topics)
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if self.covered.issuperset(wanted):
                future.set_result(None)
            else:
                self._waiting.append((wanted, future))

    def lose(self):
        """There is no share any more."""
        self.covered = frozenset()

    def end(self, error):
        """There will be none: whoever waits gets the error."""
        self.covered = frozenset()
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            future.set_exception(error)
