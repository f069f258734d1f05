#!/usr/bin/env python
"""
Reads events of one topic and writes each, changed, to another, exactly once, until Ctrl-C.

What was read, and what was made of it, is committed in one transaction: whenever this program is killed and started
again, no event is left out and none is written twice, for consumers with isolation_level="read_committed". Needs Kafka
2.5 or newer. Started several times, with an id for each, the copies share the partitions.

    python examples/transform.py localhost:9092 colors shades --id transform-1
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import signal
import sys

from tornado import gen, ioloop

from kiel import clients, exc

log = logging.getLogger("transform")


def flag(text):
    """The value of an option that is on or off."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError("%r is neither true nor false" % text)


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Change events from one topic to another, exactly once.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("source", metavar="SOURCE", help="the topic to read")
    parser.add_argument("target", metavar="TARGET", help="the topic to write to")
    parser.add_argument("--id", default="transform-1",
                        help="a name that no other running copy has (default: %(default)s)")
    parser.add_argument("--debug", type=flag, nargs="?", const=True, default=False,
                        help="true or false: log what happens in detail (default: false)")
    return parser.parse_args()


def interrupt():
    """An empty list that Ctrl-C fills, so that what runs can end in order; a second Ctrl-C is the usual one."""
    seen = []

    def note(*_):
        seen.append(True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    return seen


def changed(event):
    """What becomes of an event."""
    return dict(event, color="dark %s" % event["color"])


@gen.coroutine
def transform(producer, consumer, events, target):
    """Writes what is made of some events, and commits it with their offsets."""
    with (yield producer.transaction()) as transaction:
        for event in events:
            yield producer.produce(target, changed(event))
        yield producer.send_offsets(consumer)
    yield transaction.outcome()


@gen.coroutine
def run(args):
    """Reads, changes and writes until Ctrl-C."""
    stopping = interrupt()
    brokers = args.brokers.split(",")
    producer = clients.Producer(brokers, transactional_id=args.id, linger=0.01)
    consumer = clients.GroupedConsumer(
        brokers, group="transform-group", group_instance_id=args.id, autocommit=False,
        isolation_level="read_committed",
    )
    try:
        # the producer first: it ends what a copy that died has left open
        yield producer.connect()
        yield consumer.connect()
        while not stopping:
            events = yield consumer.consume(args.source)
            if not events:
                continue
            try:
                yield transform(producer, consumer, events, args.target)
            except exc.TransactionFailedError as error:
                log.warning("nothing of this was committed, once more: %s", error)
                consumer.rewind()
            else:
                print("%d events" % len(events))
                sys.stdout.flush()
    finally:
        # any other error ends the program: the copy started next goes on from what was committed
        yield consumer.close()
        yield producer.close()
        print("closed")


def main():
    """Runs on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
