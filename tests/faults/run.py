"""
The fault suite: ``python -m tests.faults.run --kafka 4.4.0,3.9.1-zk,0.10.2.2 [--faults leader-killed] [--seed N]``.

For each release a three-broker cluster; on it each fault with a fresh topic, a producer, and a consumer of a group with
``autocommit="processed"``. Prints a table, and writes it with ``--write`` into docs/faults.rst.
"""
from __future__ import absolute_import, print_function

import argparse
import logging
import platform
import random
import sys
import time
import traceback

import tornado
from tornado import ioloop

from kiel.testing import errors, processes
from tests.faults import report, world
from tests.faults.cluster import FaultyKafka
from tests.faults.faults import FAULTS

#: seconds for one fault, with everything around it
PATIENCE = 400


def run_release(version, names, options, rnd):
    """Runs faults on one release; gives their rows."""
    rows = []
    kafka = FaultyKafka(version)
    old = tuple(int(part) for part in kafka.version.split(".")[:2]) < (0, 11)
    names = [name for name in names if FAULTS[name].mode in ("", kafka.mode)
             and not (old and FAULTS[name].work != "messages")]
    kafka.start()
    try:
        for name in names:
            print("-- %r: %s (%s)" % (kafka, name, FAULTS[name].text))
            sys.stdout.flush()
            try:
                row = one(kafka, FAULTS[name], options, rnd)
            except Exception as error:
                traceback.print_exc()
                rows.append(report.failed(kafka, name, error))
                kafka.stop()
                kafka = FaultyKafka(version).start()
                continue
            rows.append(row)
            print(report.line(row))
            for part in row.examples:
                if part:
                    print("   %r" % (part,))
            sys.stdout.flush()
            if options.rows:
                report.keep([row], options.rows)
            clear(kafka)
    finally:
        kafka.stop()
    return rows


def clear(kafka):
    """Deletes the topics of a fault: a broker that is killed looks through all its logs when it starts again."""
    for topic in kafka.metadata()[1]:
        if topic.startswith("faults-"):
            try:
                kafka.delete_topic(topic)
            except errors.HarnessError as error:
                print("   %s" % error)


def one(kafka, fault, options, rnd):
    """Runs one fault on an IOLoop of its own."""
    loop = ioloop.IOLoop(make_current=False)

    def say(text):
        print("   %s" % text)
        sys.stdout.flush()

    try:
        return loop.run_sync(
            lambda: world.run_fault(kafka, fault, options.messages, options.rate, rnd, say=say), timeout=PATIENCE)
    finally:
        loop.close()


def main():
    """Runs from the command line; ends with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kafka", default="4.4.0,3.9.1-zk,0.10.2.2")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--rate", type=int, default=10000, help="messages a second")
    parser.add_argument("--write", action="store_true", help="write the table into docs/faults.rst")
    parser.add_argument("--rows", help="a file that keeps the rows from run to run: this run's go behind those in it")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    names = options.faults.split(",")
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        parser.error("no such fault: %s; there are %s" % (", ".join(unknown), ", ".join(FAULTS)))
    seed = random.randrange(1 << 30) if options.seed is None else options.seed
    rnd = random.Random(seed)
    logging.basicConfig(level=logging.ERROR if options.verbose else logging.CRITICAL)
    about = "seed %d, Python %s, Tornado %s" % (seed, platform.python_version(), tornado.version)
    print(about)
    begun = time.time()
    rows = []
    for version in options.kafka.split(","):
        rows += run_release(version, names, options, rnd)
    if options.rows:
        rows = report.keep(rows, options.rows)
    text = report.table(rows)
    print(text)
    command = "python -m tests.faults.run --kafka %s --seed %d --messages %d" % (options.kafka, seed, options.messages)
    if options.write:
        report.write(rows, command, about, sum(row.seconds for row in rows) or time.time() - begun)
        processes.tell("docs/faults.rst is written")
    broken = [row for row in rows if not report.kept(row)]
    for row in broken:
        print("BROKEN: %s" % report.line(row))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
