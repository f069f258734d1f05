"""The Future that a message's sender gets."""
from __future__ import absolute_import

from tornado import concurrent

try:
    from collections.abc import Coroutine
except ImportError:  # Python 2
    Coroutine = None


class Promise(concurrent.Future):
    """
    A Future that is a coroutine, too: so ``asyncio.create_task`` and a ``TaskGroup`` take it, as whatever is awaited.

    It is driven without any state of its own, and has no attribute more than a Future: it is made for each message.
    """

    __slots__ = ()

    def send(self, value):
        """The task that is made of it goes on: wait, or take the result."""
        if self.done():
            raise StopIteration(self.result())
        future = self
        future._asyncio_future_blocking = True
        return future

    def throw(self, kind, value=None, traceback=None):
        """The task is cancelled; the Future that it waits for is by then, if it could be."""
        raise kind if value is None else value

    def close(self):
        """Nothing has to be undone."""


if Coroutine is not None:
    Coroutine.register(Promise)
