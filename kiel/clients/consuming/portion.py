"""A part of a batch, for a call that wants no more than so many messages, or bytes."""
from __future__ import absolute_import

import bisect
import itertools

from kiel.protocol.records import SMALLEST


class _Columns(object):
    """What reads as a batch does, made of its columns."""

    __slots__ = ()

    def columns(self, start=0, check_crcs=True):
        """Offsets, time stamps, keys, values, headers from an offset on."""
        raise NotImplementedError()

    def values(self, start=0, check_crcs=True):
        """As a batch's."""
        return self.columns(start)[3]

    def records(self, start=0, check_crcs=True):
        """As a batch's."""
        return list(zip(*self.columns(start)))


class Unpacked(_Columns):
    """
    A batch that is read in several calls: decoded once. Its ``size`` is that of what was decoded.

    :param batch: the batch
    :param columns: what its ``columns`` returned
    """

    __slots__ = ("size", "base_offset", "next_offset", "leader_epoch", "codec", "offsets", "_columns", "_ends")

    #: nothing of the frame is needed any more
    data = b""

    def __init__(self, batch, columns):
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.leader_epoch = batch.leader_epoch
        #: whether it is compressed no longer matters, but that it is to be read in parts
        self.codec = -1
        self.offsets = list(columns[0])
        self._columns = [self.offsets] + [list(column) for column in _finite(columns[1:], len(self.offsets))]
        #: the bytes of all messages up to each
        self._ends = []
        total = 0
        for key, value in zip(self._columns[2], self._columns[3]):
            total += SMALLEST + len(key or b"") + len(value or b"")
            self._ends.append(total)
        self.size = max(batch.size, total)

    def columns(self, start=0, check_crcs=True, end=None):
        """Offsets, time stamps, keys, values, headers from an offset on, and up to another."""
        first = bisect.bisect_left(self.offsets, start)
        last = len(self.offsets) if end is None else bisect.bisect_left(self.offsets, end)
        return [column[first:last] for column in self._columns]

    def within(self, start, messages, size):
        """
        Return how far a part from an offset on goes, at least one message: the offset of the next, and its bytes.

        :param messages: how many it has at most, or None
        :param size: how many bytes
        """
        first = bisect.bisect_left(self.offsets, start)
        before = self._ends[first - 1] if first else 0
        last = max(first + 1, bisect.bisect_right(self._ends, before + size))
        if messages is not None:
            last = min(last, first + messages)
        if last >= len(self.offsets):
            return self.next_offset, (self._ends[-1] if self._ends else 0) - before
        return self.offsets[last], self._ends[last - 1] - before


class Portion(_Columns):
    """
    The messages of a batch before an offset.

    :param batch: the `Unpacked` batch
    :param next_offset: where the rest begins
    :param size: its bytes
    """

    __slots__ = ("batch", "size", "base_offset", "next_offset", "leader_epoch")

    def __init__(self, batch, next_offset, size):
        self.batch = batch
        self.size = size
        self.base_offset = batch.base_offset
        self.next_offset = next_offset
        self.leader_epoch = batch.leader_epoch

    @classmethod
    def of(cls, batch, start, messages, size, check_crcs):
        """
        Return a batch as far as it has so many messages and bytes from an offset on; what it is read from then is
        `batch`.

        :raises kiel.exc.CorruptMessageError: when it can't be read
        """
        if not isinstance(batch, Unpacked):
            batch = Unpacked(batch, batch.columns(start, check_crcs))
        return cls(batch, *batch.within(start, messages, size))

    def columns(self, start=0, check_crcs=True):
        """As a batch's."""
        return self.batch.columns(start, check_crcs, self.next_offset)


def _finite(columns, count):
    """Return columns as long as the first: one that says the same of all messages may go on for ever."""
    return [itertools.islice(column, count) for column in columns]
