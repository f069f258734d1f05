"""
Futures, and the one crossing between the IOLoop and other threads.

kazoo, the ZooKeeper client, blocks its callers and calls back on threads of its own. `run_blocking` takes a
blocking call off the loop, `call_on_loop` brings a callback onto it. Everything else in kiel runs on the
loop's thread alone and needs no locks.
"""
from __future__ import absolute_import

import datetime
import functools
import logging
import sys
import threading
import weakref

import six
from tornado import concurrent, gen, ioloop

try:
    from asyncio import _get_running_loop as asyncio_running_loop
except ImportError:  # Python 2
    #: returns asyncio's loop that runs in this thread, or None; there is no such function where there is no asyncio
    asyncio_running_loop = None

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
    if isinstance(error, StopIteration):
        cause, error = error, RuntimeError("a call raised StopIteration")
        error.__cause__ = cause
    try:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    except RuntimeError:
        if not is_of_the_past(future):
            raise
        _retrieve(future)  # it is settled, but whoever waited for it is gone with the loop
    return True


def is_of_the_past(future):
    """Return whether a Future belongs to a loop that is closed, so that nobody can be told when it is done."""
    loop = getattr(future, "_loop", None)
    return loop is not None and loop.is_closed()


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


def detached(future, copy=None):
    """
    Return a Future of the same outcome that its owner may cancel without any harm to the first.

    For work that several calls wait for: a coroutine's own Future logs what its work ends with after that.

    :param copy: the Future to use
    """
    copy = concurrent.Future() if copy is None else copy

    def take(done):
        if done.cancelled():  # the loop ends, and what the work waited for was cancelled
            copy.cancel()
            return
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


def to_its_end(generator):
    """
    Make a public call of a generator, as `tornado.gen.coroutine` does, whose caller may give up at any moment.

    The call goes on to its end then, and nothing is logged of what that is.
    """
    coroutine = gen.coroutine(generator)

    @functools.wraps(generator)
    def call(*args, **kwargs):
        return detached(coroutine(*args, **kwargs))
    return call


def is_closed(io_loop):
    """Return whether an IOLoop is closed for good."""
    asyncio_loop = getattr(io_loop, "asyncio_loop", None)
    if asyncio_loop is not None:
        return asyncio_loop.is_closed()
    return bool(getattr(io_loop, "_closing", False))


def is_running(io_loop):
    """Return whether an IOLoop is being run at this moment; True for None, and where that can't be told."""
    asyncio_loop = getattr(io_loop, "asyncio_loop", None)
    if asyncio_loop is not None:
        return asyncio_loop.is_running()
    return bool(getattr(io_loop, "_running", True))


def running_loop():
    """Return the loop that runs in this thread, asyncio's where IOLoops are built upon that; None where none does."""
    if asyncio_running_loop is not None:
        return asyncio_running_loop()
    current = ioloop.IOLoop.current(instance=False)
    return current if current is not None and is_running(current) else None


def soon(io_loop, callback):
    """Have something called when this loop turns, which runs here as a rule: without waking it, since it is awake."""
    loop = getattr(io_loop, "asyncio_loop", None)
    if loop is not None and asyncio_running_loop() is loop:
        loop.call_soon(callback)
    else:
        io_loop.add_callback(callback)


def is_elsewhere(io_loop):
    """
    Return whether a call comes from another IOLoop than this one, or this one is closed.

    Where none runs, as between two runs of one, only a closed one is elsewhere.
    """
    current = running_loop()
    if current is None:
        return is_closed(io_loop)
    return current is not getattr(io_loop, "asyncio_loop", io_loop)


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
    Wait on a `threading.Event`; always gives ``None``.

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
    Have ``callback(*args)`` called on the given IOLoop, from whichever thread.

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
    Run ``fn(*args, **kwargs)`` in a thread and return a Tornado Future of its result or exception.

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
    Return a Future of the same result, or of `tornado.gen.TimeoutError` after so many seconds.

    What the first Future ends with after that is of no interest any more and is not logged.
    """
    return gen.with_timeout(datetime.timedelta(seconds=seconds), future, quiet_exceptions=Exception)


def _fail(future, error, exc_info):
    """Put the exception into the Future, with its traceback where Python 2 would lose it."""
    if future.done():
        return
    if hasattr(future, "set_exc_info"):
        future.set_exc_info(exc_info)
    else:
        future.set_exception(error)
    # looked at here: who gave up waiting, or whose loop ends in this turn, need not read of it in a log
    future.exception()
