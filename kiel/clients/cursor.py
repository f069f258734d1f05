"""The read side of one partition: where it is, what is on its way, what is here and not handed out yet."""
from __future__ import absolute_import

import collections
import logging

import six

from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: no position yet
UNSET = "unset"
#: knows where to read on
READY = "ready"
#: a fetch is under way
IN_FLIGHT = "in flight"
#: the leader is asked whether it still has what was read
CHECKING = "checking"
#: fetched batches wait to be taken
BUFFERED = "buffered"
#: given away; takes nothing any more
REVOKED = "revoked"

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    UNSET: {"position_known": READY, "reset": UNSET, "revoked": REVOKED},
    READY: {"fetch_sent": IN_FLIGHT, "check_sent": CHECKING, "reset": UNSET, "revoked": REVOKED},
    CHECKING: {"confirmed": READY, "failed": READY, "reset": UNSET, "revoked": REVOKED},
    IN_FLIGHT: {"fetched": BUFFERED, "nothing": READY, "failed": READY, "reset": UNSET, "revoked": REVOKED},
    BUFFERED: {"taken": READY, "reset": UNSET, "revoked": REVOKED},
    REVOKED: {"revoked": REVOKED},
}

#: how long a partition is left alone after a fetch of it failed
TROUBLE = Backoff(first=0.1, most=2.0, deadline=None)


class Offset(six.integer_types[-1]):
    """
    An offset that knows the leader ``epoch`` of the message before it (KIP-320), and is a plain number otherwise.

    By the two together a broker can tell whether its log still is the one that was read.
    """

    def __new__(cls, offset, epoch):
        self = super(Offset, cls).__new__(cls, offset)
        self.epoch = epoch
        return self

    def __getnewargs__(self):
        """What a copy is made of."""
        return int(self), self.epoch


def offset_of(offset, epoch):
    """Gives an `Offset`, or the plain number where no epoch (-1) is known."""
    return Offset(offset, epoch) if epoch >= 0 else offset


def epoch_of(offset):
    """Gives an offset's epoch, -1 where none is known."""
    return getattr(offset, "epoch", -1)


class Cursor(object):
    """
    One partition being read.

    ``position`` is the next offset to fetch, ``handed`` the next to hand out; between them lie ``batches``. ``ticket``
    belongs to the fetch under way: an answer with another ticket is not for the state that this cursor is in. ``turn``
    grows whenever what was taken but not yet handed out must no longer be. ``epoch`` is that of the message before
    ``position``, -1 where it is not known; ``handed`` carries its own, see `Offset`.
    """

    __slots__ = ("topic", "partition", "state", "position", "handed", "batches", "size", "ticket", "turn", "hot",
                 "paused", "limit", "high_watermark", "last_stable", "start", "error", "not_before", "clock",
                 "sought", "epoch", "checked", "lost", "replica", "replica_until")

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
        self.epoch = -1
        #: the leader's epoch for which the position is known to be good
        self.checked = -1
        #: the offset that was out of range, while another is being looked for
        self.lost = None
        #: the follower to read from instead of the leader (KIP-392), and until when (`kiel.retry.monotonic`)
        self.replica = None
        self.replica_until = 0

    def __repr__(self):
        return "Cursor(%s:%s %s at %s)" % (self.topic, self.partition, self.state, self.handed)

    def _on(self, event):
        """Moves to the next state."""
        self.state = TRANSITIONS[self.state][event]

    def locate(self, offset):
        """
        The position is known: reads on from there.

        :param offset: a number, or an `Offset`: then its epoch is compared with the leader's log before anything else
        """
        self._on("position_known")
        self.handed = offset
        self.position = int(offset)
        self.epoch = epoch_of(offset)
        self.sought = False
        lost, self.lost = self.lost, None
        if lost is not None:
            log.warning("%s:%s: %d is out of range, reading goes on at %d: %s", self.topic, self.partition, lost,
                        offset, "%d offsets are skipped" % (offset - lost) if offset > lost else
                        "%d offsets are read again, or their messages are gone" % (lost - offset))

    def send(self, ticket):
        """A fetch was sent."""
        self._on("fetch_sent")
        self.ticket = ticket

    def check(self, ticket):
        """The leader was asked whether its log still is the one that was read."""
        self._on("check_sent")
        self.ticket = ticket

    def confirmed(self, epoch):
        """It is, says the leader of that epoch."""
        self._on("confirmed")
        self.checked = epoch

    def awaits(self, ticket):
        """Whether the answer with this ticket is for what the cursor is waiting for."""
        return self.ticket is ticket and self.state in (IN_FLIGHT, CHECKING)

    def fetched(self, batches):
        """Batches came."""
        self._on("fetched")
        self.hot = True
        self.limit = 0
        self.clock = None
        self.batches.extend(batches)
        self.size = sum(batch.size for batch in batches)
        last = batches[-1]
        self.position = last.next_offset
        if last.leader_epoch >= 0:
            self.epoch = last.leader_epoch

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
        """The fetch, or check, failed; the partition rests a while."""
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
        self.position = self.handed = self.lost = None
        self.epoch = self.checked = -1

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
