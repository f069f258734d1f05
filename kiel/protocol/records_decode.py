"""
Reads the records of a batch of magic 2: hand-written loops, since this is where a consumer spends
its time.

Both loops take the one- and two-byte varints in line and leave longer ones to
`kiel.protocol.varints`. They index ``buff`` and slice ``data``: the same bytes on Python 3, a
`bytearray` twin on Python 2 where indexing a string is slow (`numbers`). Between pieces of the loop
`kiel.protocol.records_runs` looks whether the next records are all of one shape, and takes those as
columns at a multiple of the speed, and `kiel.protocol.records_mixed` whether at least their heads
are alike. The loops are checked against plain twins in the tests.

What is wrong raises `ValueError` or `IndexError` (a `struct.error` never): a length that is
negative, a record of another length than its parts, or records that do not end where their batch
ends. No more is allocated than there are bytes to read. Headers are not read, only kept
(`kiel.protocol.headers`).

``kiel/speedups.c`` has the same functions in C, with the same results.
"""
from __future__ import absolute_import

from itertools import repeat

import six
from six.moves import map, zip

from kiel.protocol import records_mixed, records_runs
from kiel.protocol.headers import Headers
from kiel.protocol.varints import decode as varint

#: records to read one by one before looking for a run: few first, more as long as none is found
FEW, MANY = 2, 256

#: bytes of a record, on average, from which on no `bytearray` is made of what it is read from
LARGE = 4096

#: a run of so many records makes the look for another less promising
SHORT = 8


def are_large(pos, end, count):
    """Return whether ``count`` records in so many bytes are large ones: most of the work is to copy them."""
    return end - pos > LARGE * count


class Numbers(object):
    """Bytes whose indexing gives numbers, also on Python 2: none of them is copied."""

    __slots__ = ("_data",)

    def __init__(self, data):
        self._data = data

    def __getitem__(self, index):
        return ord(self._data[index])


def numbers(data, pos, end, count):
    """Return ``data`` as something whose indexing gives numbers."""
    if not six.PY2:
        return data
    return Numbers(data) if are_large(pos, end, count) else bytearray(data)


def values(data, pos, end, count):
    """Return the values of ``count`` records that stand in ``data[pos:end]``, bytes or ``None`` each."""
    buff = numbers(data, pos, end, count)
    out = []
    append = out.append
    left = count
    piece = FEW
    while left:
        if piece > left:
            piece = left
        mark = pos
        for _ in repeat(None, piece):
            mark = pos
            size = buff[pos]
            pos += 1
            if size > 127:
                high = buff[pos]
                if high < 128 and not size & 1:
                    pos += 1
                    stop = pos + (size - 128 >> 1) + (high << 6)
                else:
                    size, pos = varint(buff, mark)
                    stop = pos + size
            elif size & 1:
                raise ValueError("a record of negative length")
            else:
                stop = pos + (size >> 1)
            # attributes
            pos += 1
            # time stamp delta, offset delta
            if buff[pos] > 127:
                pos += 1
                if buff[pos] > 127:
                    pos = varint(buff, pos - 1, 10)[1] - 1
            pos += 1
            if buff[pos] > 127:
                pos += 1
                if buff[pos] > 127:
                    pos = varint(buff, pos - 1)[1] - 1
            pos += 1
            # key
            size = buff[pos]
            pos += 1
            if size != 1:
                if size > 127:
                    size, pos = varint(buff, pos - 1)
                    if size < 0:
                        raise ValueError("a key of %d bytes" % size)
                    pos += size
                elif size & 1:
                    raise ValueError("a key of negative length")
                else:
                    pos += size >> 1
            # value
            size = buff[pos]
            pos += 1
            if size > 127:
                high = buff[pos]
                if high < 128:
                    if size & 1:
                        raise ValueError("a value of negative length")
                    start = pos + 1
                    pos = start + (size - 128 >> 1) + (high << 6)
                else:
                    size, start = varint(buff, pos - 1)
                    if size < 0:
                        raise ValueError("a value of negative length")
                    pos = start + size
                append(data[start:pos])
            elif size & 1:
                if size != 1:
                    raise ValueError("a value of negative length")
                append(None)
            else:
                start = pos
                pos += size >> 1
                append(data[start:pos])
            if buff[pos]:
                # headers, as far as the record goes
                if stop <= pos:
                    raise ValueError("a record of another length than its parts")
                pos = stop
            else:
                pos += 1
                if pos != stop:
                    raise ValueError("a record of another length than its parts")
        left -= piece
        if left:
            found = records_runs.values(data, buff, mark, pos, end, left, out)
            if found:
                pos += found * (pos - mark)
            else:
                found, pos = records_mixed.values(data, buff, mark, pos, left, out)
            left -= found
            # a short run is not worth the look
            piece = FEW if found > SHORT else min(4 * piece, MANY)
    if pos != end:
        raise ValueError("records that end at byte %d of %d" % (pos, end))
    return out


def records(data, pos, end, count, base_offset, base_timestamp, log_append_time):
    """Return the rows of `columns`: tuples ``(offset, timestamp, key, value, headers)``."""
    return list(zip(*columns(
        data, pos, end, count, base_offset, base_timestamp, log_append_time)))


def columns(data, pos, end, count, base_offset, base_timestamp, log_append_time):
    """
    Return the ``count`` records in ``data[pos:end]`` as ``(offsets, timestamps, keys, values, headers)``,
    an iterable for each, all of the same length.

    Whoever makes something of each record does it by one ``zip`` of what it needs, so that there is
    nothing in between that is thrown away again.

    :param log_append_time: the one time stamp of all records, where the broker has set it; else
        ``None``
    """
    buff = numbers(data, pos, end, count)
    out = offsets, stamps, keys, found, headers = [], [], [], [], []
    add_offset, add_stamp, add_key, add_value = (
        offsets.append, stamps.append, keys.append, found.append)
    left = count
    piece = FEW
    while left:
        if piece > left:
            piece = left
        mark = pos
        for _ in repeat(None, piece):
            mark = pos
            size = buff[pos]
            pos += 1
            if size > 127:
                high = buff[pos]
                if high < 128 and not size & 1:
                    pos += 1
                    stop = pos + (size - 128 >> 1) + (high << 6)
                else:
                    size, pos = varint(buff, mark)
                    stop = pos + size
            elif size & 1:
                raise ValueError("a record of negative length")
            else:
                stop = pos + (size >> 1)
            pos += 1
            delta = buff[pos]
            pos += 1
            if not delta:
                add_stamp(base_timestamp)
            elif delta > 127:
                high = buff[pos]
                if high < 128 and not delta & 1:
                    pos += 1
                    delta = (delta - 128 >> 1) + (high << 6)
                else:
                    delta, pos = varint(buff, pos - 1, 10)
                add_stamp(base_timestamp + delta)
            else:
                add_stamp(base_timestamp + (delta >> 1 ^ -(delta & 1)))
            offset = buff[pos]
            pos += 1
            if offset & 1:
                # negative, or of several bytes of which the first is odd
                offset, pos = varint(buff, pos - 1)
            elif offset > 127:
                high = buff[pos]
                if high < 128:
                    pos += 1
                    offset = (offset - 128 >> 1) + (high << 6)
                else:
                    offset, pos = varint(buff, pos - 1)
            else:
                offset >>= 1
            add_offset(base_offset + offset)
            size = buff[pos]
            pos += 1
            if size == 1:
                add_key(None)
            else:
                if size > 127:
                    size, pos = varint(buff, pos - 1)
                    if size < 0:
                        raise ValueError("a key of negative length")
                elif size & 1:
                    raise ValueError("a key of negative length")
                else:
                    size >>= 1
                start = pos
                pos += size
                add_key(data[start:pos])
            size = buff[pos]
            pos += 1
            if size == 1:
                add_value(None)
            else:
                if size > 127:
                    high = buff[pos]
                    if high < 128 and not size & 1:
                        pos += 1
                        size = (size - 128 >> 1) + (high << 6)
                    else:
                        size, pos = varint(buff, pos - 1)
                        if size < 0:
                            raise ValueError("a value of negative length")
                elif size & 1:
                    raise ValueError("a value of negative length")
                else:
                    size >>= 1
                start = pos
                pos += size
                add_value(data[start:pos])
            if buff[pos]:
                if stop <= pos:
                    raise ValueError("a record of another length than its parts")
                # those before it have none
                headers += repeat(None, len(found) - 1 - len(headers))
                headers.append(data[pos:stop])
                pos = stop
            else:
                pos += 1
                if pos != stop:
                    raise ValueError("a record of another length than its parts")
        left -= piece
        if left:
            taken = records_runs.columns(
                data, buff, mark, pos, end, left, out, base_offset, base_timestamp)
            if taken:
                pos += taken * (pos - mark)
            else:
                taken, pos = records_mixed.columns(
                    data, buff, mark, pos, left, out, base_offset, base_timestamp)
            left -= taken
            piece = FEW if taken > SHORT else min(4 * piece, MANY)
    if pos != end:
        raise ValueError("records that end at byte %d of %d" % (pos, end))
    if log_append_time is not None:
        stamps = repeat(log_append_time, count)
    return offsets, stamps, keys, found, _lazy(headers, count)


def _lazy(raw, count):
    """Return the `Headers` of ``count`` records, an iterable, from the bytes of those that have any, or ``None``."""
    if not raw:
        return repeat((), count)
    if None not in raw and len(raw) == count:
        return map(Headers, zip(raw))
    raw += repeat(None, count - len(raw))
    return [() if some is None else Headers((some,)) for some in raw]


def rows(cls, topic, partition, columns):
    """
    Return what `columns` gave as an iterable of instances of ``cls``, a class of tuples, up to the shortest column.

    ``topic`` and ``partition`` come first in each. There is no frame, nor a tuple that is thrown away again, for any.
    """
    return map(tuple.__new__, repeat(cls), zip(repeat(topic), repeat(partition), *columns))
