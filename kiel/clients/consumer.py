"""What single and grouped consumers share: `consume`, positions, and finding topics and where to begin in them."""
from __future__ import absolute_import

import binascii
import collections
import json
import logging
import os
import socket

import six
from tornado import gen

from kiel import constants, exc
from kiel.clients.client import Client
from kiel.clients.consuming import batch_reader, isolation, log_validator
from kiel.clients.consuming.batch_reader import BatchReader
from kiel.clients.consuming.fetcher import Fetcher
from kiel.clients.consuming.offset_lookup import BEGINNING, END, OffsetLookup, start_to_timestamp
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: bytes, as on the wire, that one call of `consume` deserialises at most, but for a batch that is larger: what is made
#: of them is alive all at once, in the way of Python's garbage collector and of the processor's caches
PIECE = 256 * 1024

#: ``Cursor.start`` of a partition that the application sought or paused before it was consumed from
UNTOLD = object()


class BaseConsumer(Client):
    """
    The base of consumers; subclasses say which partitions are theirs and where to begin.

    It is made of a `kiel.clients.consuming.fetcher.Fetcher`, which keeps a cursor for each partition and fills it, a
    `kiel.clients.consuming.batch_reader.BatchReader`, which makes messages of what came, and a
    `kiel.clients.consuming.offset_lookup.OffsetLookup`. What a subclass overrides:

    - `allocation`: which partitions are this consumer's
    - `determine_offsets`: where to begin in those that have no position
    - ``_consume(topic, start, read)``: one whole call of `consume` or `consume_records`; a group does what goes before
      and after it there (subscribing, counting what was handed out before as processed, committing)
    - ``_hand_out(taken, read)``: from batches taken out of the fetcher to the messages of one call; a group books what
      is decoded there, commits it, and puts back what is not its own any more
    - ``_moved(cursor, offset)``: called whenever a position moved on because messages were decoded
    - ``_start_of(topic, partition, start, late)``: what ``start`` means for one partition
    - `reset_start`: where to go on after a position was out of range
    - ``_on_metadata()``: metadata came
    - `wind_down`: what is to be done before connections close

    A group that loses a partition calls ``fetcher.revoke``; while it is in doubt what is its own, it sets
    ``fetcher.suspended``. Both need ``fetcher.wake()`` and ``fetcher.pump()`` after them.

    :param brokers: bootstrap hosts, see `kiel.clients.client.Client`, which also takes ``settings``
    :param deserializer: makes a message of a value (bytes, or None for a null value); default `json.loads`. With
        ``bytes`` values are returned as they are, null as None.
    :param max_wait_time: milliseconds that `consume` waits for messages
    :param min_bytes: bytes that a broker waits for before it answers, up to ``max_wait_time``
    :param max_bytes: bytes, as on the wire, that one answer of a broker and one call of `consume` may bring; a single
        message may be larger. Where messages are deserialised, a call returns no more than `PIECE` of them, or one
        batch.
    :param buffer_bytes: bytes fetched and not yet handed out, over all partitions
    :param check_crcs: whether checksums are verified
    :param on_error: called with a `Record` (its value the raw bytes) and the exception when a message does not
        deserialise, and may return a Future; the default logs, and the message is skipped. When it raises, the
        position stays at that message and `consume` raises the error.
    :param isolation_level: "read_committed" leaves out the messages of aborted transactions, and waits with those that
        come after a transaction still open; "read_uncommitted" returns all (KIP-98). Brokers before 0.11 have no
        transactions.
    :param offset_reset: what to do when a position is out of range, or when the leader's log is not the one that was
        read (KIP-320). "beginning", "end" or seconds back from now (a number or a `datetime.timedelta`): reading goes
        on there, or, where a log was cut, at the cut. "error": `consume` raises until the caller seeks. None: out of
        range, reading goes on where it began; where a log was cut, `consume` raises `kiel.exc.LogTruncationError` once
        and then goes on at the cut. What is skipped is logged as a warning.
    :param rack_id: where this consumer is, as in the brokers' ``broker.rack``: then followers nearby may be read
        (KIP-392, Kafka 2.4; brokers need a ``replica.selector.class``)
    """

    BEGINNING = BEGINNING
    END = END

    def __init__(self, brokers, deserializer=None, max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024,
                 buffer_bytes=16 * 1024 * 1024, check_crcs=True, on_error=None, isolation_level="read_uncommitted",
                 offset_reset=None, rack_id=None, **settings):
        super(BaseConsumer, self).__init__(brokers, **settings)
        self.max_wait_time = max_wait_time
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.buffer_bytes = buffer_bytes
        #: `kiel.constants.READ_UNCOMMITTED` or `kiel.constants.READ_COMMITTED`
        self.isolation_level = isolation.level(isolation_level)
        self.offset_reset = log_validator.policy(offset_reset)
        self.rack_id = rack_id
        #: unique among the consumers of all processes
        self.name = make_name()
        #: topic -> {partition id: the offset after the last message handed out}; written by the consumer alone
        self.offsets = collections.defaultdict(lambda: collections.defaultdict(int))
        #: the last error of a fetch or look-up, whether or not it was raised; None after messages came again
        self.last_error = None
        #: looks offsets up by time
        self.lookup = OffsetLookup(self, self.isolation_level)
        #: the cursors, and what fills them
        self.fetcher = Fetcher(self, limits=self)
        #: makes messages of what was fetched
        self.reader = BatchReader(deserializer or json.loads, on_error or self.log_error, check_crcs, self._moved)
        #: topics whose positions are being looked up
        self._locating = set()
        #: topics of which messages are being decoded
        self._handing = set()
        #: topics that were asked for and are not there
        self._unknown = set()
        #: topics with cursors whose start is `UNTOLD`
        self._untold = set()
        self.cluster.listeners.append(self._on_metadata)

    # -- settings that are the reader's --

    @property
    def deserializer(self):
        """Makes a message of a value; may be set."""
        return self.reader.deserializer

    @deserializer.setter
    def deserializer(self, deserializer):
        self.reader.deserializer = deserializer

    @property
    def on_error(self):
        """Called for a message that does not deserialise; may be set."""
        return self.reader.on_error

    @on_error.setter
    def on_error(self, on_error):
        self.reader.on_error = on_error

    @property
    def check_crcs(self):
        """Whether checksums are verified; may be set."""
        return self.reader.check_crcs

    @check_crcs.setter
    def check_crcs(self, check_crcs):
        self.reader.check_crcs = check_crcs

    # -- for subclasses --

    @property
    def allocation(self):
        """The partitions that are this consumer's: topic -> list of ids."""
        raise NotImplementedError()

    def determine_offsets(self, topic, start=None):
        """
        Find where to begin in the partitions of a topic that have no position yet. Returns a Future.

        :raises kiel.exc.NoOffsetsError: when it can't be found
        """
        raise NotImplementedError()

    def reset_start(self, cursor):
        """Where a partition begins anew when its position is out of range: by default, what it began with."""
        return cursor.start if self.offset_reset is None else self.offset_reset

    def log_error(self, record, error):
        """What happens by default to a message that does not deserialise: a line in the log."""
        batch_reader.log_error(record, error)

    # -- consuming --

    def consume(self, topic, start=None):
        """
        Return the next messages of a topic, deserialised: a list, empty when none came within ``max_wait_time``.

        Messages of one partition are in order. When the consumer is closing, returns None.

        :param start: where to begin in partitions that have no position yet
        :raises kiel.exc.NoBrokersError: when no broker could be reached for ``request_timeout``; call again
        :raises kiel.exc.CorruptMessageError: for a batch that can't be read, with its topic, partition and offset;
            skip it with ``seek``, or call again to have it fetched again
        :raises kiel.exc.LogTruncationError: when messages that were handed out are no longer in the log, see
            ``offset_reset``
        :raises kiel.exc.BrokerError: for an error that trying again does not mend, such as a missing permission
        """
        return self._consume(topic, start, self.reader.read_values)

    def consume_records(self, topic, start=None):
        """Return the next messages of a topic like `consume`, as a list of `kiel.clients.Record`."""
        return self._consume(topic, start, self.reader.read_records)

    @gen.coroutine
    def _consume(self, topic, start, read):
        """The loop of `consume`: takes what is there, or waits."""
        begun = monotonic()
        while not self.closing:
            cursors = self._own_cursors(topic, start)
            self._raise_pending(cursors)
            taken = self._take(topic)
            if taken:
                messages = yield self._deliver(topic, taken, read)
                if messages:
                    self.last_error = None
                    raise gen.Return(messages)
                continue
            left = self._time_left(monotonic() - begun)
            if left <= 0:
                break
            if not cursors:
                yield self._find(topic, left)
                continue
            if not all(cursor.located for cursor in cursors):
                self._locate(topic, start)
            yield self.fetcher.wait(topic, left)
        raise gen.Return(None if self.closing else [])

    def _take(self, topic):
        """Take what one call may hand out, unless another call is at it: positions move in the order of batches."""
        if topic in self._handing:
            return None
        return self.fetcher.take(
            topic, self.max_bytes if self.reader.deserializer is bytes else min(self.max_bytes, PIECE))

    @gen.coroutine
    def _deliver(self, topic, taken, read):
        """Hand out what was taken; the network works while messages are decoded and handled."""
        self.fetcher.pump()
        self._handing.add(topic)
        try:
            messages = yield self._hand_out(taken, read)
        finally:
            self._handing.discard(topic)
            self.fetcher.wake(topic)
        raise gen.Return(messages)

    @gen.coroutine
    def _hand_out(self, taken, read):
        """Decode what was taken. Returns its messages."""
        messages = yield self.reader.read(taken, read)
        if not messages:
            self._raise_pending([cursor for cursor, _, _ in taken])
        raise gen.Return(messages)

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are handed out."""
        cursor.handed = offset
        self.offsets[cursor.topic][cursor.partition] = int(offset)

    def _raise_pending(self, cursors):
        """Raise the error that a partition ended the call before with, once; the partition is tried again."""
        for cursor in cursors:
            if cursor.error is not None:
                error, cursor.error = cursor.error, None
                self.last_error = error
                raise error

    def _time_left(self, waited):
        """
        The seconds that a call which ``waited`` so many may still wait: longer where no broker can be reached.

        :raises kiel.exc.NoBrokersError: when none could be for ``request_timeout``
        """
        left = self.max_wait_time / 1000.0 - waited
        if left > 0 or self.cluster.down_since is None:
            return left
        left = self.settings.request_timeout - waited
        if left <= 0:
            error = self.cluster.last_error
            if not isinstance(error, exc.AuthenticationError):
                error = exc.NoBrokersError("no broker can be reached: %s" % error)
            raise error
        return left

    def _own_cursors(self, topic, start):
        """Return the cursors of the topic's partitions that are ours, made or given up as the allocation says."""
        own = self.allocation.get(topic) or ()
        known = self.fetcher.cursors.get(topic, {})
        if len(known) == len(own) and topic not in self._untold and all(partition in known for partition in own):
            return list(known.values())
        for partition in set(known).difference(own):
            self.fetcher.revoke(topic, partition)
        if start is UNTOLD:
            self._untold.add(topic)
            return [self.fetcher.cursor(topic, partition, UNTOLD) for partition in own]
        self._untold.discard(topic)
        late = any(cursor.start is not UNTOLD for cursor in known.values())
        cursors = [self.fetcher.cursor(topic, partition, UNTOLD) for partition in own]
        for cursor in cursors:
            if cursor.start is UNTOLD:
                cursor.start = self._start_of(topic, cursor.partition, start, late)
        return cursors

    def _start_of(self, topic, partition, start, late):
        """Where a partition begins; in one that came ``late``, all came while we were reading the topic."""
        return BEGINNING if late else start

    # -- finding topics and positions --

    @gen.coroutine
    def _find(self, topic, seconds):
        """
        Ask for a topic that has no partition for us, upon which the broker may make it; then wait for one.

        :raises kiel.exc.BrokerError: when asking again does not help
        """
        deadline = monotonic() + seconds
        if topic not in self.cluster.topics:
            try:
                yield self.cluster.ensure(topic, seconds)
            except exc.NoBrokersError as error:
                self.last_error = error
        if self.closing or self.allocation.get(topic):
            return
        if topic not in self.cluster.topics:
            self.last_error = self.cluster.topic_errors.get(topic) or self.last_error
            if topic not in self._unknown:
                self._unknown.add(topic)
                log.warning("Topic %s does not exist; it is read from its start once it does", topic)
        yield self.fetcher.wait(topic, max(0.0, deadline - monotonic()))

    def _locate(self, topic, start):
        """Have the positions of a topic's partitions looked up, one look-up at a time."""
        if topic in self._locating:
            return
        self._locating.add(topic)
        self.io_loop.add_future(self._determine(topic, start), lambda future: self._located(topic, future))

    @gen.coroutine
    def _determine(self, topic, start):
        """Look positions up; an error is put where the next `consume` raises it."""
        try:
            yield self.determine_offsets(topic, start)
        except exc.KielError as error:
            log.error("No offsets for topic %s: %s", topic, error)
            self._fail_unlocated(topic, error, not error.retriable)
            yield gen.sleep(0.1)

    def _located(self, topic, future):
        """A look-up ended."""
        self._locating.discard(topic)
        error = future.exception()
        if error is not None:
            log.error("Looking up offsets of topic %s failed", topic, exc_info=(type(error), error, None))
            self._fail_unlocated(topic, error, True)
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _fail_unlocated(self, topic, error, final):
        """A look-up failed; where trying again does not mend it, the next `consume` raises the error."""
        self.last_error = error
        for cursor in self.fetcher.of(topic) if final else ():
            if not cursor.located:
                cursor.error = error

    def _on_metadata(self):
        """Topics, partitions or leaders may have changed."""
        if self.io_loop is not None and not self.closing:
            self._unknown.intersection_update(set(self._unknown).difference(self.cluster.topics))
            self.fetcher.wake()
            self.fetcher.pump()

    # -- answers --

    def handle_fetch_response(self, response):
        """Give an answer's messages to the partitions that they were asked for."""
        self.fetcher.responses.handle(response, response.fetch)

    def handle_offset_response(self, response):
        """Return ``{(topic, partition): (offset, timestamp) or KielError}``."""
        return self.lookup.handle_offset_response(response)

    # -- offsets by time --

    def beginning_offsets(self, topic):
        """Return the first offset there is: a Future of ``{partition: offset}``."""
        return self.lookup.beginning_offsets(topic)

    def end_offsets(self, topic):
        """Return the offset after the last message that may be read: a Future of ``{partition: offset}``."""
        return self.lookup.end_offsets(topic)

    def offsets_for_times(self, topic, when):
        """
        Return the first offset at or after a time: a Future of ``{partition: (offset, timestamp) or None}``.

        See `kiel.clients.consuming.offset_lookup.OffsetLookup.offsets_for_times`.
        """
        return self.lookup.offsets_for_times(topic, when)

    # -- positions --

    @property
    def synced_offsets(self):
        """The set of topics all of whose partitions have a position."""
        return set(
            topic for topic, cursors in self.fetcher.cursors.items()
            if cursors and all(cursor.located for cursor in cursors.values())
        )

    def seek(self, topic, partition, offset):
        """
        Go on at another offset of a partition: what is buffered or on its way is dropped.

        :param offset: a number, or a ``start`` as `consume` takes it
        :raises ValueError: when the partition is not this consumer's, or the offset is none
        """
        number = isinstance(offset, six.integer_types) and not isinstance(offset, bool) and offset >= 0
        if not number:
            start_to_timestamp(offset)
        if partition not in (self.allocation.get(topic) or ()):
            raise ValueError("partition %s of topic %r is not this consumer's" % (partition, topic))
        cursor = self.fetcher.cursor(topic, partition, UNTOLD)
        if cursor.start is UNTOLD:
            self._untold.add(topic)
        if number:
            cursor.move(offset)
            self.offsets[topic][partition] = offset
        else:
            cursor.seek(offset)
        cursor.not_before = 0
        self.fetcher.wake(topic)

    def pause(self, topic, partition=None):
        """Neither fetch nor hand out a partition, or all that the topic has now, until `resume`."""
        for cursor in self._some(topic, partition):
            cursor.paused = True

    def resume(self, topic, partition=None):
        """End `pause`."""
        for cursor in self._some(topic, partition):
            cursor.paused = False
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _some(self, topic, partition):
        """The cursors of one partition or of all."""
        own = self._own_cursors(topic, UNTOLD)
        return [cursor for cursor in own if partition is None or cursor.partition == partition]

    def position(self, topic, partition):
        """The offset that is handed out next; None when it is not looked up yet."""
        cursor = self.fetcher.find(topic, partition)
        return None if cursor is None or cursor.handed is None else int(cursor.handed)

    def lag(self, topic, partition):
        """
        How many offsets the position is behind the last that may be read, as of the last answer; None when not known.

        That is the high watermark, or, with ``isolation_level="read_committed"``, the last stable offset. Control
        records and messages left out count, too.
        """
        cursor = self.fetcher.find(topic, partition)
        if cursor is None or cursor.high_watermark is None or cursor.handed is None:
            return None
        end = cursor.high_watermark
        if self.isolation_level == constants.READ_COMMITTED and cursor.last_stable >= 0:
            end = cursor.last_stable
        return max(0, end - cursor.handed)

    @gen.coroutine
    def wind_down(self):
        """Give up all partitions; a `consume` under way ends with None."""
        self.fetcher.stop()


def make_name():
    """Return ``<hostname>:<number>``, the number unlike that of any other consumer of any process."""
    return "%s:%d" % (socket.gethostname(), int(binascii.hexlify(os.urandom(7)), 16))
