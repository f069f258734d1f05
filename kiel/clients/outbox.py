"""
The write side of one partition: batches in their order, and what state the first of them is in.

No socket and no loop in here; `kiel.clients.shipping` moves outboxes along. A batch that failed and
may be sent again stays where it is, at the head, and only the head is ever sent: order is kept by
that alone.
"""
from __future__ import absolute_import

import collections
import copy
import logging

from tornado import concurrent

from kiel import exc
from kiel.clients.delivery import RecordMetadata, Ticket
from kiel.events import settle
from kiel.protocol.columns import Columns

log = logging.getLogger(__name__)

#: what a record takes besides key, value and headers: the most that any message format needs (magic
#: 1)
RECORD_OVERHEAD = 34
#: the same for a batch, with the topic's name and the rest of its share of the request around it
BATCH_OVERHEAD = 400

#: the most messages in a batch: what is encoded in one go holds up the loop
MOST_RECORDS = 8192

IDLE, LINGERING, READY, IN_FLIGHT, RESTING = "idle", "lingering", "ready", "in flight", "resting"

#: The life of an outbox: state -> {event: next state}. An event that is not listed can't happen.
TRANSITIONS = {
    # nothing to send
    IDLE: {"added": LINGERING},
    # waits for more messages, or for its time
    LINGERING: {"due": READY, "emptied": IDLE},
    # stands in the queue of its leader
    READY: {"sent": IN_FLIGHT, "failed": RESTING, "moved": LINGERING},
    # the head is on its way
    IN_FLIGHT: {"answered": LINGERING, "failed": RESTING},
    # the head failed, and has to be sent again after a while
    RESTING: {"rested": LINGERING},
}


#: stands where the records of a batch were
_GONE = Columns()


class Batch(object):
    """
    Messages of one partition that are sent, acknowledged or refused together.

    ``records`` are the `kiel.protocol.columns.Columns` of the messages as they are encoded, and go
    once the batch is done; ``size`` is the most that the batch takes on the wire, ``limit`` what it
    may, 0 once it takes no more messages; ``streak`` is the `kiel.clients.streak.Streak` of those
    that are not in its books yet, if there is one; ``data`` are its encoded bytes, in pieces, kept so that
    sending again sends the same. ``done`` changes once, for good, and with it either
    ``error`` is set or ``offset``, the one of the first message.

    Of an idempotent producer: ``identity`` is the producer id and epoch in those bytes, ``sequence``
    the first number, both None as long as there are none. ``doubtful`` says that the batch may have
    been written though no answer said so.

    :param opened: when the first message came (`kiel.retry.monotonic`)
    :param deadline: when the batch is given up
    """

    __slots__ = (
        "topic", "partition", "records", "count", "size", "limit", "streak", "opened", "deadline", "data", "version",
        "identity", "sequence", "doubtful", "last_error", "done", "error", "offset", "timestamp",
        "timestamps", "parts", "tickets", "_waiters", "_unseen",
    )

    def __init__(self, topic, partition, opened=0.0, deadline=0.0, limit=0):
        self.topic = topic
        self.partition = partition
        self.records = Columns()
        self.count = 0  # known once nothing more is added
        self.size = BATCH_OVERHEAD
        self.limit = limit
        self.streak = None
        self.opened = opened
        self.deadline = deadline
        self.data = None
        self.version = None  # (magic, codec) of data
        self.identity = None
        self.sequence = None
        self.doubtful = False
        self.last_error = None
        self.done = False
        self.error = None
        self.offset = -1
        self.timestamp = -1
        self.timestamps = ()
        self.parts = None  # the smaller batches this one was split into
        self._waiters = None
        self.tickets = None
        self._unseen = None

    def __len__(self):
        return self.count or len(self.records)

    def settle(self):
        """Brings its books up to date: to be called before anybody looks at its size or its records."""
        if self.streak is not None:
            self.streak.end()

    def shut(self):
        """Lets it take no more messages."""
        self.limit = 0
        self.settle()

    def leaf(self, index):
        """The batch in which a message went out in the end, and its index there."""
        batch = self
        while batch.parts is not None:
            for part in batch.parts:
                if index < len(part):
                    break
                index -= len(part)
            batch = part
        return batch, index

    # -- asking --

    def metadata(self, index):
        """The `RecordMetadata` of a message, once done without an error."""
        return RecordMetadata(
            self.topic, self.partition, self.offset + index if self.offset >= 0 else -1,
            self.timestamp if self.timestamp >= 0 else self.timestamps[index],
        )

    def look(self):
        """Gives the error, if any; it has been seen then and need not be logged."""
        if self._unseen is not None:
            self._unseen.error = None
        return self.error

    def wait(self, index, gift=None, future=None):
        """
        A Future of a message's metadata, or its error.

        :param gift: what the Future is to give instead of the metadata
        :param future: the Future to use
        """
        batch, index = self.leaf(index)
        if future is None:
            future = concurrent.Future()
        if not batch.done:
            if batch._waiters is None:
                batch._waiters = []
            batch._waiters.append((index, gift, future))
        elif batch.error is not None:
            future.set_exception(batch.look())
        else:
            future.set_result(batch.metadata(index) if gift is None else gift)
        return future

    def whole(self):
        """A Future that is done when all of the batch is; it never fails."""
        ticket = Ticket(looks=False)
        if not self.watch(ticket):
            ticket.future.set_result(None)
        return ticket.future

    def watch(self, ticket):
        """Lets a ticket wait for what is not done yet; gives the number of batches that adds."""
        if self.parts is not None:
            return sum(part.watch(ticket) for part in self.parts)
        if self.done:
            return 0
        ticket.left += 1
        if self.tickets is None:
            self.tickets = []
        self.tickets.append(ticket)
        return 1

    # -- ending --

    def finish(self, error=None, offset=-1, timestamp=-1):
        """
        Ends the batch, delivered or with an error; gives what `resolve` has to be told.

        Nobody is told in here, so that all state is right before anybody acts on it (on Tornado 4.5
        a waiter runs at once).
        """
        self.shut()
        self.done = True
        self.error = error
        self.count = len(self.records)
        if error is None:
            self.offset = offset
            self.timestamp = timestamp
            if timestamp < 0:
                self.timestamps = self.records.stamps
        waiters, self._waiters = self._waiters or (), None
        tickets, self.tickets = self.tickets or (), None
        self.records = _GONE
        self.data = None
        outcome = []
        if error is None:
            for index, gift, future in waiters:
                outcome.append((future, self.metadata(index) if gift is None else gift, None))
        else:
            for _, _, future in waiters:
                outcome.append((future, None, error))
            if not waiters:
                self._unseen = _Unseen(self, error)
        for ticket in tickets:
            future = ticket.passed(self)
            if future is not None:
                outcome.append((future, None, None))
        return outcome

    def split(self, cuts):
        """
        Makes this batch several smaller ones, cut before the messages of these indexes; gives them.

        Whoever waits for a message waits for it in its new place.
        """
        bounds = [0] + list(cuts) + [len(self.records)]
        parts = []
        for start, end in zip(bounds, bounds[1:]):
            part = Batch(self.topic, self.partition, self.opened, self.deadline)
            part.records = self.records.cut(start, end)
            part.size += sum(record_size(*record[:3]) for record in part.records)
            part.last_error = self.last_error
            part._waiters = [(i - start, gift, future) for i, gift, future in self._waiters or ()
                             if start <= i < end] or None
            part.tickets = list(self.tickets or ())
            parts.append(part)
        for ticket in self.tickets or ():
            ticket.left += len(parts) - 1
        self.count = len(self.records)
        self.records = _GONE
        self.data = self._waiters = self.tickets = None
        self.parts = parts
        return parts

    def __repr__(self):
        return "Batch(%s:%s, %d messages, %d bytes)" % (
            self.topic, self.partition, len(self), self.size
        )


class _Unseen(object):
    """The failure of a batch that nobody has looked at: logged when nobody can any more."""

    # apart from the batch, since an object with a finaliser must not be in a cycle on Python 2

    def __init__(self, batch, error):
        self.error = error
        self.what = "%d message%s for %s:%s" % (
            len(batch) or 1, "" if len(batch) < 2 else "s", batch.topic, batch.partition
        )

    def __del__(self):
        if self.error is not None:
            try:
                log.error("%s not delivered: %s", self.what, self.error)
            except Exception:  # the interpreter is going down
                pass


def resolve(outcome):
    """
    Tells all that `Batch.finish` said is to be told; the last thing to do, since others act on it
    at once.
    """
    for future, result, error in outcome:
        settle(future, result, error)


class Outbox(object):
    """
    What is to be written to one partition, oldest batch first.

    ``open`` is the batch that takes more messages, the last one or None. ``due`` says whether what
    is here is to go out without lingering. ``clock`` are the delays of the attempts with the head,
    None while none failed.
    """

    __slots__ = ("topic", "partition", "batches", "open", "state", "due", "clock")

    def __init__(self, topic, partition):
        self.topic = topic
        self.partition = partition
        self.batches = collections.deque()
        self.open = None
        self.state = IDLE
        self.due = False
        self.clock = None

    def go(self, event):
        """Moves to the state that follows by `TRANSITIONS`."""
        self.state = TRANSITIONS[self.state][event]

    def begin(self, opened, deadline, limit):
        """Opens a new batch behind all others and gives it; the one before takes no more messages."""
        self.shut()
        batch = self.open = Batch(self.topic, self.partition, opened, deadline, limit)
        self.batches.append(batch)
        return batch

    def shut(self):
        """Lets the open batch, if any, take no more messages."""
        if self.open is not None:
            self.open.shut()
            self.open = None

    def seal(self):
        """Gives the head, which takes no more messages from now on."""
        batch = self.batches[0]
        batch.shut()
        if batch is self.open:
            self.open = None
        return batch

    def drop(self, batch):
        """Takes out a batch that is done."""
        self.batches.remove(batch)
        if batch is self.open:
            self.shut()

    def sweep(self):
        """
        Takes out all batches that are done, but for a head in flight, which still holds its place.
        """
        head = self.batches[0] if self.state is IN_FLIGHT else None
        for batch in [batch for batch in self.batches if batch.done and batch is not head]:
            self.drop(batch)

    def split(self, cuts):
        """Puts smaller batches in the place of the head; gives them."""
        parts = self.batches[0].split(cuts)
        self.batches.popleft()
        self.batches.extendleft(reversed(parts))
        return parts

    @property
    def unsent(self):
        """The number of messages that wait, those in flight not counted."""
        first = 1 if self.state == IN_FLIGHT else 0
        return sum(len(batch) for batch in list(self.batches)[first:])

    def __repr__(self):
        return "Outbox(%s:%s, %s, %d batches)" % (
            self.topic, self.partition, self.state, len(self.batches)
        )


def record_size(key, value, headers):
    """The most bytes that a record takes on the wire, uncompressed."""
    size = RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    for name, header in headers or ():
        size += 10 + len(name) + len(header or b"")
    return size


def failure(error, topic, partition=None):
    """
    A copy of the error that says in its attributes ``topic`` and ``partition`` where it happened.
    """
    error = copy.copy(error)  # one lost connection is the failure of many partitions
    error.topic = topic
    error.partition = partition
    return error


def timed_out(batch):
    """The error of a batch whose time is over."""
    last = batch.last_error
    return failure(exc.DeliveryTimeoutError(
        "not acknowledged in time; the last error: %s" % (
            last or "none, " + ("it was not sent yet" if batch.data is None else "no answer came")
        ), last
    ), batch.topic, batch.partition)
