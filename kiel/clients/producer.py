"""The producer: takes messages, chooses their partition, and hands them to the outboxes."""
from __future__ import absolute_import

import collections
import datetime
import json
import logging
import time

from tornado import concurrent, gen

from kiel import exc
from kiel.clients import freight
from kiel.clients.delivery import Delivery, Ticket
from kiel.clients.intake import FULL, Incoming, closed, labelled
from kiel.clients.many import Many
from kiel.clients.outbox import (
    IDLE, IN_FLIGHT, MOST_RECORDS, RECORD_OVERHEAD, failure, record_size
)
from kiel.clients.shipping import Shipper
from kiel.clients.streak import Streak
from kiel.clients.transaction import ASKING, UNKNOWN
from kiel.fairness import Turn
from kiel.partitioners import random_partition, to_bytes

log = logging.getLogger(__name__)

#: seconds for which a part-filled batch waits when no ``linger`` was given
LINGER = 0.05

_NEVER = float("inf")

_time = time.time
_Future = concurrent.Future
_new = object.__new__

_encode_json = json.JSONEncoder(sort_keys=True).encode


def serialize_json(message):
    """The default serializer: JSON with sorted keys."""
    return _encode_json(message)


class Producer(Many):
    """
    Produces messages to any topics.

    ``delivery = yield producer.produce(topic, message)``. With the default ``batch_size`` of 1 that
    waits until the broker has the message, and raises if it could not be written. A producer that
    is to be fast gets a ``linger``: then `produce` waits for nothing but room in the buffer, and
    its `kiel.clients.delivery.Delivery` can be yielded later, or be ignored: what fails unseen is
    logged.

    Order: messages of one partition are written in the order in which they were given to one
    producer, also when some have to be sent again.

    :param brokers: bootstrap hosts: a list of "host:port", or one string with commas
    :param serializer: gives a message as text or bytes (or ``None``, a tombstone); default: JSON
        with sorted keys
    :param key_maker: gives a message's key when `produce` was given none; default: no keys
    :param partitioner: gives one of the partition ids it is handed, ``partitioner(key, ids)``;
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
    :param idempotent: whether each message is written once and in order, though its answer be lost
        and it be sent again. ``None``: where the cluster lets us and ``required_acks`` is -1;
        ``True``: or else messages fail; ``False``: not.
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
        codec = freight.codec(compression)
        if required_acks not in (-1, 0, 1):
            raise ValueError("required_acks %r is not one of -1, 0, 1" % (required_acks,))
        if (idempotent or transactional_id) and required_acks != -1:
            raise ValueError("an idempotent producer needs required_acks=-1")
        if transactional_id and idempotent is False:
            raise ValueError("a producer with a transactional_id is idempotent")
        self.serializer = serializer or serialize_json
        self.key_maker = key_maker
        self.partitioner = partitioner or random_partition
        self.compression = codec
        self.required_acks = required_acks
        self.ack_timeout = ack_timeout
        self.linger = linger
        self.max_request_bytes = max_request_bytes
        self.buffer_bytes = buffer_bytes
        self.delivery_timeout = delivery_timeout
        self.idempotent = idempotent if required_acks == -1 else False
        self.transactional_id = transactional_id or None
        self.transaction_timeout = transaction_timeout
        self.identify(self.idempotent, self.transactional_id)
        #: what `close` had to give up: ``{(topic, partition id): number of messages}``
        self.undelivered = {}
        self._buffered = 0
        # no message is accepted at once beyond this; -1 while others wait for room, who come first
        self._limit = buffer_bytes
        self._waiting = collections.deque()  # messages without room
        self._lookups = {}  # topic -> messages that wait for it to be known
        self._routes = {}
        self._turn = Turn()
        self._streak = Streak(self._book)
        self._filled = 0
        self._patience = self.close_timeout
        self._asyncio = None
        self._shipper = Shipper(self, LINGER if linger is None else linger, self._on_room, self._turn)
        self.batch_size = batch_size
        self.gate()
        self.cluster.listeners.append(self._on_metadata)

    @property
    def buffered(self):
        """Bytes of the messages that wait or are under way."""
        self._streak.end()
        return self._buffered

    @property
    def batch_size(self):
        """The number of messages that sets off sending; may be set."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        self._batch_size = batch_size
        each = not batch_size or batch_size <= 1
        self._shipper.prompt = each
        # with each message going out by itself, and nobody waiting for it, there is no filling to
        # watch for
        self._streak.end()
        self._fuse = (1 if self.linger is None else _NEVER) if each else batch_size

    # -- taking messages --

    def produce(self, topic, message, key=None, partition=None, headers=None, timestamp=None):
        """
        Takes a message; gives a Future of its `kiel.clients.delivery.Delivery`.

        The Future is done as soon as there is room for the message. Without ``linger``, that of a
        message that fills a batch is done when the batch is through; it fails then if its own
        message did. With the default ``batch_size`` that is each message.

        :param key: text or bytes; default: what the ``key_maker`` gives
        :param partition: an id; default: what the ``partitioner`` says
        :param headers: ``(name, value)`` pairs or a dict; values are bytes, text or ``None``. Kafka
            0.11 is the first to have them; older ones fail such a message with
            `kiel.exc.UnsupportedVersionError`.
        :param timestamp: milliseconds since 1970; default: now. Kafka has them from 0.10 on.
        :raises kiel.exc.ClosedError: when the producer is closing. (kiel 0.9 logged that and gave
            ``None``; but no message is to vanish unless the caller is told.)
        :raises kiel.exc.UnknownTopicOrPartitionError: when there is no such topic and the brokers
            don't create it
        :raises kiel.exc.NoBrokersError: when the topic is not known, and nobody can be asked
        :raises kiel.exc.MessageSizeTooLargeError: for a message larger than ``max_request_bytes``
        """
        try:
            serializer = self.serializer
            value = message if serializer is bytes and type(message) is bytes else serializer(message)
            now = _time()
            streak = self._streak
            left = streak.left
            if (
                left and topic == streak.topic
                and key is None and partition is None and headers is None and timestamp is None
                and type(value) is bytes and len(value) <= streak.most
                and streak.since <= now < streak.until
                and self.key_maker is None and self.partitioner is random_partition
            ):
                streak.left = left - 1
                streak.append(value)
                delivery = _new(Delivery)  # half the time of its constructor
                delivery.batch = streak.batch
                delivery.index = streak.stop - left
                loop = self._asyncio
                future = _Future() if loop is None else _Future(loop=loop)
                future.set_result(delivery)
                return future
            return self._produce(topic, message, value, key, partition, headers, timestamp, now)
        except Exception as error:
            return _failed(error)

    def _produce(self, topic, message, value, key, partition, headers, timestamp, now):
        """Takes a message that no streak can take, serialized already, and begins another streak where that can be."""
        if type(value) is bytes:
            size = RECORD_OVERHEAD + len(value)
        else:
            value = to_bytes(value)
            size = record_size(None, value, None)
        if key is None and self.key_maker is not None:
            key = self.key_maker(message)
        turn = self._turn
        looked = not turn.last <= now < turn.next
        if looked:
            turn.tick(now)
        plain = key is None and headers is None and timestamp is None
        label = None
        if key is not None or headers is not None:
            label, size = labelled(key, value, headers)
        stamp = turn.ms if timestamp is None else int(timestamp)
        route = self._routes.get(topic)
        streak = self._streak
        if streak.batch is not None:
            streak.end()
        if route is None or self._buffered + size > self._limit:
            return self._later(Incoming(topic, key, label, value, stamp, partition, size))
        if partition is None and self.partitioner is random_partition:
            outbox, batch = None, route.chosen
        else:
            plain = False
            if partition is None:
                partition = self.partitioner(key, route.ids)
                if streak.batch is not None:  # it may have produced something itself
                    streak.end()
            outbox = route.outboxes.get(partition)
            if outbox is None:
                return self._later(Incoming(topic, key, label, value, stamp, partition, size))
            batch = outbox.open or FULL
        records = batch.records
        index = len(records.values)
        if batch.size + size > batch.limit or index >= MOST_RECORDS:
            if outbox is None:
                outbox, batch = self._by_chance(route, size)
            else:
                batch = self._batch_for(outbox, size)
            records = batch.records
            index = len(records.values)
        records.values.append(value)
        if stamp != records.stamp:
            records.date(index, stamp)
        if label is not None or records.keys is not None:
            records.label(index, label)
        batch.size += size
        self._buffered += size
        self._filled = filled = self._filled + 1
        if not index and outbox.state is IDLE:
            self._shipper.added(outbox)
        delivery = _new(Delivery)
        delivery.batch = batch
        delivery.index = index
        if filled >= self._fuse and self._set_off():
            return self._through(delivery, batch, index)
        if plain and batch.limit:
            streak.begin(batch, turn, len(value), self._limit - self._buffered, self._fuse - self._filled - 1)
        if looked and turn.over(now):
            return turn.later(delivery)
        loop = self._asyncio
        future = _Future() if loop is None else _Future(loop=loop)
        future.set_result(delivery)
        return future

    def produce_nowait(
        self, topic, message, key=None, partition=None, headers=None, timestamp=None
    ):
        """
        Takes a message at once or not at all; gives its `kiel.clients.delivery.Delivery`, no
        Future.

        Parameters and errors are those of `produce`; errors are raised at once.

        :raises kiel.exc.BufferFullError: when there is no room
        :raises kiel.exc.UnknownTopicOrPartitionError: also when the topic is not known yet;
            `produce` looks it up
        """
        message = self._prepare(topic, message, key, partition, headers, timestamp)
        error = closed(topic) if self.closing else self.refusal()
        if error is not None:
            raise error
        if self._waiting or (self.buffered and self._buffered + message.size > self._limit):
            raise failure(exc.BufferFullError("%d of %d bytes wait to be delivered" % (
                self._buffered, self.buffer_bytes
            )), topic)
        route = None if topic in self._lookups else self._routes.get(topic) or self._learn(topic)
        if route is None:
            raise failure(exc.UnknownTopicOrPartitionError("the topic is not known yet"), topic)
        self._choose(message, route)
        batch, index = self._accept(message)
        if self._filled >= self._fuse:
            self._set_off()
        return Delivery(batch, index)

    # -- ending --

    @gen.coroutine
    def flush(self, timeout=None):
        """
        Sends all that was produced so far, and waits until it is known what became of it.

        :param timeout: seconds; default: no limit but each message's ``delivery_timeout``
        :raises kiel.exc.KielError: the first error that kept a message from being written
        :raises kiel.exc.DeliveryTimeoutError: when the timeout is over; the messages stay under way
        """
        work = self._flush()
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
    def _flush(self):
        """`flush` without a limit."""
        error = None
        waiting = [message.future for message in self._not_accepted()]
        for futures in (waiting, ()):
            ticket = self._watch(Ticket())
            self._set_off()
            if ticket.left:
                yield ticket.future
            error = error or ticket.error
            for future in futures:
                try:
                    yield future
                except Exception as failed:
                    error = error or failed
            if not futures:
                break
        if error is not None:
            raise error

    @gen.coroutine
    def connect(self):
        """
        Finds the cluster. A second call does no harm.

        With a ``transactional_id`` this also ends what an earlier producer of that name left open,
        and lets it go on no more.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.AuthenticationError: when a login or a certificate is not accepted
        """
        self._shipper.stopped = False
        connecting = super(Producer, self).connect()
        self.gate()
        yield connecting
        # a Future that need not look for its loop is made in half the time
        self._asyncio = getattr(self.io_loop, "asyncio_loop", None)
        if self.transactional_id is not None and self.identity.state in (UNKNOWN, ASKING):
            yield self._initialize()

    @gen.coroutine
    def close(self, timeout=None):
        """
        Delivers what is still to be delivered, then ends every connection.

        What can't be delivered in time is given up: its deliveries fail with
        `kiel.exc.ClosedError`. Gives how much that was: ``{(topic, partition id): number of
        messages}``, with the id ``None`` where none was chosen.

        :param timeout: seconds; default: ``close_timeout``
        """
        self._patience = self.close_timeout if timeout is None else timeout
        yield super(Producer, self).close()
        raise gen.Return(self.undelivered)

    @gen.coroutine
    def wind_down(self):
        """Delivers what it can, and gives up the rest; a transaction is aborted."""
        self.gate()
        if self.transactional_id is not None:
            yield self.abandon(self._patience)
        try:
            yield self.flush(self._patience)
        except exc.KielError as error:
            log.info("While closing: %s", error)
        error = exc.ClosedError("the producer was closed before the message was delivered")
        # those first that are not accepted yet: they must not slip in as room comes
        left = self.refuse_waiting(error)
        self.undelivered = self._shipper.stop(error)
        self.identify(self.idempotent, self.transactional_id)
        for message in left:
            key = (message.topic, message.partition)
            self.undelivered[key] = self.undelivered.get(key, 0) + 1
        if self.undelivered:
            log.error("Closed with messages not delivered: %s", ", ".join(
                "%d for %s:%s" % (count, topic, partition)
                for (topic, partition), count in sorted(self.undelivered.items(), key=str)
            ))

    # -- answers, and a look inside --

    def handle_produce_response(self, response):
        """Takes the answer to one of the producer's requests."""
        self._shipper.handle(response)

    @property
    def unsent_count(self):
        """The number of messages that have not been sent, or have to be sent again."""
        return sum(outbox.unsent for outbox in self._shipper.active) + len(self._not_accepted())

    @property
    def unsent(self):
        """The messages that wait to be sent, ``{topic: [Message]}``; a copy."""
        unsent = {}
        self._streak.end()
        for outbox in self._shipper.active:
            for batch in list(outbox.batches)[1 if outbox.state is IN_FLIGHT else 0:]:
                unsent.setdefault(outbox.topic, []).extend(freight.view(batch))
        return unsent

    @property
    def sent(self):
        """What is under way, ``{correlation id: {topic: {partition id: [Message]}}}``; a copy."""
        sent = {}
        for correlation_id, flight in self._shipper.sent.items():
            topics = sent[correlation_id] = {}
            for outbox, batch in flight.cargo:
                topics.setdefault(outbox.topic, {})[outbox.partition] = freight.view(batch)
        return sent


def _failed(error):
    """A Future that has failed."""
    future = concurrent.Future()
    future.set_exception(error)
    return future
