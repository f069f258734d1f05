"""
Messages of one partition that are sent, acknowledged or refused together.

No socket and no loop in here. Who waits for a message waits for its batch; `Batch.finish` says who has to be told, and
`resolve` tells them when all other state is right.
"""
from __future__ import absolute_import

import copy
import logging

from tornado import concurrent

from kiel import constants, exc
from kiel.clients.producing.delivery import BatchBarrier, RecordMetadata
from kiel.clients.producing.refusal import HeadersNotSupported
from kiel.events import settle
from kiel.protocol.columns import Columns
from kiel.protocol.messages import FORMATS

log = logging.getLogger(__name__)

#: bytes of a record besides key, value and headers: the most that any message format needs (magic 1)
RECORD_OVERHEAD = 34
#: the same for a batch, with the topic's name and the rest of its part of the request
BATCH_OVERHEAD = 400

#: the most messages of a batch: encoding one batch must not hold up the loop
MOST_RECORDS = 8192

#: the version of ProduceRequest -> the format (the magic) that it carries; that of all later ones is 2
OLD_FORMATS = {0: 0, 1: 0, 2: 1}
#: the first version that carries what zstd compressed
ZSTD_FROM = 7

#: stands where the records of a batch were once it is done
_GONE = Columns()


class Batch(object):
    """
    Messages of one partition that are sent, acknowledged or refused together.

    :param opened: when the first message came (`kiel.retry.monotonic`)
    :param deadline: when the batch is given up
    :param limit: the most bytes that may be counted into it
    :param most: the most of these for one message that follows others; default: all of them
    """

    __slots__ = (
        "topic", "partition", "records", "count", "size", "limit", "most", "run", "opened", "deadline", "data",
        "version", "identity", "sequence", "doubtful", "in_flight", "refusal", "last_error", "done", "error",
        "offset", "timestamp", "timestamps", "parts", "barriers", "attempts", "left", "_waiters", "_unseen",
    )

    def __init__(self, topic, partition, opened=0.0, deadline=0.0, limit=0, most=None):
        self.topic = topic
        self.partition = partition
        #: the `kiel.protocol.columns.Columns` of the messages, until the batch is done
        self.records = Columns()
        #: the number of messages; known once no more are added
        self.count = 0
        #: the most bytes that it takes on the wire, uncompressed
        self.size = BATCH_OVERHEAD
        #: the most bytes that may be counted into it; 0 once it takes no more messages
        self.limit = limit
        #: the most of these for one message that follows others
        self.most = limit if most is None else most
        #: the `kiel.clients.producing.append_run.AppendRun` whose messages `size` does not count yet
        self.run = None
        self.opened = opened
        self.deadline = deadline
        #: the encoded bytes, in pieces; kept, so that a retry sends the same
        self.data = None
        #: (magic, codec) of the data
        self.version = None
        #: (producer id, epoch) in the data of an idempotent producer, else None
        self.identity = None
        #: the first message's sequence number, None without one
        self.sequence = None
        #: whether it may have been written though no answer said so
        self.doubtful = False
        #: whether it is in a request that has no answer yet
        self.in_flight = False
        #: why it was not taken, while others of its round are under way: a `kiel.clients.producing.refusal.Refusal`
        self.refusal = None
        #: why the last attempt failed
        self.last_error = None
        #: changes once, for good; either `error` is set then, or `offset`
        self.done = False
        self.error = None
        #: the first message's offset, -1 where the broker does not tell
        self.offset = -1
        #: the broker's time stamp for all messages; -1 where those of the messages count: `timestamps`
        self.timestamp = -1
        self.timestamps = ()
        #: the smaller batches that this one was split into
        self.parts = None
        #: the `BatchBarrier` objects that wait for it
        self.barriers = None
        #: how often it was encoded to be sent
        self.attempts = 0
        #: when it was first sent (`kiel.retry.monotonic`); 0 before
        self.left = 0.0
        self._waiters = None  # [(index, what the Future gets instead of the metadata, Future)]
        self._unseen = None

    def __len__(self):
        return self.count or len(self.records)

    def end_run(self):
        """Bring `size` and `records` up to date: to be called before anybody reads them."""
        if self.run is not None:
            self.run.end()

    def has_room(self, size):
        """Return whether a message of that size may be added; no run is under way."""
        return self.size + size <= self.limit and size <= self.most and len(self.records.values) < MOST_RECORDS

    def close(self):
        """Take no more messages."""
        self.limit = 0
        if self.run is not None:
            self.run.end()
        self.count = len(self.records.values)

    def is_old(self, since):
        """Return whether its last message has a time stamp before that time, in seconds since 1970."""
        return bool(self.records.values) and self.records.stamp < 1000 * since

    def leaf(self, index):
        """Return the batch in which a message was sent in the end, and the message's index there."""
        batch = self
        while batch.parts is not None:
            for part in batch.parts:
                if index < len(part):
                    break
                index -= len(part)
            batch = part
        return batch, index

    # -- what is sent --

    def encode(self, version, codec, state, queue):
        """
        Make the `data` that a version of ProduceRequest carries, once the batch takes no more messages.

        Bytes that are there already are kept where they will do. A numbered batch of which it is not known whether it
        was written is sent again as it is, never encoded again.

        :param codec: a number of `kiel.constants`, or 0
        :param state: the `kiel.clients.producing.producer_state.ProducerState`
        :param queue: the `kiel.clients.producing.partition_queue.PartitionQueue`, which numbers the messages
        :raises kiel.clients.producing.refusal.HeadersNotSupported: when there are headers, and the format has none
        :raises kiel.exc.UnsupportedVersionError: for zstd where the broker does not know it; when a batch that may have
            been written would have to be encoded anew
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        self.attempts += 1
        magic = OLD_FORMATS.get(version, 2)
        identity = state.identity if magic == 2 else None
        if self.data is not None and self._is_encoded(version, magic, codec, identity):
            return
        if version < ZSTD_FROM:
            self._check_format(version, magic, codec)
        if identity is None:
            self.drop_numbers()
            self.data = FORMATS[magic](self.records, codec)
        else:
            fresh = self.sequence is None  # others behind it may have been numbered already: its numbers stay
            if fresh:
                queue.number(self, identity)
            try:
                self.data = FORMATS[magic](
                    self.records, codec, self.identity[0], self.identity[1], self.sequence, state.transactional)
            except Exception:
                if fresh:
                    queue.give_back(self)
                raise
        self.version = magic, codec

    @property
    def keeps_bytes(self):
        """Whether it may have been written with the numbers that it has, so that it is sent again as it is."""
        return self.doubtful and self.sequence is not None

    def _is_encoded(self, version, magic, codec, identity):
        """Return whether the bytes that are there will do."""
        if self.keeps_bytes:
            if magic != 2:
                raise exc.UnsupportedVersionError(
                    "the batch may have been written already, and this broker does not accept its message format",
                    "produce", (3, 13), (0, version)
                )
            return True
        return self.version == (magic, codec) and (self.sequence is None) == (identity is None)

    def _check_format(self, version, magic, codec):
        """Raise the error of what an older version of ProduceRequest can't carry."""
        if codec == constants.ZSTD:
            raise exc.UnsupportedVersionError(
                "zstd needs Kafka 2.1 or newer", "produce", (ZSTD_FROM, ZSTD_FROM), (0, version)
            )
        if magic < 2 and any(self.records.headers or ()):
            raise HeadersNotSupported(self.records)

    def drop_numbers(self):
        """Lose its numbers, and the bytes that have them; nobody else gets them."""
        self.data = self.version = self.identity = self.sequence = None

    # -- asking --

    def metadata(self, index):
        """Return the `RecordMetadata` of a message of a batch that was written."""
        return RecordMetadata(
            self.topic, self.partition, self.offset + index if self.offset >= 0 else -1,
            self.timestamp if self.timestamp >= 0 else self.timestamps[index],
        )

    def retrieve_error(self):
        """Return the error, if any; somebody has seen it then, and it is not logged."""
        if self._unseen is not None:
            self._unseen.error = None
        return self.error

    def wait(self, index, result=None, future=None):
        """
        Return a Future of a message's metadata, or its error.

        :param result: what the Future gets instead of the metadata
        :param future: the Future to use
        """
        batch = self
        if batch.parts is not None:
            batch, index = self.leaf(index)
        if future is None:
            future = concurrent.Future()
        if not batch.done:
            if batch._waiters is None:
                batch._waiters = []
            batch._waiters.append((index, result, future))
        elif batch.error is not None:
            settle(future, error=batch.retrieve_error())
        else:
            settle(future, batch.metadata(index) if result is None else result)
        return future

    def fail_waiters(self, error):
        """Tell whoever waits for a message now that something failed, whatever becomes of the message."""
        waiters, self._waiters = self._waiters or (), None
        for _, _, future in waiters:
            settle(future, error=error)

    def finished(self):
        """Return a Future that is done when all of the batch is; it never fails."""
        barrier = BatchBarrier(retrieves=False)
        if not self.watch(barrier):
            barrier.future.set_result(None)
        return barrier.future

    def watch(self, barrier):
        """Let a barrier wait for what is not done yet; return the number of batches that adds."""
        if self.parts is not None:
            return sum(part.watch(barrier) for part in self.parts)
        if self.done:
            return 0
        barrier.left += 1
        if self.barriers is None:
            self.barriers = []
        self.barriers.append(barrier)
        return 1

    # -- ending --

    def finish(self, error=None, offset=-1, timestamp=-1):
        """
        Mark the batch done. Return the (future, result, error) tuples to pass to `resolve` once all state is
        consistent: on Tornado 4.5 a waiter runs at once.
        """
        if self.limit or not self.count:
            self.close()
        self.done = True
        self.error = error
        if error is None:
            self.offset = offset
            self.timestamp = timestamp
            if timestamp < 0:
                self.timestamps = self.records.stamps
        waiters, self._waiters = self._waiters or (), None
        barriers, self.barriers = self.barriers or (), None
        self.records = _GONE
        self.data = None
        outcome = []
        if error is None:
            for index, result, future in waiters:
                outcome.append((future, self.metadata(index) if result is None else result, None))
        else:
            for _, _, future in waiters:
                outcome.append((future, None, error))
            if not waiters:
                self._unseen = _UnseenFailure(self, error)
        for barrier in barriers:
            future = barrier.passed(self)
            if future is not None:
                outcome.append((future, None, None))
        return outcome

    def split(self, cuts):
        """
        Make this batch several smaller ones, cut before the messages of these indexes; return them.

        Whoever waits for a message waits for it in its new place.
        """
        bounds = [0] + list(cuts) + [len(self.records)]
        parts = []
        for start, end in zip(bounds, bounds[1:]):
            part = Batch(self.topic, self.partition, self.opened, self.deadline)
            part.records = self.records.cut(start, end)
            part.count = end - start
            part.size += sum(record_size(*record[:3]) for record in part.records)
            part.last_error = self.last_error
            part.attempts, part.left = self.attempts, self.left
            part.share_numbers(self, start)
            part._waiters = [(i - start, result, future) for i, result, future in self._waiters or ()
                             if start <= i < end] or None
            part.barriers = list(self.barriers or ())
            parts.append(part)
        for barrier in self.barriers or ():
            barrier.left += len(parts) - 1
        self.count = len(self.records)
        self.records = _GONE
        self.data = self._waiters = self.barriers = None
        self.parts = parts
        return parts

    def share_numbers(self, whole, start):
        """Take those of the numbers of a batch that was not written which are this part's; it begins at an index."""
        if whole.sequence is not None:
            self.identity = whole.identity
            self.sequence = (whole.sequence + start) & 0x7fffffff

    def __repr__(self):
        return "Batch(%s:%s, %d messages, %d bytes)" % (
            self.topic, self.partition, len(self), self.size
        )


class _UnseenFailure(object):
    """The failure of a batch that nobody has looked at: logged when nobody can any more."""

    # apart from the batch, since an object with a finaliser must not be in a cycle on Python 2

    def __init__(self, batch, error):
        self.error = error
        self.place = dict(topic=batch.topic, partition=batch.partition)
        self.what = "%d message%s for %s:%s" % (
            len(batch) or 1, "" if len(batch) < 2 else "s", batch.topic, batch.partition
        )

    def __del__(self):
        if self.error is not None:
            try:
                log.error("%s not delivered: %s", self.what, self.error, extra=self.place)
            except Exception:  # the interpreter is going down
                pass


def resolve(outcome):
    """Resolve the Futures that `Batch.finish` returned; the last thing to do, since others act on it at once."""
    for future, result, error in outcome:
        if error is None and not future.done():  # what `settle` does, for most
            future.set_result(result)
        else:
            settle(future, result, error)


def record_size(key, value, headers):
    """Return the most bytes that a record takes on the wire, uncompressed."""
    size = RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    for name, header in headers or ():
        size += 10 + len(name) + len(header or b"")
    return size


def failure(error, topic, partition=None):
    """Return a copy of the error whose attributes ``topic`` and ``partition`` say where it happened."""
    try:
        error = copy.copy(error)  # one lost connection is the failure of many partitions
    except Exception:  # an error of the application's that can't be copied
        return error
    error.topic = topic
    error.partition = partition
    return error


def timed_out(batch):
    """Return the error of a batch whose delivery time is over."""
    last = batch.last_error
    return failure(exc.DeliveryTimeoutError(
        "not acknowledged in time; the last error: %s" % (
            last or "none, " + ("it was not sent yet" if batch.data is None else "no answer came")
        ), last
    ), batch.topic, batch.partition)
