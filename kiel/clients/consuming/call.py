"""
One call of `consume`: what it asked for, how much there is room for, and whether somebody took what came.

Whoever waits may stop waiting at any moment: the Future is cancelled, or the task that awaits it, even after the result
is set and before the task has run (asyncio sets results in one turn of the loop and runs tasks in the next). Messages
that came and that nobody took are put back then, so that the next call hands them out.
"""
from __future__ import absolute_import

import logging

from kiel.clients.consuming.portion import Portion
from kiel.protocol.records import Batch
from kiel.retry import monotonic

log = logging.getLogger("kiel.clients.consumer")


class Room(object):
    """
    What a call may still hand out.

    :param messages: how many messages, or None
    :param size: how many bytes, decompressed; a batch that goes beyond it is still handed out
    :param most: bytes that a compressed batch may have for that; a larger one is cut
    """

    __slots__ = ("messages", "size", "most")

    def __init__(self, messages, size, most):
        self.messages = messages
        self.size = size
        self.most = most

    @property
    def used_up(self):
        """Whether nothing more may be handed out."""
        return self.size <= 0 or (self.messages is not None and self.messages <= 0)

    def part_of(self, batch, start, check_crcs):
        """
        Return what of a batch may be handed out: it, decompressed, or a `Portion` of it.

        :param start: the offset that it is read from
        :raises kiel.exc.CorruptMessageError: when it can't be read
        """
        if isinstance(batch, Batch) and batch.codec:
            batch = batch.decompressed(check_crcs)
            check_crcs = False
        if self.messages is None and isinstance(batch, Batch) and batch.size <= self.most:
            part = batch
        else:
            part = Portion.of(batch, start, self.messages, min(self.most, self.size), check_crcs)
        self.size -= part.size
        return part


class Call(object):
    """
    One call of `consume` or `consume_records`.

    :param topic: the topic
    :param read: what makes messages of a batch, see `kiel.clients.consuming.batch_reader.BatchReader.read`
    :param wait: seconds to wait for messages
    :param most: messages to be returned at most, or None
    :param put_back: called with this call when what it took is to be handed out again
    """

    __slots__ = ("topic", "read", "wait", "most", "begun", "taken", "seen", "given_up", "room", "held", "partitions",
                 "_put_back")

    def __init__(self, topic, read, wait, most, put_back):
        self.topic = topic
        self.read = read
        self.wait = wait
        self.most = most
        #: the `Room` for what it takes; set when it takes something
        self.room = None
        #: when it was called (`kiel.retry.monotonic`)
        self.begun = monotonic()
        #: ``(cursor, generation, offset)`` of the partitions whose messages it has, the offset of the first of them
        self.taken = []
        #: what the fetcher gave it, kept for the hooks; None where nobody listens
        self.seen = None
        #: whether nobody waits for it any more
        self.given_up = False
        #: whether what it brings is kept for a `kiel.clients.consuming.stream.Stream`, and so not handed out yet
        self.held = False
        #: the ids of the partitions that it reads; None: all
        self.partitions = None
        self._put_back = put_back

    def result(self, messages):
        """Return what the Future of the call gets; for a stream, which messages these are, too."""
        return (messages, self.taken) if self.held and messages else messages

    def give_up(self):
        """Nobody waits any more: what was taken is put back, now or as soon as it is decoded."""
        if not self.given_up:
            self.given_up = True
            self._put_back(self)
