"""
Runs the sweep and writes its table: ``python -m tests.sweep [docs/sweep.rst]``.

Words after that are clients, or apis: then those alone are swept, and nothing is written.
"""
from __future__ import absolute_import

import logging
import re
import sys

from tornado import gen, ioloop

from kiel import exc
from tests.sweep.cases import APIS, CODES, run

HEAD = """Every error code
================

In ``make sweep`` a scripted broker answers each API with each of Kafka's error codes, once and for a while. A ledger
of all messages shows that each client recovers or raises a clear error, never hangs, never retries without a pause,
and neither loses nor duplicates a message. In the tables, "recovers" means that the application notices nothing but a
delay. Anything else is the error that the application got before it went on; "the error" is the one that belongs to
the code.

"""

#: what stands in the table for the error of the code that was answered, and for the most frequent outcome's codes
OWN, REST = "the error", "all others"


#: cases that run at the same time
TOGETHER = 36


@gen.coroutine
def sweep(rows, only=()):
    """Run all cases, some at a time: each has a broker of its own."""
    for client, apis in APIS.items():
        for api in apis:
            if only and client not in only and api not in only:
                continue
            for begin in range(0, len(CODES), TOGETHER):
                codes = CODES[begin:begin + TOGETHER]
                once = yield [run(client, api, code, True) for code in codes]
                longer = yield [run(client, api, code, False) for code in codes]
                for code, first, second in zip(codes, once, longer):
                    rows.append((client, api, code, str(first), str(second)))
                    print("%-40s %-30s %5d  %-40s %s" % rows[-1])
                sys.stdout.flush()


def table(rows):
    """Return the rows as a page, those of one client, api and outcome in one line."""
    lines = [HEAD]
    for client in APIS:
        lines += [client.capitalize(), "-" * len(client), "", ".. list-table::", "   :header-rows: 1", "",
                  "   * - api", "     - once", "     - for a while", "     - codes"]
        found = {}
        for _, api, code, once, longer in [row for row in rows if row[0] == client]:
            error = exc.for_code(code)
            words = [re.sub(r"\b%s\b" % type(error).__name__, OWN, outcome) for outcome in (once, longer)]
            found.setdefault((api,) + tuple(words), []).append("%s (%d)" % (error.name, code))
        for api in APIS[client]:
            outcomes = sorted((len(names), outcome) for outcome, names in found.items() if outcome[0] == api)
            for count, outcome in outcomes:
                names = found[outcome] if outcome != outcomes[-1][1] else [REST]
                lines += ["   * - %s" % api, "     - %s" % outcome[1], "     - %s" % outcome[2],
                          "     - %s" % ", ".join(names)]
        lines.append("")
    return "\n".join(lines)


def main():
    """Sweep, and write the page."""
    logging.disable(logging.CRITICAL)
    rows = []
    ioloop.IOLoop.current().run_sync(lambda: sweep(rows, sys.argv[2:]))
    if len(sys.argv) == 2:
        with open(sys.argv[1], "w") as page:
            page.write(table(rows))
    broken = [row for row in rows if "BROKEN" in row[3] + row[4]]
    print("%d cases, %d broken" % (2 * len(rows), len(broken)))
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
