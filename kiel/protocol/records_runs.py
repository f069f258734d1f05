"""
Runs of records of one shape: same length, same place of the value. They are taken as columns, not
one by one.

Records of fixed size are common (counters, sensor readings, packed structs). In a run of them the
lengths stand at equal distances, so that one slice with a stride gives the same byte of every
record, and one call tells how far it is what the shape wants: a constant, or a byte that continues
or ends a varint. The values then come out of one `struct` call for 64 records.
"""
from __future__ import absolute_import

import struct

import six

from kiel.protocol.varints import decode as varint

_ALL = bytes(bytearray(range(256)))
#: bytes that end a varint, bytes that continue it
_LAST, _MORE = _ALL[:128], _ALL[128:]

#: records looked at first, and at most in one step
FIRST, MOST = 32, 2048

#: records that one struct call gives
UNIT = 64

#: (bytes before the value, its size, bytes behind it) -> the struct of UNIT such records
_structs = {}


class Shape(object):
    """
    Where the parts of a record stand, counted from its begin, and what its other bytes may be.
    """

    __slots__ = ("columns", "key", "value", "stamp", "offset")

    def __init__(self, buff, data, mark, stop):
        """
        Describes the record in ``data[mark:stop]``, which has no headers and has been read before.
        """
        pos = varint(buff, mark)[1]
        columns = [(at - mark, data[at:at + 1]) for at in range(mark, pos)]
        pos += 1
        self.stamp = pos - mark
        after = varint(buff, pos, 10)[1]
        columns += [(at - mark, _MORE) for at in range(pos, after - 1)]
        columns.append((after - 1 - mark, _LAST))
        self.offset = after - mark
        pos = varint(buff, after)[1]
        columns += [(at - mark, _MORE) for at in range(after, pos - 1)]
        columns.append((pos - 1 - mark, _LAST))
        for part in ("key", "value"):
            size, after = varint(buff, pos)
            columns += [(at - mark, data[at:at + 1]) for at in range(pos, after)]
            setattr(self, part, None if size < 0 else (after - mark, size))
            pos = after + max(size, 0)
        columns.append((stop - 1 - mark, b"\0"))
        self.columns = columns

    def alike(self, data, pos, stride, most):
        """How many of the ``most`` records from ``pos`` on are of this shape."""
        stop = pos + most * stride
        for at, allowed in self.columns:
            column = data[pos + at:stop:stride]
            if column.translate(None, allowed):
                found = len(column) - len(column.lstrip(allowed))
                if not found:
                    return 0
                if found < most:
                    most = found
                    stop = pos + most * stride
        return most


def values(data, buff, mark, pos, end, left, out):
    """
    Appends the values of the records from ``pos`` on that are like the one in ``data[mark:pos]``;
    gives their number.

    :param left: most records that there can be
    """
    stride = pos - mark
    # most often the next record's length tells that there is no run
    if buff[pos] != buff[mark] or buff[pos + 1] != buff[mark + 1] or buff[pos - 1]:
        return 0
    shape = Shape(buff, data, mark, pos)
    most = min(left, (end - pos) // stride)
    total = 0
    step = FIRST
    while most:
        step = min(step, most)
        found = shape.alike(data, pos, stride, step)
        _take(data, pos, stride, found, shape.value, out)
        total += found
        if found < step:
            break
        pos += found * stride
        most -= found
        step = min(4 * step, MOST)
    return total


def _take(data, pos, stride, count, place, out):
    """
    Appends the part of ``count`` records that stands at ``place``, ``(begin, size)`` or ``None``.
    """
    if place is None:
        out.extend([None] * count)
        return
    begin, size = place
    if count >= UNIT:
        key = begin, size, stride
        unit = _structs.get(key)
        if unit is None:
            if len(_structs) > 256:
                _structs.clear()
            unit = _structs[key] = struct.Struct(
                ("%dx%ds%dx" % (begin, size, stride - begin - size)) * UNIT
            )
        for _ in range(count // UNIT):
            out += unit.unpack_from(data, pos)
            pos += unit.size
        count %= UNIT
    start = pos + begin
    out += [data[at:at + size] for at in six.moves.range(start, start + count * stride, stride)]
