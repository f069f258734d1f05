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
from kiel.clients import isolation, truncation
from kiel.clients.client import Client
from kiel.clients.cursor import UNSET
from kiel.clients.fetcher import Fetcher
from kiel.clients.offsets import BEGINNING, OffsetLookup
from kiel.clients.reading import Reading
from kiel.fairness import Turn
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: bytes, as on the wire, that one call of `consume` deserialises at most, but for a batch that is larger: what is made
#: of them is alive all at once, in the way of Python's garbage collector and of the processor's caches
PIECE = 256 * 1024


class BaseConsumer(Reading, OffsetLookup, Client):
    """
    The base of consumers; subclasses say which partitions are theirs and where to begin.

    :param brokers: bootstrap hosts, see `kiel.clients.client.Client`, which also takes ``settings``
    :param deserializer: makes a message of a value (bytes, or None for a null value); default `json.loads`. With
        ``bytes`` the values are given as they are, null as None.
    :param max_wait_time: milliseconds that `consume` waits for messages
    :param min_bytes: bytes that a broker waits for before it answers, up to ``max_wait_time``
    :param max_bytes: bytes, as on the wire, that one answer of a broker and one call of `consume` may bring; a single
        message may be larger. Where messages are deserialised, a call gives no more than `PIECE` of them, or one batch.
    :param buffer_bytes: bytes fetched and not yet handed out, over all partitions
    :param check_crcs: whether checksums are verified
    :param on_error: called with a `Record` (its value the raw bytes) and the exception when a message does not
        deserialise, and may give a Future; the default logs, and the message is stepped over. When it raises, the
        position stays at that message and `consume` raises the error.
    :param isolation_level: "read_committed" leaves out the messages of aborted transactions, and waits with those that
        come after a transaction still open; "read_uncommitted" gives all (KIP-98). Brokers before 0.11 have no
        transactions.
    :param offset_reset: what to do when a position is out of range, or when the leader's log is not the one that was
        read (KIP-320). "beginning", "end" or seconds back from now (a number or a `datetime.timedelta`): reading goes
        on there, or, where a log was cut, at the cut. "error": `consume` raises until the caller seeks. None: out of
        range, reading goes on where it began; where a log was cut, `consume` raises `kiel.exc.LogTruncationError` once
        and then goes on at the cut. What is skipped is logged as a warning.
    :param rack_id: where this consumer is, as in the brokers' ``broker.rack``: then followers nearby may be read
        (KIP-392, Kafka 2.4; brokers need a ``replica.selector.class``)
    """

    def __init__(self, brokers, deserializer=None, max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024,
                 buffer_bytes=16 * 1024 * 1024, check_crcs=True, on_error=None, isolation_level="read_uncommitted",
                 offset_reset=None, rack_id=None, **settings):
        super(BaseConsumer, self).__init__(brokers, **settings)
        self.deserializer = deserializer or json.loads
        self.max_wait_time = max_wait_time
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.buffer_bytes = buffer_bytes
        self.check_crcs = check_crcs
        self.on_error = on_error or self.log_error
        #: `kiel.constants.READ_UNCOMMITTED` or `kiel.constants.READ_COMMITTED`
        self.isolation_level = isolation.level(isolation_level)
        self.offset_reset = truncation.policy(offset_reset)
        self.rack_id = rack_id
        #: unique among the consumers of all processes
        self.name = make_name()
        #: topic -> {partition id: the offset after the last message handed out}; written by the consumer alone
        self.offsets = collections.defaultdict(lambda: collections.defaultdict(int))
        #: the last error of a fetch or look-up, whether or not it was raised; None after messages came again
        self.last_error = None
        self.fetcher = Fetcher(self)
        self._locating = set()
        self._handing = set()
        self._unknown = set()
        # what is decoded in one piece comes on top, a turn's work goes before timers that are due, and a pass of the
        # collector over what was deserialised comes before the next turn
        self._turn = Turn(limit=0.002 if self.deserializer is bytes else 0.001)
        self.cluster.listeners.append(self._on_metadata)

    # -- for subclasses --

    @property
    def allocation(self):
        """The partitions that are this consumer's: topic -> list of ids."""
        raise NotImplementedError()

    def determine_offsets(self, topic, start=None):
        """
        Finds where to begin in the partitions of a topic that have no position yet; gives a Future.

        :raises kiel.exc.NoOffsetsError: when it can't be found
        """
        raise NotImplementedError()

    def reset_start(self, cursor):
        """Where a partition begins anew when its position is out of range: by default, what it began with."""
        return cursor.start if self.offset_reset is None else self.offset_reset

    # -- consuming --

    def consume(self, topic, start=None):
        """
        Gives the next messages of a topic, deserialised: a list, empty when none came within ``max_wait_time``.

        Messages of one partition are in order. When the consumer is closing, gives None.

        :param start: where to begin in partitions that have no position yet
        :raises kiel.exc.NoBrokersError: when no broker could be reached for ``request_timeout``; call again
        :raises kiel.exc.CorruptMessageError: for a batch that can't be read, with its topic, partition and offset;
            step over it with ``seek``, or call again to have it fetched again
        :raises kiel.exc.LogTruncationError: when messages that were handed out are no longer in the log, see
            ``offset_reset``
        :raises kiel.exc.BrokerError: for an error that trying again does not mend, such as a missing permission
        """
        return self._consume(topic, start, self._read_values)

    def consume_records(self, topic, start=None):
        """Gives the next messages of a topic like `consume`, as a list of `kiel.clients.record.Record`."""
        return self._consume(topic, start, self._read_records)

    @gen.coroutine
    def _consume(self, topic, start, read):
        """The loop of `consume`: takes what is there, or waits."""
        begun = monotonic()
        most = self.max_bytes if self.deserializer is bytes else min(self.max_bytes, PIECE)
        while not self.closing:
            cursors = self._own_cursors(topic, start)
            self._raise_pending(cursors)
            # one call at a time hands out: positions move in the order in which the batches were taken
            taken = topic not in self._handing and self.fetcher.take(topic, most)
            if taken:
                self.fetcher.pump()  # the network works while the messages are decoded and handled
                self._handing.add(topic)
                try:
                    messages = yield self._hand_out(taken, read)
                finally:
                    self._handing.discard(topic)
                    self.fetcher.wake(topic)
                if messages:
                    self.last_error = None
                    raise gen.Return(messages)
                continue
            waited = monotonic() - begun
            left = self.max_wait_time / 1000.0 - waited
            if left <= 0:
                if self.cluster.down_since is None:
                    break
                left = self.settings.request_timeout - waited
                if left <= 0:
                    raise self.cluster.last_error if isinstance(self.cluster.last_error, exc.AuthenticationError) \
                        else exc.NoBrokersError("no broker can be reached: %s" % self.cluster.last_error)
            if not cursors:
                yield self._find(topic, left)
                continue
            if any(cursor.state == UNSET for cursor in cursors):
                self._locate(topic, start)
            yield self.fetcher.wait(topic, left)
        raise gen.Return(None if self.closing else [])

    def _own_cursors(self, topic, start):
        """Gives the cursors of the topic's partitions that are ours, made or given up as the allocation says."""
        own = self.allocation.get(topic) or ()
        known = self.fetcher.cursors.get(topic, {})
        if len(known) == len(own) and all(partition in known for partition in own):
            return list(known.values())
        for partition in set(known).difference(own):
            self.fetcher.revoke(topic, partition)
        late = bool(known)
        return [
            self.fetcher.cursor(topic, partition, self._start_of(topic, partition, start, late)) for partition in own
        ]

    def _start_of(self, topic, partition, start, late):
        """Where a partition begins; in one that came ``late``, all came while we were reading the topic."""
        return BEGINNING if late else start

    # -- finding topics and positions --

    @gen.coroutine
    def _find(self, topic, seconds):
        """
        Asks for a topic that has no partition for us, upon which the broker may make it; then waits for one.

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
                log.warning("Topic %s is not there; it is read from its start once it is", topic)
        yield self.fetcher.wait(topic, max(0.0, deadline - monotonic()))

    def _locate(self, topic, start):
        """Has the positions of a topic's partitions looked up, one look-up at a time."""
        if topic in self._locating:
            return
        self._locating.add(topic)
        self.io_loop.add_future(self._determine(topic, start), lambda future: self._located(topic, future))

    @gen.coroutine
    def _determine(self, topic, start):
        """Looks positions up; an error is put where the next `consume` raises it."""
        try:
            yield self.determine_offsets(topic, start)
        except exc.KielError as error:
            log.error("No offsets for topic %s: %s", topic, error)
            self.last_error = error
            for cursor in self.fetcher.of(topic):
                if cursor.state == UNSET and not error.retriable:
                    cursor.error = error
            yield gen.sleep(0.1)

    def _located(self, topic, future):
        """A look-up ended."""
        self._locating.discard(topic)
        error = future.exception()
        if error is not None:
            log.error("Looking up offsets failed", exc_info=(type(error), error, None))
            self.last_error = error
            for cursor in self.fetcher.of(topic):
                if cursor.state == UNSET:
                    cursor.error = error
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _on_metadata(self):
        """Topics, partitions or leaders may have changed."""
        if self.io_loop is not None and not self.closing:
            self._unknown.intersection_update(set(self._unknown).difference(self.cluster.topics))
            self.fetcher.wake()
            self.fetcher.pump()

    def handle_fetch_response(self, response, ticket=None, share=0):
        """Gives an answer's messages to the cursors that asked for them."""
        self.fetcher.answer(response, ticket, share)

    # -- positions --

    @property
    def synced_offsets(self):
        """The set of topics all of whose partitions have a position."""
        return set(
            topic for topic, cursors in self.fetcher.cursors.items()
            if cursors and all(cursor.state != UNSET for cursor in cursors.values())
        )

    def seek(self, topic, partition, offset):
        """
        Goes on at another offset of a partition: what is buffered or on its way is dropped.

        :param offset: a number, or a ``start`` as `consume` takes it
        :raises ValueError: when the partition is not this consumer's
        """
        if partition not in (self.allocation.get(topic) or ()):
            raise ValueError("partition %s of topic %r is not this consumer's" % (partition, topic))
        cursor = self.fetcher.cursor(topic, partition, offset)
        cursor.reset()
        if isinstance(offset, six.integer_types) and offset >= 0:
            cursor.locate(offset)
            self.offsets[topic][partition] = offset
        else:
            cursor.start = offset
            cursor.sought = True
        cursor.not_before = 0
        self.fetcher.wake(topic)

    def pause(self, topic, partition=None):
        """Neither fetches nor hands out a partition, or all that the topic has now, until `resume`."""
        for cursor in self._some(topic, partition):
            cursor.paused = True

    def resume(self, topic, partition=None):
        """Ends `pause`."""
        for cursor in self._some(topic, partition):
            cursor.paused = False
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _some(self, topic, partition):
        """The cursors of one partition or of all."""
        own = self._own_cursors(topic, None)
        return [cursor for cursor in own if partition is None or cursor.partition == partition]

    def position(self, topic, partition):
        """The offset that is handed out next; None when it is not looked up yet."""
        cursor = self.fetcher.cursors.get(topic, {}).get(partition)
        return None if cursor is None or cursor.handed is None else int(cursor.handed)

    def lag(self, topic, partition):
        """
        How many offsets the position is behind the last that may be read, as of the last answer; None when not known.

        That is the high watermark, or, with ``isolation_level="read_committed"``, the last stable offset. Control
        records and messages left out count, too.
        """
        cursor = self.fetcher.cursors.get(topic, {}).get(partition)
        if cursor is None or cursor.high_watermark is None or cursor.handed is None:
            return None
        end = cursor.high_watermark
        if self.isolation_level == constants.READ_COMMITTED and cursor.last_stable >= 0:
            end = cursor.last_stable
        return max(0, end - cursor.handed)

    @gen.coroutine
    def wind_down(self):
        """Gives up all partitions; a `consume` under way ends with None."""
        self.fetcher.stop()


def make_name():
    """Gives ``<hostname>:<number>``, the number unlike that of any other consumer of any process (D55)."""
    return "%s:%d" % (socket.gethostname(), int(binascii.hexlify(os.urandom(7)), 16))
