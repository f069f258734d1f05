"""
Coroutines of an application, run so that whatever they raise ends in their Future.

Neither asyncio's tasks (a GeneratorExit, before Python 3.8) nor Tornado's coroutines (that, and a CancelledError of
what they wait for) see to it by themselves: such an error leaves the IOLoop, and the Future is never done.
"""
from __future__ import absolute_import

import functools

from tornado import gen

from kiel import events
from kiel.callbacks import callback_failure


class Guarded(object):
    """An awaitable that does what another does, but for what it raises."""

    def __init__(self, awaitable):
        self._steps = awaitable.__await__()

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    next = __next__

    def send(self, value):
        """Go on to the next wait, or to the end, which is a StopIteration."""
        try:
            return self._steps.send(value) if hasattr(self._steps, "send") else next(self._steps)
        except GeneratorExit as error:
            raise callback_failure(error)

    def throw(self, *error):
        """Go on with an error of what was waited for."""
        try:
            return self._steps.throw(*error)
        except GeneratorExit as failure:
            raise callback_failure(failure)

    def close(self):
        """Nobody drives it any more."""
        if hasattr(self._steps, "close"):
            self._steps.close()


def guarded(function):
    """Return what is called instead of a handler: of a Tornado coroutine, one that drives its generator."""
    for one in (function, getattr(function, "__call__", None)):
        inner = getattr(one, "__wrapped__", None)
        if gen.is_coroutine_function(one) and inner is not None:
            owner = getattr(one, "__self__", None)
            return driven(inner if owner is None else functools.partial(inner, owner))
    return function


def driven(function):
    """Return a coroutine function that drives the generator of another."""
    @gen.coroutine
    def drive(*args):
        try:
            steps = function(*args)
        except gen.Return as result:
            raise gen.Return(result.value)
        if not hasattr(steps, "throw"):
            raise gen.Return(steps)
        value = error = None
        while True:
            wanted = _step(steps, value, error)
            value = error = None
            if wanted is None or wanted is gen.moment:
                yield gen.moment
                continue
            try:
                future = gen.convert_yielded(wanted)
            except gen.BadYieldError as failure:
                error = failure
                continue
            yield events.finished(future)
            try:
                value = future.result()
            except BaseException as failure:
                error = failure
    return drive


def _step(steps, value, error):
    """Have a generator go on with what it waited for. Return what it wants next; raise what it ends with."""
    try:
        return steps.send(value) if error is None else steps.throw(error)
    except (StopIteration, gen.Return) as result:
        raise gen.Return(getattr(result, "value", None))
    except BaseException as failure:
        raise callback_failure(failure)
