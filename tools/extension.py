#!/usr/bin/env python
"""
Puts the extension of the kiel that is installed for this Python beside the source in this clone, where tests import
kiel from; takes one away that is there when the installed kiel has none. Says what it did.
"""
from __future__ import print_function

import os
import shutil
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: what an extension's file ends with; Python 2.7 has no word for it
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or sysconfig.get_config_var("SO") or ".so"


def main():
    """Copies, or removes; leaves alone what a run beside this one may need, where this one is to do without."""
    if os.environ.get("KIEL_EXTENSION") == "0":  # kiel looks at none then
        print("extension: none is used")
        return
    name = os.path.join("kiel", "_speedups" + SUFFIX)
    source = os.path.join(sysconfig.get_paths()["platlib"], name)
    target = os.path.join(ROOT, name)
    if os.path.exists(source):
        # never in place: another run may have it loaded
        part = "%s.%d" % (target, os.getpid())
        shutil.copyfile(source, part)
        os.rename(part, target)
        print("extension: %s" % name)
    else:
        if os.path.exists(target):
            os.remove(target)
        print("extension: none was built for Python %d.%d" % sys.version_info[:2])


if __name__ == "__main__":
    main()
