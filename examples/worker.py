#!/usr/bin/env python
"""
Prints a topic's events, shared with every other worker of the group, until Ctrl-C.

Start it several times: ZooKeeper tells the workers of each other, and they share the partitions. Offsets are committed
after the events were printed, so that an event whose worker dies is printed by another one: at least once.

    python examples/worker.py localhost:9092 localhost:2181 colors
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import signal
import sys

from tornado import gen, ioloop

from kiel import clients

log = logging.getLogger("worker")


def flag(text):
    """The value of an option that is on or off."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError("%r is neither true nor false" % text)


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Print a topic's events as one worker of a group, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("zk_hosts", metavar="ZK_HOSTS", help="comma-separated host:port of ZooKeeper")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to work on")
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


@gen.coroutine
def run(args):
    """Consumes, prints and commits until Ctrl-C; then closes, which leaves the group."""
    stopping = interrupt()
    consumer = clients.GroupedConsumer(
        args.brokers.split(","),
        group="worker-group",
        zk_hosts=args.zk_hosts.split(","),
        autocommit=False,
    )
    try:
        yield consumer.connect()
        while not stopping:
            messages = yield consumer.consume(args.topic)
            for message in messages:
                print(message)
            sys.stdout.flush()
            log.debug("consumed %d messages", len(messages))
            if messages:
                yield consumer.commit_offsets()
    finally:
        yield consumer.close()
        print("closed")


def main():
    """Runs the consumer on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
