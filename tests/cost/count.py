"""
Counts what a piece of work executes: Python's instructions, and calls of functions written in Python or C.

The counts are the same on every machine, and differ only from one Python to the next. ``python -m tests.cost.count``
prints those of each hot loop, per message, for this Python, as `ALLOWED` has them for kiel without speedups, and
`SPED_UP` with them.
"""
from __future__ import absolute_import, print_function

import gc
import sys

OPCODES = sys.version_info >= (3, 7)
UNIT = "opcode" if OPCODES else "line"

#: The version of Python -> loop -> (instructions, calls) per message; for 2.7, which does not count instructions, it is
#: lines. Python 3.12 and later count too few. Whoever makes a loop dearer on purpose changes its line, and says why.
ALLOWED = {
    (2, 7): {
        "consume": (0.5, 0.12),
        "consume and wait": (2217.4, 793.80),
        "consume, json": (8.1, 3.24),
        "consume, keys": (0.5, 0.12),
        "consume, magic 1": (22.0, 3.01),
        "consume, mixed sizes": (9.3, 3.09),
        "consume, services": (9.3, 3.09),
        "consume_records": (1.1, 0.29),
        "consume_records, keys, mixed sizes": (5.9, 2.58),
        "consume_records, services": (5.5, 2.58),
        "consume_records, services, batches of 250": (6.9, 2.83),
        "consume_records, small batches": (8.3, 1.93),
        "encode": (0.0, 0.03),
        "encode, mixed sizes": (0.0, 0.02),
        "encode, services": (17.3, 13.12),
        "produce": (31.6, 8.19),
        "produce and wait": (796.0, 273.02),
        "produce, keys": (52.3, 15.10),
        "produce, partitions": (31.6, 8.22),
        "produce, services": (65.3, 19.11),
        "produce_many": (0.1, 0.04),
        "produce_many, keys": (37.4, 11.18),
        "request": (180.0, 82.00),
    },
    (3, 11): {
        "consume": (3.0, 0.12),
        "consume and wait": (8129.2, 598.80),
        "consume, json": (45.6, 4.25),
        "consume, keys": (3.1, 0.12),
        "consume, magic 1": (116.2, 3.01),
        "consume, mixed sizes": (58.9, 3.09),
        "consume, services": (70.3, 3.29),
        "consume_records": (7.7, 0.30),
        "consume_records, keys, mixed sizes": (36.8, 2.58),
        "consume_records, services": (35.1, 2.58),
        "consume_records, services, batches of 250": (43.4, 2.84),
        "consume_records, small batches": (50.2, 1.91),
        "encode": (0.3, 0.03),
        "encode, mixed sizes": (0.3, 0.03),
        "encode, services": (129.1, 14.13),
        "produce": (152.9, 9.14),
        "produce and wait": (3790.3, 236.02),
        "produce, keys": (274.5, 16.08),
        "produce, partitions": (153.1, 9.16),
        "produce, services": (357.6, 20.10),
        "produce_many": (0.4, 0.04),
        "produce_many, keys": (251.4, 11.18),
        "request": (899.0, 81.00),
    },
}


#: the same with the loops in C, which do not count
SPED_UP = {
    (2, 7): {
        "consume": (0.0, 0.01),
        "consume and wait": (2167.0, 788.60),
        "consume, json": (7.4, 3.14),
        "consume, keys": (0.0, 0.01),
        "consume, magic 1": (22.0, 3.01),
        "consume, mixed sizes": (0.0, 0.01),
        "consume, services": (0.0, 0.01),
        "consume_records": (0.0, 0.01),
        "consume_records, keys, mixed sizes": (0.0, 0.01),
        "consume_records, services": (0.0, 0.01),
        "consume_records, services, batches of 250": (0.3, 0.08),
        "consume_records, small batches": (1.6, 0.46),
        "encode": (0.0, 0.01),
        "encode, mixed sizes": (0.0, 0.01),
        "encode, services": (0.0, 0.01),
        "produce": (31.6, 8.19),
        "produce and wait": (794.0, 270.02),
        "produce, keys": (28.3, 6.12),
        "produce, partitions": (31.6, 8.22),
        "produce, services": (28.3, 6.13),
        "produce_many": (0.1, 0.04),
        "produce_many, keys": (13.4, 2.18),
        "request": (180.0, 82.00),
    },
    (3, 11): {
        "consume": (0.2, 0.01),
        "consume and wait": (7929.2, 596.80),
        "consume, json": (41.8, 4.14),
        "consume, keys": (0.2, 0.01),
        "consume, magic 1": (116.2, 3.01),
        "consume, mixed sizes": (0.2, 0.01),
        "consume, services": (0.2, 0.01),
        "consume_records": (0.2, 0.01),
        "consume_records, keys, mixed sizes": (0.2, 0.01),
        "consume_records, services": (0.2, 0.01),
        "consume_records, services, batches of 250": (1.5, 0.08),
        "consume_records, small batches": (8.9, 0.46),
        "encode": (0.1, 0.01),
        "encode, mixed sizes": (0.1, 0.01),
        "encode, services": (0.1, 0.01),
        "produce": (152.9, 9.14),
        "produce and wait": (3758.1, 233.02),
        "produce, keys": (125.7, 7.10),
        "produce, partitions": (153.1, 9.16),
        "produce, services": (126.0, 7.12),
        "produce_many": (0.4, 0.04),
        "produce_many, keys": (102.4, 2.18),
        "request": (899.0, 81.00),
    },
}


class Counter(object):
    """Counts while it is on: a context."""

    def __init__(self):
        self.instructions = 0
        self.calls = 0

    def __enter__(self):
        gc.collect()
        gc.disable()
        sys.setprofile(self._called)
        sys.settrace(self._entered)
        return self

    def __exit__(self, *exc_info):
        sys.settrace(None)
        sys.setprofile(None)
        gc.enable()

    def _entered(self, frame, event, arg):
        """A function begins: its instructions are counted, its lines only where there is no better."""
        if OPCODES:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        return self._executed

    def _executed(self, frame, event, arg):
        """Something happened in a function."""
        if event == UNIT:
            self.instructions += 1
        return self._executed

    def _called(self, frame, event, arg):
        """A function of either kind is called."""
        if event in ("call", "c_call"):
            self.calls += 1


def measure(work, messages):
    """(instructions, calls) per message, of work that handles so many; it has been done once before."""
    work()
    with Counter() as counter:
        work()
    return float(counter.instructions) / messages, float(counter.calls) / messages


def main():
    """Prints the tables of this Python."""
    from kiel import speedups
    from tests.cost import loops
    built = speedups.native
    for table, native in (("ALLOWED", None), ("SPED_UP", built)):
        if table == "SPED_UP" and built is None:
            print("SPED_UP: the extension is not built")
            break
        speedups.native = native
        print("%s = {\n    (%d, %d): {" % ((table,) + sys.version_info[:2]))
        for name in sorted(loops.LOOPS):
            work, messages = loops.LOOPS[name]()
            print('        "%s": (%.1f, %.2f),' % ((name,) + measure(work, messages)))
        print("    },")


if __name__ == "__main__":
    main()
