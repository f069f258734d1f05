"""
``kiel produce`` and ``kiel consume`` beside kcat, from a file and into one.

``python -m benchmarks.shell`` starts a broker, and says how many messages a second each wrote and read, by the clock
and by processor time, start-up included; the best of several rounds, in turns. Needs ``kcat``.
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import os
import resource
import subprocess
import sys
import tempfile
import time

from kiel.testing import Kafka

#: what each client is told, by what is done with it
COMMANDS = {
    ("produce", "kcat"): ["kcat", "-P", "-q", "-b", "{brokers}", "-t", "{topic}"],
    ("produce", "kiel"): [sys.executable, "-m", "kiel", "produce", "{topic}", "--quiet", "-b", "{brokers}"],
    ("consume", "kcat"): ["kcat", "-C", "-q", "-e", "-o", "beginning", "-b", "{brokers}", "-t", "{topic}"],
    ("consume", "kiel"): [sys.executable, "-m", "kiel", "consume", "{topic}", "-e", "-b", "{brokers}"],
}


def timed(command, source, target):
    """Run a command; return its seconds by the clock and of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    subprocess.check_call(command, stdin=source, stdout=target)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.time() - began, used


def main(argv=None):
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--messages", type=int, default=3000000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a message")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    found = collections.defaultdict(list)
    with tempfile.TemporaryFile() as lines, Kafka("4.4.0") as kafka:
        for number in range(args.messages):
            lines.write((b"%d " % number).ljust(args.size, b"x") + b"\n")
        lines.flush()
        for number in range(args.rounds):
            for what in "produce", "consume":
                for client in "kcat", "kiel":
                    topic = "shell-%d-%s" % (number, client)
                    if what == "produce":
                        kafka.create_topic(topic, 1)
                    command = [each.format(brokers=",".join(kafka.bootstrap), topic=topic)
                               for each in COMMANDS[what, client]]
                    lines.seek(0)
                    with tempfile.TemporaryFile() as target:
                        found[what, client].append(timed(command, lines, target))
                        if what == "consume":
                            assert os.fstat(target.fileno()).st_size == os.fstat(lines.fileno()).st_size
    print("%-8s %-6s %16s %22s" % ("", "", "messages/s", "messages/s of processor"))
    for (what, client), times in sorted(found.items()):
        clock, used = [min(each) for each in zip(*times)]
        print("%-8s %-6s %16d %22d" % (what, client, args.messages / clock, args.messages / used))


if __name__ == "__main__":
    main()
