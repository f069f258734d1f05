"""A hook that counts what `kiel.telemetry.names` tells of."""
from __future__ import absolute_import

from kiel.metrics import Metrics
from kiel.retry import monotonic


class Window(object):
    """How many values came in some time, their sum, and the largest."""

    __slots__ = ("count", "sum", "most")

    def __init__(self):
        self.count = 0
        self.sum = self.most = 0.0

    def add(self, value):
        """Count a value."""
        self.count += 1
        self.sum += value
        self.most = max(self.most, value)

    def include(self, other):
        """Count what another one has counted."""
        self.count += other.count
        self.sum += other.sum
        self.most = max(self.most, other.most)


class Counts(Metrics):
    """
    Counts what `kiel.metrics.Metrics` does, and the averages and maxima of the time since they were taken last.

    It is for one client. What the hooks tell of times is in seconds, and so are windows.
    """

    def __init__(self):
        super(Counts, self).__init__()
        #: (name, label value or None) -> `Window`
        self.windows = {}
        #: when they began (`kiel.retry.monotonic`)
        self.since = monotonic()
        #: records of batches that were sent again
        self.retried = 0

    def take(self):
        """Return ``(windows, seconds that they are of)``, and begin new ones."""
        now = monotonic()
        taken = self.windows, max(1e-3, now - self.since)
        self.windows, self.since = {}, now
        return taken

    def put_back(self, windows, seconds):
        """What was taken went nowhere."""
        for key, window in windows.items():
            self._window(*key).include(window)
        self.since -= seconds

    def _window(self, name, label=None):
        found = self.windows.get((name, label))
        if found is None:
            found = self.windows[name, label] = Window()
        return found

    # -- the hooks --

    def request_answered(self, event):
        """See `kiel.hooks.METHODS`, here and below."""
        super(Counts, self).request_answered(event)
        if event.broker_id is not None:
            self._window("request", str(event.broker_id)).add(event.seconds)
        if event.api == "produce":
            # those that were not throttled count, too: the average is that of all requests
            self._window("throttle").add(0.0)
            self._window("produce").add(event.seconds)

    def throttled(self, event):
        """Counted."""
        super(Counts, self).throttled(event)
        if event.api == "produce":
            window = self._window("throttle")
            window.sum += event.seconds
            window.most = max(window.most, event.seconds)

    def batch_written(self, event):
        """Counted."""
        super(Counts, self).batch_written(event)
        self._window("queue").add(event.queued)

    def batch_retried(self, event):
        """Counted."""
        super(Counts, self).batch_retried(event)
        self.retried += event.records

    def fetch_answered(self, event):
        """Counted."""
        super(Counts, self).fetch_answered(event)
        self._window("fetch").add(event.seconds)

    def records_handed_out(self, event):
        """Counted."""
        super(Counts, self).records_handed_out(event)
        if not event.ahead:
            self._window("poll").add(event.seconds)

    def nothing_handed_out(self, event):
        """Counted."""
        self._window("poll").add(event.seconds)

    def committed(self, event):
        """Counted."""
        super(Counts, self).committed(event)
        if event.seconds:
            self._window("commit").add(event.seconds)

    def rebalance_ended(self, event):
        """Counted."""
        super(Counts, self).rebalance_ended(event)
        self._window("rebalance").add(event.seconds)
