"""How many messages may be taken ahead of those that are done."""
from __future__ import absolute_import

from tornado import concurrent

from kiel import events


class Window(object):
    """
    Counts the messages that are taken and not done with, and their bytes.

    :param most: how many there may be; one call that takes messages may exceed it
    :param limits: has ``buffer_bytes``, read at each look
    """

    def __init__(self, most, limits):
        self.most = most
        self.taken = self.bytes = 0
        self._limits = limits
        #: Futures of those who wait for room
        self._hungry = []

    @property
    def full(self):
        """Whether there is no room."""
        return self.taken >= self.most or self.bytes >= self._limits.buffer_bytes

    @property
    def hungry(self):
        """Whether somebody waits for room."""
        return bool(self._hungry)

    def add(self, job):
        """A message was taken."""
        self.taken += 1
        self.bytes += job.size

    def remove(self, job):
        """A message does not take any room any more."""
        self.taken -= 1
        self.bytes -= job.size
        if self._hungry and self.taken <= self.most // 2 and self.bytes <= self._limits.buffer_bytes // 2:
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
