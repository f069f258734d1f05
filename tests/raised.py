"""What a function of an application may raise, for tables: also what is no Exception, and what has no text."""
from __future__ import absolute_import

try:
    from asyncio import CancelledError
except ImportError:  # Python 2
    from concurrent.futures import CancelledError


class Unprintable(Exception):
    """Has neither a text nor a representation."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


ERRORS = [ValueError("full"), KeyError("t"), StopIteration(), GeneratorExit(), CancelledError(), Unprintable()]
NAMES = [type(error).__name__ for error in ERRORS]
