"""A part of a batch, for a call that wants no more than so many messages."""
from __future__ import absolute_import

import bisect
import itertools


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
    A batch that is read in several calls: decoded once.

    :param batch: the batch
    :param columns: what its ``columns`` returned
    """

    __slots__ = ("size", "base_offset", "next_offset", "leader_epoch", "offsets", "_columns")

    def __init__(self, batch, columns):
        self.size = batch.size
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.leader_epoch = batch.leader_epoch
        self.offsets = list(columns[0])
        self._columns = [self.offsets] + [list(column) for column in _finite(columns[1:], len(self.offsets))]

    def columns(self, start=0, check_crcs=True, end=None):
        """Offsets, time stamps, keys, values, headers from an offset on, and up to another."""
        first = bisect.bisect_left(self.offsets, start)
        last = len(self.offsets) if end is None else bisect.bisect_left(self.offsets, end)
        return [column[first:last] for column in self._columns]


class Portion(_Columns):
    """
    The messages of a batch before an offset.

    :param batch: the `Unpacked` batch
    :param next_offset: where the rest begins
    """

    __slots__ = ("batch", "size", "base_offset", "next_offset", "leader_epoch")

    def __init__(self, batch, next_offset):
        self.batch = batch
        self.size = batch.size
        self.base_offset = batch.base_offset
        self.next_offset = next_offset
        self.leader_epoch = batch.leader_epoch

    @classmethod
    def of(cls, batch, start, most, check_crcs):
        """
        Return a batch as far as it has ``most`` messages from an offset on; what it is read from then is `batch`.

        :raises kiel.exc.CorruptMessageError: when it can't be read
        """
        if not isinstance(batch, Unpacked):
            batch = Unpacked(batch, batch.columns(start, check_crcs))
        at = bisect.bisect_left(batch.offsets, start) + most
        return cls(batch, batch.offsets[at] if at < len(batch.offsets) else batch.next_offset)

    def columns(self, start=0, check_crcs=True):
        """As a batch's."""
        return self.batch.columns(start, check_crcs, self.next_offset)


def _finite(columns, count):
    """Columns as long as the first: one that says the same of all messages may go on for ever."""
    return [itertools.islice(column, count) for column in columns]
