"""Which of kiel's modules are entered, for tests of how many a reader has to know."""
from __future__ import absolute_import

import gc
import os
import sys

import kiel

ROOT = os.path.dirname(os.path.abspath(kiel.__file__)) + os.sep

#: entered only where the checksum is made by neither the loops in C nor the package ``crc32c``
WHERE_NOTHING_ELSE_IS = os.path.join("protocol", "crc32c.py")

#: where the scripted broker lies, which runs in the same process and calls kiel's protocol too
BROKER = ("tests.fake", "tests.answers", "tests.logs")
#: what it has of kiel's own fake
SHIPPED = "kiel.testing."


class Walk(object):
    """A context that notes the modules of kiel in which a function is called, but for those that the broker calls."""

    def __init__(self):
        self.modules = set()

    def __enter__(self):
        # what earlier tests left would be collected, and speak, in the middle
        gc.collect()
        gc.disable()
        sys.setprofile(self._look)
        return self.modules

    def __exit__(self, *exc_info):
        sys.setprofile(None)
        gc.enable()

    def _look(self, frame, event, arg):
        name = os.path.abspath(frame.f_code.co_filename)
        if event != "call" or not name.startswith(ROOT):
            return
        while frame is not None:
            module = frame.f_globals.get("__name__") or ""
            if module.startswith(SHIPPED) or module in BROKER and frame.f_code.co_name not in ("body", "run"):
                return
            frame = frame.f_back
        if not name.endswith(WHERE_NOTHING_ELSE_IS):
            self.modules.add(name[len(ROOT):])
