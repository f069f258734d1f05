"""kiel's tasks with the loops in Python, though the extension is built."""
from __future__ import absolute_import

import os

os.environ["KIEL_EXTENSION"] = "0"

from benchmarks.peers import kiel_peer, task  # noqa: E402

if __name__ == "__main__":
    task.main(vars(kiel_peer))
