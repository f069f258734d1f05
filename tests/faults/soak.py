"""
A soak: ``python -m tests.faults.soak --seconds 600`` (``make soak``; an hour: ``make soak FOR=3600``).

A producer, a consumer of a group and a consumer of its own at work on one real broker. Every ten seconds: memory, file
descriptors, callbacks and time-outs that wait on the loop, bytes in the producer's buffer, messages that the consumers
are behind. It fails when one of them grows, when a message is missing or comes twice, or when anything is logged as a
warning.
"""
from __future__ import absolute_import, print_function

import argparse
import gc
import logging
import os
import platform
import sys
import time
import uuid

import tornado
from tornado import gen, ioloop

from kiel import clients, exc
from kiel.clients.offsets import BEGINNING
from kiel.testing import Kafka

#: seconds between two samples
STEP = 10.0

#: seconds at the begin that do not count: caches fill
WARMING = 60.0

#: how much more memory the last quarter may take than the first, in MB
ALLOWANCE = 6.0


class Warnings(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self):
        super(Warnings, self).__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append("%s %s: %s" % (record.levelname, record.name, record.getMessage()))


def resident():
    """This process's memory in MB (Linux)."""
    with open("/proc/self/statm") as source:
        return int(source.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors():
    """How many files are open."""
    return len(os.listdir("/proc/self/fd"))


class Counting(object):
    """Consumes; knows how many messages came and how many of them out of turn, and keeps nothing."""

    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic
        self.count = 0
        self.wrong = 0
        self.stopping = False
        self._next = {}
        self.done = self._read()

    @gen.coroutine
    def _read(self):
        while not self.stopping:
            try:
                found = yield self.consumer.consume(self.topic, BEGINNING)
            except exc.KielError as error:
                logging.getLogger("soak").warning("consume: %s", error)
                continue
            for value in found or ():
                partition, number = value[:20].split(b"|")[:2]
                number = int(number)
                if number != self._next.get(partition, 0):
                    self.wrong += 1
                self._next[partition] = number + 1
                self.count += 1


@gen.coroutine
def soak(kafka, seconds, rate, say, size=100, partitions=4):
    """Runs it; gives samples ``(seconds, MB, descriptors, waiting, buffered, behind)`` and the messages counted."""
    topic = "soak-" + uuid.uuid4().hex[:8]
    kafka.create_topic(topic, partitions=partitions, config={
        "retention.bytes": 50 * 1000 * 1000, "segment.bytes": 10 * 1000 * 1000})
    producer = clients.Producer(kafka.bootstrap, serializer=bytes, linger=0.02, batch_size=500)
    readers = [
        clients.SingleConsumer(kafka.bootstrap, deserializer=bytes),
        clients.GroupedConsumer(kafka.bootstrap, "group-" + topic, zk_hosts=kafka.zk_hosts, deserializer=bytes,
                                autocommit="processed"),
    ]
    for client in [producer] + readers:
        yield client.connect()
    reading = [Counting(reader, topic) for reader in readers]
    loop = ioloop.IOLoop.current()
    begun = sampled = time.time()
    sent, numbers, samples = 0, [0] * partitions, []
    while time.time() - begun < seconds:
        for _ in range(max(1, rate // 100)):
            partition = sent % partitions
            value = ("%d|%d|" % (partition, numbers[partition])).encode("ascii").ljust(size, b".")
            numbers[partition] += 1
            sent += 1
            yield producer.produce(topic, value, partition=partition)
        ahead = begun + sent / float(rate) - time.time()
        if ahead > 0:
            yield gen.sleep(ahead)
        if time.time() - sampled >= STEP:
            sampled = time.time()
            gc.collect()
            samples.append((
                sampled - begun, resident(), descriptors(), waiting(loop), producer.buffered,
                sent - min(one.count for one in reading)))
            if len(samples) % 6 == 0:
                say(samples[-1], sent)
    yield producer.flush(30)
    deadline = time.time() + 20
    while min(one.count for one in reading) < sent and time.time() < deadline:
        yield gen.sleep(0.1)
    for one in reading:
        one.stopping = True
    yield [one.done for one in reading]
    for client in [producer] + readers:
        yield client.close()
    raise gen.Return((samples, sent, [one.count for one in reading], sum(one.wrong for one in reading)))


def waiting(loop):
    """Callbacks and time-outs that wait on the loop, as far as it can be told."""
    inner = getattr(loop, "asyncio_loop", None)
    if inner is not None:
        return len(getattr(inner, "_ready", ())) + len(getattr(inner, "_scheduled", ()))
    return len(getattr(loop, "_timeouts", ())) + len(getattr(loop, "_callbacks", ()))


def verdict(samples):
    """What grew, as a list of texts: the last quarter beside the first, after the warming up."""
    counted = [sample for sample in samples if sample[0] >= WARMING] or samples
    quarter = max(1, len(counted) // 4)
    first, last = counted[:quarter], counted[-quarter:]
    grown = []
    for at, (name, allowed) in enumerate((
        ("memory (MB)", ALLOWANCE), ("file descriptors", 3), ("waiting callbacks", 100), ("buffered bytes", 1000000),
        ("messages behind", 20000),
    ), 1):
        before = sum(sample[at] for sample in first) / float(quarter)
        after = sum(sample[at] for sample in last) / float(quarter)
        if after > before + allowed:
            grown.append("%s: %.1f at first, %.1f at last" % (name, before, after))
    return grown


def main():
    """Runs from the command line; ends with 1 when something grew, was lost, came twice, or was warned of."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kafka", default="4.4.0")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=2000, help="messages a second")
    options = parser.parse_args()
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    print("soak of %g s, %d messages a second, Kafka %s, Python %s, Tornado %s" % (
        options.seconds, options.rate, options.kafka, platform.python_version(), tornado.version))

    def say(sample, sent):
        print("%6.0f s  %6.1f MB  %3d descriptors  %4d waiting  %7d bytes buffered  %6d behind  %d sent" % (
            sample + (sent,)))
        sys.stdout.flush()

    with Kafka(options.kafka) as kafka:
        loop = ioloop.IOLoop(make_current=False)
        samples, sent, counts, wrong = loop.run_sync(
            lambda: soak(kafka, options.seconds, options.rate, say), timeout=options.seconds + 120)
        loop.close()
    problems = verdict(samples) + ["warning: %s" % line for line in warnings.lines[:10]]
    if wrong or any(count != sent for count in counts):
        problems.append("%d messages sent; consumed: %s; %d of them out of turn" % (sent, counts, wrong))
    first, last = samples[min(len(samples) - 1, int(WARMING / STEP))], samples[-1]
    print("%d messages, each read twice; memory %.1f MB after %.0f s, %.1f MB after %.0f s; descriptors %d and %d; "
          "%d warnings" % (sent, first[1], first[0], last[1], last[0], first[2], last[2], len(warnings.lines)))
    for problem in problems:
        print("BROKEN: %s" % problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
