"""What single and grouped consumers share: `consume`, positions, and finding topics and where to begin in them."""
from __future__ import absolute_import

import binascii
import json
import operator
import os
import socket

import six
from tornado import gen

from kiel import events
from kiel.clients.client import Client
from kiel.clients.consuming import arguments, batch_reader, isolation, log_validator
from kiel.clients.consuming.batch_reader import BatchReader
from kiel.clients.consuming.call import Calls
from kiel.clients.consuming.fetcher import Fetcher
from kiel.clients.consuming.offset_lookup import BEGINNING, END, OffsetLookup
from kiel.clients.consuming.overridden import OverriddenReading
from kiel.clients.consuming.positions import Positions
from kiel.clients.consuming.streams import Streams
from kiel.clients.view import Setting, View
from kiel.telemetry import names as told


#: how the name of one topic is given
ONE_TOPIC = (bytes,) + six.string_types


class BaseConsumer(Client):
    """
    The base of consumers; subclasses say which partitions are theirs and where to begin.

    It is made of a `kiel.clients.consuming.fetcher.Fetcher`, which keeps a cursor for each partition and fills it, a
    `kiel.clients.consuming.batch_reader.BatchReader`, which makes messages of what came, and a
    `kiel.clients.consuming.offset_lookup.OffsetLookup`. A subclass has `allocation` and `determine_offsets`, and may
    override `reset_start`, `wind_down`, and what is below "what a group does more".

    :param brokers: bootstrap hosts, see `kiel.clients.client.Client`, which also takes ``settings``
    :param deserializer: makes a message of a value (bytes, or None for a null value); default `json.loads`. With
        ``bytes`` values are returned as they are, null as None. It may return a Future or be a coroutine: messages stay
        in their order. One with a method ``of_record`` is called with a `Record` (its value the raw bytes) instead.
    :param max_wait_time: milliseconds that `consume` waits for messages
    :param min_bytes: bytes that a broker waits for before it answers, up to ``max_wait_time``
    :param max_bytes: bytes, decompressed, that one call of `consume` may bring; a single message may be larger. Where
        messages are deserialised, a call returns no more than `PIECE` of them, or one batch. An answer of a broker
        brings as much, as on the wire, or more where round trips take long: up to half of ``buffer_bytes``.
    :param buffer_bytes: bytes fetched and not yet handed out, or on their way, over all partitions: as on the wire, but
        for a batch that one call has decompressed and the next is to read on
    :param check_crcs: whether checksums are verified
    :param on_error: called with a `Record` (its value the raw bytes) and the exception when a message does not
        deserialise, and may return a Future; the default logs, and the message is skipped. When it raises, the
        position stays at that message and `consume` raises the error; so it does, without asking ``on_error``, for a
        `kiel.exc.KielError` that is no fault of the message, such as that of a schema registry that does not answer.
    :param isolation_level: "read_committed" leaves out the messages of aborted transactions, and waits with those that
        come after a transaction still open; "read_uncommitted" returns all (KIP-98). Brokers before 0.11 have no
        transactions.
    :param offset_reset: what to do when a position is out of range, or when the leader's log is not the one that was
        read (KIP-320). "beginning", "end" or seconds back from now (a number or a `datetime.timedelta`): reading goes
        on there, or, where a log was cut, at the cut. "error": `consume` raises until the caller seeks. None: out of
        range, reading goes on where it began; where a log was cut, `consume` raises `kiel.exc.LogTruncationError` once
        and then goes on at the cut. What is skipped is logged as a warning.
    :param max_records: messages that one call of `consume` returns at most; None: as many as `max_bytes` lets. The rest
        of a batch is kept for the next call.
    :param rack_id: where this consumer is, as in the brokers' ``broker.rack``: then followers nearby may be read
        (KIP-392, Kafka 2.4; brokers need a ``replica.selector.class``)
    """

    BEGINNING = BEGINNING
    END = END

    _told_as = told.CONSUMER

    fetcher = View(operator.attrgetter("_fetcher"))
    positions = View(operator.attrgetter("_positions"))
    reader = View(operator.attrgetter("_reader"))

    deserializer = Setting("_reader", "deserializer", "Makes a message of a value; may be set.")
    on_error = Setting("_reader", "on_error", "Called for a message that does not deserialise; may be set.")
    check_crcs = Setting("_reader", "check_crcs", "Whether checksums are verified; may be set.")
    max_wait_time = arguments.checked("max_wait_time", arguments.wait, "Milliseconds that `consume` waits; may be set.")
    max_records = arguments.checked("max_records", arguments.most, "The most messages of a call, or None; may be set.")

    #: seconds that metadata has to lack a topic for before its positions are given up
    _gone_after = 0.0

    def __init__(self, brokers, deserializer=None, max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024,
                 buffer_bytes=16 * 1024 * 1024, check_crcs=True, on_error=None, isolation_level="read_uncommitted",
                 offset_reset=None, rack_id=None, max_records=None, **settings):
        super(BaseConsumer, self).__init__(brokers, **settings)
        self.max_wait_time = max_wait_time
        self.min_bytes = arguments.whole(min_bytes, "min_bytes", 0, arguments.MOST_BYTES)
        self.max_bytes = arguments.whole(max_bytes, "max_bytes", 1, arguments.MOST_BYTES)
        self.buffer_bytes = arguments.whole(buffer_bytes, "buffer_bytes", 1)
        self.max_records = max_records
        #: `kiel.constants.READ_UNCOMMITTED` or `kiel.constants.READ_COMMITTED`
        self.isolation_level = isolation.level(isolation_level)
        self.offset_reset = log_validator.policy(offset_reset)
        self.rack_id = rack_id
        #: unique among the consumers of all processes
        self.name = make_name()
        #: looks offsets up by time
        self._lookup = OffsetLookup(self, self.isolation_level)
        #: the cursors, and what fills them
        self._fetcher = Fetcher(self, limits=self)
        #: where reading goes on
        self._positions = Positions(self, self._fetcher, self._sought, self._gone_after)
        #: makes messages of what was fetched
        self._reader = BatchReader(deserializer or json.loads, on_error or self.log_error, check_crcs, self._moved)
        #: the same, where an application overrides how
        self._overridden = OverriddenReading(self, self._fetcher, self._positions, self._reader, self._moved)
        #: what reads several topics, or message by message
        self._streams = Streams(self, self._fetcher, self._positions, self._lookup, self._reader)
        #: the calls of `consume`
        self._calls = Calls(self, self._fetcher, self._positions, self._reader, self._streams)
        self.cluster.listeners.append(self._on_metadata)

    def __class_getitem__(cls, kind):
        """``SingleConsumer[bytes]`` in an annotation: what the type stubs say, Python need not know."""
        return cls

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
        """Return where a partition begins anew when its position is out of range: by default, what it began with."""
        return cursor.start if self.offset_reset is None else self.offset_reset

    def log_error(self, record, error):
        """What happens by default to a message that does not deserialise: a line in the log."""
        batch_reader.log_error(record, error)

    # -- consuming --

    def consume(self, topic, start=None, max_wait_time=None, max_records=None):
        """
        Return the next messages of a topic, deserialised: a Future of a list.

        The list is empty when the brokers had nothing within ``max_wait_time``, None when the consumer is closing.
        Messages of one partition are in order. A call that is cancelled, or whose task is, hands out nothing: the next
        call returns what it would have.

        :param topic: its name; or a list of names, a compiled pattern (new topics that match are read from their
            beginning), or ``{topic: partition ids}``, with None for all: then the messages of several topics come, a
            topic at a time. Partitions that are not chosen are not read; members of a group can't choose any.
        :param start: where to begin in partitions that have no position yet
        :param max_wait_time: milliseconds to wait for messages, for this call; 0 asks the brokers, and waits for their
            answers alone
        :param max_records: messages to return at most, for this call
        :raises TypeError: for an argument of the wrong kind
        :raises ValueError: for an argument out of range
        :raises kiel.exc.ClosedError: before `connect`
        :raises kiel.exc.NoBrokersError: when no broker could be reached for ``request_timeout``; call again
        :raises kiel.exc.CorruptMessageError: for a batch that can't be read, with its topic, partition and offset;
            skip it with ``seek``, or call again to have it fetched again
        :raises kiel.exc.LogTruncationError: when messages that were handed out are no longer in the log, see
            ``offset_reset``
        :raises kiel.exc.BrokerError: for an error that trying again does not mend, such as a missing permission
        """
        if not isinstance(topic, ONE_TOPIC):
            return self._streams.consume(topic, start, max_wait_time, max_records, True)
        read = self._reader.read_values
        if (getattr(self.deserialize_messages, "__func__", None) is not DESERIALIZE_MESSAGES
                or getattr(self.handle_fetch_response, "__func__", None) is not HANDLE_FETCH_RESPONSE):
            read = self._overridden.chosen(read)
        return self._calls.begin(topic, start, read, max_wait_time, max_records)

    def consume_records(self, topic, start=None, max_wait_time=None, max_records=None):
        """Return the next messages of a topic like `consume`: a Future of a list of `kiel.clients.Record`."""
        if not isinstance(topic, ONE_TOPIC):
            return self._streams.consume(topic, start, max_wait_time, max_records, False)
        return self._calls.begin(topic, start, self._reader.read_records, max_wait_time, max_records)

    def _consume_raw(self, topic, max_records, start=None):
        """Return the next messages of a topic like `consume_records`, but with their values as they came."""
        return self._calls.begin(topic, start, self._reader.read_raw, None, max_records)

    def stream(self, topic, start=None, batches=False, until=None):
        """
        Return the messages of a topic one by one, deserialised: a `kiel.clients.consuming.stream.Stream`.

        ``async for message in consumer.stream("colors"):``, or, in a coroutine of Python 2 too::

            stream = consumer.stream("colors")
            while (yield stream.more()):
                message = yield stream.next()

        What counts as handed out, and is committed, is what the stream has given, not what it holds; with
        ``autocommit="processed"`` a message is processed when the next one is asked for.

        :param topic: a topic, a list of topics, a compiled pattern, or ``{topic: partition ids}``; see `consume`
        :param start: where to begin in partitions that have no position yet, as for `consume`
        :param batches: whether to give lists of messages instead, as they come
        :param until: where to end: ``END`` (what is there when reading begins), a datetime or a timedelta back from now
            (what is there when reading begins, and older), an offset or ``{partition: offset}``, the first that is not
            read; default: only with `close`
        :raises TypeError: for an argument of the wrong kind
        :raises ValueError: for an argument out of range
        """
        return self._streams.make(topic, start, True, batches, until)

    def stream_records(self, topic, start=None, batches=False, until=None):
        """Return the messages of a topic like `stream`, as `kiel.clients.Record` objects."""
        return self._streams.make(topic, start, False, batches, until)

    # -- what a group does more --

    def _consume(self, topic, start, call):
        """One whole call of `consume` or `consume_records`; return a Future. A group subscribes before, and commits."""
        return self._calls.consume(topic, start, call)

    def _hand_out(self, taken, call):
        """
        Decode what was taken for a call; return a Future of its messages, which do not count with ``call.given_up``.

        A group books what is decoded.
        """
        return self._calls.hand_out(taken, call)

    def _put_back(self, topic, partition, begun, reached):
        """Nobody took messages from ``begun`` up to ``reached``: they are handed out again, and not to be committed."""

    def _sought(self, topic, partition, offset):
        """The application goes on at another offset (None: to be looked up), which is what a group commits next."""

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are decoded and handed out: the position moves on."""
        cursor.handed = offset
        self._positions.offsets[cursor.topic].note(cursor.partition, int(offset))

    def _start_of(self, topic, partition, start, late):
        """Return where a partition begins; in one that came ``late``, all came while we were reading the topic."""
        return BEGINNING if late else start

    def _on_metadata(self):
        """Topics, partitions or leaders may have changed."""
        if self.io_loop is not None and not self.closing:
            self._positions.watch.topics_changed()
            self._streams.topics_changed()
            self._calls.topics_changed()
            self._fetcher.wake()
            self._fetcher.pump()

    # -- answers, as in kiel 0.9 --

    @property
    def last_error(self):
        """The last error of a fetch or look-up, whether or not it was raised, until a broker answers without one."""
        return self._trouble.of("reading")

    @last_error.setter
    def last_error(self, error):
        if error is not None or self._trouble.errors:
            self._trouble.note("reading", error)

    def note_refusal(self, topic, part):
        """A partition's answer was an error, which is dealt with; an overridden `handle_fetch_response` sees it."""
        self._overridden.refused(topic, part)

    def handle_fetch_response(self, response):
        """
        Return the messages of a fetch's answer, deserialised.

        Where it is overridden, `consume` returns what it returns; see `deserialize_messages`.
        """
        return self._overridden.handle(response)

    def deserialize_messages(self, topic_name, partition):
        """
        Return the messages of one partition's answer, deserialised, and write how far they go to `offsets`.

        Where it is overridden, `consume` returns what it returns, batch by batch. Otherwise it is not called: there is
        a faster way.

        :param partition: has ``partition_id``, ``highwater_mark_offset`` and ``message_set``, whose ``messages`` are
            ``(offset, message)`` with ``message.key`` and ``message.value``
        """
        return self._overridden.deserialize(topic_name, partition)

    def handle_offset_response(self, response):
        """Return ``{(topic, partition): (offset, timestamp) or KielError}``."""
        return self._lookup.handle_offset_response(response)

    # -- offsets --

    def beginning_offsets(self, topic):
        """Return the first offset there is: a Future of ``{partition: offset}``."""
        return events.detached(self._lookup.beginning_offsets(topic))

    def end_offsets(self, topic):
        """Return the offset after the last message that may be read: a Future of ``{partition: offset}``."""
        return events.detached(self._lookup.end_offsets(topic))

    def offsets_for_times(self, topic, when):
        """
        Return the first offset at or after a time: a Future of ``{partition: (offset, timestamp) or None}``.

        See `kiel.clients.consuming.offset_lookup.OffsetLookup.offsets_for_times`.
        """
        return events.detached(self._lookup.offsets_for_times(topic, when))

    @property
    def offsets(self):
        """
        Topic -> {partition id: offset}: the offset after the last message handed out, or where reading begins.

        A write is a `seek`; in a group that is what is committed next.
        """
        return self._positions.offsets

    @offsets.setter
    def offsets(self, offsets):
        self._positions.offsets.update(offsets)

    @property
    def synced_offsets(self):
        """
        The set of topics all of whose partitions have a position.

        Adding a topic takes its positions from `offsets`, removing it has them looked up by the next `consume`.
        """
        return self._positions.synced_offsets

    @synced_offsets.setter
    def synced_offsets(self, topics):
        self._positions.synced_offsets.replace(topics)

    def seek(self, topic, partition, offset):
        """
        Go on at another offset of a partition: what is buffered or on its way is dropped.

        :param offset: a number, or a ``start`` as `consume` takes it
        :raises ValueError: when the partition is not this consumer's, or the offset is none
        :raises TypeError: for an argument of the wrong kind
        """
        self._positions.seek(topic, partition, offset)

    def pause(self, topic, partition=None):
        """
        Neither fetch nor hand out a partition, or all that the topic has now, until `resume`.

        A partition stays paused through any rebalance.
        """
        self._positions.pause(topic, partition)

    def resume(self, topic, partition=None):
        """End `pause`."""
        self._positions.resume(topic, partition)

    def position(self, topic, partition):
        """Return the offset that is handed out next; None when it is not looked up yet."""
        return self._positions.position(topic, partition)

    def lag(self, topic, partition):
        """
        How many offsets the position is behind the last that may be read, as of the last answer; None when not known.

        That is the high watermark, or, with ``isolation_level="read_committed"``, the last stable offset. Control
        records and messages left out count, too.
        """
        return self._positions.lag(topic, partition)

    def _gauges(self):
        """Return how the consumer is; see `kiel.clients.client.Client.metrics`."""
        found = super(BaseConsumer, self)._gauges()
        found.update(self._fetcher.gauges(), lag=self._positions.lags())
        return found

    def _begin_anew(self):
        """Forget what a closed loop had; in another process also the positions: reading begins as at first."""
        forked = self._pid != os.getpid()
        super(BaseConsumer, self)._begin_anew()
        self._calls.give_up()
        self._streams.forget()
        self._reader.turn.forget()
        self._positions.abandon()
        self._fetcher.forget(positions=forked)

    @gen.coroutine
    def wind_down(self):
        """Give up all partitions; a `consume` under way ends with None, a stream with its end."""
        self._streams.close()
        self._fetcher.stop()


#: the methods that are not an application's own
DESERIALIZE_MESSAGES = six.get_unbound_function(BaseConsumer.deserialize_messages)
HANDLE_FETCH_RESPONSE = six.get_unbound_function(BaseConsumer.handle_fetch_response)


def make_name():
    """Return ``<hostname>:<number>``, the number unlike that of any other consumer of any process."""
    return "%s:%d" % (socket.gethostname(), int(binascii.hexlify(os.urandom(7)), 16))
