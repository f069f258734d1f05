"""kiel's tasks where none of the optional packages is installed: they are made impossible to import."""
from __future__ import absolute_import

import importlib
import os
import sys

from benchmarks.peers import task

sys.modules.update(dict.fromkeys(task.OPTIONAL))
os.environ["KIEL_EXTENSION"] = "0"

from benchmarks.peers import kiel_peer  # noqa: E402
from kiel.protocol import crc32c  # noqa: E402


def check():
    """Makes sure that kiel has to do without."""
    for name in task.OPTIONAL:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        raise RuntimeError("%s can be imported all the same" % name)
    if crc32c.crc32c is not crc32c.pure:
        raise RuntimeError("checksums are not those of pure Python: %r" % crc32c.crc32c)


if __name__ == "__main__":
    check()
    task.main(vars(kiel_peer))
