"""
The batches that wait to be written to one partition, and how far they are.

No socket and no loop in here; `kiel.clients.producing.sender` moves the queues along. Batches are sent in their order,
several one behind the other; the first so many of a queue, `PartitionQueue.sent`, are or were under way in this round.
Once one of them fails, nothing follows before all that is under way has ended: then `kiel.clients.producing.retries`
decides, from the first to the last, what is sent again, and a new round begins with the oldest. That alone keeps the
order.
"""
from __future__ import absolute_import

import collections

from kiel.clients.producing.batch import BATCH_OVERHEAD, Batch

IDLE, LINGERING, READY, IN_FLIGHT = "idle", "lingering", "ready", "in flight"
DRAINING, BACKING_OFF = "draining", "backing off"

#: The life of a queue: state -> {event: next state}. An event that is not listed is a bug and raises.
TRANSITIONS = {
    # nothing to send, nothing under way
    IDLE: {"added": LINGERING},
    # what is next to be sent waits for more messages, or for its linger time; others may be under way
    LINGERING: {"due": READY, "emptied": IDLE, "waits": IN_FLIGHT, "failed": DRAINING},
    # what is next stands in the queue of its leader; others may be under way
    READY: {"sent": LINGERING, "waits": IN_FLIGHT, "moved": LINGERING, "failed": DRAINING},
    # batches are under way, and what is next, if anything, waits for an answer or its pace
    IN_FLIGHT: {"answered": LINGERING, "added": LINGERING, "paced": LINGERING, "emptied": IDLE, "failed": DRAINING},
    # a batch failed: nothing follows before all that is under way has ended
    DRAINING: {"drained": BACKING_OFF, "moved": LINGERING},
    # nothing is under way; the oldest batch is sent again after a delay
    BACKING_OFF: {"retried": LINGERING},
}

#: states in which the first message of a batch is news to the sender
UNTOLD = (IDLE, IN_FLIGHT)

#: stands for the producer in `PartitionQueue.proven` that no partition has heard of
NOBODY = object()

#: what a batch is filled to, as a part of what may be written: messages differ from those before them
FILL = 0.99

#: the most that is counted into a batch, as a multiple of what may be written: what turns out too much is encoded again
MOST_COUNTED = 1.5

#: batches that hold less than this part of what may be written tell nothing of those that are full
TELLING = 0.25


class PartitionQueue(object):
    """
    What is to be written to one partition, oldest batch first.

    :param topic: the topic's name
    :param partition: the partition's id
    """

    __slots__ = (
        "topic", "partition", "batches", "open", "state", "sent", "flying", "leader", "sent_at", "proven",
        "written", "due", "urgent", "paced", "hindrance", "clock", "identity", "following",
        "density"
    )

    def __init__(self, topic, partition):
        self.topic = topic
        self.partition = partition
        #: the batches, oldest first; one leaves when it is done, and nothing of it is under way
        self.batches = collections.deque()
        #: the last batch while it takes more messages, else None
        self.open = None
        #: a key of `TRANSITIONS`; changes in `go` only
        self.state = IDLE
        #: how many batches, from the first on, were sent in this round
        self.sent = 0
        #: how many of those have no answer yet
        self.flying = 0
        #: the id of the broker that they went to
        self.leader = None
        #: when the last one was sent (`kiel.retry.monotonic`)
        self.sent_at = 0.0
        #: the producer id of the last batch that was written, None without one; `NOBODY` before, and after a failure
        self.proven = NOBODY
        #: the offset of the last batch that was written, -1 before
        self.written = -1
        #: whether what is here is sent without lingering; False again once all of it is sent
        self.due = False
        #: whether it is sent without keeping to the pace, too
        self.urgent = False
        #: whether the sender's timer will look at it
        self.paced = False
        #: why nothing could be sent, where that is no batch's own failure
        self.hindrance = None
        #: the `kiel.retry.Clock` of the attempts with the head; None while none has failed
        self.clock = None
        #: the producer id and epoch of the batch that was numbered last, and the number that follows it
        self.identity, self.following = None, 0
        #: bytes that are written for each that is counted, by the batches before; 0 while nothing is known
        self.density = 0.0

    def go(self, event):
        """Move to the state that follows by `TRANSITIONS`."""
        self.state = TRANSITIONS[self.state][event]

    def begin(self, opened, deadline, limit):
        """
        Open a new batch behind all others and return it; the one before takes no more messages.

        Messages count for the most that any message format takes. Less is written, as batches before have shown.

        :param limit: the most bytes that may be written of it
        """
        if self.open is not None:
            self.close_open()
        # a message that is too large for any batch fits into none that others have made room in
        most = limit - BATCH_OVERHEAD
        if self.density:
            limit = int(limit * max(1.0, min(MOST_COUNTED, FILL / self.density)))
        batch = self.open = Batch(self.topic, self.partition, opened, deadline, limit, most)
        self.batches.append(batch)
        return batch

    def close_open(self):
        """Let the open batch, if any, take no more messages."""
        if self.open is not None:
            self.open.close()
            self.open = None

    # -- what goes out, and what comes back --

    @property
    def next(self):
        """The batch that is to be sent next, None when all are sent."""
        return self.batches[self.sent] if self.sent < len(self.batches) else None

    def close_next(self):
        """Return the batch that is to be sent next, which takes no more messages from now on."""
        batch = self.batches[self.sent]
        batch.close()
        if batch is self.open:
            self.open = None
        return batch

    def measure(self, batch, limit):
        """
        Learn from a batch that was encoded how much goes into one; return False when it was too much, and is two now.

        :param limit: the most bytes that may be written of it
        """
        if batch.size <= TELLING * limit:
            return True
        written = batch.records.encoded
        now = written / float(batch.size - BATCH_OVERHEAD)
        self.density = now if now > self.density else self.density + (now - self.density) / 16
        if written + BATCH_OVERHEAD <= limit or batch.keeps_bytes or len(batch) < 2:
            return True
        batch.attempts -= 1  # it is not sent, its halves are
        self.split(batch, [len(batch) // 2])
        return False

    def number(self, batch, identity):
        """
        Assign a batch, which takes no more messages, the partition's next numbers; they begin with 0 in each epoch.

        :param identity: the producer's id and epoch
        """
        if identity != self.identity:
            self.identity, self.following = identity, 0
        batch.identity, batch.sequence = identity, self.following
        self.following = (self.following + batch.count) & 0x7fffffff

    def give_back(self, batch):
        """
        Take the numbers of a batch back, so that it can be encoded again, or others get them.

        Only for the batch that was numbered last, and only if the broker is known not to have written it.
        """
        if batch.doubtful:
            raise AssertionError("%r may have been written" % batch)
        self.identity, self.following = batch.identity, batch.sequence
        batch.drop_numbers()

    def launch(self, leader, now):
        """The next batch was sent to a broker; return whether another follows it."""
        self.batches[self.sent].in_flight = True
        self.sent += 1
        self.flying += 1
        self.leader = leader
        self.sent_at = now
        if self.sent < len(self.batches):
            self.go("sent")
            return True
        self.due = self.urgent = False
        self.go("waits")
        return False

    def land(self, batch):
        """A batch has its answer, or will get none any more."""
        batch.in_flight = False
        self.flying -= 1

    def proved_by(self, batch):
        """
        Return the batches of this round that were refused or lost, and were written since this one behind them was.

        The broker takes a numbered batch only behind all those before it, if it has taken any of the producer's.
        """
        if self.sent < 2 or batch.sequence is None:
            return []
        found = []
        for number in range(self.sent):
            earlier = self.batches[number]
            if earlier is batch:
                break
            if earlier.doubtful and not (earlier.in_flight or earlier.done) and earlier.identity == batch.identity:
                found.append(earlier)
        return found

    def recall(self):
        """End a round, of which nothing is under way; return what has not left, in its order."""
        count, self.sent = self.sent, 0
        return [self.batches[i] for i in range(count)]

    def remove(self, batch):
        """Take out a batch that is done."""
        if self.sent and batch is self.batches[0]:  # as most are
            self.sent -= 1
            self.batches.popleft()
        else:
            if any(self.batches[number] is batch for number in range(self.sent)):
                self.sent -= 1
            self.batches.remove(batch)
        if batch is self.open:
            self.close_open()

    def remove_done(self):
        """Take out all batches that are done, but for those sent in this round, which still hold their place."""
        for batch in [batch for batch in list(self.batches)[self.sent:] if batch.done]:
            self.remove(batch)

    def split(self, batch, cuts):
        """Put smaller batches in the place of one that is not sent; return them."""
        at = list(self.batches).index(batch)
        parts = batch.split(cuts)
        self.batches.rotate(-at)
        self.batches.popleft()
        self.batches.extendleft(reversed(parts))
        self.batches.rotate(at)
        return parts

    @property
    def waiting(self):
        """The batches that are not in flight, oldest first: a list."""
        return [batch for batch in self.batches if not batch.in_flight]

    @property
    def unsent(self):
        """The number of messages that are not in flight."""
        return sum(len(batch) for batch in self.waiting)

    def __repr__(self):
        return "PartitionQueue(%s:%s, %s, %d batches, %d in flight)" % (
            self.topic, self.partition, self.state, len(self.batches), self.flying
        )


class Effects(object):
    """What one event changed: collected while state changes, and acted upon when all of it is right."""

    __slots__ = ("outcome", "freed", "moved", "failed")

    def __init__(self):
        #: for `kiel.clients.producing.batch.resolve`
        self.outcome = []
        #: bytes of the buffer that are free again
        self.freed = 0
        #: the partition queues that are LINGERING and may go on
        self.moved = []
        #: (partition queue that is BACKING_OFF, error)
        self.failed = []
