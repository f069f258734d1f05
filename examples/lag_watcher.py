#!/usr/bin/env python
"""
Tells how far a group is behind, again and again, and warns where that is too far; until SIGTERM or Ctrl-C.

    python examples/lag_watcher.py localhost:9092 worker-group --every 10 --most 1000
"""
from __future__ import absolute_import, print_function

import argparse
import sys

from tornado import gen, ioloop

from kiel import clients, exc
from kiel.retry import Backoff
from kiel.service import GracefulStop


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Tell how far a group is behind, until Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("group", metavar="GROUP", help="the group to watch")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks (default: %(default)g)")
    parser.add_argument("--most", type=int, default=1000, help="the lag to warn from on (default: %(default)d)")
    return parser.parse_args()


def say(text):
    """Prints a line at once, also into a pipe."""
    print(text)
    sys.stdout.flush()


def report(lags, most):
    """Tells of all partitions in one line, and of each that is too far behind in one of its own."""
    say("%d messages behind in %d partitions" % (sum(found.lag or 0 for found in lags.values()), len(lags)))
    for (topic, partition), found in sorted(lags.items()):
        who = found.member.client_id if found.member else "nobody"
        if found.error is not None:
            say("WARNING %s:%d can't be looked at: %s" % (topic, partition, found.error))
        elif found.lag is not None and found.lag > most:
            say("WARNING %s:%d is %d behind at offset %d, read by %s" % (
                topic, partition, found.lag, found.committed, who))


@gen.coroutine
def watch(admin, args, stop):
    """Looks until it is to stop."""
    while not stop.requested.done():
        try:
            report((yield admin.lag(args.group)), args.most)
        except exc.KielError as error:  # Kafka may be away for a while; the watcher goes on
            say("WARNING group %s can't be looked at: %s" % (args.group, error))
        yield gen.WaitIterator(stop.requested, gen.sleep(args.every)).next()  # whichever comes first


@gen.coroutine
def run(args):
    """Watches until a signal comes."""
    admin = clients.Admin(args.brokers.split(","), retry=Backoff(deadline=10))
    yield admin.connect()
    stop = GracefulStop(seconds=15)
    watching = stop.watch(watch(admin, args, stop))
    stop.then(lambda: watching, admin.close)
    yield stop.wait()
    say("closed")


def main():
    """Runs it on this thread's IOLoop."""
    args = arguments()
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
