"""Members of groups that read in a loop of their own, and a producer of numbers for them; on real brokers."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients

from tests import loop


class Reader(object):
    """A member that reads a topic in a loop of its own; ``got`` is what it was handed."""

    def __init__(self, consumer, topic):
        self.consumer = consumer
        self.topic = topic
        self.got = []
        #: the Future of the loop; None before `start`
        self.running = None

    @gen.coroutine
    def start(self):
        yield self.consumer.connect()
        self.running = self.read()

    @gen.coroutine
    def read(self):
        while True:
            found = yield self.consumer.consume(self.topic)
            if found is None:
                return
            yield gen.maybe_future(self.took(found))

    def took(self, found):
        """What is done with the messages of one `consume`; may give a Future."""
        self.got.extend(found)

    @gen.coroutine
    def stop(self):
        yield self.consumer.close()
        if self.running is not None:
            yield loop.within(5, self.running)

    @property
    def owned(self):
        return list(self.consumer.allocation.get(self.topic, ()))


class Source(object):
    """Produces numbers, the next one each time, to the partitions in turn."""

    def __init__(self, kafka, topic, partitions, patience, **settings):
        self.producer = clients.Producer(kafka.bootstrap, serializer=lambda message: message, linger=0.005, **settings)
        self.topic = topic
        self.partitions = partitions
        self.patience = patience
        self.sent = []

    @gen.coroutine
    def put(self, count):
        yield self.producer.connect()
        deliveries = []
        for _ in range(count):
            number = len(self.sent)
            self.sent.append(b"%d" % number)
            deliveries.append((yield self.producer.produce(
                self.topic, self.sent[-1], partition=number % self.partitions
            )))
        yield [loop.within(self.patience, gen.convert_yielded(delivery)) for delivery in deliveries]

    @gen.coroutine
    def stop(self):
        yield self.producer.close()
