"""
A coverage-guided fuzzer over all that reads a broker's bytes: ``python -m tests.fuzz.run --seconds 3600``.

An input that reaches a line or a branch of kiel that none reached before, or ends in an error of a new kind, is kept
and changed further. An exception that is no `kiel.exc.KielError`, more than `SLOWEST` seconds of CPU, or more memory
than `ALLOWANCE` plus `GROWTH` times the input's size is a finding: it is printed, and kept under ``--findings``.
"""
from __future__ import absolute_import, print_function

import argparse
import binascii
import collections
import logging
import os
import random
import re
import resource
import signal
import sys
import time
import traceback

from kiel import compression, exc
from kiel.protocol import part
from tests.fuzz import coverage, mutate, targets

#: seconds of CPU that one input may take
SLOWEST = 1.0

#: bytes that one input may take beside `GROWTH` times its own size
ALLOWANCE = 24 << 20
GROWTH = 100

#: no more address space than this, so that an absurd allocation fails instead of being granted lazily; on Python 2 the
#: lz4 package itself leaks 64 KB of it with each frame that is corrupt (see kiel.compression.lz4)
MOST_MEMORY = (3 if hasattr(sys, "monitoring") else 12) << 30

#: inputs kept per target
MOST_KEPT = 400


class Slow(BaseException):
    """Raised by a timer within an input that takes too long; no `except Exception` catches it."""


class Fuzzer(object):
    """Runs inputs, keeps those worth changing, collects findings."""

    def __init__(self, seed, names=None, findings=None):
        self.rnd = random.Random(seed)
        self.targets = targets.all_targets()
        if names:
            self.targets = dict((name, target) for name, target in self.targets.items()
                                if any(word in name for word in names))
        self.findings_directory = findings
        self.kept = {}
        self.seen = set()
        self.found = collections.OrderedDict()
        self.inputs = 0
        self.errors = 0
        self.slowest = 0.0
        self.coverage = coverage.Coverage()
        self._clock = (-1, 0)
        for name, target in self.targets.items():
            self.kept[name] = target.seeds(self.rnd)
        # responses outnumber the rest, whose readers are intricate: each half gets half of the inputs
        answers = [name for name in self.targets if name.rsplit(" ", 1)[0] in targets.response.classes]
        rest = [name for name in self.targets if name not in answers]
        self.groups = [group for group in (answers, rest) if group]

    def run(self, seconds, report=60):
        """Fuzzes for so long; prints a line of figures every ``report`` seconds."""
        begun = told = time.time()
        bad_bytes, limit = part.BAD_BYTES, compression.Codec.decompress
        # a MemoryError is a finding here, though a client turns it into an error of the connection
        part.BAD_BYTES = tuple(error for error in bad_bytes if error is not MemoryError)
        compression.Codec.decompress = lambda self, data, most=targets.LIMIT: limit(
            self, data, min(most, targets.LIMIT))
        timer = signal.signal(signal.SIGVTALRM, self._on_timer)
        signal.setitimer(signal.ITIMER_VIRTUAL, SLOWEST / 2, SLOWEST / 2)
        try:
            with self.coverage:
                for name in self.targets:
                    for data in list(self.kept[name]):
                        self.check(name, data)
                while time.time() - begun < seconds:
                    for _ in range(200):
                        self.step()
                    self._forget_peak()
                    if report and time.time() - told > report:
                        told = time.time()
                        self.tell(told - begun)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, timer)
            part.BAD_BYTES, compression.Codec.decompress = bad_bytes, limit
        self.tell(time.time() - begun)

    def step(self):
        """Makes one input and runs it."""
        name = self.rnd.choice(self.rnd.choice(self.groups))
        kept = self.kept[name]
        self.check(name, mutate.mutate(self.rnd, self.rnd.choice(kept), kept))

    def check(self, name, data):
        """Runs one input, and keeps it if it led anywhere new."""
        places, peak = self.coverage.places, _peak()
        self.inputs += 1
        begun = time.time()
        outcome = None
        try:
            outcome = self.outcome(name, data)
        except Slow:
            self.report(name, data, "more than %g s of CPU" % SLOWEST)
        except Exception as error:
            last = traceback.extract_tb(sys.exc_info()[2])[-1]
            self.report(name, data, "%s in %s:%s: %s" % (type(error).__name__, last[0], last[1], error),
                        traceback.format_exc())
        self.slowest = max(self.slowest, time.time() - begun)
        grown = _peak() - peak
        if grown > ALLOWANCE + GROWTH * len(data):
            self.report(name, data, "%d bytes of memory for %d" % (grown, len(data)))
        if self.coverage.places > places or outcome is not None and outcome not in self.seen:
            self.seen.add(outcome)
            kept = self.kept[name]
            kept.append(data)
            if len(kept) > MOST_KEPT:
                del kept[self.rnd.randrange(len(kept))]

    def outcome(self, name, data):
        """Runs an input; gives None, or what kind of error of kiel's it ended in, whose text can be had, too."""
        try:
            self.targets[name].run(data)
        except exc.KielError as error:
            self.errors += 1
            return name, type(error), re.sub("[0-9]+", "0", str(error))[:60]
        return None

    def report(self, name, data, what, trace=""):
        """Notes a finding, one of each kind."""
        kind = re.sub("[0-9]+", "0", what.split(": ")[0]), name.split(" ")[0] if "memory" in what else ""
        if kind in self.found:
            return
        self.found[kind] = name, data, what
        line = "%s %s  # %s" % (name.replace(" ", "_"), binascii.hexlify(data).decode("ascii"), what.replace("\n", " "))
        print("FOUND", line[:2000])
        print(trace)
        sys.stdout.flush()
        if self.findings_directory:
            with open(os.path.join(self.findings_directory, "findings.txt"), "a") as target:
                target.write(line + "\n")

    def tell(self, seconds):
        """Prints how far it has come."""
        print("%s  %.0f s, %d inputs (%d gave an error of kiel's), %d places, %d kept, slowest %.3f s, %d findings" % (
            time.strftime("%H:%M:%S"), seconds, self.inputs, self.errors, self.coverage.places,
            sum(map(len, self.kept.values())), self.slowest, len(self.found)))
        sys.stdout.flush()

    def _on_timer(self, signum, stack):
        """Ticks every half of `SLOWEST` seconds of CPU: an input that sees three of them takes too long."""
        inputs, ticks = self._clock
        self._clock = self.inputs, ticks + 1 if inputs == self.inputs else 0
        if self._clock[1] >= 3:
            self._clock = self.inputs, 0
            raise Slow()

    @staticmethod
    def _forget_peak():
        """Lets the peak of memory be measured anew (Linux)."""
        try:
            with open("/proc/self/clear_refs", "w") as target:
                target.write("5")
        except (IOError, OSError):
            pass


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--findings", default=None, help="a directory for findings.txt")
    parser.add_argument("--report", type=float, default=60, help="seconds between two lines of figures")
    parser.add_argument("targets", nargs="*", help="words: only targets with one of them in their name")
    options = parser.parse_args()
    seed = random.randrange(1 << 30) if options.seed is None else options.seed
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    logging.disable(logging.CRITICAL)
    print("seed %d, Python %s" % (seed, sys.version.split()[0]))
    fuzzer = Fuzzer(seed, options.targets, options.findings)
    print("%d targets, coverage: %s" % (len(fuzzer.targets), fuzzer.coverage.possible))
    fuzzer.run(options.seconds, options.report)
    sys.exit(1 if fuzzer.found else 0)


if __name__ == "__main__":
    main()
