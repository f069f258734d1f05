"""
The reading side of one partition: where it is, what is on its way, what is here and not handed out yet.

Three more things are true or not in any state, in any combination, and so are no states: ``paused`` (the application
wants nothing of it), ``hot`` (the last fetch brought something) and ``not_before`` (after trouble, when to ask again).
"""
from __future__ import absolute_import

import collections
import logging

import six

from kiel.protocol.frames import SET_ASIDE
from kiel.protocol.messages import HELD, detached
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: no position yet: it is the group's committed offset, or else what `Cursor.start` says
UNSET = "unset"
#: no position yet: it is what `Cursor.start` says, whatever the group has committed, since the application sought it
SOUGHT = "sought"
#: no position any more: it was out of range, and another is looked up from `Cursor.start`
LOST = "lost"
#: knows where to read on
READY = "ready"
#: a fetch is under way
IN_FLIGHT = "in flight"
#: the leader is asked whether it still has what was read
CHECKING = "checking"
#: fetched batches wait to be taken
BUFFERED = "buffered"
#: fetched batches wait to be taken, and the next fetch is under way
AHEAD = "ahead"
#: given away; takes nothing any more
REVOKED = "revoked"

#: `Cursor.start` of a partition that nobody has consumed from yet, such as one that was paused or sought before
UNTOLD = object()

#: the states without a position
UNLOCATED = (UNSET, SOUGHT, LOST)

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    UNSET: {"position_known": READY, "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    SOUGHT: {"position_known": READY, "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    LOST: {"position_known": READY, "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    READY: {"fetch_sent": IN_FLIGHT, "check_sent": CHECKING, "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    CHECKING: {"confirmed": READY, "failed": READY, "lost": LOST, "reset": UNSET, "sought": SOUGHT,
               "revoked": REVOKED},
    IN_FLIGHT: {"fetched": BUFFERED, "nothing": READY, "failed": READY, "lost": LOST, "reset": UNSET,
                "sought": SOUGHT, "revoked": REVOKED},
    BUFFERED: {"taken": READY, "fetch_sent": AHEAD, "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    AHEAD: {"fetched": BUFFERED, "nothing": BUFFERED, "failed": BUFFERED, "taken": IN_FLIGHT, "lost": LOST,
            "reset": UNSET, "sought": SOUGHT, "revoked": REVOKED},
    REVOKED: {"revoked": REVOKED},
}

#: so many ends of generations are kept at most; of calls from before that, more may be handed out twice, none is lost
MOST_PUT_BACKS = 16

#: how long a partition is left alone after a fetch of it failed
TROUBLE = Backoff(first=0.1, most=1.0, deadline=None)


class Offset(six.integer_types[-1]):
    """
    An offset that knows the leader ``epoch`` of the message before it (KIP-320), and is a plain number otherwise.

    By the two together a broker can tell whether its log still is the one that was read.
    """

    #: the leader epoch of the message before it
    epoch = -1

    def __new__(cls, offset, epoch):
        self = super(Offset, cls).__new__(cls, offset)
        self.epoch = epoch
        return self

    def __getnewargs__(self):
        return int(self), self.epoch


def offset_of(offset, epoch):
    """Return an `Offset`, or the plain number where no epoch (-1) is known."""
    return Offset(offset, epoch) if epoch >= 0 else offset


def epoch_of(offset):
    """Return an offset's epoch, -1 where none is known."""
    return getattr(offset, "epoch", -1)


class Cursor(object):
    """
    One partition being read.

    :param start: where to begin, should no committed offset say so: see
        `kiel.clients.consuming.offset_lookup.start_to_timestamp`; or `UNTOLD`
    """

    __slots__ = ("topic", "partition", "state", "position", "handed", "batches", "size", "request", "generation",
                 "reads_since", "put_backs", "hot", "paused", "limit", "high_watermark", "last_stable", "end", "start",
                 "error", "not_before", "clock", "epoch", "checked", "lost_at", "replica", "replica_until", "answered",
                 "unlocated")

    def __init__(self, topic, partition, start=UNTOLD):
        self.topic = topic
        self.partition = partition
        self.start = start
        self.state = UNSET
        #: the next offset to fetch; ``batches`` lie between `handed` and this
        self.position = None
        #: the next offset to hand out, an `Offset` where its epoch is known
        self.handed = None
        #: fetched and not taken yet
        self.batches = collections.deque()
        #: bytes of ``batches``
        self.size = 0
        #: the request under way, any object: the answer to another is not for the state that this cursor is in
        self.request = None
        #: grows whenever what was taken but not yet handed out must no longer be
        self.generation = 0
        #: the first generation since which the position was moved by `put_back` and `stay` only
        self.reads_since = 0
        #: ``(generation, offset)``: how the generations since then ended, as far as that matters, see `continues`
        self.put_backs = ()
        #: whether the last fetch brought something, so that the next is sent before anyone asks
        self.hot = False
        #: neither fetched nor handed out, since the application said so
        self.paused = False
        #: bytes of one fetch, where this partition needs more than its share; 0: the share
        self.limit = 0
        #: the offset after the last message, as of the last answer
        self.high_watermark = None
        #: the offset from which on transactions are open; -1 where the broker does not tell
        self.last_stable = -1
        #: the offset up to which a fetch brings messages at once, as of the last answer; None before the first
        self.end = None
        #: raised by the next consume()
        self.error = None
        #: nothing is asked for before this time (`kiel.retry.monotonic`)
        self.not_before = 0
        #: the `kiel.retry.Clock` of failures in a row; None after an answer
        self.clock = None
        #: the leader epoch of the message before ``position``, -1 where it is not known
        self.epoch = -1
        #: the leader's epoch for which the position is known to be good
        self.checked = -1
        #: the offset that was out of range, while another is being looked for
        self.lost_at = None
        #: the follower to read from instead of the leader (KIP-392), and until when (`kiel.retry.monotonic`)
        self.replica = None
        self.replica_until = 0
        #: when it was answered last (`kiel.retry.monotonic`)
        self.answered = 0
        #: since when it has had no position
        self.unlocated = monotonic()

    def __repr__(self):
        return "Cursor(%s:%s %s at %s)" % (self.topic, self.partition, self.state, self.handed)

    def _on(self, event):
        self.state = TRANSITIONS[self.state][event]

    @property
    def located(self):
        """Whether the position is known."""
        return self.state not in UNLOCATED

    def locate(self, offset):
        """
        The position is known: read on from there.

        :param offset: a number, or an `Offset`: then its epoch is compared with the leader's log before anything else
        """
        self._on("position_known")
        self.handed = offset
        self.position = int(offset)
        self.epoch = epoch_of(offset)
        lost_at, self.lost_at = self.lost_at, None
        if lost_at is not None:
            log.warning("%s:%s: offset %d is out of range, reading goes on at %d: %s", self.topic, self.partition,
                        lost_at, offset, "%d offsets are skipped" % (offset - lost_at) if offset > lost_at else
                        "%d offsets are read again, or their messages are gone: the log ends before it, so it has lost "
                        "its end, or the topic was deleted and recreated" % (lost_at - offset), extra=self.fields)

    @property
    def fields(self):
        """What lines of the log say of it, see `kiel.fields`."""
        return dict(topic=self.topic, partition=self.partition)

    @property
    def behind(self):
        """Whether there is more to fetch than has come, as far as is known: a fetch of it is answered at once."""
        return self.end is not None and self.end > self.position

    @property
    def holds(self):
        """Whether fetched batches wait to be taken."""
        return self.state in (BUFFERED, AHEAD)

    @property
    def wants_more(self):
        """
        Whether what waits to be taken is not all that there is, so that the next fetch may be sent ahead of that.

        After a failure it is asked for again once the application has taken what came before: then the error, should it
        still be there, comes in its turn.
        """
        return self.state == BUFFERED and self.clock is None and self.error is None and self.behind

    def send(self, request):
        """A fetch was sent."""
        self._on("fetch_sent")
        self.request = request

    def check(self, request):
        """The leader was asked whether its log still is the one that was read."""
        self._on("check_sent")
        self.request = request

    def confirmed(self, epoch):
        """The leader of that epoch confirmed that its log is the one that was read."""
        self._on("confirmed")
        self.checked = epoch

    def awaits(self, request):
        """Return whether the answer to this request is for what the cursor is waiting for."""
        return self.request is request and self.state in (IN_FLIGHT, AHEAD, CHECKING)

    def fetched(self, batches):
        """Batches came."""
        self._on("fetched")
        self.answered = monotonic()
        self.hot = True
        self.limit = 0
        self.clock = None
        self.batches.extend(batches)
        for batch in batches:
            self.size += batch.size
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
        self.answered = monotonic()
        self.clock = None
        if cold:
            self.hot = False
        elif self.behind:
            self.hot = True

    def failed(self):
        """The fetch, or check, failed; the partition rests a while."""
        self._on("failed")
        self.answered = monotonic()
        self.rest()

    def rest(self):
        """Leave the partition alone, longer each time in a row."""
        if self.clock is None:
            self.clock = TROUBLE.start()
        self.not_before = monotonic() + self.clock.delay()

    @property
    def leaves(self):
        """Whether who reads the first buffered batch has to drop it, since only then is known how far reading goes."""
        return self.batches[0].codec != 0

    def take(self, most):
        """
        Return buffered batches, and forget them: at least one, no more than ``most`` bytes beyond that.

        Of one that is compressed its size does not tell what it takes, see `leaves`: it and those behind it stay.
        """
        taken = []
        batches = self.batches
        while batches and (not taken or (most >= batches[0].size and not batches[0].codec)):
            batch = batches.popleft()
            most -= batch.size
            self.size -= batch.size
            taken.append(batch)
        self._some_taken()
        return taken

    def drop_first(self):
        """The first buffered batch was read."""
        self.size -= self.batches.popleft().size
        self._some_taken()

    def _some_taken(self):
        """What was taken or read is gone: perhaps it was all, or most of a large frame, which the rest lets go."""
        if not self.batches:
            self._on("taken")
        elif HELD * self.size < len(self.batches[0].data) > SET_ASIDE:
            for batch in self.batches:
                detached(batch)

    def replace_first(self, batch):
        """The first buffered batch was read in part; ``batch`` is the same, in a form to be read on."""
        self.size += batch.size - self.batches[0].size
        self.batches[0] = batch

    def reset(self):
        """Forget the position and everything that belonged to it."""
        self._on("reset")
        self._forget_position()

    def seek(self, start):
        """Look a position up from ``start``, whatever the group has committed."""
        self._on("sought")
        self._forget_position()
        self.start = start

    def lose(self, start):
        """The position is no good any more: another is looked up from ``start``."""
        handed = self.handed
        self._on("lost")
        self._forget_position()
        self.high_watermark = None  # the log is not what it was
        self.lost_at = handed
        self.start = start

    def move(self, offset):
        """Read on from another offset."""
        self.reset()
        self.locate(offset)

    def stay(self):
        """
        Read on from the position, without what was fetched of it: that could not be handed out as it is.

        What was handed out before it still may be put back, see `continues`.
        """
        self.put_back(self.handed)

    def put_back(self, offset):
        """
        Messages from an offset on are handed out again.

        Those before it, which other calls took, still may be put back: then reading goes on at them, see `continues`.
        """
        since, generation = self.reads_since, self.generation
        before = [ended for ended in self.put_backs if ended[1] < offset]  # of the others this says more
        self.move(offset)
        self.reads_since = since
        self.put_backs = tuple(before[-MOST_PUT_BACKS + 1:]) + ((generation, offset),)

    def continues(self, generation, begun):
        """
        Return whether messages from ``begun`` on, which a call took in a generation, are to be put back if nobody wants
        them: nobody has moved the position elsewhere since, and they were not put back yet, with others before them.
        """
        if not self.reads_since <= generation <= self.generation:
            return False
        for ended, offset in self.put_backs:  # both grow: the first since then went back furthest
            if ended >= generation:
                return begun < offset
        return True

    def revoke(self):
        """The partition is given away."""
        self._on("revoked")
        self._forget()

    def _forget_position(self):
        self._forget()
        self.position = self.handed = self.lost_at = None
        self.epoch = self.checked = -1
        self.unlocated = monotonic()

    def _forget(self):
        """Drop what is buffered, and the claim on what is under way."""
        self.batches.clear()
        self.size = 0
        self.request = None
        self.error = None
        self.generation += 1
        self.reads_since = self.generation
        self.put_backs = ()
