"""The read side of one partition: where it is, what is on its way, what is here and not handed out yet."""
from __future__ import absolute_import

import collections

from kiel.retry import Backoff, monotonic

#: no position yet
UNSET = "unset"
#: knows where to read on
READY = "ready"
#: a fetch is under way
IN_FLIGHT = "in flight"
#: fetched batches wait to be taken
BUFFERED = "buffered"
#: given away; takes nothing any more
REVOKED = "revoked"

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    UNSET: {"position_known": READY, "reset": UNSET, "revoked": REVOKED},
    READY: {"fetch_sent": IN_FLIGHT, "reset": UNSET, "revoked": REVOKED},
    IN_FLIGHT: {"fetched": BUFFERED, "nothing": READY, "failed": READY, "reset": UNSET, "revoked": REVOKED},
    BUFFERED: {"taken": READY, "reset": UNSET, "revoked": REVOKED},
    REVOKED: {"revoked": REVOKED},
}

#: how long a partition is left alone after a fetch of it failed
TROUBLE = Backoff(first=0.1, most=2.0, deadline=None)


class Cursor(object):
    """
    One partition being read.

    ``position`` is the next offset to fetch, ``handed`` the next to hand out; between them lie ``batches``. ``ticket``
    belongs to the fetch under way: an answer with another ticket is not for the state that this cursor is in. ``turn``
    grows whenever what was taken but not yet handed out must no longer be.
    """

    __slots__ = ("topic", "partition", "state", "position", "handed", "batches", "size", "ticket", "turn", "hot",
                 "paused", "limit", "high_watermark", "last_stable", "start", "error", "not_before", "clock",
                 "sought")

    def __init__(self, topic, partition, start=None):
        self.topic = topic
        self.partition = partition
        #: what to begin at when the position is looked up: see `kiel.clients.single.start_to_timestamp`
        self.start = start
        self.state = UNSET
        self.position = self.handed = None
        self.batches = collections.deque()
        self.size = 0
        self.ticket = None
        self.turn = 0
        #: whether the last fetch brought something, so that the next is sent before anyone asks
        self.hot = False
        self.paused = False
        #: bytes of one fetch, where this partition needs more than its share; 0: the share
        self.limit = 0
        self.high_watermark = None
        #: the offset from which on transactions are open; -1 where the broker does not tell
        self.last_stable = -1
        #: raised by the next consume()
        self.error = None
        self.not_before = 0
        self.clock = None
        #: whether the position is to come from ``start``, whatever a group has committed
        self.sought = False

    def __repr__(self):
        return "Cursor(%s:%s %s at %s)" % (self.topic, self.partition, self.state, self.handed)

    def _on(self, event):
        """Moves to the next state."""
        self.state = TRANSITIONS[self.state][event]

    def locate(self, offset):
        """The position is known: reads on from there."""
        self._on("position_known")
        self.position = self.handed = offset
        self.sought = False

    def send(self, ticket):
        """A fetch was sent."""
        self._on("fetch_sent")
        self.ticket = ticket

    def awaits(self, ticket):
        """Whether the answer with this ticket is for what the cursor is waiting for."""
        return self.state == IN_FLIGHT and self.ticket is ticket

    def fetched(self, batches):
        """Batches came."""
        self._on("fetched")
        self.hot = True
        self.limit = 0
        self.clock = None
        self.batches.extend(batches)
        self.size = sum(batch.size for batch in batches)
        self.position = batches[-1].next_offset

    def nothing(self, cold=True):
        """
        An answer came without anything new.

        :param cold: whether that means that there is nothing, not just no room for it in the answer
        """
        self._on("nothing")
        self.clock = None
        if cold:
            self.hot = False

    def failed(self):
        """The fetch failed; the partition rests a while."""
        self._on("failed")
        self.rest()

    def rest(self):
        """Leaves the partition alone, longer each time in a row."""
        if self.clock is None:
            self.clock = TROUBLE.start()
        self.not_before = monotonic() + self.clock.delay()

    def take(self, most):
        """
        Gives buffered batches, and forgets them: at least one, no more than ``most`` bytes beyond that.
        """
        taken = []
        batches = self.batches
        while batches and (not taken or most >= batches[0].size):
            batch = batches.popleft()
            most -= batch.size
            self.size -= batch.size
            taken.append(batch)
        if not batches:
            self._on("taken")
        return taken

    def reset(self):
        """Forgets the position and everything that belonged to it."""
        self._on("reset")
        self._forget()
        self.position = self.handed = None

    def move(self, offset):
        """Reads on from another offset."""
        self.reset()
        self.locate(offset)

    def revoke(self):
        """The partition is given away."""
        self._on("revoked")
        self._forget()

    def _forget(self):
        """Drops what is buffered, and the claim on what is under way."""
        self.batches.clear()
        self.size = 0
        self.ticket = None
        self.error = None
        self.turn += 1
