"""
Runs of records whose heads are alike, while values and headers differ in size: what most services write.

The numbers of such records take the same number of bytes each, and their keys have one size. So one `struct` call takes
a record's length, what lies between it and the value, and the value's length; two tables turn the lengths into places.
What lies between is gathered and looked at afterwards, as columns (`kiel.protocol.records_runs`): whether all heads
were alike, and what offsets, time stamps and keys are. A record that is otherwise ends the run, and is left to the
loops of `kiel.protocol.records_decode`, which also say what is wrong with it.
"""
from __future__ import absolute_import

import struct
from itertools import repeat

from kiel.protocol.records_runs import MORE, alike, heads, last
from kiel.protocol.varints import decode as varint

#: records in the first step, and at most in one
FIRST, MOST = 16, 512

#: stands in tables where there is no such length, so that a value ends behind its record
_NONE = 1 << 40

#: length widths -> the tables that `_tables` makes, when first needed
_made = {}

#: what a `Layout` follows from -> the layout
_layouts = {}


def _tables():
    """
    Return the tables of lengths, a list each, by the two bytes they are read as, lowest first:

    bytes of a record that has this length, with the length itself (two bytes; one byte: by that byte); where a value
    with this length begins behind the begin of its length, and where it ends.
    """
    if not _made:
        records, begins, ends = [-1] * 65536, [0] * 65536, [_NONE] * 65536
        small = [-1] * 256
        for size in range(8192):
            code = (2 * size & 127) | 128 | size >> 6 << 8
            records[code] = size + 2
            begins[code] = 2
            ends[code] = size + 2
        for size in range(64):
            small[2 * size] = size + 1
            for code in range(2 * size, 65536, 256):
                begins[code] = 1
                ends[code] = size + 1
        _made.update({1: small, 2: records, "begins": begins, "ends": ends})
    return _made


class Layout(object):
    """
    Where things stand in the heads of a run's records: ``stamp``, ``offset``, ``after`` (the offset) and ``key``,
    ``(begin, size)`` or ``None``, count from behind the record's length, as in what is gathered; ``width`` is the bytes
    of that, ``columns`` are what has to stand where in it.
    """

    __slots__ = ("unpack", "base", "lengths", "begins", "ends", "width", "stamp", "offset", "after", "key", "columns")

    def __init__(self, length, stamp, offset, key, key_size):
        """
        :param length: bytes of the record's length: 1 or 2
        :param stamp: bytes of the time stamp
        :param offset: bytes of the offset
        :param key: the key's length, as it is written
        :param key_size: the key's length, -1 for none
        """
        self.stamp = 1
        self.offset = self.stamp + stamp
        self.after = self.offset + offset
        begin = self.after + len(key)
        self.key = None if key_size < 0 else (begin, key_size)
        self.width = begin + max(key_size, 0)
        self.base = length + self.width
        self.unpack = struct.Struct("<%s%dsH" % ("BH"[length - 1], self.width)).unpack_from
        tables = _tables()
        self.lengths, self.begins, self.ends = tables[length], tables["begins"], tables["ends"]
        self.columns = [(at, MORE) for at in range(self.stamp, self.offset - 1)]
        self.columns.append((self.offset - 1, last(stamp, 64)))
        self.columns += [(at, MORE) for at in range(self.offset, self.after - 1)]
        self.columns.append((self.after - 1, last(offset, 32)))
        self.columns += [(self.after + at, key[at:at + 1]) for at in range(len(key))]

    def behind(self, data, pos, count):
        """Return where the record stands that comes after ``count`` others from ``pos`` on."""
        for _ in repeat(None, count):
            pos += self.lengths[self.unpack(data, pos)[0]]
        return pos


def layout_of(buff, data, mark):
    """Return the `Layout` of a record that has been read before; ``None`` where it can't begin such a run."""
    at = varint(buff, mark)[1]
    length = at - mark
    if length > 2:
        return None
    offset = varint(buff, at + 1, 10)[1]
    after = varint(buff, offset)[1]
    size, begin = varint(buff, after)
    if size > 1024:
        return None  # a run of large keys gains nothing
    known = length, offset - at - 1, after - offset, data[after:begin], size
    layout = _layouts.get(known)
    if layout is None:
        if len(_layouts) > 256:
            _layouts.clear()
        layout = _layouts[known] = Layout(*known)
    return layout


def values(data, buff, mark, pos, left, out):
    """
    Append the values of the run of records from ``pos`` on whose heads are like that of the one at ``mark``.

    Return how many there are and where the record behind them stands.

    :param left: most records that there can be
    """
    layout = layout_of(buff, data, mark)
    total, step = 0, FIRST
    if layout is None:
        return total, pos
    unpack, base, lengths, begins, ends = layout.unpack, layout.base, layout.lengths, layout.begins, layout.ends
    append = out.append
    while total < left:
        step = min(step, left - total)
        before, known = pos, len(out)
        middles = []
        add = middles.append
        try:
            for _ in repeat(None, step):
                length, middle, size = unpack(data, pos)
                begin = pos + base
                stop = pos + lengths[length]
                end = begin + ends[size]
                if end + 1 != stop and (end >= stop or not buff[end]):
                    break
                append(data[begin + begins[size]:end])
                add(middle)
                pos = stop
        except (struct.error, IndexError):
            pass  # the bytes end here
        found = alike(layout.columns, b"".join(middles), 0, layout.width, len(middles))
        if found < len(middles):
            del out[known + found:]
            pos = layout.behind(data, before, found)
        total += found
        if found < step:
            break
        step = min(4 * step, MOST)
    return total, pos


def columns(data, buff, mark, pos, left, out, base_offset, base_timestamp):
    """
    Append the run's offsets, time stamps, keys and values to the first four lists of ``out``, and headers as far as
    there are any to the fifth. Return what `values` does.
    """
    layout = layout_of(buff, data, mark)
    total, step = 0, FIRST
    if layout is None:
        return total, pos
    unpack, base, lengths, begins, ends = layout.unpack, layout.base, layout.lengths, layout.begins, layout.ends
    found_values, headers = out[3:]
    append = found_values.append
    while total < left:
        step = min(step, left - total)
        before, known = pos, len(found_values)
        middles, tails = [], []
        add, add_tail = middles.append, tails.append
        try:
            for _ in repeat(None, step):
                length, middle, size = unpack(data, pos)
                begin = pos + base
                stop = pos + lengths[length]
                end = begin + ends[size]
                if end + 1 != stop:
                    if end >= stop or not buff[end]:
                        break
                    add_tail(data[end:stop])
                else:
                    add_tail(data[end:stop] if buff[end] else None)
                append(data[begin + begins[size]:end])
                add(middle)
                pos = stop
        except (struct.error, IndexError):
            pass  # the bytes end here
        gathered = b"".join(middles)
        found = alike(layout.columns, gathered, 0, layout.width, len(middles))
        if found < len(middles):
            del found_values[known + found:]
            pos = layout.behind(data, before, found)
        if found:
            # a bytearray for indexing on Python 2
            index = gathered if buff is data else bytearray(gathered)
            heads(gathered, index, 0, layout.width, found, layout, out, base_offset, base_timestamp)
            del tails[found:]
            if tails.count(None) < found:
                headers += repeat(None, known - len(headers))
                headers += tails
        total += found
        if found < step:
            break
        step = min(4 * step, MOST)
    return total, pos
