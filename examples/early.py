#!/usr/bin/env python
"""
A worker that may be started before Kafka is: it says what it waits for, and works as soon as there is a broker.

    python examples/early.py localhost:9092 colors

SIGTERM or Ctrl-C ends it in order, also while it waits.
"""
from __future__ import absolute_import, print_function

import argparse
import sys

from tornado import gen, ioloop

from kiel import clients
from kiel.retry import Backoff
from kiel.service import GracefulStop
from kiel.worker import Worker


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Print a topic's events as soon as Kafka is up, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to work on")
    parser.add_argument("--group", default="early-group", help="the group (default: %(default)s)")
    return parser.parse_args()


def say(text):
    """Prints a line at once, also into a pipe."""
    print(text)
    sys.stdout.flush()


def handle(record):
    """Prints an event."""
    say(record.value)


@gen.coroutine
def run(args):
    """Waits for Kafka as long as it takes, and works until a signal comes."""
    # without a deadline, and with two seconds at most between two attempts
    patient = Backoff(first=0.2, most=2.0, deadline=None)
    consumer = clients.GroupedConsumer(
        args.brokers.split(","), args.group, topics=[args.topic], autocommit=False, retry=patient)
    worker = Worker(consumer, handle, dead_letters=args.topic + ".dead")
    told = []

    def tell():
        """Says when it begins to wait, and when that is over; /health/ready of `HealthHandler` says the same."""
        ready = worker.health()["ready"]
        if told[-1:] != [ready]:
            told.append(ready)
            say("ready" if ready else "waiting for Kafka at %s" % args.brokers)

    status = ioloop.PeriodicCallback(tell, 200)
    status.start()
    stop = GracefulStop(seconds=25)
    stop.watch(worker.run())
    stop.then(status.stop, lambda: worker.drain(20))
    yield stop.wait()
    say("closed")


def main():
    """Runs the worker on this thread's IOLoop."""
    args = arguments()
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
