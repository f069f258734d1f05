"""Addresses that failed, and for how long each is left alone."""
from __future__ import absolute_import

from kiel.retry import Backoff, monotonic

#: how long a failed address is left alone
RECONNECT = Backoff(first=0.1, most=2.0, deadline=None)


class Resting(object):
    """
    Keys that rest for a while after a failure, longer after each in a row.

    :param plan: the `kiel.retry.Backoff` of the pauses; its deadline does not count
    """

    def __init__(self, plan=RECONNECT):
        self._plan = plan
        #: key -> (`kiel.retry.Clock`, when it may be tried again)
        self._failures = {}

    def failed(self, key, plan=None):
        """
        Let a key rest.

        :param plan: of the pauses after failures of another kind
        """
        plan = plan or self._plan
        clock, _ = self._failures.get(key, (None, None))
        if clock is None or clock.plan is not plan:
            clock = plan.start()
        self._failures[key] = (clock, monotonic() + clock.delay())

    def worked(self, key):
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def clear(self):
        """Forget all failures."""
        self._failures.clear()

    def left(self, key):
        """Return the seconds until a key may be tried again; 0 when it may be now."""
        _, until = self._failures.get(key, (None, 0))
        return max(0.0, until - monotonic())
