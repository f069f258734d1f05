"""
The batches that wait to be written to one partition, and the state of the first of them.

No socket and no loop in here; `kiel.clients.producing.sender` moves the queues along. A batch that failed and may be
retried stays at the head, and only the head is ever sent: that alone keeps the order.
"""
from __future__ import absolute_import

import collections

from kiel.clients.producing.batch import Batch

IDLE, LINGERING, READY, IN_FLIGHT, BACKING_OFF = "idle", "lingering", "ready", "in flight", "backing off"

#: The life of a queue: state -> {event: next state}. An event that is not listed is a bug and raises.
TRANSITIONS = {
    # nothing to send
    IDLE: {"added": LINGERING},
    # waits for more messages, or for its linger time
    LINGERING: {"due": READY, "emptied": IDLE},
    # stands in the queue of its leader
    READY: {"sent": IN_FLIGHT, "failed": BACKING_OFF, "moved": LINGERING},
    # the head is in a request that has no answer yet
    IN_FLIGHT: {"answered": LINGERING, "failed": BACKING_OFF},
    # the head failed and is retried after a delay
    BACKING_OFF: {"retried": LINGERING},
}


class PartitionQueue(object):
    """
    What is to be written to one partition, oldest batch first.

    :param topic: the topic's name
    :param partition: the partition's id
    """

    __slots__ = ("topic", "partition", "batches", "open", "state", "due", "clock")

    def __init__(self, topic, partition):
        self.topic = topic
        self.partition = partition
        #: the batches, oldest first; one leaves when it is done
        self.batches = collections.deque()
        #: the last batch while it takes more messages, else None
        self.open = None
        #: a key of `TRANSITIONS`; changes in `go` only
        self.state = IDLE
        #: whether what is here is sent without lingering; False again once nothing is left behind the head
        self.due = False
        #: the `kiel.retry.Clock` of the attempts with the head; None while none has failed
        self.clock = None

    def go(self, event):
        """Move to the state that follows by `TRANSITIONS`."""
        self.state = TRANSITIONS[self.state][event]

    def begin(self, opened, deadline, limit):
        """Open a new batch behind all others and return it; the one before takes no more messages."""
        if self.open is not None:
            self.close_open()
        batch = self.open = Batch(self.topic, self.partition, opened, deadline, limit)
        self.batches.append(batch)
        return batch

    def close_open(self):
        """Let the open batch, if any, take no more messages."""
        if self.open is not None:
            self.open.close()
            self.open = None

    def close_head(self):
        """Return the head, which takes no more messages from now on."""
        batch = self.batches[0]
        batch.close()
        if batch is self.open:
            self.open = None
        return batch

    def remove(self, batch):
        """Take out a batch that is done."""
        self.batches.remove(batch)
        if batch is self.open:
            self.close_open()

    def remove_done(self):
        """Take out all batches that are done, but for a head in flight, which still holds its place."""
        head = self.batches[0] if self.state is IN_FLIGHT else None
        for batch in [batch for batch in self.batches if batch.done and batch is not head]:
            self.remove(batch)

    def split(self, cuts):
        """Put smaller batches in the place of the head; return them."""
        parts = self.batches[0].split(cuts)
        self.batches.popleft()
        self.batches.extendleft(reversed(parts))
        return parts

    @property
    def waiting(self):
        """The batches that are not in flight, oldest first: a list."""
        return list(self.batches)[1 if self.state is IN_FLIGHT else 0:]

    @property
    def unsent(self):
        """The number of messages that are not in flight."""
        return sum(len(batch) for batch in self.waiting)

    def __repr__(self):
        return "PartitionQueue(%s:%s, %s, %d batches)" % (
            self.topic, self.partition, self.state, len(self.batches)
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
