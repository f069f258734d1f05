"""
Which of kiel's hot loops run in C: those of ``kiel/speedups.c``, where it was built, or their twins in Python.

The extension is optional, as Tornado's is: ``setup.py`` builds it where there is a compiler, and everything works
without it. The environment variable ``KIEL_EXTENSION`` decides otherwise, when kiel is built and when it is imported:
``0`` does without, ``1`` fails where it can't be had.
"""
from __future__ import absolute_import

import logging
import os

log = logging.getLogger(__name__)

#: what this version of kiel calls; an extension that says otherwise was built from another one
VERSION = 3


def find(wanted=None):
    """
    Return the extension's module, or ``None`` for the loops in Python.

    :param wanted: the value of ``KIEL_EXTENSION``
    :raises ImportError: when it is ``1`` and the extension is not there, or not of this version
    """
    if wanted == "0":
        return None
    try:
        from kiel import _speedups
    except ImportError:
        if wanted == "1":
            raise
        return None
    if _speedups.VERSION == VERSION:
        return _speedups
    text = "the extension kiel._speedups was built from another version of kiel; build it again"
    if wanted == "1":
        raise ImportError(text)
    log.warning("%s: until then the pure-Python loops run, which are several times slower", text)
    return None


#: the extension's module, or ``None``; looked at whenever a batch is read or written
native = find(os.environ.get("KIEL_EXTENSION"))


def describe():
    """Return one line that says which loops run, for people: ``C (CRC-32C by SSE4.2)`` or ``Python``."""
    if native is None:
        return "Python"
    return "C (CRC-32C by %s)" % native.CRC32C
