"""How long a member has made no progress."""
from __future__ import absolute_import

from kiel.groups.liveness.states import BEATING
from kiel.retry import monotonic


class PollTimer(object):
    """
    Tells when ``max_poll_interval`` is over, as ``max.poll.interval.ms`` of Kafka's consumers. On the heartbeat thread.

    Time passes while the application has messages at work, and while its loop is blocked.

    :param liveness: the `kiel.groups.liveness.states.Liveness`
    :param watchdog: the `kiel.groups.liveness.loop_watchdog.LoopWatchdog`
    :param interval: seconds without progress after which the member leaves by itself; None: never
    """

    def __init__(self, liveness, watchdog, interval):
        self.liveness = liveness
        self.watchdog = watchdog
        self.interval = interval
        #: `monotonic` time until which the application had no work in hand, or nobody can tell
        self._idle_until = monotonic()

    def restart(self):
        """The member begins anew."""
        self._idle_until = monotonic()

    def check(self, late):
        """
        Note whether the application has work in hand; called again and again.

        :param late: seconds by which this thread itself was late, so that silence proves nothing
        """
        if late or not self.liveness.working:
            self._idle_until = monotonic()

    @property
    def stalled(self):
        """Seconds without progress."""
        now, progress = monotonic(), self.liveness.last_progress
        since = now - self.watchdog.blocked
        if self.liveness.working:
            since = min(since, max(self._idle_until, progress))
        return now - max(since, progress)

    def expired(self):
        """Return whether a member that is in has made no progress for too long."""
        return bool(self.interval) and self.liveness.state == BEATING and self.stalled >= self.interval
