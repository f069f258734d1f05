"""How many values were how large."""
from __future__ import absolute_import

import bisect


class Histogram(object):
    """
    How many values lie up to each bound, and their sum.

    :param bounds: rising
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds):
        self.bounds = bounds
        #: how many lie within each bound and above the one before; the last, above all
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0

    def add(self, value):
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def include(self, other):
        """Count what another one has counted, of the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts)]
        self.sum += other.sum

    @property
    def cumulative(self):
        """``(bound, how many lie up to it)``, the last bound being infinity."""
        total, found = 0, []
        for bound, count in zip(self.bounds + (float("inf"),), self.counts):
            total += count
            found.append((bound, total))
        return found

    def plain(self):
        """Return ``{"count": ..., "sum": ..., "buckets": {bound as text: how many lie up to it}}``."""
        found = self.cumulative
        return {"count": found[-1][1], "sum": self.sum,
                "buckets": dict(("%g" % bound, count) for bound, count in found)}
