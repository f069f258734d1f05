"""Patience as a value: how long to wait between attempts, and when to give up."""
from __future__ import absolute_import

import random
import time


class Backoff(object):
    """
    Delays that grow from ``first`` to ``most`` seconds, each off by up to ``jitter``, until ``deadline`` is over.

    A `Backoff` is a plan; `start` makes the clock of one run of it, so that one plan serves a whole client.

    :param first: seconds before the second attempt
    :param most: the longest delay, in seconds
    :param factor: by which each delay is longer than the one before
    :param jitter: the part of a delay, 0 to 1, by which chance moves it either way
    :param deadline: seconds from the start after which no attempt is begun; ``None`` for no end
    """

    def __init__(self, first=0.1, most=2.0, factor=2.0, jitter=0.2, deadline=60.0):
        self.first = first
        self.most = most
        self.factor = factor
        self.jitter = jitter
        self.deadline = deadline

    def start(self, deadline=None):
        """Return the `Clock` of one run, which ends after ``deadline`` seconds (default: the plan's own)."""
        return Clock(self, self.deadline if deadline is None else deadline)

    def __repr__(self):
        return "Backoff(first=%r, most=%r, factor=%r, jitter=%r, deadline=%r)" % (
            self.first, self.most, self.factor, self.jitter, self.deadline
        )


class Clock(object):
    """One run of a `Backoff`: knows the next delay and how much time is left."""

    def __init__(self, plan, deadline):
        self.plan = plan
        self.begun = monotonic()
        self.deadline = deadline
        self.attempts = 0

    @property
    def left(self):
        """Seconds until the deadline; never negative; ``None`` without one."""
        if self.deadline is None:
            return None
        return max(0.0, self.begun + self.deadline - monotonic())

    @property
    def over(self):
        """Whether the deadline has passed."""
        return self.left == 0.0

    def delay(self):
        """
        Return the seconds to wait before the next attempt, or ``None`` when it would begin after the deadline.

        Each call counts as an attempt that failed.
        """
        # the exponent is bounded: a run without a deadline must not overflow a float
        grown = self.plan.first * self.plan.factor ** min(self.attempts, 64)
        self.attempts += 1
        wait = min(self.plan.most, grown)
        wait *= 1 + self.plan.jitter * random.uniform(-1, 1)
        left = self.left
        if left is not None and wait >= left:
            return None
        return wait

    def reset(self):
        """Begin again with the first delay, after something succeeded; the deadline stays."""
        self.attempts = 0


#: seconds that never jump with the wall clock; Python 2 has only the wall clock
monotonic = getattr(time, "monotonic", time.time)
