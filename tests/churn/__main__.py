"""``python -m tests.churn``: one run, and what the ledger says."""
from __future__ import absolute_import

import argparse
import os
import random
import sys
import tempfile

from tests.churn import run


def main():
    """Reads the options, runs, and ends with 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.churn", description="A group under churn, and its ledger.")
    parser.add_argument("--seed", type=int, help="of what happens when; printed, and at random by default")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument("--assignor", help="default: cooperative-sticky, or the broker's own with --protocol consumer")
    parser.add_argument("--members", type=int, default=8, help="at most")
    parser.add_argument("--partitions", type=int, default=24)
    parser.add_argument("--pace", type=float, default=2.0, help="seconds between two disturbances, on average")
    parser.add_argument("--kafka", default="4.4.0")
    parser.add_argument("--python", action="append", help="interpreters of the members, in turn; default: this one")
    parser.add_argument("--directory", help="for ledgers and logs, which stay; default: a new one")
    args = parser.parse_args()
    seed = random.randrange(10 ** 6) if args.seed is None else args.seed
    directory = args.directory or tempfile.mkdtemp(prefix="churn-")
    if not os.path.isdir(directory):
        os.makedirs(directory)
    assignor = args.assignor or ("cooperative-sticky" if args.protocol == "classic" else None)
    print("--seed %d --seconds %g --protocol %s --assignor %s --members %d --partitions %d --pace %g; ledgers in %s" % (
        seed, args.seconds, args.protocol, assignor, args.members, args.partitions, args.pace, directory))
    sys.stdout.flush()
    options = dict(group_protocol=args.protocol, assignors=[assignor] if assignor else None)
    checker = run.churn(
        directory, args.kafka, options=options, seed=seed, seconds=args.seconds, slots=args.members,
        partitions=args.partitions, pace=args.pace, pythons=args.python or [sys.executable])
    print(", ".join("%d %s" % (checker.counts[name], name) for name in sorted(checker.counts)))
    for problem in checker.problems[:30] + checker.problems[30:][-10:]:
        print(problem)
    print("%d problems" % len(checker.problems))
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
