"""What functions of an application raise: serializers, key makers, partitioners, assignors and such."""
from __future__ import absolute_import

import sys


def callback_failure(error):
    """
    Return the error that stands for what an application's function has raised: to be called in an ``except`` block.

    What would end a coroutine or a loop instead of being caught (StopIteration, GeneratorExit, CancelledError) becomes
    a RuntimeError with the cause attached. Only what ends the process goes on.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    if isinstance(error, Exception) and not isinstance(error, StopIteration) and not _cancels(error):
        return error
    wrapped = RuntimeError("a function of the application raised %s" % type(error).__name__)
    wrapped.__cause__ = error
    if hasattr(error, "with_traceback"):
        wrapped = wrapped.with_traceback(sys.exc_info()[2])
    return wrapped


def safe_text(error):
    """Return an error as text, also where its own ``__str__`` fails."""
    try:
        return str(error)
    except Exception:
        return "%s (its text can't be made)" % type(error).__name__


def _cancels(error):
    """Return whether this is a CancelledError, of whichever module: on Python 3.7 and older it is an Exception."""
    return type(error).__name__ in ("CancelledError", "StopAsyncIteration", "Return")
