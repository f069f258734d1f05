"""``python -m kiel``: see `kiel.command`."""
from __future__ import absolute_import

import sys

from kiel.command import main

if __name__ == "__main__":
    sys.exit(main())
