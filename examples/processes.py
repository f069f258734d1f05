#!/usr/bin/env python
"""
The workers of a group in several processes, one for each core: they share the partitions of a topic.

    python examples/processes.py localhost:9092 colors --processes 4

Each process makes its clients after the fork. SIGTERM or Ctrl-C to the first one ends them all; one that dies is
started again, and meanwhile the others have its partitions.
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import os
import signal
import sys
import time

from tornado import gen, ioloop

from kiel import clients
from kiel.service import GracefulStop
from kiel.worker import Worker


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Print a topic's events, in several processes, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="the topic to work on")
    parser.add_argument("--group", default="process-group", help="the group (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="how many (default: %(default)s)")
    return parser.parse_args()


def handle(record):
    """Prints an event, and by whom."""
    print("%d: %s" % (os.getpid(), record.value))
    sys.stdout.flush()


@gen.coroutine
def work(args):
    """One process's worker."""
    consumer = clients.GroupedConsumer(args.brokers.split(","), args.group, topics=[args.topic], autocommit=False)
    worker = Worker(consumer, handle, dead_letters=args.topic + ".dead")
    stop = GracefulStop(seconds=25)
    stop.watch(worker.run())
    stop.then(lambda: worker.drain(20))
    yield stop.wait()


def child(args):
    """Fork, and work there; return the process's id."""
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        ioloop.IOLoop.current().run_sync(lambda: work(args))
    except BaseException:
        logging.exception("Process %d ends", os.getpid())
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def main():
    """Keeps the processes running until a signal comes. No loop and no client is made in this one."""
    args = arguments()
    logging.basicConfig(level=logging.WARNING)
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    children = set(child(args) for _ in range(args.processes))
    while not stopping:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid:
            children.discard(pid)
            logging.warning("Process %d has ended; another takes its place", pid)
            children.add(child(args))
        time.sleep(0.2)
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        os.waitpid(pid, 0)
    print("closed")


if __name__ == "__main__":
    main()
