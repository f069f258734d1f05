"""
One call of `consume`: what it asked for, the Future that it returned, and whether somebody took what came.

Whoever waits may stop waiting at any moment: the Future is cancelled, or the task that awaits it, even after the result
is set and before the task has run (asyncio sets results in one turn of the loop and runs tasks in the next). Messages
that came and that nobody took are put back then, so that the next call hands them out.
"""
from __future__ import absolute_import

import logging

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

    __slots__ = ("topic", "read", "wait", "most", "begun", "taken", "seen", "given_up", "room", "held", "partitions",
                 "_put_back")

    def __init__(self, topic, read, wait, most, put_back):
        self.topic = topic
        self.read = read
        self.wait = wait
        self.most = most
        #: the `kiel.clients.consuming.portion.Room` for what it takes; set when it takes something
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
