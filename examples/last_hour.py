#!/usr/bin/env python
"""
Counts the events of the last hour, or of any time, and stops.

    python examples/last_hour.py localhost:9092 colors --minutes 60
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import datetime

from tornado import gen, ioloop

from kiel import clients


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Count the events of the last hour by their color.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to read")
    parser.add_argument("--minutes", type=float, default=60.0, help="how far to look back (default: %(default)g)")
    return parser.parse_args()


@gen.coroutine
def run(args):
    """Reads from then to what is there now."""
    counts = collections.Counter()
    consumer = clients.SingleConsumer(args.brokers.split(","))
    yield consumer.connect()
    try:
        stream = consumer.stream(args.topic, start=datetime.timedelta(minutes=args.minutes), until=consumer.END)
        while (yield stream.more()):
            event = yield stream.next()
            counts[event["color"]] += 1
    finally:
        yield consumer.close()
    for color, count in sorted(counts.items()):
        print("%s: %d" % (color, count))
    print("%d events" % sum(counts.values()))


def main():
    """Runs it on this thread's IOLoop."""
    args = arguments()
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
