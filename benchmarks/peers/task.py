"""
What every peer's script shares: its arguments, the clocks, and the line of JSON that it prints.

A peer module has a function for each task that it can do; `main` runs the one named on the command line. Python 2.7
runs this too.
"""
from __future__ import absolute_import, print_function

import itertools
import json
import math
import random
import resource
import sys
import time

from six.moves import map, range

#: digits at the beginning of each value that count the messages
DIGITS = 10

#: packages with C inside that clients use where they are installed
OPTIONAL = ("crc32c", "cramjam", "snappy", "lz4", "zstandard")

#: and what belongs to a client itself
EXTENSIONS = {
    "kiel._speedups": "C extension of its own", "aiokafka.record._crecords": "C extensions of its own",
    "confluent_kafka.cimpl": "librdkafka",
}

cpu_time = getattr(time, "process_time", None) or time.clock


def packages():
    """Which of those are loaded, so far."""
    names = dict(EXTENSIONS, **dict(zip(OPTIONAL, OPTIONAL)))
    return sorted(names[module] for module in names if sys.modules.get(module) is not None)


def peak():
    """
    The most memory that this process had, in KiB.

    Linux's own note where there is one: getrusage's begins with that of the process that started this one.
    """
    try:
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("VmHWM:")).split()[1])
    except (IOError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def values(count, size):
    """
    The messages of a run, one by one: ``count`` values of ``size`` bytes that begin with their number.

    Made without a step of Python for each, so that what is measured is the client.
    """
    if size < DIGITS:
        return ((b"%010d" % number)[:size] for number in range(count))
    return map((b"%010d" + b"x" * (size - DIGITS)).__mod__, range(count))


#: the header that each of a service's messages has: 55 bytes
HEADER = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def services(count):
    """
    The messages of a service, pairs of a key of 7 bytes and a value of JSON: its size is log-normal with a median of
    220 bytes. A few thousand are made beforehand and come again and again, so that what is measured is the client.
    """
    rnd = random.Random(11)
    made = []
    for number in range(min(count, 5000)):
        size = int(math.exp(rnd.gauss(math.log(220), 0.6)))
        value = {"id": number, "user": "u%05d" % rnd.randrange(10000), "amount": rnd.randrange(10000) / 10.0}
        value["text"] = "".join(rnd.choice("etaoin shrdlu") for _ in range(max(size - 70, 0)))
        made.append((b"k%06d" % rnd.randrange(1000000), json.dumps(value).encode("ascii")))
    return itertools.islice(itertools.cycle(made), count)


class Run(object):
    """The arguments of one run, and its result."""

    def __init__(self, options):
        self.bootstrap = options["bootstrap"]
        self.topic = options["topic"]
        self.count = options["count"]
        self.size = options["size"]
        self.check = options.get("check", False)
        self.options = options
        self.seen = 0
        self.sum = 0
        #: peak memory when all is imported, in KiB
        self.imported = peak()

    def begin(self):
        """Starts the clocks: what came before, such as connecting and imports, does not count."""
        self.cpu = cpu_time()
        self.wall = time.time()

    def took(self, messages):
        """Counts messages that were read; their bytes are looked at in a run that checks and is not timed."""
        self.seen += len(messages)
        if self.check:
            for value in messages:
                if isinstance(value, dict):
                    value = b"%010d" % value["n"] + b"x" * (self.size - DIGITS)
                if len(value) != self.size:
                    raise ValueError("a value of %d bytes, not %d" % (len(value), self.size))
                self.sum += int(value[:DIGITS])

    def end(self):
        """Stops the clocks; gives what is printed."""
        wall, cpu = time.time() - self.wall, cpu_time() - self.cpu
        memory = peak()
        if self.check and self.sum != self.count * (self.count - 1) // 2:
            raise ValueError("the values read are not those written: sum %d of %d messages" % (self.sum, self.seen))
        return {
            "count": self.count, "wall": wall, "cpu": cpu, "memory": (memory - self.imported) * 1024,
            "packages": packages(),
        }


def latency(seconds):
    """The result of a task that measured each message by itself."""
    ordered = sorted(seconds)
    return {
        "median": ordered[len(ordered) // 2], "p90": ordered[len(ordered) * 9 // 10],
        "p99": ordered[len(ordered) * 99 // 100], "p999": ordered[len(ordered) * 999 // 1000],
        "packages": packages(),
    }


def main(namespace):
    """Runs ``TASK OPTIONS`` of the command line with the functions of a module."""
    result = namespace[sys.argv[1]](Run(json.loads(sys.argv[2])))
    print(json.dumps(result))
