"""Whether a classic member's session may have run out, so that its partitions may be somebody else's."""
from __future__ import absolute_import

import logging

from tornado import ioloop

from kiel.events import weakly
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: seconds between two checks
CHECK_PERIOD = 1.0


class Session(object):
    """
    Tells whether ownership is in doubt: the coordinator was not heard for a session's time.

    :param member: the `kiel.groups.classic.member.ClassicAllocator`, whose ``on_pause`` is called when that changes
    :param coordinator_client: `kiel.groups.classic.coordinator_client.ClassicCoordinatorClient`
    :param timeout: seconds of silence after which a coordinator takes a member for dead
    """

    def __init__(self, member, coordinator_client, timeout):
        self.member = member
        self.coordinator_client = coordinator_client
        self.timeout = timeout
        #: whether this process stood still for a session's time in the midst of a rebalance; until the next generation
        self.stood_still = False
        #: what ``on_pause`` was told last
        self._told = False
        #: `monotonic` time of the last check; None before the first
        self._checked = None
        self._io_loop = None
        self._timer = None

    @property
    def in_doubt(self):
        """Whether the partitions may be somebody else's by now."""
        heartbeat = self.coordinator_client.heartbeat
        if heartbeat is None or not self.member.has_partitions:
            return False
        if heartbeat.left:
            return True
        now = monotonic()
        if self.member.rebalancing:  # without heartbeats: the coordinator keeps those whom it lets wait
            failing = self.coordinator_client.failing_since
            return self.stood_still or self._since(self._checked, now) or self._since(failing, now)
        return self._since(heartbeat.last_beat, now)

    def _since(self, when, now):
        """Return whether a session's time has passed since then."""
        return when is not None and now - when > self.timeout

    def start(self):
        """Begin to check again and again: the process may have stood still for long."""
        self.stop()
        self._io_loop = ioloop.IOLoop.current()
        self._check()

    def stop(self):
        """Check no more."""
        if self._timer is not None:
            self._io_loop.remove_timeout(self._timer)
        self._timer = self._checked = None

    def _check(self):
        now = monotonic()
        if self.member.rebalancing and self._since(self._checked, now):
            self.stood_still = True
        self._checked = now
        self.tell()
        # weakly: the loop must not keep a consumer alive that the application has dropped
        self._timer = self._io_loop.call_later(CHECK_PERIOD, weakly(self._check))

    def tell(self):
        """Call ``on_pause`` if ownership has got into doubt, or out of it."""
        doubt = self.in_doubt
        if doubt != self._told:
            self._told = doubt
            if doubt:
                log.warning("Group %s: the coordinator has not answered for too long; fetching and committing are "
                            "suspended",
                            self.member.group)
            else:
                log.info("Group %s: ownership is certain again; fetching and committing resume", self.member.group)
            if self.member.on_pause is not None:
                self.member.on_pause(doubt)
