#!/usr/bin/env python
"""
Copies the offsets that a group of kiel 0.9 committed into Kafka's own store, once, before the brokers lose the old one.

Run it while no member of the group runs, on brokers that still have both stores (Kafka before 4.0, with ZooKeeper). It
takes the higher of both positions and writes it to both, so it may be run again, and 0.9 can still go on.

    python examples/move_offsets.py localhost:9092 worker-group
"""
from __future__ import absolute_import, print_function

import argparse
import logging

from tornado import gen, ioloop

from kiel import exc
from kiel.clients import Admin


@gen.coroutine
def run(args):
    """Reads what is committed for every partition there is, and commits it."""
    admin = Admin(args.brokers.split(","), zookeeper_offsets=True)
    group = admin.group(args.group)
    try:
        yield admin.connect()
        keys = [(topic, number) for topic, numbers in admin.cluster.topics.items() for number in numbers]
        committed = yield group.committed_offsets(keys)
        offsets = dict((key, offset) for key, offset in committed.items() if offset is not None)
        failed = [error for error in offsets.values() if isinstance(error, exc.KielError)]
        if not failed and offsets:
            results = yield group.commit(offsets, "moved from kiel 0.9")
            failed = [error for error in results.values() if isinstance(error, exc.KielError)]
        if failed:
            raise SystemExit("FAILED: %s" % failed[0])
        for topic, number in sorted(offsets):
            print("%s:%d at %d" % (topic, number, offsets[topic, number]))
        print("%d partitions of group %s are in every store" % (len(offsets), args.group))
    finally:
        yield admin.close()


def main():
    """Runs it on this thread's IOLoop."""
    parser = argparse.ArgumentParser(description="Copy a group's offsets into Kafka's own store.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("group", metavar="GROUP", help="the group, none of whose members may run")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
