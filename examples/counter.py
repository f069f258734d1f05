#!/usr/bin/env python
"""
Counts the colors of a topic's new events until Ctrl-C.

    python examples/counter.py localhost:9092 colors
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import logging
import signal
import sys

from tornado import gen, ioloop

from kiel import clients

log = logging.getLogger("counter")


def flag(text):
    """The value of an option that is on or off."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError("%r is neither true nor false" % text)


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Count the colors of a topic's new events, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to consume from its end")
    parser.add_argument("--status_interval", type=float, default=2.0, help="seconds between counts (default: 2)")
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


def tell(counts):
    """Prints how often each color was seen."""
    print("counts:")
    for color in sorted(counts):
        print("  %-8s %d" % (color, counts[color]))
    sys.stdout.flush()


@gen.coroutine
def run(args):
    """Consumes and counts until Ctrl-C, then closes."""
    stopping = interrupt()
    consumer = clients.SingleConsumer(args.brokers.split(","))
    counts = collections.Counter()  # type: collections.Counter
    ticker = ioloop.PeriodicCallback(lambda: tell(counts), args.status_interval * 1000)
    try:
        yield consumer.connect()
        ticker.start()
        while not stopping:
            messages = yield consumer.consume(args.topic)
            log.debug("consumed %d messages", len(messages))
            counts.update(message["color"] for message in messages)
    finally:
        ticker.stop()
        yield consumer.close()
        tell(counts)
        print("closed")


def main():
    """Runs the consumer on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
