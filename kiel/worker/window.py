"""How many messages may be taken ahead of those that are done."""
from __future__ import absolute_import

from tornado import concurrent

from kiel import events


class Window(object):
    """
    Counts the messages that are taken and not done with, and their bytes.

    :param most: how many there may be; one call that takes messages may exceed it
    :param limits: has ``buffer_bytes``, read at each look
    :param holds: whether a message takes room until it is committed, not only until it is done
    """

    def __init__(self, most, limits, holds=False):
        self.most = most
        self.holds = holds
        #: messages that are not done, those that are and take room all the same, and the bytes of both
        self.taken = self.held = self.bytes = 0
        self._limits = limits
        #: Futures of those who wait for room
        self._hungry = []

    @property
    def full(self):
        """Whether there is no room."""
        return self.room <= 0 or self.bytes >= self._limits.buffer_bytes

    @property
    def room(self):
        """How many more messages may be taken."""
        return self.most - self.taken - self.held

    @property
    def hungry(self):
        """Whether somebody waits for room."""
        return bool(self._hungry)

    def add(self, job):
        """A message was taken."""
        self.taken += 1
        self.bytes += job.size

    def finish(self, job):
        """A message is done."""
        if self.holds:
            self.taken -= 1
            self.held += 1
        else:
            self.remove(job)

    def release(self, job):
        """A message that was done and took room does not any more."""
        self.taken += 1
        self.held -= 1
        self.remove(job)

    def remove(self, job):
        """A message does not take any room any more."""
        self.taken -= 1
        self.bytes -= job.size
        if self._hungry and self.room >= self.most // 2 and self.bytes <= self._limits.buffer_bytes // 2:
            self.open()

    def wait(self):
        """Return a Future that is done when there is room for a good deal of messages."""
        future = concurrent.Future()
        self._hungry.append(future)
        return future

    def open(self):
        """Have all go on who wait."""
        hungry, self._hungry = self._hungry, []
        for future in hungry:
            events.settle(future)
