"""
Counts what a piece of work executes: Python's instructions, and calls of functions written in Python or C.

The counts are the same on every machine, and differ only from one Python to the next. ``python -m tests.cost.count``
prints those of each hot loop, per message, for this Python, as `ALLOWED` has them.
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
        "consume": (0.7, 0.12),
        "consume, json": (8.0, 3.24),
        "consume, keys": (0.7, 0.12),
        "consume, magic 1": (22.0, 3.01),
        "consume, mixed sizes": (27.3, 1.03),
        "consume_records": (1.0, 0.27),
        "consume_records, keys, mixed sizes": (44.7, 4.03),
        "consume_records, small batches": (8.0, 1.48),
        "encode": (0.0, 0.03),
        "encode, mixed sizes": (0.0, 0.02),
        "produce": (33.5, 8.20),
        "produce, keys": (71.2, 19.05),
        "produce, partitions": (63.2, 16.05),
        "produce_many": (0.2, 0.09),
    },
    (3, 11): {
        "consume": (3.3, 0.10),
        "consume, json": (45.4, 4.24),
        "consume, keys": (3.4, 0.10),
        "consume, magic 1": (116.2, 3.01),
        "consume, mixed sizes": (133.3, 1.03),
        "consume_records": (7.8, 0.27),
        "consume_records, keys, mixed sizes": (221.4, 4.03),
        "consume_records, small batches": (52.5, 1.50),
        "encode": (0.3, 0.03),
        "encode, mixed sizes": (0.3, 0.02),
        "produce": (160.2, 9.20),
        "produce, keys": (356.9, 20.05),
        "produce, partitions": (297.9, 17.05),
        "produce_many": (1.3, 0.09),
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
    """Prints the table of this Python."""
    from tests.cost import loops
    print("    (%d, %d): {" % sys.version_info[:2])
    for name in sorted(loops.LOOPS):
        work, messages = loops.LOOPS[name]()
        print('        "%s": (%.1f, %.2f),' % ((name,) + measure(work, messages)))
    print("    },")


if __name__ == "__main__":
    main()
