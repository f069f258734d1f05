#!/usr/bin/env python
"""
A page that shows a topic and the workers of its group while they work: throughput, lag, members, dead letters.

    python examples/dashboard                       # starts a real Kafka of its own, and stops it at the end
    python examples/dashboard --brokers localhost:9092 --topic orders --port 8888

``make dashboard`` does the first. Open the address that it prints; SIGTERM or Ctrl-C ends it in order.
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import sys

from tornado import gen, ioloop

from kiel import testing
from kiel.service import GracefulStop

import pages
import watch


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="dashboard", description="Show a topic and its workers, until Ctrl-C.")
    parser.add_argument("--brokers", help="comma-separated host:port of some brokers (default: starts a Kafka)")
    parser.add_argument("--kafka", metavar="VERSION", default="4.4.0", help="the Kafka to start (default: 4.4.0)")
    parser.add_argument("--port", type=int, default=8888, help="where to listen (default: %(default)s)")
    parser.add_argument("--topic", default="orders", help="made where it is not there (default: %(default)s)")
    parser.add_argument("--partitions", type=int, default=4, help="of a topic that is made (default: %(default)s)")
    parser.add_argument("--group", default="dashboard", help="whose workers are shown (default: %(default)s)")
    parser.add_argument("--members", type=int, default=2, help="how many workers run (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=20, help="messages a second without the button (default: 20)")
    return parser.parse_args()


@gen.coroutine
def run(args, brokers):
    """Serves the page until a signal comes."""
    stop = GracefulStop(seconds=20)
    watched = watch.Watch(brokers, args.topic, args.group, args.members)
    shown = pages.Pages(watched)
    server = shown.application().listen(args.port, "127.0.0.1")
    stop.then(server.stop, shown.close, watched.close)
    stop.watch(watched.run(args.partitions, args.rate, shown.show))
    print("The dashboard is at http://127.0.0.1:%d/" % args.port)
    sys.stdout.flush()
    yield stop.wait()
    print("closed")


def main():
    """Runs the page on this thread's IOLoop, beside a Kafka where none is named."""
    args = arguments()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("kiel.worker").setLevel(logging.CRITICAL)  # orders that fail are on the page
    loop = ioloop.IOLoop.current()
    if args.brokers:
        loop.run_sync(lambda: run(args, args.brokers.split(",")))
        return
    print("Starting Kafka %s (its jars are fetched once, into your own cache) ..." % args.kafka)
    sys.stdout.flush()
    # a member that comes or goes is seen within a second, not five
    quick = {"group.consumer.min.heartbeat.interval.ms": 1000, "group.consumer.heartbeat.interval.ms": 1000}
    with testing.Kafka(args.kafka, settings=quick) as kafka:
        loop.run_sync(lambda: run(args, kafka.bootstrap))


if __name__ == "__main__":
    main()
