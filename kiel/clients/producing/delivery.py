"""What a caller holds of a message on its way: a promise of where it was written, or of why it was not."""
from __future__ import absolute_import

import bisect
import collections

from tornado import concurrent, gen

#: Where a message was written. ``offset`` is -1 where the broker does not tell (``required_acks=0``); ``timestamp`` is
#: in milliseconds: the message's own, or the broker's where the topic is set to LogAppendTime.
RecordMetadata = collections.namedtuple(
    "RecordMetadata", ("topic", "partition", "offset", "timestamp")
)


class Delivery(object):
    """
    One accepted message: yield or await it for its `RecordMetadata`, or the error that kept it from being written.

    It may be ignored: a failure that nobody asks about is logged, once for all messages that shared it. No Future is
    made until somebody asks.
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
        """Return whether it is known what became of the message."""
        batch, _ = self.batch.leaf(self.index)
        return batch.done

    def exception(self):
        """
        Return the error that kept the message from being written, ``None`` if it was written.

        :raises RuntimeError: before it is `done`
        """
        batch, _ = self._finished()
        return batch.retrieve_error()

    def result(self):
        """
        Return the `RecordMetadata`, or raise the error that kept the message from being written.

        :raises RuntimeError: before it is `done`
        """
        batch, index = self._finished()
        error = batch.retrieve_error()
        if error is not None:
            raise error
        return batch.metadata(index)

    def future(self):
        """Return a Future of `result`."""
        return self.batch.wait(self.index)

    def _finished(self):
        batch, index = self.batch.leaf(self.index)
        if not batch.done:
            raise RuntimeError("%r has not been acknowledged yet: yield it" % self)
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

    Yield or await it for the list of their `RecordMetadata`; the first error is raised, once all are known.
    """

    __slots__ = ("_starts", "_runs", "_count")

    def __init__(self):
        self._starts = []  # the number of the message that each run begins with
        self._runs = []  # [batch, index there of the first message, index behind the last]
        self._count = 0

    def add(self, batch, index, count=1):
        """Note that the next messages are in that batch, from that index on."""
        last = self._runs[-1] if self._runs else (None,)
        if last[0] is batch and last[2] == index:
            last[2] += count
        else:
            self._starts.append(self._count)
            self._runs.append([batch, index, index + count])
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
        batch, index, _ = self._runs[run]
        return Delivery(batch, index + number - self._starts[run])

    def __iter__(self):
        for batch, start, end in self._runs:
            for index in range(start, end):
                yield Delivery(batch, index)

    def done(self):
        """Return whether it is known of every message what became of it."""
        return all(delivery.done() for delivery in self)

    @gen.coroutine
    def finished(self):
        """Wait until it is known of every message what became of it; never fails."""
        for batch, _, _ in self._runs:
            if not batch.done:
                yield batch.finished()

    def tally(self):
        """
        Return how many messages were written, and the error of the first that was not, None where all were.

        Cheaper than to ask each. Nothing may be under way any more, see `finished`.
        """
        written, error = 0, None
        for batch, start, end in self._runs:
            if batch.parts is None and batch.done:
                failures, count = [batch.retrieve_error()], end - start
            else:  # it was sent in parts, of which each has an end of its own
                failures, count = [Delivery(batch, index).exception() for index in range(start, end)], 1
            for failure in failures:
                if failure is None:
                    written += count
                else:
                    error = error or failure
        return written, error

    @gen.coroutine
    def _results(self):
        yield self.finished()
        raise gen.Return([delivery.result() for delivery in self])

    def future(self):
        """Return a Future of the list of `RecordMetadata`."""
        return self._results()

    def __await__(self):
        return self.future().__await__()


def _to_future(delivery):
    """Let coroutines yield deliveries."""
    return delivery.future()


gen.convert_yielded.register(Delivery, _to_future)
gen.convert_yielded.register(Deliveries, _to_future)


class BatchBarrier(object):
    """
    Waits for a number of batches: ``future`` is done when the last of them is, and never fails.

    :param retrieves: whether somebody will look at ``error``, so that it need not be logged
    """

    __slots__ = ("retrieves", "left", "error", "future")

    def __init__(self, retrieves=True):
        self.retrieves = retrieves
        #: the number of batches that are not done
        self.left = 0
        #: the first failure
        self.error = None
        self.future = concurrent.Future()

    def passed(self, batch):
        """Note that a batch is done; return the Future when it was the last one, else None."""
        if batch.error is not None and self.error is None:
            self.error = batch.retrieve_error() if self.retrieves else batch.error
        self.left -= 1
        return self.future if self.left == 0 else None
