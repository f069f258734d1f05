#!/usr/bin/env python
"""
Produces events of eight colors until Ctrl-C, and says how many it made.

    python examples/maker.py localhost:9092 colors --compression snappy --batch_size 100
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import random
import signal
import sys
import time

from tornado import gen, ioloop

from kiel import clients, constants

log = logging.getLogger("maker")

COLORS = ("red", "orange", "yellow", "green", "blue", "indigo", "violet", "white")
CODECS = {"gzip": constants.GZIP, "snappy": constants.SNAPPY}


def flag(text):
    """The value of an option that is on or off."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError("%r is neither true nor false" % text)


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Produce events of eight colors to a topic, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to produce to")
    parser.add_argument("--compression", choices=sorted(CODECS), help="compress what is sent (default: no)")
    parser.add_argument("--batch_size", type=int, default=1, help="messages that make a batch (default: 1)")
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


def key_maker(message):
    """The key of a message: its counter."""
    return str(message["counter"])


def partitioner(key, partition_ids):
    """One partition after the other."""
    return partition_ids[int(key) % len(partition_ids)]


class Status(object):
    """Counts events and says so, with those since the last time."""

    def __init__(self):
        self.count = self.told = 0
        self.since = time.time()

    def tell(self):
        """Prints a line."""
        now = time.time()
        rate = (self.count - self.told) / max(now - self.since, 1e-6)
        self.told, self.since = self.count, now
        print("%d events (%d/sec)" % (self.count, rate))
        sys.stdout.flush()


@gen.coroutine
def run(args):
    """Produces until Ctrl-C; then closes, which sends what is still queued."""
    stopping = interrupt()
    producer = clients.Producer(
        args.brokers.split(","),
        key_maker=key_maker,
        partitioner=partitioner,
        batch_size=args.batch_size,
        compression=CODECS.get(args.compression),
    )
    status = Status()
    ticker = ioloop.PeriodicCallback(status.tell, args.status_interval * 1000)
    try:
        yield producer.connect()
        ticker.start()
        while not stopping:
            event = {"counter": status.count, "color": random.choice(COLORS)}
            yield producer.produce(args.topic, event)
            log.debug("produced %r", event)
            status.count += 1
    finally:
        ticker.stop()
        yield producer.close()
        print("closed after %d events" % status.count)


def main():
    """Runs the producer on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
