"""Room in a producer's buffer, and the order in which messages are let in."""
from __future__ import absolute_import

import collections


class Admission(object):
    """
    Decides whether a message is accepted at once, and keeps those that wait for room.

    Messages keep the order in which they were given: nothing is accepted while others wait.

    :param buffer_bytes: the most bytes of messages that may wait to be sent or be under way
    :param run: the `kiel.clients.producing.append_run.AppendRun`, which takes messages without asking here
    :param refusal: returns the error of a message that is not accepted at all now, None while messages are accepted
    """

    def __init__(self, buffer_bytes, run, refusal):
        self.buffer_bytes = buffer_bytes
        #: bytes of the messages that wait to be sent or are under way, but for those of a run
        self.buffered = 0
        self.refusal = refusal
        self._run = run
        #: whether messages are accepted at once, if there is room; changes in `update` only
        self.is_open = True
        #: (message, what lets it in), in their order
        self.line = collections.deque()

    def may_accept(self, size):
        """Return whether a message of so many bytes is accepted at once: one may be larger than the whole buffer."""
        return self.is_open and self._has_room(size)

    def _has_room(self, size):
        return self.buffered + size <= self.buffer_bytes or not self.buffered

    @property
    def room(self):
        """Bytes that are left."""
        return self.buffer_bytes - self.buffered

    @property
    def taken(self):
        """Bytes of all messages that wait to be sent or are under way."""
        return self.buffered + self._run.uncounted

    def update(self):
        """Look again whether messages are accepted: to be called when what `refusal` returns may have changed."""
        self._run.end()
        self.is_open = not self.line and self.refusal() is None

    def wait(self, message, let_in):
        """
        Keep a message until there is room for it, and its serializer is done.

        :param message: a `kiel.clients.producing.pending_record.PendingRecord`
        :param let_in: called with the message when there is room
        """
        self.line.append((message, let_in))
        self.update()

    def release(self, size):
        """So many bytes have left the buffer: let in those who wait, first come first served."""
        self.buffered -= size
        if not self.line:
            return
        while self.line:
            message, let_in = self.line[0]
            given_up = message.future.done()
            if not given_up and (message.serializing or not self._has_room(message.size)):
                return
            self.line.popleft()
            let_in(message)
        self.update()

    @property
    def waiting(self):
        """The messages that wait for room: a list."""
        return [message for message, _ in self.line]

    def forget_waiting(self):
        """Let nobody wait any longer."""
        self.line.clear()
        self.update()
