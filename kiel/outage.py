"""What a client says on the log while brokers can't be reached: enough to see it, and not a line for each attempt."""
from __future__ import absolute_import

import logging

from kiel.retry import monotonic

# these lines are the cluster's, whose logger applications may have set up
log = logging.getLogger("kiel.cluster")

#: seconds between two warnings that tell the same
PERIOD = 60.0


class Outage(object):
    """Whether any broker answers, since when none does, and the warnings about it."""

    def __init__(self):
        #: why no broker could be reached, while none can; None otherwise
        self.error = None
        #: when the last broker was lost (`kiel.retry.monotonic`); None while one answers
        self.since = None
        #: what the warning is about -> [when it was given, how many were held back since]
        self._given = {}

    def begin(self, error):
        """No broker answers."""
        self.error = error
        if self.since is None:
            self.since = monotonic()

    def end(self):
        """A broker answered."""
        if self.since is not None:
            log.info("A broker answers again, after %.1f s", monotonic() - self.since)
        self.error = self.since = None
        self._given.clear()

    def warn(self, about, text, *args):
        """
        Warn once a minute; what is told meanwhile is counted and goes to the log at the level DEBUG.

        :param about: what makes two warnings the same; while no broker answers at all, all are
        """
        now = monotonic()
        given = self._given.setdefault("all" if self.since is not None else about, [None, 0])
        if given[0] is not None and now - given[0] < PERIOD:
            given[1] += 1
            log.debug(text, *args)
            return
        if given[1]:
            text += " (and %d more warnings within %.0f s)" % (given[1], now - given[0])
        given[:] = [now, 0]
        log.warning(text, *args)
