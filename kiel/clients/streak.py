"""Plain messages in a row, for which a producer asks once what it would ask for each."""
from __future__ import absolute_import

from kiel.clients.outbox import MOST_RECORDS, RECORD_OVERHEAD

#: the most messages of a streak
MOST = 256

#: after a streak that nothing followed in, so many messages begin none: others come in between
REST = 16


class Streak(object):
    """
    Messages without key, headers or time stamp of their own that follow one another into one batch.

    Is there room in the batch and in the buffer, does this message set off sending, what time is it:
    for all of them the answer is the same as long as ``left`` is not 0, no value is larger than
    ``most``, and the time is from ``since`` on and before ``until``. So only their values are put
    into the batch at first, by ``append``. The books follow when the streak comes to its `end`: the
    batch's size and its other columns, and what the producer counts. Whoever looks at them ends it
    first.

    A producer has one, which begins again and again.
    """

    __slots__ = (
        "left", "topic", "most", "since", "until", "append", "batch", "stop", "_stamp", "_first",
        "_rest", "_book"
    )

    def __init__(self, book):
        """
        :param book: called at the end with the number of messages and their bytes, as the buffer
            counts them
        """
        self._book = book
        self.left = self.most = self.stop = self._stamp = self._first = self._rest = 0
        self.topic = self.append = self.batch = None
        self.since = self.until = 0.0

    def begin(self, batch, turn, size, room, messages):
        """
        Lets messages like the last one follow it into its batch.

        :param turn: the `kiel.fairness.Turn` that was just asked for the time
        :param size: bytes of the last message's value
        :param room: bytes that are left in the producer's buffer
        :param messages: how many more may be taken before something else is to happen
        """
        self.end()
        if self._rest:
            self._rest -= 1
            return
        self.most = max(256, 2 * size)
        self._first = len(batch.records)
        left = min(
            MOST, min(batch.limit - batch.size, room) // (self.most + RECORD_OVERHEAD), messages,
            MOST_RECORDS - self._first
        )
        if left > 0:
            self.left = left
            self.stop = self._first + left
            self.topic = batch.topic
            self.since, self.until, self._stamp = turn.last, turn.next, turn.ms
            self.append = batch.records.values.append
            self.batch = batch
            batch.streak = self

    def end(self):
        """Makes up the books of what was taken, if there is a streak."""
        batch = self.batch
        if batch is not None:
            self.left = 0
            self.batch = self.append = batch.streak = None
            batch.records.follow(self._first, self._stamp)
            self._rest = 0 if len(batch.records) > self._first else REST
            values = batch.records.values[self._first:]
            size = sum(map(len, values)) + len(values) * RECORD_OVERHEAD
            batch.size += size
            self._book(len(values), size)
