"""The producer: takes messages, and has them collected into batches and sent."""
from __future__ import absolute_import

import functools
import json
import operator
import os
import time

import six
from tornado import gen

from kiel import arguments, events, exc, partitioners
from kiel.clients.client import Client
from kiel.clients.producing import bulk, loop_turn, undelivered
from kiel.clients.producing.accumulator import Accumulator
from kiel.clients.producing.admission import Admission
from kiel.clients.producing.append_run import AppendRun
from kiel.clients.producing.batch import failure
from kiel.callbacks import callback_failure
from kiel.clients.producing.delivery import Delivery
from kiel.clients.producing.one_by_one import OneByOne, no_key, own_key_maker
from kiel.clients.producing.options import Options
from kiel.clients.producing.overrides import refuse_replaced, replaces
from kiel.clients.producing.pending_records import PendingRecords
from kiel.clients.producing.producer_state import ASKING, FATAL, UNKNOWN
from kiel.clients.producing.promise import Promise
from kiel.clients.producing.sender import Sender
from kiel.clients.producing.topic_watch import TopicWatch
from kiel.clients.producing.transaction_manager import TransactionManager
from kiel.clients.producing.transaction_scope import TransactionScope
from kiel.clients.view import View
from kiel.events import outcome_of, settle
from kiel.retry import monotonic
from kiel.telemetry import names as told

_time = time.time
_text = six.text_type

_new = object.__new__

_encode_json = json.JSONEncoder(sort_keys=True).encode


def serialize_json(message):
    """Return the default serializer: JSON with sorted keys."""
    return _encode_json(message)


class Producer(Client):
    """
    Produces messages to any topics.

    ``delivery = yield producer.produce(topic, message)``. With the default ``batch_size`` of 1 that
    waits until the broker has the message, and raises if it could not be written. A producer that
    is to be fast gets a ``linger``: then `produce` waits for nothing but room in the buffer, and
    its `kiel.clients.producing.delivery.Delivery` can be yielded later, or be ignored: what fails unseen is
    logged.

    Order: messages of one partition are written in the order in which they were given to one
    producer, also when some have to be sent again.

    :param brokers: bootstrap hosts: a list of "host:port", or one string with commas
    :param serializer: returns a message as text or bytes (or ``None``, a tombstone); default: JSON
        with sorted keys. It may return a Future or be a coroutine: what is produced meanwhile waits behind that
        message, in its order. `kiel.schemas` has serializers for schemas in a registry
    :param key_maker: returns a message's key when `produce` was given none; default: no keys
    :param partitioner: returns one of the partition ids it is handed, ``partitioner(key, ids)``;
        or "murmur2" (Java's way, `kiel.partitioners.murmur2`), or "random". It is asked once, when the
        message is accepted. Default: keys that are given to `produce` or `produce_many` decide as with
        "murmur2"; all else goes by chance, batch by batch, also what has a key from the ``key_maker``,
        as in kiel 0.9
    :param batch_size: the number of messages, over all topics, that sets off sending; with 0, 1 or
        ``None`` each does. It is no limit: whatever has come by then goes out together.
    :param compression: one of `kiel.constants.SUPPORTED_COMPRESSION`, or "gzip", "snappy", "lz4",
        "zstd"
    :param required_acks: -1: all replicas in sync have the message; 1: the leader has; 0: nobody is
        asked. More than 1: so many replicas have it; only brokers before 0.9 take that.
    :param ack_timeout: milliseconds for which a broker waits for its replicas
    :param linger: seconds for which messages wait for more of them before they are sent. With
        ``None``, `produce` of the message that fills a batch waits until that batch is through, and
        others are sent after 50 ms.
    :param max_request_bytes: the most that one request, and so one message, takes; a broker has a
        limit of its own
    :param buffer_bytes: how much may wait or be under way; `produce` waits for room beyond that
    :param delivery_timeout: seconds from `produce` to the acknowledgement; what takes longer is
        given up
    :param idempotent: whether each message is written once and in order, even when a response is
        lost and it is sent again. ``None``: where the cluster allows it and ``required_acks`` is -1;
        ``True``: required, otherwise sends fail; ``False``: off.
    :param transactional_id: a name that is the same whenever this producer is started again, and no
        other's; with it, messages are produced in transactions: `begin`, `commit`, `abort`
    :param transaction_timeout: seconds after which the brokers abort a transaction by themselves
    :param max_in_flight: the most batches of one partition that are on their way at once. ``None``:
        five where the producer is idempotent and the broker is Kafka 1.0 or newer, which keeps their
        order whatever happens; otherwise one. A larger number without idempotence is faster where a
        round trip takes long, and gives the order up: what has to be sent again is written behind what
        followed it.
    :raises TypeError: for a setting of a wrong type
    :raises ValueError: for a ``compression`` or ``required_acks`` that there is not, or for settings
        that exclude each other
    """

    _told_as = told.PRODUCER

    #: seconds that `close` gives to what is still to be delivered
    close_timeout = 30

    #: what `close` had to give up: ``{(topic, partition id): number of messages}``
    undelivered = View(operator.attrgetter("_undelivered.given_up"))

    def __init__(
        self, brokers, serializer=None, key_maker=None, partitioner=None, batch_size=1,
        compression=None, required_acks=-1, ack_timeout=500, linger=None,
        max_request_bytes=1000000, buffer_bytes=32 * 1024 * 1024, delivery_timeout=120,
        idempotent=None, transactional_id=None, transaction_timeout=60, max_in_flight=None, **settings
    ):
        super(Producer, self).__init__(brokers, **settings)
        #: makes text or bytes of a message; may be set
        self.serializer = arguments.function("serializer", serializer or serialize_json)
        self._options = options = Options(
            compression, required_acks, ack_timeout, linger, max_request_bytes, buffer_bytes, delivery_timeout,
            idempotent, transactional_id, transaction_timeout, max_in_flight
        )
        self._turn = turn = loop_turn.LoopTurn(self, lambda: self._run.end())
        self._promise = turn.promise  # the same, where `produce` has it at once
        self._run = AppendRun(lambda messages, size: self._accumulator.count_run(messages, size), turn.run_began)
        self._admission = Admission(buffer_bytes, self._run, self._refusal)
        self._transactions = TransactionManager(self, options, self._admission.update, turn.settle_in)
        refuse_replaced(type(self))
        own_handler = self.handle_produce_response if replaces(
            type(self), Producer, "handle_produce_response") else None
        flush = self.flush if replaces(type(self), Producer, "flush") else None
        # what a subclass has in the place of flush(), None where it has nothing
        own_flush = flush and (lambda: outcome_of(flush()))
        watch = TopicWatch(self.cluster, self._transactions, lambda topic: self._undelivered.count(topic))
        self._sender = Sender(
            self, options, self._transactions, turn, self._admission.release, self._trouble, watch, own_handler
        )
        self._accumulator = accumulator = Accumulator(
            self.cluster, options, self._sender, self._admission, self._run, turn, watch, own_flush
        )
        pending = PendingRecords(self, options, accumulator, self._admission, self._run)
        self._one_by_one = OneByOne(self, accumulator, pending, self._admission, turn)
        self._bulk = bulk.Bulk(
            accumulator, pending, turn, self._one_by_one, self._run.labelled, self._transactions.spoil)
        self._undelivered = undelivered.Undelivered(self._sender, accumulator, pending, own_flush)
        self.cluster.unclosed.lost = functools.partial(
            undelivered.told, self._sender.active, self._admission.line)
        loop_turn.follow_forks(self)
        self._patience = self.close_timeout  # seconds that the `close` under way gives
        self.key_maker = key_maker
        self._batch_size = None
        self.batch_size = batch_size
        if partitioner is not None:
            self.partitioner = partitioner
        self.cluster.listeners.extend([self._accumulator.refresh, self._transactions.ask_early, self._sender.expect])

    # -- settings --

    @property
    def batch_size(self):
        """The number of messages that sets off sending; may be set."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        self._batch_size = None if batch_size is None else arguments.integer("batch_size", batch_size, 0)
        self._accumulator.flush_each(self._batch_size)

    @property
    def linger(self):
        """Seconds for which messages wait for more of them; may be set."""
        return self._options.linger

    @linger.setter
    def linger(self, linger):
        self._options.linger = linger
        self._accumulator.flush_each(self._batch_size)

    @property
    def key_maker(self):
        """Makes the key of a message that has none; may be set."""
        return self._one_by_one.key_maker or no_key

    @key_maker.setter
    def key_maker(self, key_maker):
        self._run.end()
        self._one_by_one.key_maker = own_key_maker(key_maker)

    @property
    def partitioner(self):
        """Chooses among partition ids; may be set."""
        return self._accumulator.partitioner

    @partitioner.setter
    def partitioner(self, partitioner):
        self._accumulator.go_by(partitioners.named(partitioner))

    @property
    def compression(self):
        """The codec's number, or ``None``; may be set."""
        return self._options.compression

    @compression.setter
    def compression(self, compression):
        self._options.compress_with(compression)

    @property
    def required_acks(self):
        """-1: all replicas in sync have a message; 1: the leader has; 0: nobody is asked."""
        return self._options.required_acks

    @property
    def ack_timeout(self):
        """Milliseconds for which a broker waits for its replicas."""
        return self._options.ack_timeout

    @View
    def transactional_id(self):
        """Return the name under which messages are produced in transactions, or ``None``."""
        return self._options.transactional_id

    # -- taking messages --

    def produce(self, topic, message, key=None, partition=None, headers=None, timestamp=None, timeout=None):
        """
        Take a message; return a Future of its `kiel.clients.producing.delivery.Delivery`.

        The Future is done as soon as there is room for the message. Without ``linger``, that of a
        message that fills a batch is done when the batch is through; it fails then if its own
        message did. With the default ``batch_size`` that is each message.

        A Future that is cancelled before there was room for the message withdraws it; later than
        that, the message is written all the same.

        :param key: text or bytes; it decides on the partition, unless the ``partitioner`` or ``partition`` does.
            Default: what the ``key_maker`` returns
        :param partition: an id; default: what the ``partitioner`` returns
        :param headers: ``(name, value)`` pairs or a dict; values are bytes, text or ``None``. Kafka
            0.11 is the first to have them; older ones fail such a message with
            `kiel.exc.UnsupportedVersionError`.
        :param timestamp: milliseconds since 1970, or a datetime (UTC unless it says otherwise);
            default: now. Kafka has them from 0.10 on.
        :param timeout: seconds for which the Future waits at most; default: no limit but the
            message's ``delivery_timeout``
        :raises kiel.exc.ClosedError: when the producer is closing. (kiel 0.9 logged that and returned
            ``None``; but no message is to vanish unless the caller is told.)
        :raises kiel.exc.UnknownTopicOrPartitionError: when there is no such topic and the brokers
            don't create it
        :raises kiel.exc.NoBrokersError: when the topic is not known, and nobody can be asked
        :raises kiel.exc.MessageSizeTooLargeError: for a message larger than ``max_request_bytes``
        :raises kiel.exc.DeliveryTimeoutError: when the ``timeout`` is over; the error says whether the
            message was withdrawn or is still under way
        :raises TypeError: for an argument of a wrong type
        :raises ValueError: for a partition or a time stamp that can't be
        """
        try:
            serializer = self.serializer
            value = message if serializer is bytes and message.__class__ is bytes else serializer(message)
            if value.__class__ is _text:
                value = value.encode("utf-8")
            now = _time()
            run = self._run
            left = run.left
            if (
                left and topic == run.topic and partition == run.partition
                and key is None and headers is None and timestamp is None and timeout is None
                and value.__class__ is bytes and len(value) <= run.most and run.since <= now < run.until
            ):
                # what `OneByOne.take` does, for a message that follows others
                run.left = left - 1
                run.append(value)
                delivery = _new(Delivery)  # half the time of its constructor
                delivery.batch = run.batch
                delivery.index = run.stop - left
                future = self._promise()
                future.set_result(delivery)
                return future
            run = run.labelled
            if topic == run.topic and run.since <= now < run.until and partition is timestamp is timeout is None:
                delivery = run.take(key, value, headers)
                if delivery is not None:
                    future = self._promise()
                    future.set_result(delivery)
                    return future
            return self._one_by_one.take(topic, message, value, key, partition, headers, timestamp, timeout, now)
        except BaseException as error:
            return _failed(callback_failure(error))

    def produce_and_wait(
        self, topic, message, key=None, partition=None, headers=None, timestamp=None, timeout=None
    ):
        """
        Take a message, and wait until it is written; return a Future of its
        `kiel.clients.producing.delivery.RecordMetadata`.

        ``record = yield producer.produce_and_wait(topic, message)`` is ``yield (yield producer.produce(topic,
        message))``. Parameters are those of `produce`, and so are errors; a message that is not written raises what
        kept it from that. With a ``linger`` it waits for that, too.

        A Future that is cancelled before there was room for the message withdraws it; later than that, the message is
        written all the same.

        :param timeout: seconds for all of it; default: no limit but the message's ``delivery_timeout``
        :raises kiel.exc.KielError: what kept the message from being written
        """
        begun = monotonic()
        taken = self.produce(topic, message, key, partition, headers, timestamp, timeout)
        return self._one_by_one.written(taken, timeout, begun)

    def produce_nowait(
        self, topic, message, key=None, partition=None, headers=None, timestamp=None
    ):
        """
        Take a message at once or not at all; return its `kiel.clients.producing.delivery.Delivery`, no
        Future.

        Parameters and errors are those of `produce`; errors are raised at once.

        :raises kiel.exc.BufferFullError: when there is no room, or the serializer has to wait for something
        :raises kiel.exc.UnknownTopicOrPartitionError: also when the topic is not known yet;
            `produce` looks it up
        """
        self._turn.tick(_time())
        try:
            self._turn.settle_in()
            return self._one_by_one.take_now(
                topic, message, self.serializer(message), key, partition, headers, timestamp)
        except BaseException as error:
            raise callback_failure(error)

    def produce_many(self, topic, messages, keys=None, partition=None):
        """
        Take many messages; return a Future of their `kiel.clients.producing.delivery.Deliveries`, done when there
        was room for all.

        Cheaper than a call for each. A message that can't be accepted does not keep the others from
        it: its delivery holds the error. Without ``linger``, when the messages fill a batch, this
        waits until all are through.

        :param messages: an iterable of any length, read as room comes
        :param keys: their keys, as many as there are messages; default: what the ``key_maker``
            returns
        :raises kiel.exc.ClosedError: when the producer is closing before any message was taken
        """
        try:
            topic = arguments.text("topic", topic)
            if partition is not None:
                partition = arguments.integer("partition", partition, 0)
            bulk.check(messages, keys)
            self._turn.settle_in()
            if self.closing:
                raise failure(self._refusal(), topic)
        except Exception as error:
            return _failed(error)
        return self._bulk.produce(topic, messages, keys, partition, self.serializer)

    def _refusal(self):
        """Return the error of a message that is not accepted now, None if it is."""
        if self._pid != os.getpid():
            return exc.ClosedError("the process was forked after connect(): call connect() in this one, too")
        if self.closing:
            return exc.ClosedError("the producer is closing and takes no more messages")
        return self._transactions.refusal()

    # -- transactions --

    @View
    def identity(self):
        """Return the `kiel.clients.producing.producer_state.ProducerState`: id, epoch and transaction."""
        return self._transactions.state

    def transaction(self):
        """
        Return a transaction as a block: committed at its end, aborted where an exception leaves it.

        ``async with producer.transaction():``, or, in a coroutine of Python 2 too::

            with (yield producer.transaction()) as transaction:
                yield producer.produce("colors", "red")
            yield transaction.outcome()

        Return a `kiel.clients.producing.transaction_scope.TransactionScope`.
        """
        return TransactionScope(self, self._transactions.begin)

    def begin(self):
        """
        Begin a transaction: what is produced from now on is seen by ``read_committed`` consumers when it is committed,
        or never.

        :raises kiel.exc.TransactionStateError: without a ``transactional_id``; while another transaction is open
        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.KielError: when the transaction coordinator can't be reached in time
        """
        return self._transactions.begin()

    def commit(self):
        """
        Commit the transaction: wait until all its messages are acknowledged, then let them be seen. Return a Future.

        When no answer comes within the ``retry`` deadline, its error is raised and it is not known whether the
        transaction was committed; then only ``commit()`` may be called again.

        :raises kiel.exc.TransactionFailedError: when a message or an offset could not be written; nothing is committed,
            and `abort` has to follow
        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.TransactionStateError: when there is no transaction
        """
        return events.detached(self._transactions.commit(self._undelivered.flush))

    def abort(self):
        """
        Abort the transaction: no ``read_committed`` consumer will see any of it. Return a Future.

        Messages that are not written yet fail with `kiel.exc.TransactionFailedError`. When no answer comes, its error
        is raised, and ``abort()`` may be called again.

        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.TransactionStateError: when there is no transaction
        """
        return events.detached(self._transactions.abort(self._undelivered.drop))

    def send_offsets(self, consumer, offsets=None):
        """
        Make what a consumer has handed out part of the transaction: read and written all together, or not.

        All that was handed out and is not committed counts as processed, unless ``offsets`` say how far that is so.
        When the transaction is aborted, `kiel.clients.grouped.GroupedConsumer.rewind` has it handed out again.

        Return the offsets, ``{(topic, partition): next offset to read}``. From Kafka 2.5 on they are signed with the
        consumer's membership, so that one which has lost its partitions is refused (KIP-447).

        :param consumer: a `kiel.clients.grouped.GroupedConsumer` with ``autocommit=False``
        :param offsets: ``{topic: {partition id: next offset to read}}`` to commit just these instead
        :raises kiel.exc.TransactionStateError: when no transaction is open
        :raises kiel.exc.TransactionFailedError: when the consumer has lost its partitions, or the offsets can't be
            written; `abort` has to follow
        """
        return events.detached(self._transactions.send_offsets(consumer, offsets))

    # -- beginning and ending --

    def connect(self, timeout=None):
        """
        Find the cluster, as `kiel.clients.client.Client.connect`.

        With a ``transactional_id`` this also ends what an earlier producer of that name left open,
        and lets it go on no more.

        :param timeout: seconds for finding the cluster
        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.AuthenticationError: when a login or a certificate is not accepted
        :raises kiel.exc.ClosedError: when the producer is closed meanwhile
        """
        return super(Producer, self).connect(timeout)

    @gen.coroutine
    def _open_client(self, timeout=None):
        """The work of `connect`."""
        if self._pid != os.getpid():
            self._begin_anew()
        self._sender.start()
        connecting = super(Producer, self)._open_client(timeout)
        self._admission.update()
        yield connecting
        self._turn.connected()
        self._promise = self._turn.promise
        if self._options.transactional_id is not None and self._transactions.state.state in (UNKNOWN, ASKING):
            yield self._transactions.initialize()
            self._check_open()

    def on_fork(self):
        """The process was forked, and this is the child: what is undelivered belongs to the parent."""
        if self.io_loop is None:
            self._pid = os.getpid()  # it was not connected yet
        self._admission.update()

    def _begin_anew(self):
        """Forget all that belongs to the process that this one was forked from, or to a loop that is closed."""
        forked = self._pid != os.getpid()
        super(Producer, self)._begin_anew()
        self._turn.forget()
        self._promise = self._turn.promise
        if forked:
            error = exc.ClosedError("the process was forked; the parent delivers the message")
        else:
            self.cluster.unclosed.report()
            error = exc.ClosedError("the IOLoop was closed before the message was delivered")
        self._undelivered.lose(error, counts=not forked)
        self._accumulator.refresh()
        self._transactions.reset()

    @events.to_its_end
    def flush(self, timeout=None):
        """
        Send all that was produced so far, and wait until it is known what became of it.

        :param timeout: seconds; default: no limit but each message's ``delivery_timeout``
        :raises kiel.exc.KielError: the first error that kept a message from being written
        :raises kiel.exc.DeliveryTimeoutError: when the timeout is over; the messages stay under way
        """
        if timeout is not None:
            timeout = arguments.seconds("timeout", timeout)
        if self._pid != os.getpid():
            raise self._refusal()
        self._turn.settle_in()
        if not self.closing:
            self._undelivered.tell_lost()
        yield self._undelivered.flush(timeout)

    def close(self, timeout=None):
        """
        Deliver what is still to be delivered, then end every connection.

        What can't be delivered in time is given up: its deliveries fail with
        `kiel.exc.ClosedError`. Return how much that was: ``{(topic, partition id): number of
        messages}``, with the id ``None`` where none was chosen.

        :param timeout: seconds; default: ``close_timeout``
        """
        try:
            self._patience = arguments.seconds("timeout", self.close_timeout if timeout is None else timeout)
        except (TypeError, ValueError) as error:
            return _failed(error)
        return super(Producer, self).close()

    @gen.coroutine
    def _end_client(self, connecting):
        """Return the work of `close`."""
        if self._pid != os.getpid():
            self._begin_anew()
        yield super(Producer, self)._end_client(connecting)
        raise gen.Return(self._undelivered.end_lost())

    @gen.coroutine
    def wind_down(self):
        """Deliver what is possible, and give up the rest; a transaction is aborted."""
        self._admission.update()
        if self._options.transactional_id is not None:
            yield self._transactions.abandon(self._patience, self._undelivered.drop)
        yield self._undelivered.end(self._patience)
        self._transactions.reset()

    # -- answers, and a look inside --

    def handle_produce_response(self, response):
        """Handle the answer to one of the producer's requests."""
        self._sender.handle(response)

    def _gauges(self):
        """Return how the producer is; see `kiel.clients.client.Client.metrics`."""
        found = super(Producer, self)._gauges()
        found["buffer_bytes"] = {(): self._admission.taken}
        found["buffer_limit_bytes"] = {(): self._admission.buffer_bytes}
        found["waiting_records"] = {(): self._undelivered.unsent_count}
        return found

    def health(self):
        """
        Return how this producer is, as a dict of plain values that may go out as JSON.

        What every client tells (`kiel.clients.client.Client.health`), and ``buffered``: bytes of the messages that wait
        or are under way. ``error`` is one of writing, until the first batch is written; it is ``ended`` when its
        transactional id was taken over, or what it may not do keeps it from ever writing again.
        """
        identity = self._transactions.state
        if identity.state == FATAL:
            self._trouble.note("its id", identity.error)
        return dict(self._report_health(identity.state == FATAL),
                    buffered=self._admission.taken)

    @View
    def buffered(self):
        """Return bytes of the messages that wait or are under way."""
        return self._admission.taken

    @property
    def unsent_count(self):
        """The number of messages that have not been sent, or have to be sent again."""
        return self._undelivered.unsent_count

    @property
    def unsent(self):
        """The messages that wait to be sent, ``{topic: [Message]}``; a copy."""
        return self._undelivered.unsent()

    @property
    def sent(self):
        """What is under way, ``{correlation id: {topic: {partition id: [Message]}}}``; a copy."""
        return self._undelivered.sent()


def _failed(error):
    """Return a Future that has failed."""
    future = Promise()
    settle(future, error=error)
    return future
