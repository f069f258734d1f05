"""The Future of what somebody may give up: `kiel.clients.consuming.call.Call`, what a stream hands out, a block."""
from __future__ import absolute_import

from tornado import concurrent


class Outcome(concurrent.Future):
    """
    The Future of what may be given up, which does not know it in turn: it goes when the last who could take its result
    goes.

    Whoever waits may stop waiting at any moment: the Future is cancelled, or the task that awaits it, even after the
    result is set and before the task has run (asyncio sets results in one turn of the loop and runs tasks in the next).
    A Future of asyncio that is cancelled says so by `cancel`. One that is done is not told when the task that awaits it
    is cancelled; but the task then throws into what it awaits, instead of sending to it: `Waiting`.

    :param work: what the result is of, such as a `kiel.clients.consuming.call.Call`: has ``give_up()``, called once
        when nobody takes the result
    """

    def __init__(self, work):
        super(Outcome, self).__init__()
        self._work = work
        #: whether a task awaits it; the task asks for the result once before it looks whether it was cancelled
        self._awaited = False

    def cancel(self, *args, **kwargs):
        """Cancel, as far as Futures can be; what came, or comes, is put back."""
        cancelled = super(Outcome, self).cancel(*args, **kwargs)
        if cancelled:
            self.leave()
        return cancelled

    def result(self, *args, **kwargs):
        """Return the result, which is taken by that."""
        if not self._awaited and self.done():
            self._work = None
        return super(Outcome, self).result(*args, **kwargs)

    def __await__(self):
        self._awaited = True
        return Waiting(self)

    __iter__ = __await__

    def take(self):
        """Return the result, for the task that awaits it."""
        self._work = None
        return super(Outcome, self).result()

    def leave(self):
        """Nobody takes the result."""
        work, self._work = self._work, None
        if work is not None:
            work.give_up()

    def __del__(self):
        # nobody has it any more, so nobody can take what it holds
        if getattr(self, "_work", None) is not None:
            self.leave()
        parent = getattr(super(Outcome, self), "__del__", None)
        if parent is not None:
            parent()


class Waiting(object):
    """What a task drives that awaits an `Outcome`: an iterator, as Python 2 can write none with a result."""

    def __init__(self, future):
        self.future = future
        self._asked = False

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    next = __next__

    def send(self, value):
        """The task goes on: wait, or take the result."""
        if not self._asked and not self.future.done():
            self._asked = True
            self.future._asyncio_future_blocking = True
            return self.future
        raise StopIteration(self.future.take())

    def throw(self, kind, value=None, traceback=None):
        """The task is cancelled, or its coroutine closed."""
        self.future.leave()
        raise kind if value is None else value

    def close(self):
        """The coroutine that awaits is closed."""
        self.future.leave()
