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
from itertools import repeat

from six.moves import map, range, zip

from kiel.protocol.varints import TABLE, decode as varint

_ALL = bytes(bytearray(range(256)))
#: bytes that continue a varint
MORE = _ALL[128:]

#: records looked at first, and at most in one step
FIRST, MOST = 64, 2048

#: records that one struct call returns, as long as there are so many
UNITS = 64, 8

#: (where a part begins, its size, bytes of a record, number of records) -> the struct of that part of so many records
_structs = {}


#: what a `Shape` follows from -> the shape: small batches are of one shape again and again
_shapes = {}


def last(width, bits):
    """Return the bytes that may end a varint of so many bytes: one that could have too many bits ends in few."""
    return _ALL[:min(128, 1 << max(bits - 7 * (width - 1), 0))]


class Shape(object):
    """
    Where the parts of a record stand, counted from its begin, and what its other bytes may be.
    """

    __slots__ = ("columns", "key", "value", "stamp", "offset", "after")

    def __init__(self, buff, data, mark, stop):
        """
        Describe the record in ``data[mark:stop]``, which has no headers and has been read before.
        """
        pos = varint(buff, mark)[1]
        columns = [(at - mark, data[at:at + 1]) for at in range(mark, pos)]
        pos += 1
        self.stamp = pos - mark
        after = varint(buff, pos, 10)[1]
        columns += [(at - mark, MORE) for at in range(pos, after - 1)]
        columns.append((after - 1 - mark, last(after - pos, 64)))
        self.offset = after - mark
        pos = varint(buff, after)[1]
        self.after = pos - mark
        columns += [(at - mark, MORE) for at in range(after, pos - 1)]
        columns.append((pos - 1 - mark, last(pos - after, 32)))
        for part in ("key", "value"):
            size, after = varint(buff, pos)
            columns += [(at - mark, data[at:at + 1]) for at in range(pos, after)]
            setattr(self, part, None if size < 0 else (after - mark, size))
            pos = after + max(size, 0)
        # the header count; a record with headers is left to the loop
        columns.append((stop - 1 - mark, b"\0"))
        self.columns = columns if pos == stop - 1 else None

    def alike(self, data, pos, stride, most):
        """Return how many of the ``most`` records from ``pos`` on are of this shape."""
        return alike(self.columns, data, pos, stride, most)


def alike(columns, data, pos, stride, most):
    """
    How many of ``most`` records from ``pos`` on, one every ``stride`` bytes, have what is allowed in each column.

    :param columns: pairs of a place in the record and the bytes that may stand there
    """
    stop = pos + most * stride
    for at, allowed in columns:
        column = data[pos + at:stop:stride]
        if column.translate(None, allowed):
            found = len(column) - len(column.lstrip(allowed))
            if not found:
                return 0
            if found < most:
                most = found
                stop = pos + most * stride
    return most


def shape_of(buff, data, mark, stop):
    """Return the `Shape` of the record in ``data[mark:stop]``, made when it is a new one."""
    at = mark
    while buff[at] > 127:
        at += 1
    attributes = at + 1
    at += 2
    while buff[at] > 127:
        at += 1
    offset = at = at + 1
    while buff[at] > 127:
        at += 1
    after = at + 1
    size, begin = varint(buff, after)
    value = begin if size < 0 else begin + size
    at = value
    while buff[at] > 127:
        at += 1
    known = (
        stop - mark, data[mark:attributes], offset - mark, after - mark, data[after:begin],
        data[value:at + 1]
    )
    shape = _shapes.get(known)
    if shape is None:
        if len(_shapes) > 256:
            _shapes.clear()
        shape = _shapes[known] = Shape(buff, data, mark, stop)
    return shape


def find(data, buff, mark, pos, end, left):
    """
    Give ``(shape, place, count)`` for each piece of the run of records from ``pos`` on that are
    like the one in ``data[mark:pos]``; nothing when the next one differs.

    :param left: most records that there can be
    """
    stride = pos - mark
    # most often the next record's length tells that there is no run
    if buff[pos] != buff[mark] or buff[pos + 1] != buff[mark + 1] or buff[pos - 1]:
        return
    shape = shape_of(buff, data, mark, pos)
    if shape.columns is None:
        return
    most = min(left, (end - pos) // stride)
    step = FIRST
    while most:
        step = min(step, most)
        found = shape.alike(data, pos, stride, step)
        if found:
            yield shape, pos, found
        if found < step:
            return
        pos += found * stride
        most -= found
        step = min(4 * step, MOST)


def values(data, buff, mark, pos, end, left, out):
    """Append the values of the run that `find` finds; return their number."""
    stride = pos - mark
    total = 0
    for shape, pos, count in find(data, buff, mark, pos, end, left):
        out += _take(data, pos, stride, count, shape.value)
        total += count
    return total


def columns(data, buff, mark, pos, end, left, out, base_offset, base_timestamp):
    """
    Append the offsets, time stamps, keys and values of the run that `find` finds to the first four
    lists of ``out``; gives their number.
    """
    stride = pos - mark
    total = 0
    for shape, pos, count in find(data, buff, mark, pos, end, left):
        heads(data, buff, pos, stride, count, shape, out, base_offset, base_timestamp)
        out[3].extend(_take(data, pos, stride, count, shape.value))
        total += count
    return total


def heads(data, buff, pos, stride, count, shape, out, base_offset, base_timestamp):
    """
    Append the offsets, time stamps and keys of ``count`` records, one every ``stride`` bytes, to the first three lists
    of ``out``.

    :param shape: a `Shape`, or what else says where they stand and has been found to hold for all of them
    """
    offsets, stamps, keys = out[:3]
    delta = varint(buff, pos + shape.offset)[0]
    if 0 <= delta and _rises(data, pos, stride, count, shape, delta):
        offsets += range(base_offset + delta, base_offset + delta + count)
    else:
        offsets += _numbers(data, pos, stride, count, shape.offset, shape.after, base_offset)
    stamps += _stamps(data, pos, stride, count, shape, base_timestamp)
    keys += _take(data, pos, stride, count, shape.key)


def _rises(data, pos, stride, count, shape, delta):
    """Return whether the offset deltas of a run are ``delta`` and the numbers behind it, without a gap."""
    expected = TABLE[delta:delta + count]
    if len(expected) < count:
        return False
    width = shape.after - shape.offset
    begin = pos + shape.offset
    stop = pos + count * stride
    found = bytearray(width * count)
    for at in range(width):
        found[at::width] = data[begin + at:stop:stride]
    return found == b"".join(expected)


def _stamps(data, pos, stride, count, shape, base):
    """Return the time stamps of a run: few different ones, as many records come in the same millisecond."""
    stop = pos + count * stride
    found = [data[at:stop:stride] for at in range(pos + shape.stamp, pos + shape.offset)]
    if all(column.count(column[:1]) == count for column in found):
        return repeat(base + varint(bytearray(b"".join(found)[::count]), 0, 10)[0], count)
    if len(found) > 2:
        return _numbers(data, pos, stride, count, shape.stamp, shape.offset, base)
    if len(found) == 2:
        both = bytearray(2 * count)
        both[::2], both[1::2] = found
        codes = struct.unpack("<%dH" % count, bytes(both))
    else:
        codes = bytearray(found[0])
    return map(_Stamps(base).__getitem__, codes)


class _Stamps(dict):
    """The two bytes of a varint as a number -> the time stamp, worked out when first asked for."""

    __slots__ = ("base",)

    def __init__(self, base):
        super(_Stamps, self).__init__()
        self.base = base

    def __missing__(self, code):
        """Work it out."""
        number = code >> 8 << 7 | code & 127
        stamp = self[code] = self.base + (number >> 1 ^ -(number & 1))
        return stamp


def _numbers(data, pos, stride, count, begin, end, base):
    """Return the varints between ``begin`` and ``end`` of each record of a run, added to ``base``."""
    stop = pos + count * stride
    numbers = bytearray(data[pos + end - 1:stop:stride])
    # from the highest byte to the lowest
    for at in range(end - 2, begin - 1, -1):
        lower = bytearray(data[pos + at:stop:stride])
        numbers = [high << 7 | low & 127 for high, low in zip(numbers, lower)]
    return [base + (number >> 1 ^ -(number & 1)) for number in numbers]


def _take(data, pos, stride, count, place):
    """Return the part of ``count`` records that stands at ``place``, ``(begin, size)`` or ``None``."""
    if place is None:
        return [None] * count
    out = []
    begin, size = place
    for many in UNITS:
        if count >= many:
            key = begin, size, stride, many
            unit = _structs.get(key)
            if unit is None:
                if len(_structs) > 256:
                    _structs.clear()
                unit = _structs[key] = struct.Struct(("%dx%ds%dx" % (begin, size, stride - begin - size)) * many)
            for _ in range(count // many):
                out += unit.unpack_from(data, pos)
                pos += unit.size
            count %= many
    start = pos + begin
    out += [data[at:at + size] for at in range(start, start + count * stride, stride)]
    return out
