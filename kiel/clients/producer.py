"""The producer: takes messages, and has them collected into batches and sent."""
from __future__ import absolute_import

import datetime
import json
import logging
import time

from tornado import concurrent, gen

from kiel import exc
from kiel.clients.client import Client
from kiel.clients.producing import encoding
from kiel.clients.producing.accumulator import Accumulator
from kiel.clients.producing.admission import Admission
from kiel.clients.producing.append_run import AppendRun
from kiel.clients.producing.batch import RECORD_OVERHEAD, failure, record_size
from kiel.clients.producing.bulk import Bulk
from kiel.clients.producing.delivery import Delivery
from kiel.clients.producing.options import Options
from kiel.clients.producing.producer_state import ASKING, UNKNOWN
from kiel.clients.producing.sender import Sender
from kiel.clients.producing.transaction_manager import TransactionManager
from kiel.clients.producing.transaction_scope import TransactionScope
from kiel.fairness import Turn
from kiel.partitioners import random_partition, to_bytes

log = logging.getLogger(__name__)

_NEVER = float("inf")

_time = time.time
_Future = concurrent.Future
_new = object.__new__

_encode_json = json.JSONEncoder(sort_keys=True).encode


def serialize_json(message):
    """The default serializer: JSON with sorted keys."""
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
        with sorted keys
    :param key_maker: returns a message's key when `produce` was given none; default: no keys
    :param partitioner: returns one of the partition ids it is handed, ``partitioner(key, ids)``;
        default: by chance, batch by batch. `kiel.partitioners.murmur2` is Java's way. It is asked
        once, when the message is accepted.
    :param batch_size: the number of messages, over all topics, that sets off sending; with 0, 1 or
        ``None`` each does. It is no limit: whatever has come by then goes out together.
    :param compression: one of `kiel.constants.SUPPORTED_COMPRESSION`, or "gzip", "snappy", "lz4",
        "zstd"
    :param required_acks: -1: all replicas in sync have the message; 1: the leader has; 0: nobody is
        asked
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
    :raises ValueError: for a ``compression`` or ``required_acks`` that there is not, or for settings
        that exclude each other
    """

    #: seconds that `close` gives to what is still to be delivered
    close_timeout = 30

    def __init__(
        self, brokers, serializer=None, key_maker=None, partitioner=None, batch_size=1,
        compression=None, required_acks=-1, ack_timeout=500, linger=None,
        max_request_bytes=1000000, buffer_bytes=32 * 1024 * 1024, delivery_timeout=120,
        idempotent=None, transactional_id=None, transaction_timeout=60, **settings
    ):
        super(Producer, self).__init__(brokers, **settings)
        #: makes text or bytes of a message; may be set
        self.serializer = serializer or serialize_json
        #: what `close` had to give up: ``{(topic, partition id): number of messages}``
        self.undelivered = {}
        self._options = options = Options(
            compression, required_acks, ack_timeout, linger, max_request_bytes, buffer_bytes, delivery_timeout,
            idempotent, transactional_id, transaction_timeout
        )
        self._turn = Turn()
        self._run = AppendRun(self._count_run)
        self._admission = Admission(buffer_bytes, self._run, self._refusal)
        self._transactions = TransactionManager(self, options, self._admission.update)
        self._sender = Sender(self, options, self._transactions, self._turn, self._admission.release)
        self._accumulator = Accumulator(self, options, self._sender, self._admission, self._run, self._turn)
        self._bulk = Bulk(self._accumulator, self._turn, self._append, self._transactions.spoil)
        self._patience = self.close_timeout  # seconds that the `close` under way gives
        self._asyncio = None  # the asyncio loop beneath the IOLoop of `connect`, where there is one
        self._key_maker = key_maker
        self._batch_size = None
        self.batch_size = batch_size
        if partitioner is not None:
            self.partitioner = partitioner
        self.cluster.listeners.append(self._accumulator.refresh)

    # -- settings --

    @property
    def batch_size(self):
        """The number of messages that sets off sending; may be set."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        self._batch_size = batch_size
        self._set_flush_at()

    @property
    def linger(self):
        """Seconds for which messages wait for more of them; may be set."""
        return self._options.linger

    @linger.setter
    def linger(self, linger):
        self._options.linger = linger
        self._set_flush_at()

    def _set_flush_at(self):
        each = not self._batch_size or self._batch_size <= 1
        self._run.end()
        self._sender.prompt = each
        # with each message sent by itself, and nobody waiting for it, no number of messages sets off sending
        if each:
            self._accumulator.flush_at = 1 if self._options.linger is None else _NEVER
        else:
            self._accumulator.flush_at = self._batch_size

    @property
    def key_maker(self):
        """Makes the key of a message that has none; may be set."""
        return self._key_maker

    @key_maker.setter
    def key_maker(self, key_maker):
        self._run.end()
        self._key_maker = key_maker

    @property
    def partitioner(self):
        """Chooses among partition ids; may be set."""
        return self._accumulator.partitioner

    @partitioner.setter
    def partitioner(self, partitioner):
        self._run.end()
        self._accumulator.partitioner = partitioner

    @property
    def compression(self):
        """The codec's number, or ``None``; may be set."""
        return self._options.compression

    @compression.setter
    def compression(self, compression):
        self._options.compression = encoding.codec(compression)

    @property
    def required_acks(self):
        """-1: all replicas in sync have a message; 1: the leader has; 0: nobody is asked."""
        return self._options.required_acks

    @property
    def ack_timeout(self):
        """Milliseconds for which a broker waits for its replicas."""
        return self._options.ack_timeout

    @property
    def transactional_id(self):
        """The name under which messages are produced in transactions, or ``None``."""
        return self._options.transactional_id

    # -- taking messages --

    def produce(self, topic, message, key=None, partition=None, headers=None, timestamp=None):
        """
        Take a message; return a Future of its `kiel.clients.producing.delivery.Delivery`.

        The Future is done as soon as there is room for the message. Without ``linger``, that of a
        message that fills a batch is done when the batch is through; it fails then if its own
        message did. With the default ``batch_size`` that is each message.

        :param key: text or bytes; default: what the ``key_maker`` returns
        :param partition: an id; default: what the ``partitioner`` returns
        :param headers: ``(name, value)`` pairs or a dict; values are bytes, text or ``None``. Kafka
            0.11 is the first to have them; older ones fail such a message with
            `kiel.exc.UnsupportedVersionError`.
        :param timestamp: milliseconds since 1970; default: now. Kafka has them from 0.10 on.
        :raises kiel.exc.ClosedError: when the producer is closing. (kiel 0.9 logged that and returned
            ``None``; but no message is to vanish unless the caller is told.)
        :raises kiel.exc.UnknownTopicOrPartitionError: when there is no such topic and the brokers
            don't create it
        :raises kiel.exc.NoBrokersError: when the topic is not known, and nobody can be asked
        :raises kiel.exc.MessageSizeTooLargeError: for a message larger than ``max_request_bytes``
        """
        try:
            serializer = self.serializer
            value = message if serializer is bytes and message.__class__ is bytes else serializer(message)
            now = _time()
            run = self._run
            left = run.left
            if (
                left and topic == run.topic and partition == run.partition
                and key is None and headers is None and timestamp is None
                and value.__class__ is bytes and len(value) <= run.most and run.since <= now < run.until
            ):
                # what `_append` does, for a message that follows others
                run.left = left - 1
                run.append(value)
                delivery = _new(Delivery)  # half the time of its constructor
                delivery.batch = run.batch
                delivery.index = run.stop - left
                loop = self._asyncio
                future = _Future() if loop is None else _Future(loop=loop)
                future.set_result(delivery)
                return future
            return self._produce(topic, message, value, key, partition, headers, timestamp, now)
        except Exception as error:
            return _failed(error)

    def _produce(self, topic, message, value, key, partition, headers, timestamp, now):
        """Take a message that is not of the run."""
        turn = self._turn
        due = not turn.last <= now < turn.next
        if due:
            turn.tick(now)
        delivery = self._append(topic, message, value, key, partition, headers, timestamp)
        accumulator = self._accumulator
        if delivery.__class__ is not Delivery:
            return accumulator.wait(delivery)
        if accumulator.unflushed >= accumulator.flush_at and accumulator.start_sending():
            return accumulator.sent(delivery)
        if due and turn.over(now):
            return turn.later(delivery)
        loop = self._asyncio
        future = _Future() if loop is None else _Future(loop=loop)
        future.set_result(delivery)
        return future

    def _append(self, topic, message, value, key, partition, headers, timestamp, runs=True):
        """
        Append a serialized message; return its Delivery, or the `PendingRecord` that has to wait.

        The way of every message but those of a run. The turn has been asked for the time.

        :param runs: whether a run may begin with it
        """
        if key is None and self._key_maker is not None:
            key = self._key_maker(message)
        if value.__class__ is not bytes:
            value = to_bytes(value)
        label = None
        if headers is not None or value is None:
            label, size = labelled(key, value, headers)
        elif key is None:
            size = RECORD_OVERHEAD + len(value)
        elif key.__class__ is bytes:
            label, size = (key, None), RECORD_OVERHEAD + len(value) + len(key)
        else:
            label, size = labelled(key, value, headers)
        stamp = self._turn.ms if timestamp is None else int(timestamp)
        return self._accumulator.append(topic, key, label, value, stamp, partition, size, runs)

    def produce_nowait(
        self, topic, message, key=None, partition=None, headers=None, timestamp=None
    ):
        """
        Take a message at once or not at all; return its `kiel.clients.producing.delivery.Delivery`, no
        Future.

        Parameters and errors are those of `produce`; errors are raised at once.

        :raises kiel.exc.BufferFullError: when there is no room
        :raises kiel.exc.UnknownTopicOrPartitionError: also when the topic is not known yet;
            `produce` looks it up
        """
        self._turn.tick(_time())
        accumulator = self._accumulator
        delivery = self._append(topic, message, self.serializer(message), key, partition, headers, timestamp)
        if delivery.__class__ is not Delivery:
            delivery = accumulator.append_now(delivery)
        if accumulator.unflushed >= accumulator.flush_at:
            accumulator.start_sending()
        return delivery

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
        if self.closing:
            return _failed(failure(self._refusal(), topic))
        plain = self._key_maker is None and (partition is not None or self.partitioner is random_partition)
        return self._bulk.produce(topic, messages, keys, partition, self.serializer, plain)

    def _count_run(self, messages, size):
        self._accumulator.count_run(messages, size)

    def _refusal(self):
        """Return the error of a message that is not accepted now, None if it is."""
        if self.closing:
            return exc.ClosedError("the producer is closing and takes no more messages")
        return self._transactions.refusal()

    # -- transactions --

    @property
    def identity(self):
        """The `kiel.clients.producing.producer_state.ProducerState`: id, epoch and transaction."""
        return self._transactions.state

    def transaction(self):
        """
        A transaction as a block: committed at its end, aborted where an exception leaves it.

        ``async with producer.transaction():``, or, in a coroutine of Python 2 too::

            with (yield producer.transaction()) as transaction:
                yield producer.produce("colors", "red")
            yield transaction.outcome()

        Return a `kiel.clients.producing.transaction_scope.TransactionScope`.
        """
        return TransactionScope(self)

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
        return self._transactions.commit(self._accumulator.flush)

    def abort(self):
        """
        Abort the transaction: no ``read_committed`` consumer will see any of it. Return a Future.

        Messages that are not written yet fail with `kiel.exc.TransactionFailedError`. When no answer comes, its error
        is raised, and ``abort()`` may be called again.

        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.TransactionStateError: when there is no transaction
        """
        return self._transactions.abort(self._accumulator.drop)

    def send_offsets(self, consumer):
        """
        Make what a consumer has handed out part of the transaction: read and written all together, or not.

        All that was handed out and is not committed counts as processed. When the transaction is aborted,
        `kiel.clients.grouped.GroupedConsumer.rewind` has it handed out again.

        Return the offsets, ``{(topic, partition): next offset to read}``. From Kafka 2.5 on they are signed with the
        consumer's membership, so that one which has lost its partitions is refused (KIP-447).

        :param consumer: a `kiel.clients.grouped.GroupedConsumer` with ``autocommit=False``
        :raises kiel.exc.TransactionStateError: when no transaction is open
        :raises kiel.exc.TransactionFailedError: when the consumer has lost its partitions, or the offsets can't be
            written; `abort` has to follow
        """
        return self._transactions.send_offsets(consumer)

    # -- beginning and ending --

    @gen.coroutine
    def connect(self):
        """
        Find the cluster. A second call does no harm.

        With a ``transactional_id`` this also ends what an earlier producer of that name left open,
        and lets it go on no more.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.AuthenticationError: when a login or a certificate is not accepted
        """
        self._sender.start()
        connecting = super(Producer, self).connect()
        self._admission.update()
        yield connecting
        # a Future that need not look for its loop is made in half the time
        self._asyncio = getattr(self.io_loop, "asyncio_loop", None)
        if self.transactional_id is not None and self.identity.state in (UNKNOWN, ASKING):
            yield self._transactions.initialize()

    @gen.coroutine
    def flush(self, timeout=None):
        """
        Send all that was produced so far, and wait until it is known what became of it.

        :param timeout: seconds; default: no limit but each message's ``delivery_timeout``
        :raises kiel.exc.KielError: the first error that kept a message from being written
        :raises kiel.exc.DeliveryTimeoutError: when the timeout is over; the messages stay under way
        """
        work = self._accumulator.flush()
        if timeout is None:
            yield work
            return
        try:
            yield gen.with_timeout(
                datetime.timedelta(seconds=timeout), work, quiet_exceptions=exc.KielError
            )
        except gen.TimeoutError:
            raise exc.DeliveryTimeoutError(
                "not all messages were acknowledged within %g s" % timeout
            )

    @gen.coroutine
    def close(self, timeout=None):
        """
        Deliver what is still to be delivered, then end every connection.

        What can't be delivered in time is given up: its deliveries fail with
        `kiel.exc.ClosedError`. Return how much that was: ``{(topic, partition id): number of
        messages}``, with the id ``None`` where none was chosen.

        :param timeout: seconds; default: ``close_timeout``
        """
        self._patience = self.close_timeout if timeout is None else timeout
        yield super(Producer, self).close()
        raise gen.Return(self.undelivered)

    @gen.coroutine
    def wind_down(self):
        """Deliver what is possible, and give up the rest; a transaction is aborted."""
        self._admission.update()
        if self.transactional_id is not None:
            yield self._transactions.abandon(self._patience, self._accumulator.drop)
        try:
            yield self.flush(self._patience)
        except exc.KielError as error:
            log.info("While closing: %s", error)
        error = exc.ClosedError("the producer was closed before the message was delivered")
        # those first that are not accepted yet: they must not slip in as room comes
        left = self._accumulator.refuse_pending(error)
        self.undelivered = self._sender.stop(error)
        self._transactions.reset()
        for pending in left:
            place = (pending.topic, pending.partition)
            self.undelivered[place] = self.undelivered.get(place, 0) + 1
        if self.undelivered:
            log.error("Closed with messages not delivered: %s", ", ".join(
                "%d for %s:%s" % (count, topic, partition)
                for (topic, partition), count in sorted(self.undelivered.items(), key=str)
            ))

    # -- answers, and a look inside --

    def handle_produce_response(self, response):
        """Handle the answer to one of the producer's requests."""
        self._sender.handle(response)

    @property
    def buffered(self):
        """Bytes of the messages that wait or are under way."""
        return self._admission.buffered + self._run.uncounted

    @property
    def unsent_count(self):
        """The number of messages that have not been sent, or have to be sent again."""
        return sum(queue.unsent for queue in self._sender.active) + len(self._accumulator.pending)

    @property
    def unsent(self):
        """The messages that wait to be sent, ``{topic: [Message]}``; a copy."""
        unsent = {}
        for queue in self._sender.active:
            for batch in queue.waiting:
                unsent.setdefault(queue.topic, []).extend(encoding.view(batch))
        return unsent

    @property
    def sent(self):
        """What is under way, ``{correlation id: {topic: {partition id: [Message]}}}``; a copy."""
        sent = {}
        for correlation_id, in_flight in self._sender.sent.items():
            topics = sent[correlation_id] = {}
            for queue, batch in in_flight.batches:
                topics.setdefault(queue.topic, {})[queue.partition] = encoding.view(batch)
        return sent


def labelled(key, value, headers):
    """Return the key and the headers of a message as they are written, None for neither, and its size with them."""
    if headers:
        pairs = headers.items() if hasattr(headers, "items") else headers
        headers = [(to_bytes(name), to_bytes(header)) for name, header in pairs]
    key = to_bytes(key)
    label = (key, headers or None) if key is not None or headers else None
    return label, record_size(key, value, headers)


def _failed(error):
    """Return a Future that has failed."""
    future = concurrent.Future()
    future.set_exception(error)
    return future
