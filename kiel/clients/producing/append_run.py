"""The fast way into a batch, for plain messages that follow one another."""
from __future__ import absolute_import

from kiel.clients.producing.batch import MOST_RECORDS, RECORD_OVERHEAD
from kiel.clients.producing.labelled_run import LabelledRun

#: the most messages of a run that are appended one by one
MOST = 256

#: after a run in which no message followed, so many messages begin none: messages of other kinds come in between
REST = 16

#: what `AppendRun.extend` does not take in one piece it takes in halves, but not of so few messages
FEW = 16


class AppendRun(object):
    """
    Messages without key, headers or time stamp of their own that follow one another into one batch.

    Is there room in the batch and in the buffer, does this message set off sending, what time is it: for all messages
    of a run the answer is the same. So they are only put into the batch's list of values, and counted at the `end`:
    in the batch's size, its other columns, and the buffer. Whoever reads those ends the run first.

    There is one for a producer, which begins again and again. `kiel.clients.producer.Producer.produce` does itself what
    a message takes: it takes 1 from ``left`` and calls ``append``.

    :param count: called at the end with the number of messages and their bytes, as the buffer counts them
    :param begun: called without arguments when a run has begun; None for nothing
    """

    __slots__ = (
        "left", "topic", "partition", "most", "since", "until", "append", "batch", "stop", "_stamp", "_first",
        "_rest", "_count", "_begun", "labelled", "is_open"
    )

    def __init__(self, count, begun=None):
        self._count = count
        self._begun = begun
        #: the same for messages with keys or headers; there is never more than one of both
        self.labelled = LabelledRun(count, begun)
        #: whether there is one of either kind; False when it was counted
        self.is_open = False
        #: how many more messages may be appended one by one; 0 without a run
        self.left = 0
        #: the index in the batch of the message that comes when `left` is 0
        self.stop = 0
        #: the most bytes of a value that is appended by itself
        self.most = 0
        #: the topic, and the partition that the caller named (None: the partitioner's random one)
        self.topic = self.partition = None
        #: the batch that messages go into, and what appends to its values
        self.batch = self.append = None
        #: messages may be appended one by one from this time on, and before that one (`time.time`)
        self.since = self.until = 0.0
        self._stamp = 0  # the time stamp of all
        self._first = 0  # the index of the run's first message
        self._rest = 0  # how many messages begin no run

    def begin(self, batch, partition, turn, size, room, messages):
        """
        Let messages like the last one follow it into its batch.

        :param partition: the id if the caller named it, else None
        :param turn: the `kiel.fairness.Turn` that was just asked for the time
        :param size: bytes of the last message's value
        :param room: bytes that are left in the producer's buffer
        :param messages: how many more may be appended before sending is set off
        """
        if self.is_open:
            self.end()
        if self._rest:
            self._rest -= 1
            return
        first = len(batch.records.values)
        most = max(256, 2 * size)
        room = min(batch.limit - batch.size, batch.most, room)
        left = min(MOST, room // (most + RECORD_OVERHEAD), messages, MOST_RECORDS - first)
        if left > 0:
            self.left = left
            self.stop = first + left
            self.most = most
            self.topic = batch.topic
            self.partition = partition
            self.since, self.until, self._stamp = turn.last, turn.next, turn.ms
            self.append = batch.records.values.append
            self.batch = batch
            self.is_open = True
            self._first = first
            batch.run = self
            if self._begun is not None:
                self._begun()

    def begin_labelled(self, *settings):
        """Let messages with keys or headers follow; parameters are those of `LabelledRun.begin`."""
        if self.is_open:
            self.end()
        self.is_open = True
        self.labelled.begin(*settings)

    def extend(self, batch, turn, values, room):
        """
        Append many values in one go: a run by itself, while there is no other. Return how many fit, 0 for none.

        :param room: bytes that are left in the producer's buffer
        """
        records = batch.records
        first = len(records.values)
        count = min(len(values), MOST_RECORDS - first)
        room = min(batch.limit - batch.size, batch.most, room)
        while count > 0:
            values = values[:count]
            size = sum(map(len, values)) + count * RECORD_OVERHEAD
            if size <= room:
                records.values.extend(values)
                records.follow(first, turn.ms)
                batch.size += size
                self._count(count, size)
                return count
            count = count // 2 if count > FEW else 0
        return 0

    @property
    def uncounted(self):
        """Bytes of what was appended and is not counted yet."""
        if self.batch is None:
            return self.labelled.uncounted
        values = self.batch.records.values[self._first:]
        return sum(map(len, values)) + len(values) * RECORD_OVERHEAD

    def end(self):
        """Count what was appended, if there is a run of either kind."""
        self.is_open = False
        self.labelled.end()
        batch = self.batch
        if batch is not None:
            self.left = 0
            self.batch = self.append = batch.run = None
            records = batch.records
            records.follow(self._first, self._stamp)
            values = records.values[self._first:]
            self._rest = 0 if values else REST
            if values:
                size = sum(map(len, values)) + len(values) * RECORD_OVERHEAD
                batch.size += size
                self._count(len(values), size)
