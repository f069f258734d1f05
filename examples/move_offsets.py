#!/usr/bin/env python
"""
Copies the offsets that a group of kiel 0.9 committed into Kafka's own store, once, before the brokers lose the old one.

Run it while no member of the group runs, on brokers that still have both stores (Kafka before 4.0, with ZooKeeper). It
takes the higher of both positions and writes it to both, so it may be run again, and 0.9 can still go on.

    python examples/move_offsets.py localhost:9092 worker-group

The same as ``kiel move-offsets worker-group --brokers localhost:9092``, which knows TLS and logins, too.
"""
from __future__ import absolute_import

import argparse
import sys

from kiel import command


def main():
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Copy a group's offsets into Kafka's own store.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("group", metavar="GROUP", help="the group, none of whose members may run")
    args = parser.parse_args()
    return command.main(["move-offsets", args.group, "--brokers", args.brokers])


if __name__ == "__main__":
    sys.exit(main())
