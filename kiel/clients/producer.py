"""The producer: takes messages, chooses their partition, and hands them to the outboxes."""
from __future__ import absolute_import

import collections
import datetime
import json
import logging
import random
import time

import six
from tornado import concurrent, gen, ioloop

from kiel import constants, exc
from kiel.clients.client import Client
from kiel.clients.delivery import Deliveries, Delivery, Ticket
from kiel.clients.outbox import (
    BATCH_OVERHEAD, IDLE, IN_FLIGHT, RECORD_OVERHEAD, Batch, failure, record_size
)
from kiel.clients.shipping import Shipper
from kiel.fairness import Turn
from kiel.partitioners import random_partition, to_bytes
from kiel.protocol.messages import Message

log = logging.getLogger(__name__)

#: seconds for which a part-filled batch waits when no ``linger`` was given
LINGER = 0.05

#: the codecs by their names, which are accepted as well as the numbers
CODECS = {"gzip": constants.GZIP, "snappy": constants.SNAPPY, "lz4": constants.LZ4, "zstd": constants.ZSTD}

_NEVER = float("inf")

_encode_json = json.JSONEncoder(sort_keys=True).encode


def serialize_json(message):
    """The default serializer: JSON with sorted keys."""
    return _encode_json(message)


class Route(object):
    """
    Where the messages of one topic can go, as metadata last said.

    ``ids`` are all partitions, in order; ``led`` those that have a leader (all, while none has).
    """

    __slots__ = ("ids", "led", "outboxes")

    def __init__(self, cluster, shipper, topic):
        leaders = cluster.leaders.get(topic, {})
        self.ids = list(cluster.topics[topic])
        self.led = [partition for partition in self.ids if partition in leaders] or self.ids
        self.outboxes = dict((partition, shipper.outbox(topic, partition)) for partition in self.ids)


class _Message(object):
    """A message that can't be accepted yet: its topic is looked up, or there is no room."""

    __slots__ = ("topic", "key", "partition", "record", "size", "outbox", "future")

    def __init__(self, topic, key, partition, record, size):
        self.topic = topic
        self.key = key
        self.partition = partition
        self.record = record
        self.size = size
        self.outbox = None
        self.future = concurrent.Future()


class Producer(Client):
    """
    Produces messages to any topics.

    ``delivery = yield producer.produce(topic, message)``. With the default ``batch_size`` of 1 that waits until the
    broker has the message, and raises if it could not be written. A producer that is to be fast gets a ``linger``:
    then `produce` waits for nothing but room in the buffer, and its `kiel.clients.delivery.Delivery` can be yielded
    later, or be ignored: what fails unseen is logged.

    Order: messages of one partition are written in the order in which they were given to one producer, also when some
    have to be sent again.

    :param brokers: bootstrap hosts: a list of "host:port", or one string with commas
    :param serializer: gives a message as text or bytes (or ``None``, a tombstone); default: JSON with sorted keys
    :param key_maker: gives a message's key when `produce` was given none; default: no keys
    :param partitioner: gives one of the partition ids it is handed, ``partitioner(key, ids)``; default: by chance.
        `kiel.partitioners.murmur2` is Java's way. It is asked once, when the message is accepted.
    :param batch_size: the number of messages, over all topics, that sets off sending; with 0, 1 or ``None`` each does.
        It is no limit: whatever has come by then goes out together.
    :param compression: one of `kiel.constants.SUPPORTED_COMPRESSION`, or "gzip", "snappy", "lz4", "zstd"
    :param required_acks: -1: all replicas in sync have the message; 1: the leader has; 0: nobody is asked
    :param ack_timeout: milliseconds for which a broker waits for its replicas
    :param linger: seconds for which messages wait for more of them before they are sent. With ``None``, `produce` of
        the message that fills a batch waits until that batch is through, and others are sent after 50 ms.
    :param max_request_bytes: the most that one request, and so one message, takes; a broker has a limit of its own
    :param buffer_bytes: how much may wait or be under way; `produce` waits for room beyond that
    :param delivery_timeout: seconds from `produce` to the acknowledgement; what takes longer is given up
    :raises ValueError: for a ``compression`` or ``required_acks`` that there is not
    """

    #: seconds that `close` gives to what is still to be delivered
    close_timeout = 30

    def __init__(self, brokers, serializer=None, key_maker=None, partitioner=None, batch_size=1, compression=None,
                 required_acks=-1, ack_timeout=500, linger=None, max_request_bytes=1000000,
                 buffer_bytes=32 * 1024 * 1024, delivery_timeout=120, **settings):
        super(Producer, self).__init__(brokers, **settings)
        codec = CODECS.get(compression, compression)
        if codec not in constants.SUPPORTED_COMPRESSION:
            raise ValueError("compression %r is not one of %s" % (
                compression, ", ".join([repr(c) for c in constants.SUPPORTED_COMPRESSION] + sorted(CODECS))
            ))
        if required_acks not in (-1, 0, 1):
            raise ValueError("required_acks %r is not one of -1, 0, 1" % (required_acks,))
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
        #: what `close` had to give up: ``{(topic, partition id): number of messages}``
        self.undelivered = {}
        #: bytes of the messages that wait or are under way
        self.buffered = 0
        # no message is accepted at once beyond this; -1 while others wait for room, who come first
        self._limit = buffer_bytes
        self._waiting = collections.deque()  # messages without room
        self._lookups = {}  # topic -> messages that wait for it to be known
        self._routes = {}
        self._turn = Turn()
        self._filled = 0
        self._patience = self.close_timeout
        self._shipper = Shipper(self, LINGER if linger is None else linger, self._on_room)
        self.batch_size = batch_size
        self.cluster.listeners.append(self._on_metadata)

    @property
    def batch_size(self):
        """The number of messages that sets off sending; may be set."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        self._batch_size = batch_size
        each = not batch_size or batch_size <= 1
        self._shipper.prompt = each
        # with each message going out by itself, and nobody waiting for it, there is no filling to watch for
        self._fuse = (1 if self.linger is None else _NEVER) if each else batch_size

    # -- taking messages --

    def produce(self, topic, message, key=None, partition=None, headers=None, timestamp=None):
        """
        Takes a message; gives a Future of its `kiel.clients.delivery.Delivery`.

        The Future is done as soon as there is room for the message. Without ``linger``, that of a message that fills a
        batch is done when the batch is through; it fails then if its own message did. With the default ``batch_size``
        that is each message.

        :param key: text or bytes; default: what the ``key_maker`` gives
        :param partition: an id; default: what the ``partitioner`` says
        :param headers: ``(name, value)`` pairs or a dict; values are bytes, text or ``None``. Kafka 0.11 is the first
            to have them; older ones fail such a message with `kiel.exc.UnsupportedVersionError`.
        :param timestamp: milliseconds since 1970; default: now. Kafka has them from 0.10 on.
        :raises kiel.exc.ClosedError: when the producer is closing. (kiel 0.9 logged that and gave ``None``; but no
            message is to vanish unless the caller is told.)
        :raises kiel.exc.UnknownTopicOrPartitionError: when there is no such topic and the brokers don't create it
        :raises kiel.exc.NoBrokersError: when the topic is not known, and nobody can be asked
        :raises kiel.exc.MessageSizeTooLargeError: for a message larger than ``max_request_bytes``
        """
        try:
            value = self.serializer(message)
            if type(value) is not bytes:
                value = to_bytes(value)
            if key is None and self.key_maker is not None:
                key = self.key_maker(message)
            size = RECORD_OVERHEAD
            if value is not None:
                size += len(value)
            now = time.time()
            turn = self._turn
            looked = not turn.last <= now < turn.next
            if looked:
                turn.tick(now)
            if key is None and headers is None:
                record = (None, value, None, turn.ms if timestamp is None else int(timestamp))
            else:
                record, size = _full_record(key, value, headers, turn.ms if timestamp is None else timestamp)
            route = self._routes.get(topic)
            if route is None or self.buffered + size > self._limit or self.closing:
                return self._later(_Message(topic, key, partition, record, size))
            if partition is None:
                if self.partitioner is random_partition:
                    led = route.led
                    partition = led[int(random.random() * len(led))] if len(led) > 1 else led[0]
                else:
                    partition = self.partitioner(key, route.ids)
            outbox = route.outboxes.get(partition)
            if outbox is None:
                return self._later(_Message(topic, key, partition, record, size))
            batch = outbox.open
            if batch is None or batch.size + size > self.max_request_bytes:
                batch = self._new_batch(outbox, topic, size)
        except Exception as error:
            return _failed(error)
        index = len(batch.records)
        batch.records.append(record)
        batch.size += size
        self.buffered += size
        self._filled += 1
        if outbox.state is IDLE:
            self._shipper.added(outbox)
        delivery = Delivery(batch, index)
        if self._filled >= self._fuse and self._set_off():
            return self._through(delivery, batch, index)
        if looked and turn.over(now):
            return turn.later(delivery)
        future = concurrent.Future()
        future.set_result(delivery)
        return future

    def produce_nowait(self, topic, message, key=None, partition=None, headers=None, timestamp=None):
        """
        Takes a message at once or not at all; gives its `kiel.clients.delivery.Delivery`, no Future.

        Parameters and errors are those of `produce`; errors are raised at once.

        :raises kiel.exc.BufferFullError: when there is no room
        :raises kiel.exc.UnknownTopicOrPartitionError: also when the topic is not known yet; `produce` looks it up
        """
        message = self._prepare(topic, message, key, partition, headers, timestamp)
        if self.closing:
            raise _closed(topic)
        if self._waiting or (self.buffered and self.buffered + message.size > self._limit):
            raise failure(exc.BufferFullError("%d of %d bytes wait to be delivered" % (
                self.buffered, self.buffer_bytes
            )), topic)
        route = None if topic in self._lookups else self._routes.get(topic) or self._learn(topic)
        if route is None:
            raise failure(exc.UnknownTopicOrPartitionError("the topic is not known yet"), topic)
        self._choose(message, route)
        batch, index = self._accept(message)
        if self._filled >= self._fuse:
            self._set_off()
        return Delivery(batch, index)

    @gen.coroutine
    def produce_many(self, topic, messages, keys=None, partition=None):
        """
        Takes many messages; gives a Future of their `kiel.clients.delivery.Deliveries`, when there was room for all.

        Cheaper than a call for each. A message that can't be accepted does not keep the others from it: its delivery
        holds the error. Without ``linger``, when the messages fill a batch, this waits until all are through.

        :param messages: an iterable of any length, read as room comes
        :param keys: their keys, as many as there are messages; default: what the ``key_maker`` gives
        :raises kiel.exc.ClosedError: when the producer is closing before any message was taken
        """
        if self.closing:
            raise _closed(topic)
        deliveries = Deliveries()
        source = iter(messages) if keys is None else six.moves.zip(messages, keys)
        while True:
            message = self._take(source, keys is not None, topic, partition, deliveries)
            if message is None:
                break
            if message is _TURN:
                yield gen.moment
                continue
            try:
                delivery = yield self._later(message)
            except Exception as error:
                deliveries.add(_refused(topic, error), 0)
            else:
                deliveries.add(delivery._batch, delivery._index)
        if self._filled >= self._fuse and self._set_off():
            yield deliveries.whole()
        raise gen.Return(deliveries)

    def _take(self, source, keyed, topic, partition, deliveries):
        """
        Takes messages as long as nothing stands in the way.

        Gives None at their end, `_TURN` when the loop is due its turn, or a `_Message` that has to wait.
        """
        serializer, key_maker, partitioner, turn = self.serializer, self.key_maker, self.partitioner, self._turn
        by_chance = partitioner is random_partition
        append = current = None
        first = 0
        limit = self.max_request_bytes
        stop = None
        for message in source:
            try:
                key = None
                if keyed:
                    message, key = message
                value = serializer(message)
                if type(value) is not bytes:
                    value = to_bytes(value)
                if key is None and key_maker is not None:
                    key = key_maker(message)
                now = time.time()
                if not turn.last <= now < turn.next:
                    turn.tick(now)
                    if turn.over(now):
                        stop = _TURN
                if key is None:
                    record = (None, value, None, turn.ms)
                    size = RECORD_OVERHEAD if value is None else RECORD_OVERHEAD + len(value)
                else:
                    record, size = _full_record(key, value, None, turn.ms)
                route = self._routes.get(topic)
                if route is None or self.buffered + size > self._limit or self.closing:
                    stop = _Message(topic, key, partition, record, size)
                    break
                if partition is not None:
                    chosen = partition
                elif by_chance:
                    led = route.led
                    chosen = led[int(random.random() * len(led))] if len(led) > 1 else led[0]
                else:
                    chosen = partitioner(key, route.ids)
                outbox = route.outboxes.get(chosen)
                if outbox is None:
                    stop = _Message(topic, key, chosen, record, size)
                    break
                batch = outbox.open
                if batch is None or batch.size + size > limit:
                    batch = self._new_batch(outbox, topic, size)
            except Exception as error:
                if current is not None:
                    deliveries.add(current, first, len(current) - first)
                    current = None
                deliveries.add(_refused(topic, error), 0)
                continue
            if batch is not current:
                if current is not None:
                    deliveries.add(current, first, len(current) - first)
                current, append = batch, batch.records.append
                first = len(batch.records)
            append(record)
            batch.size += size
            self.buffered += size
            self._filled += 1
            if outbox.state is IDLE:
                self._shipper.added(outbox)
            if stop is not None:
                break
        if current is not None:
            deliveries.add(current, first, len(current) - first)
        return stop

    def _prepare(self, topic, message, key, partition, headers, timestamp):
        """Makes a `_Message` of what the caller gave; raises what is wrong with it."""
        value = to_bytes(self.serializer(message))
        if key is None and self.key_maker is not None:
            key = self.key_maker(message)
        if timestamp is None:
            timestamp = time.time() * 1000
        record, size = _full_record(key, value, headers, timestamp)
        return _Message(topic, key, partition, record, size)

    # -- messages that can't be accepted at once --

    def _later(self, message):
        """Gives the Future of a message for whose topic or room we have to wait; messages keep their order."""
        topic = message.topic
        if self.closing:
            message.future.set_exception(_closed(topic))
            return message.future
        waiting = self._lookups.get(topic)
        route = None
        if waiting is None:
            route = self._routes.get(topic) or self._learn(topic)
            if route is not None and message.partition is not None and message.partition not in route.outboxes:
                route = None
        if route is not None:
            self._place(message, route)
        elif waiting is not None:
            waiting.append(message)
        else:
            self._lookups[topic] = collections.deque([message])
            self._look_up(topic)
        return message.future

    @gen.coroutine
    def _look_up(self, topic):
        """Asks the brokers for a topic, which may make it, and takes what waits for that."""
        error = None
        if self.io_loop is None:
            self.io_loop = ioloop.IOLoop.current()
        try:
            yield self.cluster.ensure(topic)
        except Exception as failed:
            error = failed
        route = self._learn(topic)
        if error is None or route is not None:
            error = self.cluster.topic_errors.get(topic) or exc.UnknownTopicOrPartitionError(
                "there is no topic %s, and the brokers do not create it" % topic
            )
        waiting = self._lookups.pop(topic)
        while waiting:
            message = waiting.popleft()
            if message.future.done():
                continue
            if route is None:
                message.future.set_exception(failure(error, topic))
            else:
                self._place(message, route)

    def _place(self, message, route):
        """Accepts a message whose topic is known, or lets it wait for room."""
        try:
            self._choose(message, route)
        except Exception as error:
            message.future.set_exception(error)
            return
        if self._waiting or (self.buffered and self.buffered + message.size > self.buffer_bytes):
            self._waiting.append(message)
            self._limit = -1
            self._set_off()
        else:
            self._admit(message)

    def _choose(self, message, route):
        """Settles where a message goes."""
        if message.size + BATCH_OVERHEAD > self.max_request_bytes:
            raise _too_large(message.topic, message.size, self.max_request_bytes)
        partition = message.partition
        if partition is None:
            if self.partitioner is random_partition:
                partition = random_partition(message.key, route.led)
            else:
                partition = self.partitioner(message.key, route.ids)
        message.outbox = route.outboxes.get(partition)
        if message.outbox is None:
            raise failure(exc.UnknownTopicOrPartitionError("topic %s has the partitions %s, not %r" % (
                message.topic, route.ids, partition
            )), message.topic, partition)

    def _accept(self, message):
        """Puts a message into its outbox; gives its batch and its index there."""
        outbox, size = message.outbox, message.size
        batch = outbox.open
        if batch is None or batch.size + size > self.max_request_bytes:
            batch = self._new_batch(outbox, message.topic, size)
        index = len(batch.records)
        batch.records.append(message.record)
        batch.size += size
        self.buffered += size
        self._filled += 1
        if outbox.state is IDLE:
            self._shipper.added(outbox)
        return batch, index

    def _admit(self, message):
        """Accepts a message that waited, and tells who waited for it."""
        if message.future.done():  # given up
            return
        try:
            batch, index = self._accept(message)
        except Exception as error:
            message.future.set_exception(error)
            return
        delivery = Delivery(batch, index)
        if self._filled >= self._fuse and self._set_off():
            self._through(delivery, batch, index, message.future)
        else:
            message.future.set_result(delivery)

    def _on_room(self, freed):
        """Some bytes have left the buffer: lets in those who wait, first come first served."""
        self.buffered -= freed
        while self._waiting:
            if self.buffered and self.buffered + self._waiting[0].size > self.buffer_bytes:
                return
            self._admit(self._waiting.popleft())
        self._limit = self.buffer_bytes

    # -- batches --

    def _new_batch(self, outbox, topic, size):
        """Opens a batch for a message of that size; the one before, if any, is full, which sets off sending."""
        if size + BATCH_OVERHEAD > self.max_request_bytes:
            raise _too_large(topic, size, self.max_request_bytes)
        full = outbox.open is not None
        batch = self._shipper.begin(outbox)
        if full:
            self._set_off()
        return batch

    def _set_off(self):
        """Sends all that is there; gives whether who filled the batch is to wait for it."""
        self._filled = 0
        self._shipper.release()
        return self.linger is None

    def _through(self, delivery, batch, index, future=None):
        """A Future of the delivery, done when what was just sent off is through; fails if the message did."""
        if self._shipper.prompt:
            return batch.wait(index, delivery, future)
        ticket = self._watch(Ticket(looks=False))
        if not ticket.left:
            return batch.wait(index, delivery, future)
        if future is None:
            future = concurrent.Future()
        ticket.future.add_done_callback(lambda _: batch.wait(index, delivery, future))
        return future

    def _watch(self, ticket):
        """Lets a ticket wait for all that is not done; gives it."""
        for batch in self._shipper.batches():
            batch.watch(ticket)
        return ticket

    # -- metadata --

    def _learn(self, topic):
        """Makes the route of a topic that metadata knows; gives it, or None."""
        if not self.cluster.topics.get(topic):
            return None
        route = self._routes[topic] = Route(self.cluster, self._shipper, topic)
        return route

    def _on_metadata(self):
        """Metadata came: partitions and leaders may be others now, topics may be gone."""
        for topic in list(self._routes):
            if self._learn(topic) is None:
                del self._routes[topic]

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
            yield gen.with_timeout(datetime.timedelta(seconds=timeout), work, quiet_exceptions=exc.KielError)
        except gen.TimeoutError:
            raise exc.DeliveryTimeoutError("not all messages were acknowledged within %g s" % timeout)

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

    def _not_accepted(self):
        """The messages that wait for their topic or for room."""
        return [message for waiting in self._lookups.values() for message in waiting] + list(self._waiting)

    @gen.coroutine
    def connect(self):
        """
        Finds the cluster. A second call does no harm.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.AuthenticationError: when a login or a certificate is not accepted
        """
        self._shipper.stopped = False
        yield super(Producer, self).connect()

    @gen.coroutine
    def close(self, timeout=None):
        """
        Delivers what is still to be delivered, then ends every connection.

        What can't be delivered in time is given up: its deliveries fail with `kiel.exc.ClosedError`. Gives how much
        that was: ``{(topic, partition id): number of messages}``, with the id ``None`` where none was chosen.

        :param timeout: seconds; default: ``close_timeout``
        """
        self._patience = self.close_timeout if timeout is None else timeout
        yield super(Producer, self).close()
        raise gen.Return(self.undelivered)

    @gen.coroutine
    def wind_down(self):
        """Delivers what it can, and gives up the rest."""
        try:
            yield self.flush(self._patience)
        except exc.KielError as error:
            log.info("While closing: %s", error)
        error = exc.ClosedError("the producer was closed before the message was delivered")
        self.undelivered = self._shipper.stop(error)
        for message in self._not_accepted():
            if not message.future.done():
                key = (message.topic, message.partition)
                self.undelivered[key] = self.undelivered.get(key, 0) + 1
                message.future.set_exception(failure(error, *key))
        self._waiting.clear()
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
        for outbox in self._shipper.active:
            for batch in list(outbox.batches)[1 if outbox.state is IN_FLIGHT else 0:]:
                unsent.setdefault(outbox.topic, []).extend(_view(batch))
        return unsent

    @property
    def sent(self):
        """What is under way, ``{correlation id: {topic: {partition id: [Message]}}}``; a copy."""
        sent = {}
        for correlation_id, flight in self._shipper.sent.items():
            topics = sent[correlation_id] = {}
            for outbox, batch in flight.cargo:
                topics.setdefault(outbox.topic, {})[outbox.partition] = _view(batch)
        return sent


#: `Producer._take` stopped to let the loop have its turn
_TURN = object()


def _full_record(key, value, headers, timestamp):
    """A record with its key and headers as bytes, and its size."""
    if headers:
        pairs = headers.items() if hasattr(headers, "items") else headers
        headers = [(to_bytes(name), to_bytes(header)) for name, header in pairs]
    record = (to_bytes(key), value, headers or None, int(timestamp))
    return record, record_size(record)


def _view(batch):
    """A batch's messages as kiel 0.9 showed them."""
    return [Message(magic=0, attributes=0, key=record[0], value=record[1]) for record in batch.records or ()]


def _failed(error):
    """A Future that has failed."""
    future = concurrent.Future()
    future.set_exception(error)
    return future


def _refused(topic, error):
    """A batch of one message that was not even accepted."""
    batch = Batch(topic, getattr(error, "partition", None))
    batch.records.append((None, None, None, -1))
    batch.finish(error)
    return batch


def _closed(topic):
    """The error of a message that came too late."""
    return failure(exc.ClosedError("the producer is closing and takes no more messages"), topic)


def _too_large(topic, size, limit):
    """The error of a message that no request could hold."""
    return failure(exc.MessageSizeTooLargeError(
        "the message takes %d bytes, and a request no more than max_request_bytes=%d" % (size, limit)
    ), topic)
