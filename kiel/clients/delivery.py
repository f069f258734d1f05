"""
What a caller holds of a message on its way: a promise of where it was written, or of why it was
not.
"""
from __future__ import absolute_import

import bisect
import collections

from tornado import concurrent, gen

#: Where a message was written. ``offset`` is -1 where the broker does not tell
#: (``required_acks=0``); ``timestamp`` is in milliseconds: the message's own, or the broker's where
#: the topic is set to LogAppendTime.
RecordMetadata = collections.namedtuple(
    "RecordMetadata", ("topic", "partition", "offset", "timestamp")
)


class Delivery(object):
    """
    One accepted message: yield or await it for its `RecordMetadata`, or the error that kept it from
    being written.

    It may be ignored: a failure that nobody asks about is logged, once for all messages that shared
    it. Nothing waits behind a `Delivery` until somebody asks.
    """

    __slots__ = ("batch", "index")

    def __init__(self, batch, index):
        self.batch = batch
        self.index = index

    @property
    def topic(self):
        """The topic's name."""
        return self.batch.topic

    @property
    def partition(self):
        """The partition's id, chosen when the message was accepted."""
        return self.batch.partition

    def done(self):
        """Whether it is known what became of the message."""
        batch, _ = self.batch.leaf(self.index)
        return batch.done

    def exception(self):
        """
        The error that kept the message from being written, ``None`` if it was; to be asked when
        `done`.
        """
        batch, _ = self._finished()
        return batch.look()

    def result(self):
        """The `RecordMetadata`, to be asked when `done`; raises the error if there was one."""
        batch, index = self._finished()
        error = batch.look()
        if error is not None:
            raise error
        return batch.metadata(index)

    def future(self):
        """A Future of `result`, made when asked for."""
        return self.batch.wait(self.index)

    def _finished(self):
        batch, index = self.batch.leaf(self.index)
        if not batch.done:
            raise RuntimeError("%r has not been answered yet: yield it" % self)
        return batch, index

    def __await__(self):
        return self.future().__await__()

    def __repr__(self):
        batch, index = self.batch.leaf(self.index)
        if not batch.done:
            state = "on its way"
        elif batch.error is not None:
            state = "failed: %s" % batch.error
        else:
            state = "written at %d" % batch.metadata(index).offset
        return "Delivery(%s:%s, %s)" % (self.topic, self.partition, state)


class Deliveries(object):
    """
    The messages of one ``produce_many``, in their order: a sequence of `Delivery`.

    Yield or await it for the list of their `RecordMetadata`; the first error is raised, once all
    are known.
    """

    __slots__ = ("_starts", "_runs", "_count")

    def __init__(self):
        self._starts = []  # the number of the message that each run begins with
        self._runs = []  # (batch, index there of the first message of the run)
        self._count = 0

    def add(self, batch, index, count):
        """Notes that the next ``count`` messages stand in that batch from that index on."""
        if not count:
            return
        self._starts.append(self._count)
        self._runs.append((batch, index))
        self._count += count

    def __len__(self):
        return self._count

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(self._count))]
        if number < 0:
            number += self._count
        if not 0 <= number < self._count:
            raise IndexError("message %d of %d" % (number, self._count))
        run = bisect.bisect_right(self._starts, number) - 1
        batch, index = self._runs[run]
        return Delivery(batch, index + number - self._starts[run])

    def __iter__(self):
        ends = self._starts[1:] + [self._count]
        for (batch, index), start, end in zip(self._runs, self._starts, ends):
            for i in range(index, index + end - start):
                yield Delivery(batch, i)

    def done(self):
        """Whether it is known of every message what became of it."""
        return all(delivery.done() for delivery in self)

    @gen.coroutine
    def whole(self):
        """Waits until all are known; never fails."""
        for batch, _ in self._runs:
            if not batch.done:
                yield batch.whole()

    @gen.coroutine
    def _results(self):
        """Waits for all batches, then gives all results or the first error."""
        yield self.whole()
        raise gen.Return([delivery.result() for delivery in self])

    def future(self):
        """A Future of the list of `RecordMetadata`, made when asked for."""
        return self._results()

    def __await__(self):
        return self.future().__await__()


def _to_future(delivery):
    """Lets coroutines yield deliveries."""
    return delivery.future()


gen.convert_yielded.register(Delivery, _to_future)
gen.convert_yielded.register(Deliveries, _to_future)


class Ticket(object):
    """
    Waits for a number of batches: ``future`` is done when the last of them is, with ``error`` the
    first failure.

    ``future`` itself never fails.

    :param looks: whether somebody will look at ``error``, so that it need not be logged
    """

    __slots__ = ("looks", "left", "error", "future")

    def __init__(self, looks=True):
        self.looks = looks
        self.left = 0
        self.error = None
        self.future = concurrent.Future()

    def passed(self, batch):
        """One batch is done; gives the Future when it was the last, else None."""
        if batch.error is not None and self.error is None:
            self.error = batch.look() if self.looks else batch.error
        self.left -= 1
        return self.future if self.left == 0 else None
