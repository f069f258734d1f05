"""Runs a test's coroutine on an IOLoop of its own, with a time limit, on every Tornado."""
from __future__ import absolute_import

import contextlib
import gc
import logging

from tornado import gen, ioloop


def run(coroutine, timeout=30):
    """
    Runs the coroutine function and gives its result; what goes wrong behind its back is an error too.

    An exception in a stray callback, or one in a Future that nobody looked at, shows as a log line
    only; here it fails the test.
    """
    strays = Strays()
    loop = ioloop.IOLoop(make_current=False)
    try:
        with strays, all_young():
            result = loop.run_sync(coroutine, timeout=timeout)
            loop.run_sync(lambda: gen.sleep(0.001))  # what is about to look at a Future does so
            gc.collect(0)  # Futures tell of exceptions nobody looked at when they go
            loop.run_sync(lambda: gen.sleep(0.001))
    finally:
        close(loop)
    assert not strays.lines, "\n".join(strays.lines)
    return result


@contextlib.contextmanager
def all_young():
    """
    Lets no object grow old meanwhile, so that collecting the youngest generation finds all that was made and dropped.

    A full collection looks at all that pytest has read too, which takes longer than most tests. PyPy has no generations
    that one could set: there each collection is a full one.
    """
    if not hasattr(gc, "get_threshold"):
        yield
        return
    thresholds = gc.get_threshold()
    gc.set_threshold(0)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def close(loop):
    """
    Closes it, as far as Tornado 4.5 and 5 do on Python 2.7.

    Theirs raises when a thread that is just waking the loop takes longer than 10 ms for that. It can't be called
    again then, and what it has left open goes with the object.
    """
    try:
        loop.close()
    except IOError as error:
        if "concurrent operation" not in str(error):
            raise


@gen.coroutine
def until(condition, seconds=3.0, step=0.005):
    """Waits until the condition holds; fails after so many seconds."""
    loop = ioloop.IOLoop.current()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "waited %s s in vain" % seconds
        yield gen.sleep(step)


@gen.coroutine
def within(seconds, future):
    """The Future's result, which has to be there in so many seconds."""
    try:
        deadline = ioloop.IOLoop.current().time() + seconds
        result = yield gen.with_timeout(deadline, future, quiet_exceptions=Exception)
    except gen.TimeoutError:
        raise AssertionError("still pending after %s s" % seconds)
    raise gen.Return(result)


@gen.coroutine
def raises(error, future, seconds=5.0):
    """The exception that the Future must end with, in time."""
    try:
        result = yield within(seconds, future)
    except error as caught:
        raise gen.Return(caught)
    raise AssertionError("gave %r instead of %s" % (result, error))


class Strays(logging.Handler):
    """Collects what Tornado and asyncio log of exceptions that reached nobody."""

    loggers = ("tornado.application", "asyncio")

    def __init__(self):
        super(Strays, self).__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(logging.Formatter().format(record))

    def __enter__(self):
        for name in self.loggers:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *exc_info):
        for name in self.loggers:
            logging.getLogger(name).removeHandler(self)
