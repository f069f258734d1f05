"""Writes the table of wrong set-ups: ``python -m tests.setups [docs/setups.rst]``."""
from __future__ import absolute_import

import logging
import sys

from tornado import ioloop

from tests.setups import page
from tests.setups.cases import outcomes


def main():
    """Run all, and write the page."""
    logging.disable(logging.CRITICAL)
    rows = []
    ioloop.IOLoop.current().run_sync(lambda: outcomes(rows))
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as target:
            target.write(page.table(rows))
    print("%d set-ups, the slowest %.2f s" % (len(rows), max(seconds for _, _, seconds, _ in rows)))


if __name__ == "__main__":
    main()
