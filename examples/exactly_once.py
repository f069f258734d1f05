#!/usr/bin/env python
"""
Works on orders and writes an invoice for each, exactly once, until SIGTERM or Ctrl-C.

What a handler returns is written in the transaction that commits its order's offset: whatever is killed when, consumers
with isolation_level="read_committed" get each invoice once. Start it several times, with an id for each: the copies
share the partitions. Needs Kafka 2.5 or newer.

    python examples/exactly_once.py localhost:9092 orders invoices --id invoices-1

examples/transform.py does the same by hand, without a worker.
"""
from __future__ import absolute_import, print_function

import argparse
import logging

from tornado import gen, ioloop

from kiel import clients
from kiel.retry import Backoff
from kiel.service import GracefulStop
from kiel.worker import Output, Worker


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Write an invoice for each order, exactly once, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("source", metavar="SOURCE", help="the topic to read; dead letters go to SOURCE.dead")
    parser.add_argument("target", metavar="TARGET", help="the topic to write to")
    parser.add_argument("--id", default="invoices-1",
                        help="a name that no other running copy has, and that stays (default: %(default)s)")
    parser.add_argument("--group", default="invoices", help="who shares the orders (default: %(default)s)")
    return parser.parse_args()


@gen.coroutine
def run(args):
    """Works until a signal comes; then ends in order."""
    brokers = args.brokers.split(",")

    def handle(record):
        """Returns the invoice; several would be a list. What it does elsewhere is done at least once."""
        return Output(args.target, {"invoice_of": record.value["counter"]}, key=record.key)

    consumer = clients.GroupedConsumer(
        brokers, args.group, topics=[args.source], autocommit=False, isolation_level="read_committed")
    producer = clients.Producer(brokers, transactional_id=args.id, transaction_timeout=15, linger=0.01)
    worker = Worker(consumer, handle, producer=producer, retry=Backoff(deadline=30), dead_letters=args.source + ".dead")
    stop = GracefulStop(seconds=25)
    stop.watch(worker.run())
    stop.then(lambda: worker.drain(20))
    try:
        yield stop.wait()
    finally:
        print("closed after %(done)d orders in %(transactions)d transactions" % worker.numbers)


def main():
    """Runs the worker on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
