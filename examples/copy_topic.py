#!/usr/bin/env python
"""
Copies a topic to another one, of the same cluster or another: keys, values, headers, time stamps and partitions.

It ends when what was there at the beginning is copied; with --follow, at SIGTERM or Ctrl-C. A target that is not there
is made, with as many partitions.

    python examples/copy_topic.py localhost:9092 colors localhost:9092 colors-copy
"""
from __future__ import absolute_import, print_function

import argparse

from tornado import gen, ioloop

from kiel import clients, exc
from kiel.clients.administering.topics import NewTopic
from kiel.service import GracefulStop


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Copy a topic, message by message.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of the source's brokers")
    parser.add_argument("source", metavar="SOURCE", help="the topic to read")
    parser.add_argument("to_brokers", metavar="TO_BROKERS", help="the same of the target's")
    parser.add_argument("target", metavar="TARGET", help="the topic to write")
    parser.add_argument("--follow", action="store_true", help="go on with what is written later")
    return parser.parse_args()


@gen.coroutine
def make_topic(brokers, name, partitions):
    """Makes the topic, unless it is there."""
    admin = clients.Admin(brokers)
    yield admin.connect()
    made = yield admin.create_topics([NewTopic(name, partitions)])
    yield admin.close()
    if isinstance(made[name], exc.KielError) and not isinstance(made[name], exc.TopicAlreadyExistsError):
        raise made[name]


@gen.coroutine
def copy(consumer, producer, args):
    """Copies until the stream ends: at what was its end, or when the consumer is closed."""
    ends = yield consumer.end_offsets(args.source)
    yield make_topic(args.to_brokers.split(","), args.target, len(ends))
    stream = consumer.stream_records(
        args.source, start=consumer.BEGINNING, until=None if args.follow else consumer.END)
    count = 0
    while (yield stream.more()):
        record = yield stream.next()
        yield producer.produce(
            args.target, record.value, key=record.key, partition=record.partition, headers=record.headers,
            timestamp=record.timestamp if record.timestamp >= 0 else None)
        count += 1
    yield producer.flush()  # raises what could not be written
    print("%d messages copied" % count)


@gen.coroutine
def run(args):
    """Copies until the end, or a signal."""
    consumer = clients.SingleConsumer(args.brokers.split(","), deserializer=bytes)
    producer = clients.Producer(args.to_brokers.split(","), serializer=lambda value: value, linger=0.01)
    yield [consumer.connect(), producer.connect()]
    copying = copy(consumer, producer, args)
    stop = GracefulStop(seconds=25)
    stop.watch(copying)
    stop.then(consumer.close, lambda: copying, producer.close)
    yield stop.wait()


def main():
    """Runs it on this thread's IOLoop."""
    args = arguments()
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
