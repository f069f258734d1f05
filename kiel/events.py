"""
Futures, and the one crossing between the IOLoop and other threads.

kazoo, the ZooKeeper client, blocks its callers and calls back on threads of its own. `run_blocking` takes a
blocking call off the loop, `call_on_loop` brings a callback onto it. Everything else in kiel runs on the
loop's thread alone and needs no locks.
"""
from __future__ import absolute_import

import datetime
import logging
import sys
import threading
import weakref

import six
from tornado import concurrent, gen


log = logging.getLogger(__name__)


def ignore(future):
    """
    Keep a Future's exception out of the log, and return the Future.

    Python and Tornado log the exception of a Future that nobody looked at. Whoever waits for it still gets it.
    """
    if future.done():
        _retrieve(future)
    else:
        future.add_done_callback(_retrieve)
    return future


def settle(future, result=None, error=None):
    """
    Resolve a Future, unless it is done or was cancelled by its owner; return whether it was this that resolved it.

    :param error: an exception, which is set instead of the result; a StopIteration, which no Future of asyncio takes
        and no coroutine passes on, becomes a RuntimeError, as in Python's own generators (PEP 479)
    """
    if future.done():
        return False
    if error is None:
        future.set_result(result)
        return True
    if isinstance(error, StopIteration):
        cause, error = error, RuntimeError("a call raised StopIteration")
        error.__cause__ = cause
    future.set_exception(error)
    return True


def first(*futures):
    """Return a Future that is done when the first of several is; it takes over nothing of theirs."""
    done = concurrent.Future()
    for future in futures:
        future.add_done_callback(lambda _: settle(done))
    return done


def outcome_of(value):
    """
    Return a Future of what a callback of the application returned: a plain value, a Future, or a coroutine.

    So that an ``async def`` will do wherever a function will.
    """
    return gen.convert_yielded(value) if hasattr(value, "__await__") else gen.maybe_future(value)


def finished(future):
    """Return a Future that is done when another is, whatever that ends with."""
    done = concurrent.Future()
    future.add_done_callback(lambda _: settle(done))
    return done


def detached(future):
    """
    Return a Future of the same outcome that its owner may cancel without any harm to the first.

    For work that several calls wait for: a coroutine's own Future logs what its work ends with after that.
    """
    copy = concurrent.Future()

    def take(done):
        error = done.exception()
        if copy.done():
            return
        if error is None:
            copy.set_result(done.result())
        elif hasattr(copy, "set_exc_info"):
            copy.set_exc_info(done.exc_info())  # the traceback, which Python 2 would lose
        else:
            copy.set_exception(error)

    if future.done():
        take(future)
    else:
        future.add_done_callback(take)
    return copy


def is_closed(io_loop):
    """Whether an IOLoop is closed for good."""
    asyncio_loop = getattr(io_loop, "asyncio_loop", None)
    if asyncio_loop is not None:
        return asyncio_loop.is_closed()
    return bool(getattr(io_loop, "_closing", False))


def is_running(io_loop):
    """Whether an IOLoop is being run at this moment; True for None, and where that can't be told."""
    asyncio_loop = getattr(io_loop, "asyncio_loop", None)
    if asyncio_loop is not None:
        return asyncio_loop.is_running()
    return bool(getattr(io_loop, "_running", True))


def _retrieve(future):
    """Look at the exception, if there is one."""
    if not getattr(future, "cancelled", bool)():
        future.exception()


def weakly(method):
    """
    Return a function that calls a bound method while its object is alive, and does not keep it alive itself.

    For timers and other threads, which would keep a client that the application has dropped.
    """
    reference, function = weakref.ref(method.__self__), method.__func__

    def call(*args):
        owner = reference()
        return None if owner is None else function(owner, *args)
    return call


def wait_on_event(event, timeout=None):
    """
    Waits on a `threading.Event`; always gives ``None``.

    On Python 2 a wait without a time-out can't be interrupted by a signal, so there it is a very long one,
    repeated.

    :param timeout: seconds; ``None`` for as long as it takes
    """
    if timeout is not None:
        event.wait(timeout)
        return
    if not six.PY2:
        event.wait()
        return
    while not event.is_set():
        event.wait(sys.maxint)


def call_on_loop(io_loop, callback, *args):
    """
    Has ``callback(*args)`` called on the given IOLoop, from whichever thread.

    Calls from one thread run in their order. When that loop is closed the call is dropped: nobody is left
    to care.
    """
    try:
        io_loop.add_callback(callback, *args)
    except Exception as error:
        # each Tornado has an exception of its own for a closed loop, and most have none
        log.debug("Dropped a call of %r, its loop is closed: %s", callback, error)


def run_blocking(io_loop, fn, *args, **kwargs):
    """
    Runs ``fn(*args, **kwargs)`` in a thread and gives a Tornado Future of its result or exception.

    The Future is resolved on ``io_loop``; an exception that nobody fetches from it is not logged. The thread is
    a daemon of its own, so that a call that hangs holds up neither another call nor the end of the process.
    """
    future = concurrent.Future()

    def work():
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            call_on_loop(io_loop, _fail, future, error, sys.exc_info())
        else:
            call_on_loop(io_loop, settle, future, result)

    thread = threading.Thread(target=work, name="kiel-%s" % getattr(fn, "__name__", "call"))
    thread.daemon = True
    thread.start()
    return future


def within(seconds, future):
    """
    A Future of the same result, or of `tornado.gen.TimeoutError` after so many seconds.

    What the first Future ends with after that is of no interest any more and is not logged.
    """
    return gen.with_timeout(datetime.timedelta(seconds=seconds), future, quiet_exceptions=Exception)


def _fail(future, error, exc_info):
    """Puts the exception into the Future, with its traceback where Python 2 would lose it."""
    if future.done():
        return
    if hasattr(future, "set_exc_info"):
        future.set_exc_info(exc_info)
    else:
        future.set_exception(error)
    # looked at here: who gave up waiting, or whose loop ends in this turn, need not read of it in a log
    future.exception()
