#!/usr/bin/env python
"""
Produces to a real Kafka and consumes from it: alone, and as two members of a group. ``make demo`` runs it.

It starts a Kafka and a ZooKeeper of its own on free ports of this machine, and leaves nothing behind.

    python examples/demo.py [--kafka 4.4.0]
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import sys
import time

from tornado import gen, ioloop

from kiel import clients, testing

TOPIC = "colors"
COLORS = ("red", "orange", "yellow", "green", "blue", "indigo")
#: seconds after which the demo gives up on a step
PATIENCE = 60


def say(text=""):
    """Prints a line at once, also into a pipe."""
    print(text)
    sys.stdout.flush()


@gen.coroutine
def produce(brokers):
    """Produces six messages without a key and six with one; gives how many."""
    producer = clients.Producer(brokers)
    yield producer.connect()
    say("\nProducing without a key: each message goes to a partition picked by chance.")
    for number, color in enumerate(COLORS):
        delivery = yield producer.produce(TOPIC, {"number": number, "color": color})
        report = yield delivery
        say("  %-8s -> partition %d, offset %d" % (color, report.partition, report.offset))
    yield producer.close()

    producer = clients.Producer(
        brokers,
        key_maker=lambda message: message["color"],
        partitioner=lambda key, partition_ids: partition_ids[COLORS.index(key) % len(partition_ids)],
        batch_size=len(COLORS),
    )
    yield producer.connect()
    say("\nProducing with a key, in one batch: the key decides on the partition.")
    deliveries = []
    for number, color in enumerate(COLORS):
        deliveries.append((color, (yield producer.produce(TOPIC, {"number": 100 + number, "color": color}))))
    for color, delivery in deliveries:
        report = yield delivery
        say("  %-8s -> partition %d, offset %d" % (color, report.partition, report.offset))
    yield producer.close()
    raise gen.Return(2 * len(COLORS))


@gen.coroutine
def consume_alone(brokers, expected):
    """Reads the topic from its beginning with a `SingleConsumer`."""
    consumer = clients.SingleConsumer(brokers)
    yield consumer.connect()
    say("\nA SingleConsumer reads everything from the beginning:")
    seen, deadline = 0, time.time() + PATIENCE
    while seen < expected and time.time() < deadline:
        for record in (yield consumer.consume_records(TOPIC, start=consumer.BEGINNING)):
            seen += 1
            say("  partition %d, offset %d: key %-10r value %r" % (
                record.partition, record.offset, record.key, record.value
            ))
    yield consumer.close()
    check("the SingleConsumer", seen, expected)


@gen.coroutine
def consume_together(brokers, zk_hosts, expected):
    """Reads the topic with two members of a group, each its own partitions."""
    members = {}
    for name in ("first", "second"):
        members[name] = clients.GroupedConsumer(brokers, "demo-group", zk_hosts)
        yield members[name].connect()
    deadline = time.time() + PATIENCE
    while time.time() < deadline and not all(member.allocation.get(TOPIC) for member in members.values()):
        yield gen.sleep(0.1)

    say("\nTwo members of a GroupedConsumer share the partitions:")
    for name in sorted(members):
        say("  %-6s member has partitions %s" % (name, list(members[name].allocation[TOPIC])))
    seen = dict.fromkeys(members, 0)

    @gen.coroutine
    def work(name):
        while sum(seen.values()) < expected and time.time() < deadline:
            for message in (yield members[name].consume(TOPIC)):
                seen[name] += 1
                say("  %-6s member: %r" % (name, message))

    yield [work(name) for name in sorted(members)]
    yield [member.close() for member in members.values()]
    check("the group", sum(seen.values()), expected)


def check(who, seen, expected):
    """Ends the demo with an error unless everything that was produced was consumed, once."""
    if seen != expected:
        raise SystemExit("FAILED: %s consumed %d messages of %d." % (who, seen, expected))


@gen.coroutine
def run(brokers, zk_hosts):
    """The demo itself, once Kafka is there."""
    expected = yield produce(brokers)
    yield consume_alone(brokers, expected)
    yield consume_together(brokers, zk_hosts, expected)
    say("\nAll %d messages were produced, read alone and read by the group, each once." % expected)


def main():
    """Starts Kafka and ZooKeeper, runs the demo, stops both."""
    parser = argparse.ArgumentParser(description="Produce to a real Kafka and consume from it.")
    parser.add_argument("--kafka", metavar="VERSION", default="4.4.0", help="Kafka's release (default: 4.4.0)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    say("Starting Kafka %s and ZooKeeper (their jars are fetched once, into your own cache) ..." % args.kafka)
    begun = time.time()
    with testing.ZooKeeper() as zookeeper, testing.Kafka(args.kafka) as kafka:
        kafka.create_topic(TOPIC, partitions=3)
        say("They are up after %.0f s: Kafka at %s, ZooKeeper at %s." % (
            time.time() - begun, ",".join(kafka.bootstrap), zookeeper.hosts
        ))
        ioloop.IOLoop.current().run_sync(lambda: run(kafka.bootstrap, [zookeeper.hosts]))
    say("Kafka and ZooKeeper are stopped.")


if __name__ == "__main__":
    main()
