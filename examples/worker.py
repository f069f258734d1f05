#!/usr/bin/env python
"""
Prints a topic's events, shared with every other worker of the group, until SIGTERM or Ctrl-C.

Start it several times: the workers share the partitions. An event that fails is tried again for a while, and then put
into the topic of dead letters; offsets are committed after that, so that an event whose worker dies is printed by
another one: at least once.

    python examples/worker.py localhost:9092 colors

With --zk_hosts the workers meet in ZooKeeper, as those of kiel 0.9 do.
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import sys

from tornado import gen, ioloop

from kiel import clients
from kiel.retry import Backoff
from kiel.service import GracefulStop
from kiel.worker import Reject, Worker

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
    parser.add_argument("topic", metavar="TOPIC", help="the topic to work on; dead letters go to TOPIC.dead")
    parser.add_argument("--zk_hosts", help="comma-separated host:port of ZooKeeper, for a group that meets there")
    parser.add_argument("--group", default="worker-group", help="who shares the topic (default: %(default)s)")
    parser.add_argument("--debug", type=flag, nargs="?", const=True, default=False,
                        help="true or false: log what happens in detail (default: false)")
    return parser.parse_args()


def handle(record):
    """Prints an event; it may as well be a coroutine that stores it."""
    if record.value is None:
        raise Reject("an event without a value")  # trying again does not help
    log.debug("%s:%d at %d", record.topic, record.partition, record.offset)
    print(record.value)
    sys.stdout.flush()


@gen.coroutine
def run(args):
    """Works until a signal comes; then ends in order."""
    consumer = clients.GroupedConsumer(
        args.brokers.split(","), args.group, args.zk_hosts and args.zk_hosts.split(","), topics=[args.topic],
        autocommit=False)
    worker = Worker(consumer, handle, retry=Backoff(deadline=30), dead_letters=args.topic + ".dead", timeout=60)
    stop = GracefulStop(seconds=25)
    stop.watch(worker.run())
    stop.then(lambda: worker.drain(20))
    try:
        yield stop.wait()
    finally:
        print("closed after %(done)d events, %(dead)d of them dead letters" % dict(
            worker.numbers, done=worker.numbers["done"] + worker.numbers["dead"]))


def main():
    """Runs the worker on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
