"""
One call of `consume`: what it asked for, the Future that it returned, and whether somebody took what came.

Whoever waits may stop waiting at any moment: the Future is cancelled, or the task that awaits it, even after the result
is set and before the task has run (asyncio sets results in one turn of the loop and runs tasks in the next). Messages
that came and that nobody took are put back then, so that the next call hands them out.
"""
from __future__ import absolute_import

import logging

from tornado import concurrent

from kiel.retry import monotonic

log = logging.getLogger("kiel.clients.consumer")


class Call(object):
    """
    One call of `consume` or `consume_records`.

    :param topic: the topic
    :param read: what makes messages of a batch, see `kiel.clients.consuming.batch_reader.BatchReader.read`
    :param wait: seconds to wait for messages
    :param most: messages to be returned at most, or None
    :param put_back: called with this call when what it took is to be handed out again
    """

    __slots__ = ("topic", "read", "wait", "most", "left", "begun", "taken", "given_up", "_put_back")

    def __init__(self, topic, read, wait, most, put_back):
        self.topic = topic
        self.read = read
        self.wait = wait
        self.most = most
        #: of those, how many may still be added
        self.left = most
        #: when it was called (`kiel.retry.monotonic`)
        self.begun = monotonic()
        #: ``(cursor, generation, offset)`` of the partitions whose messages it has, the offset of the first of them
        self.taken = []
        #: whether nobody waits for it any more
        self.given_up = False
        self._put_back = put_back

    def give_up(self):
        """Nobody waits any more: what was taken is put back, now or as soon as it is decoded."""
        if not self.given_up:
            self.given_up = True
            self._put_back(self)


class Outcome(concurrent.Future):
    """
    The Future of a `Call`, which does not know it in turn: so it goes when the last who could take the result goes.

    A Future of asyncio that is cancelled says so by `cancel`. One that is done is not told when the task that awaits it
    is cancelled; but the task then throws into what it awaits, instead of sending to it: `Waiting`.
    """

    def __init__(self, call):
        super(Outcome, self).__init__()
        self._call = call
        #: whether a task awaits it; the task asks for the result once before it looks whether it was cancelled
        self._awaited = False

    def cancel(self, *args, **kwargs):
        """Cancel, as far as Futures can be; what came, or comes, is put back."""
        cancelled = super(Outcome, self).cancel(*args, **kwargs)
        if cancelled:
            self.leave()
        return cancelled

    def result(self, *args, **kwargs):
        """The result, which is taken by that."""
        if not self._awaited and self.done():
            self._call = None
        return super(Outcome, self).result(*args, **kwargs)

    def __await__(self):
        self._awaited = True
        return Waiting(self)

    __iter__ = __await__

    def take(self):
        """The result, for the task that awaits it."""
        self._call = None
        return super(Outcome, self).result()

    def leave(self):
        """Nobody takes the result."""
        call, self._call = self._call, None
        if call is not None:
            call.give_up()

    def __del__(self):
        # nobody has it any more, so nobody can take what it holds
        if getattr(self, "_call", None) is not None:
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
