"""How a producer takes messages: where they go, whether there is room, and what has to wait."""
from __future__ import absolute_import

import collections
import time

from tornado import concurrent, gen, ioloop

from kiel import exc
from kiel.clients.client import Client
from kiel.clients.delivery import Delivery, Ticket
from kiel.clients.outbox import BATCH_OVERHEAD, IDLE, MOST_RECORDS, Batch, failure, record_size
from kiel.partitioners import random_partition, to_bytes


class Route(object):
    """
    Where the messages of one topic can go, as metadata last said.

    ``ids`` are all partitions, in order; ``outboxes`` theirs by id; ``led`` the outboxes of those
    that have a leader (of all, while none has).

    ``chosen`` is the batch that the random partitioner puts messages into at present. It stays with
    a partition, chosen by chance, for as long as one batch takes messages (KIP-480): a few large
    batches cost everybody less than many small ones.
    """

    __slots__ = ("ids", "led", "outboxes", "chosen")

    def __init__(self, cluster, shipper, topic):
        leaders = cluster.leaders.get(topic, {})
        self.ids = list(cluster.topics[topic])
        self.outboxes = dict((number, shipper.outbox(topic, number)) for number in self.ids)
        led = [number for number in self.ids if number in leaders] or self.ids
        self.led = [self.outboxes[number] for number in led]
        self.chosen = FULL


#: stands where there is no batch that takes messages
FULL = Batch(None, None)


class Incoming(object):
    """
    A message that can't be accepted yet: its topic is looked up, or there is no room.

    ``key`` is as the caller gave it, for the partitioner; ``label`` are the key and the headers as
    they are written. In the end there is an ``outbox`` for it, or a ``route`` where chance is to
    choose.
    """

    __slots__ = (
        "topic", "key", "label", "value", "timestamp", "partition", "size", "route", "outbox",
        "future"
    )

    def __init__(self, topic, key, label, value, timestamp, partition, size):
        self.topic = topic
        self.key = key
        self.label = label
        self.value = value
        self.timestamp = timestamp
        self.partition = partition
        self.size = size
        self.route = None
        self.outbox = None
        self.future = None  # made when it has to wait


class Intake(Client):
    """
    The side of a producer that messages come in by.

    Messages keep the order in which they were given, also those that wait for their topic to be
    looked up, or for room: nothing is accepted while others wait for room.
    """

    def _prepare(self, topic, message, key, partition, headers, timestamp):
        """Makes a `Incoming` of what the caller gave; raises what is wrong with it."""
        value = to_bytes(self.serializer(message))
        if key is None and self.key_maker is not None:
            key = self.key_maker(message)
        if timestamp is None:
            timestamp = time.time() * 1000
        label, size = labelled(key, value, headers)
        return Incoming(topic, key, label, value, int(timestamp), partition, size)

    # -- messages that can't be accepted at once --

    def _later(self, message):
        """
        Gives the Future of a message for whose topic or room we have to wait; messages keep their
        order.
        """
        topic = message.topic
        message.future = concurrent.Future()
        error = closed(topic) if self.closing else self.refusal()
        if error is not None:
            message.future.set_exception(error)
            return message.future
        waiting = self._lookups.get(topic)
        route = None
        if waiting is None:
            route = self._routes.get(topic) or self._learn(topic)
            # a partition that is not known may have been added lately
            if route is not None and message.partition not in route.outboxes:
                route = route if message.partition is None else None
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
            self.gate()
            self._set_off()
        else:
            self._admit(message)

    def _choose(self, message, route):
        """Settles where a message goes."""
        if message.size + BATCH_OVERHEAD > self.max_request_bytes:
            raise too_large(message.topic, message.size, self.max_request_bytes)
        partition = message.partition
        if partition is None and self.partitioner is random_partition:
            message.route = route
            return
        if partition is None:
            partition = self.partitioner(message.key, route.ids)
        message.outbox = route.outboxes.get(partition)
        if message.outbox is None:
            raise failure(exc.UnknownTopicOrPartitionError(
                "topic %s has the partitions %s, not %r" % (message.topic, route.ids, partition)
            ), message.topic, partition)

    def _accept(self, message):
        """Puts a message into its outbox; gives its batch and its index there."""
        size = message.size
        if message.route is not None:
            outbox, batch = self._by_chance(message.route, size)
        else:
            outbox = message.outbox
            batch = self._batch_for(outbox, size)
        index = len(batch.records)
        batch.records.add(message.value, message.timestamp, message.label)
        self._count(outbox, batch, 1, size)
        return batch, index

    def _count(self, outbox, batch, messages, size):
        """Keeps the books of messages that were put into a batch."""
        batch.size += size
        self._book(messages, size)
        if outbox.state is IDLE:
            self._shipper.added(outbox)

    def _book(self, messages, size):
        """Counts messages that were put into a batch."""
        self._buffered += size
        self._filled += messages

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
        self._buffered -= freed
        while self._waiting:
            if self.buffered and self.buffered + self._waiting[0].size > self.buffer_bytes:
                return
            self._admit(self._waiting.popleft())
        if self._limit < 0:  # because somebody waited
            self.gate()

    def refusal(self):
        """The error of a message that is not accepted now, None if it is."""
        return None

    def gate(self):
        """Settles whether messages are accepted at once, or have to be looked at one by one."""
        self._streak.end()
        shut = self._waiting or self.closing or self.refusal() is not None
        self._limit = -1 if shut else self.buffer_bytes

    def refuse_waiting(self, error):
        """Fails the messages that are not accepted yet; gives them."""
        left = [message for message in self._not_accepted() if not message.future.done()]
        self._waiting.clear()
        for message in left:
            message.future.set_exception(failure(error, message.topic, message.partition))
        return left

    # -- batches --

    def _batch_for(self, outbox, size, messages=1):
        """
        The batch of an outbox that takes messages of that size: the open one, or a new one when
        that is full, which sets off sending.
        """
        self._streak.end()
        batch = outbox.open
        if batch is not None:
            if batch.size + size <= batch.limit and len(batch.records) + messages <= MOST_RECORDS:
                return batch
        if size + BATCH_OVERHEAD > self.max_request_bytes:
            raise too_large(outbox.topic, size, self.max_request_bytes)
        if batch is not None:
            # before there is a new one, which must not be sent off empty
            outbox.shut()
            self._set_off()
        return self._shipper.begin(outbox)

    def _by_chance(self, route, size, messages=1):
        """
        The outbox and its batch for messages whose partition is left to chance, which stays where
        it is as long as a batch is open there.
        """
        if route.chosen.limit:
            outbox = route.outboxes[route.chosen.partition]
        else:
            outbox = random_partition(None, route.led)
        batch = route.chosen = self._batch_for(outbox, size, messages)
        return outbox, batch

    def _set_off(self):
        """Sends all that is there; gives whether who filled the batch is to wait for it."""
        self._streak.end()
        self._filled = 0
        self._shipper.release()
        return self.linger is None

    def _through(self, delivery, batch, index, future=None):
        """
        A Future of the delivery, done when what was just sent off is through; fails if the message
        did.
        """
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
        self._streak.end()
        for topic in list(self._routes):
            if self._learn(topic) is None:
                del self._routes[topic]

    def _not_accepted(self):
        """The messages that wait for their topic or for room."""
        waiting = list(self._waiting)
        for messages in self._lookups.values():
            waiting.extend(messages)
        return waiting


def labelled(key, value, headers):
    """The key and the headers of a message as they are written, ``None`` for neither, and its size with them."""
    if headers:
        pairs = headers.items() if hasattr(headers, "items") else headers
        headers = [(to_bytes(name), to_bytes(header)) for name, header in pairs]
    key = to_bytes(key)
    return (key, headers or None) if key is not None or headers else None, record_size(key, value, headers)


def refused(topic, error):
    """A batch of one message that was not even accepted."""
    batch = Batch(topic, getattr(error, "partition", None))
    batch.records.add(None, -1)
    batch.finish(error)
    return batch


def closed(topic):
    """The error of a message that came too late."""
    return failure(exc.ClosedError("the producer is closing and takes no more messages"), topic)


def too_large(topic, size, limit):
    """The error of a message that no request could hold."""
    return failure(exc.MessageSizeTooLargeError(
        "the message takes %d bytes, a request no more than max_request_bytes=%d" % (size, limit)
    ), topic)
