"""
Runs of records whose heads are alike, while values and headers differ in size: what most services write.

The numbers of such records take the same number of bytes each, and their keys have one size. So one `struct` call takes
a record's length, what lies between it and the value, and the value's length; two tables turn the lengths into places.
What lies between is gathered and looked at afterwards, as columns (`kiel.protocol.records_runs`): whether all heads
were alike, and what offsets, time stamps and keys are. A record that is otherwise ends the run, and is left to the
loops of `kiel.protocol.records_decode`, which also say what is wrong with it.

Where all parts of the records are wanted, the lengths are all that is read of each one by one. They say how `struct`
takes hundreds of records apart in one call.
"""
from __future__ import absolute_import

import struct
from itertools import repeat

from six.moves import map

from kiel.protocol.records_runs import MORE, alike, heads, last
from kiel.protocol.varints import decode as varint

#: records in the first step, how many times as many in each that follows, and most in one
FIRST, GROWTH, MOST = 16, 4, 512

#: a run of so many records makes the look for another promising
SHORT = 8

#: what stands behind the value of a record without headers
BARE = b"\0"

#: most pairs of lengths for which a layout keeps how records of those are taken apart
KNOWN = 2048

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


class _Texts(dict):
    """
    What a record's length and its value's are read as -> how `struct` takes such a record apart: into what lies between
    the two, the value, and what comes behind it. A KeyError where the lengths do not go together.
    """

    __slots__ = ("layout",)

    def __init__(self, layout):
        super(_Texts, self).__init__()
        self.layout = layout

    def __missing__(self, code):
        """Work it out."""
        layout = self.layout
        length, size = code
        begin, end = layout.begins[size], layout.ends[size]
        tail = layout.lengths[length] - layout.base - end
        if tail < 1:
            raise KeyError(code)
        if len(self) == KNOWN:
            self.clear()
        text = self[code] = "%dx%ds%dx%ds%ds" % (layout.length, layout.width, begin, end - begin, tail)
        return text


class Layout(object):
    """
    Where things stand in the heads of a run's records: ``stamp``, ``offset``, ``after`` (the offset) and ``key``,
    ``(begin, size)`` or ``None``, count from behind the record's length, as in what is gathered; ``length`` is the
    bytes of that length, ``width`` those of what lies between it and the value's, ``columns`` are what has to stand
    where in that. ``parts`` reads a record's length, what lies between, and its value's length; ``lengths_of`` the two
    lengths.
    """

    __slots__ = (
        "parts", "lengths_of", "base", "length", "lengths", "begins", "ends", "width", "stamp", "offset", "after",
        "key", "columns", "texts"
    )

    def __init__(self, length, stamp, offset, key, key_size):
        """
        :param length: bytes of the record's length: 1 or 2
        :param stamp: bytes of the time stamp
        :param offset: bytes of the offset
        :param key: the key's length, as it is written
        :param key_size: the key's length, -1 for none
        """
        self.length = length
        self.stamp = 1
        self.offset = self.stamp + stamp
        self.after = self.offset + offset
        begin = self.after + len(key)
        self.key = None if key_size < 0 else (begin, key_size)
        self.width = begin + max(key_size, 0)
        self.base = length + self.width
        self.parts = struct.Struct("<%s%dsH" % ("BH"[length - 1], self.width)).unpack_from
        self.lengths_of = struct.Struct("<%s%dxH" % ("BH"[length - 1], self.width)).unpack_from
        tables = _tables()
        self.lengths, self.begins, self.ends = tables[length], tables["begins"], tables["ends"]
        self.columns = [(at, MORE) for at in range(self.stamp, self.offset - 1)]
        self.columns.append((self.offset - 1, last(stamp, 64)))
        self.columns += [(at, MORE) for at in range(self.offset, self.after - 1)]
        self.columns.append((self.after - 1, last(offset, 32)))
        self.columns += [(self.after + at, key[at:at + 1]) for at in range(len(key))]
        self.texts = _Texts(self)

    def behind(self, data, pos, count):
        """Return where the record stands that comes after ``count`` others from ``pos`` on."""
        for _ in repeat(None, count):
            pos += self.lengths[self.lengths_of(data, pos)[0]]
        return pos


def layout_of(buff, data, mark):
    """
    Return the `Layout` of the record at ``mark``, and how many records there are, with that one, before the next
    number takes a byte more, as far as they are numbered one by one. ``(None, 0)`` where it can't begin such a run.
    """
    try:
        at = varint(buff, mark)[1]
        length = at - mark
        offset = varint(buff, at + 1, 10)[1]
        number, after = varint(buff, offset)
        size, begin = varint(buff, after)
    except (ValueError, IndexError):
        return None, 0  # the loop that reads it says what is wrong
    if length > 2 or size < -1 or size > 1024:  # a run of large keys gains nothing
        return None, 0
    known = length, offset - at - 1, after - offset, data[after:begin], size
    layout = _layouts.get(known)
    if layout is None:
        if len(_layouts) > 256:
            _layouts.clear()
        layout = _layouts[known] = Layout(*known)
    return layout, max((1 << 7 * (after - offset) - 1) - number, 1)


def values(data, buff, mark, pos, left, out):
    """
    Append the values of the records from ``pos`` on whose heads are like that of the one at ``mark``, and of those
    behind whose heads are like each other.

    Return how many there are and where the record behind them stands.

    :param left: most records that there can be
    """
    def take(layout, pos, count):
        """Take so many of a run."""
        return _take_values(layout, data, buff, pos, count, out)
    total = 0
    for _, found, pos in _runs(take, data, buff, mark, pos, left):
        total += found
    return total, pos


def columns(data, buff, mark, pos, left, out, base_offset, base_timestamp):
    """
    Append the run's offsets, time stamps, keys and values to the first four lists of ``out``, and headers as far as
    there are any to the fifth. Return what `values` does.
    """
    middles, tails = [], []
    found_values, headers = out[3:]

    def take(layout, pos, count):
        """Take so many of a run."""
        return _take_parts(layout, data, pos, count, middles, found_values, tails)
    total = 0
    for layout, found, pos in _runs(take, data, buff, mark, pos, left):
        gathered = b"".join(middles)
        # a bytearray for indexing on Python 2
        index = gathered if buff is data else bytearray(gathered)
        heads(gathered, index, 0, layout.width, found, layout, out, base_offset, base_timestamp)
        bare = tails.count(BARE)
        if bare < found:
            headers += repeat(None, len(found_values) - found - len(headers))
            headers += [None if tail == BARE else tail for tail in tails] if bare else tails
        del middles[:], tails[:]
        total += found
    return total, pos


def _runs(take, data, buff, mark, pos, left):
    """
    Have runs taken, one behind the other: return the layout of each, how many records it has, and where the record
    behind it stands.

    :param take: called with a layout, a place, and how many records are to be taken from there on; returns how many
        there were, and the place behind them
    """
    layout, most = layout_of(buff, data, mark)
    most -= 1  # without that one
    step = FIRST
    while layout is not None and left:
        most = min(most, left)
        total = 0
        while total < most:
            step = min(step, most - total)
            found, pos = take(layout, pos, step)
            total += found
            if found < step:
                step = FIRST
                break
            step = min(GROWTH * step, MOST)
        if total:
            yield layout, total, pos
        if total < min(most, SHORT):
            return
        left -= total
        # most often an offset or a time stamp just takes one byte more from here on
        layout, most = layout_of(buff, data, pos)


def _take_values(layout, data, buff, pos, count, out):
    """Append the values of the next records of a run; return what ``take`` of `_runs` does."""
    unpack, base, lengths, begins, ends = layout.parts, layout.base, layout.lengths, layout.begins, layout.ends
    before, known, middles = pos, len(out), []
    append, add = out.append, middles.append
    try:
        for _ in repeat(None, count):
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
    return found, pos


def _take_parts(layout, data, pos, count, middles, values, tails):
    """
    Append what lies between the lengths of the next records of a run, joined, the values, and what comes behind each;
    return what ``take`` of `_runs` does.
    """
    unpack, lengths = layout.lengths_of, layout.lengths
    before, codes, texts = pos, [], []
    add = codes.append
    try:
        for _ in repeat(None, count):
            code = unpack(data, pos)
            add(code)
            pos += lengths[code[0]]
    except (struct.error, IndexError):
        pass  # the bytes end here
    try:
        texts += map(layout.texts.__getitem__, codes)
    except KeyError:
        pass  # those before are there
    try:
        parts = struct.Struct("".join(texts)).unpack_from(data, before)
    except struct.error:
        texts.pop()  # it goes beyond the bytes
        parts = struct.Struct("".join(texts)).unpack_from(data, before)
    joined = b"".join(parts[::3])
    found = _well_ended(parts[2::3], alike(layout.columns, joined, 0, layout.width, len(texts)))
    if found < count:
        pos = layout.behind(data, before, found)
        parts = parts[:3 * found]
        joined = joined[:layout.width * found]
    middles.append(joined)
    values += parts[1::3]
    tails += parts[2::3]
    return found, pos


def _well_ended(tails, most):
    """Return how many of the first records, at most so many, end where it is said that they have no headers."""
    # none has any, or all have some, most often
    if not tails or min(tails)[:1] != BARE or tails.count(BARE) == len(tails):
        return most
    for index, tail in enumerate(tails[:most]):
        if tail != BARE and tail[:1] == BARE:
            return index
    return most
