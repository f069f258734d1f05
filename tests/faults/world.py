"""One run: a cluster, a producer and a consumer at work on one topic, a fault, and what came of it."""
from __future__ import absolute_import

import collections
import logging
import time
import uuid

from tornado import gen, ioloop

from kiel import clients, events
from kiel.clients.offsets import BEGINNING
from tests.faults import ledger

#: partitions of the topic
PARTITIONS = 6

#: seconds for a message from `produce` to its end; all faults are over long before
PATIENCE = 120

#: one row of the table
Row = collections.namedtuple(
    "Row", "kafka fault acknowledged unknown lost duplicated reordered aborted strangers flight retries gap "
           "consumed consumer_lost consumer_again consumer_reordered consumer_gap seconds examples note idempotent")


class Retries(logging.Handler):
    """Counts, by what the clients log, how often batches were sent again and consumers had to turn to somebody else."""

    def __init__(self):
        super(Retries, self).__init__(logging.INFO)
        self.produced = 0
        self.warnings = collections.Counter()

    def emit(self, record):
        if " is retried in " in record.getMessage():
            self.produced += 1
        elif record.levelno >= logging.WARNING:
            self.warnings[record.name, str(record.msg)] += 1


class World(object):
    """What a fault can do to a cluster, and what it needs to know."""

    def __init__(self, kafka, topic, partitions, rnd):
        self.kafka = kafka
        self.topic = topic
        self.partitions = partitions
        self.rnd = rnd
        self.producer = self.consumer = self.writing = self.reading = None
        #: of a loop that consumes and produces: its producer, and where it writes to
        self.passer = None
        self.target = topic
        #: requests in flight each time a fault struck
        self.flights = []
        #: the faults of a mixture
        self.mixture = []

    def leader(self, partition=0):
        """The broker that leads a partition, as the producer knows it."""
        return self.kafka.brokers[self.producer.cluster.leaders[self.topic].get(partition, 0)]

    def coordinator(self):
        """The broker that coordinates the consumers' group."""
        return self.kafka.brokers[self.consumer.coordinator_id or 0]

    def transaction_coordinator(self):
        """The broker that coordinates the transactions at work: the leader of their partition of Kafka's own topic."""
        name = (self.passer or self.producer).transactional_id
        number = 0
        for letter in name:  # Java's String.hashCode
            number = (31 * number + ord(letter)) & 0xffffffff
        found = self.kafka.metadata()[1]["__transaction_state"]
        return self.kafka.brokers[found[(number & 0x7fffffff) % len(found)][1]]

    def links(self, mode, **settings):
        """Sets all proxies."""
        for one in self.kafka.proxies.values():
            one.set(mode, **settings)

    def expire_consumer(self):
        """Makes the consumer's ZooKeeper session expire, if it has one."""
        client = getattr(self.consumer.allocator, "conn", None)
        if client is not None and client.client_id:
            self.kafka.zookeeper.expire(client)

    @gen.coroutine
    def strike(self):
        """Waits until requests are under way, and notes how many; progress is watched from here on."""
        deadline = time.time() + 5
        working = self.passer or self.producer
        while not working.sent and time.time() < deadline:
            yield gen.sleep(0.001)
        self.flights.append(len(working.sent))
        if len(self.flights) == 1:
            self.writing.progress.begin()
            self.reading.progress.begin()

    def thread(self, function, *args):
        """Runs what blocks on a thread; gives a Future."""
        return events.run_blocking(ioloop.IOLoop.current(), function, *args)


@gen.coroutine
def run_fault(kafka, fault, messages, rate, rnd, partitions=PARTITIONS, say=None, **settings):
    """Runs one fault and gives its `Row`; ``settings`` are the producer's."""
    say = say or (lambda text: None)
    topic = "faults-" + uuid.uuid4().hex[:8]
    begun = time.time()
    world = World(kafka, topic, partitions, rnd)
    yield world.thread(lambda: kafka.create_topic(topic, partitions=partitions, replicas=3))
    if fault.prepare is not None:
        yield world.thread(fault.prepare, kafka, topic)
    watcher = Retries()
    logger = logging.getLogger("kiel.clients")
    level = logger.level
    logger.addHandler(watcher)
    logger.setLevel(logging.INFO)
    book = ledger.Book()
    # batches so small that they are full before the answer to the one before is there: several are under way
    wide = dict(settings, serializer=bytes, linger=0.005, batch_size=500, request_timeout=3, connect_timeout=3,
                delivery_timeout=PATIENCE, max_request_bytes=1500)
    if fault.work == "transactions":
        world.producer = clients.Producer(kafka.bootstrap, transactional_id="id-" + topic, **wide)
    else:
        world.producer = clients.Producer(kafka.bootstrap, **wide)
    exact = fault.work == "exactly-once"
    committed = {} if fault.work == "messages" else {"isolation_level": "read_committed"}
    world.consumer = clients.GroupedConsumer(
        kafka.bootstrap, "group-" + topic, zk_hosts=None if exact else kafka.zk_hosts, deserializer=bytes,
        autocommit=False if exact else "processed", max_wait_time=300, request_timeout=3, connect_timeout=3,
        **committed)
    try:
        if exact:
            world.target = topic + "-passed"
            yield world.thread(lambda: kafka.create_topic(world.target, partitions=partitions, replicas=3))
            world.passer = clients.Producer(kafka.bootstrap, transactional_id="id-" + topic, **wide)
            yield world.passer.connect()
        yield world.consumer.connect()
        yield world.producer.connect()
        writing = ledger.Transacting if fault.work == "transactions" else ledger.Writing
        world.writing = writing(world.producer, topic, partitions, book, rate)
        if exact:
            world.reading = ledger.Passing(world.consumer, world.passer, topic, world.target)
        else:
            world.reading = ledger.Reading(world.consumer, topic)
        while len(book.acknowledged) < messages // 10 or exact and not world.reading.got:
            yield gen.sleep(0.05)
            if time.time() - begun > 90:
                raise AssertionError("only %d messages came through before any fault: %r" % (
                    len(book.acknowledged), book.errors[-1:]))
        say("strikes after %d messages" % len(book.acknowledged))
        yield fault.run(world)
        say("mended after %d messages" % len(book.acknowledged))
        mended = time.time()
        while len(book.acknowledged) < messages or time.time() - mended < 2:
            yield gen.sleep(0.05)
        yield world.writing.stop()
        world.writing.progress.sign()
        caught_up = yield world.reading.catch_up(book.acknowledged, 40)
        say("all is acknowledged; the consumer has %s" % ("all" if caught_up else "NOT all"))
        yield world.reading.stop()
        idempotent = getattr(getattr(world.producer, "identity", None), "producer_id", -1) >= 0
    finally:
        logger.removeHandler(watcher)
        logger.setLevel(level)
        world.links("pass")
        yield world.producer.close(10)
        if world.passer is not None:
            yield world.passer.close(10)
        yield gen.with_timeout(ioloop.IOLoop.current().time() + 60, world.consumer.close())
    whole = yield world.thread(kafka.wait_whole, [topic], 60)
    got = yield audit(kafka, world.target, **committed)
    log = book.check(got)
    read = book.check(world.reading.got)
    notes = list(world.mixture)
    if not whole:
        notes.append("replicas not in sync again after 60 s")
    raise gen.Return(Row(
        "%s-%s" % (kafka.version, kafka.mode), fault.name, log.acknowledged, len(set(book.unknown)), log.lost,
        log.duplicated, log.reordered, log.aborted, log.strangers, max(world.flights or [0]), watcher.produced,
        world.writing.progress.longest, len(world.reading.got), read.lost, read.duplicated, read.reordered,
        world.reading.progress.longest, time.time() - begun,
        (dict(log.examples), dict(read.examples), book.errors[:3], world.reading.errors[:3]), ", ".join(notes),
        idempotent
    ))


@gen.coroutine
def audit(kafka, topic, **settings):
    """Reads all that is in the topic from its beginning, with a fresh consumer that comes by no proxy."""
    consumer = clients.SingleConsumer(kafka.plaintext, deserializer=bytes, max_wait_time=200, **settings)
    yield consumer.connect()
    try:
        ends = yield consumer.end_offsets(topic)
        got = []
        deadline = time.time() + 60
        while time.time() < deadline:
            found = yield consumer.consume(topic, BEGINNING)
            got.extend(ledger.read(value) for value in found)
            reached = consumer.offsets[topic]
            if all(reached.get(partition, 0) >= end for partition, end in ends.items() if end):
                break
        else:
            raise AssertionError("the topic could not be read to its end: %s of %s" % (consumer.offsets[topic], ends))
    finally:
        yield consumer.close()
    raise gen.Return(got)


__all__ = ["PARTITIONS", "Row", "World", "audit", "run_fault"]
