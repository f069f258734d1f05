"""The turn of the loop in which messages come: what time it is there, and whether it is the loop of `connect`."""
from __future__ import absolute_import

import functools
import os
import weakref

from tornado import ioloop

from kiel import events
from kiel.clients.producing.promise import Promise
from kiel.events import asyncio_running_loop
from kiel.fairness import Turn

#: all producers of this process, for its forks
_producers = weakref.WeakSet()

#: Python before 3.7 does not tell of a fork: then it is looked for
FORKS_UNSEEN = not hasattr(os, "register_at_fork")

_getpid = os.getpid


class LoopTurn(Turn):
    """
    A producer's turn of the loop, in which it looks around once, however many messages come.

    A message may come on another loop than that of `connect`, or in a forked process. Neither changes within a turn,
    so it is looked for with the first message of a turn or of a millisecond, and a run of messages ends with the turn.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param end_run: ends the `kiel.clients.producing.append_run.AppendRun` that is open
    """

    __slots__ = ("promise", "looked", "_client", "_end_run", "_asyncio", "_run_ends")

    def __init__(self, client, end_run):
        super(LoopTurn, self).__init__()
        #: makes what `produce` returns: a Future that need not look for its loop is made in half the time
        self.promise = Promise
        #: the loop, once somebody saw in this turn of it that it is the one of `connect`; else empty
        self.looked = set()
        self._client = client
        self._end_run = end_run
        self._asyncio = None  # the asyncio loop beneath the IOLoop of `connect`, where there is one
        self._run_ends = False  # whether a run is ended when the loop turns

    def connected(self):
        """The producer is connected on the loop that it has now."""
        self._asyncio = getattr(self._client.io_loop, "asyncio_loop", None)
        self.promise = Promise if self._asyncio is None else functools.partial(Promise, loop=self._asyncio)

    def forget(self):
        """Begin anew on the loop that runs next: the one before is closed, or another process's."""
        super(LoopTurn, self).forget()
        self.promise = Promise
        self._asyncio = None
        self.looked.clear()
        self._run_ends = False

    def begin(self, now, due):
        """
        A message comes, the first in a turn or in a millisecond.

        :param due: whether it is the first in a millisecond
        :raises kiel.exc.ClosedError: see `settle_in`
        """
        if due:
            # what `tick` does: each message that is sent by itself comes here
            self.last = now
            self.next = now + 0.001
            self.ms = int(now * 1000)
        if due or not self.looked:
            self.settle_in()
        if FORKS_UNSEEN and self._client._pid != _getpid():
            self._client.on_fork()

    def settle_in(self):
        """
        Begin anew where the loop of `connect` is closed. Messages need not wait for that: they wait for their leaders.

        Once a turn is enough.

        :raises kiel.exc.ClosedError: on another loop than that of `connect`, which may still run
        """
        client = self._client
        io_loop = client.io_loop
        if io_loop is None or client.closing or client._pid != _getpid():  # a forked process is told otherwise
            return
        if asyncio_running_loop is not None:
            here = self._asyncio is not None and asyncio_running_loop() is self._asyncio
        else:
            here = ioloop.IOLoop.current(instance=False) is io_loop
        if not here and events.is_elsewhere(io_loop):
            client._come_here()
        if not self.looked:
            # it may not turn again, and the next message may come on another
            io_loop = client.io_loop
            self.looked.add(io_loop)
            if here and self._asyncio is not None:
                self._asyncio.call_soon(self.looked.clear)  # `events.soon`, for which that was found out just now
            else:
                io_loop.add_callback(self.looked.clear)

    def run_began(self):
        """A run ends with the turn of the loop: the next message may come on another, and has to look where it is."""
        io_loop = self._client.io_loop
        if not self._run_ends and io_loop is not None:
            self._run_ends = True
            events.soon(io_loop, self._end)

    def _end(self):
        """The loop turned."""
        self._run_ends = False
        self._end_run()


def follow_forks(producer):
    """Have ``producer.on_fork`` called in each child that this process forks."""
    _producers.add(producer)


def _forked():
    for producer in list(_producers):
        producer.on_fork()


if not FORKS_UNSEEN:
    os.register_at_fork(after_in_child=_forked)
