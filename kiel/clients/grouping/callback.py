"""Calling an application's callback, whatever it does: nothing that it raises, or never ends, stops a rebalance."""
from __future__ import absolute_import

import logging
import sys

from tornado import gen, ioloop

from kiel import events

log = logging.getLogger(__name__)


@gen.coroutine
def call_back(callback, args, seconds, what):
    """
    Call an application's function or coroutine function, and wait until it is done, but not longer than ``seconds``.

    Whatever it raises is logged. A KeyboardInterrupt or SystemExit leaves the IOLoop, as it should, but from a call of
    its own: else whoever waits for this one would do so for ever.

    :param callback: None for nothing
    :param what: what goes on without it, for the log
    """
    if callback is None:
        return
    name = getattr(callback, "__name__", None) or type(callback).__name__
    try:
        future = events.outcome_of(callback(*args))
    except (KeyboardInterrupt, SystemExit) as interrupt:
        ioloop.IOLoop.current().add_callback(_raise, interrupt)
        return
    except BaseException:  # also what a coroutine of ours may not let in, such as GeneratorExit
        log.error("%s failed; %s goes on", name, what, exc_info=sys.exc_info())
        return
    try:
        yield events.within(max(0.001, seconds), events.finished(future))
    except gen.TimeoutError:
        log.warning("%s did not finish within %g s; %s goes on without it", name, seconds, what)
        events.ignore(future)
        return
    error = _error_of(future)
    if error is not None:
        log.error("%s failed; %s goes on", name, what,
                  exc_info=(type(error), error, getattr(error, "__traceback__", None)))


def _error_of(future):
    """Return the exception of a Future that is done, None for none; one that was cancelled has one, too."""
    if getattr(future, "cancelled", bool)():
        return RuntimeError("it was cancelled")
    return future.exception()


def _raise(error):
    raise error
