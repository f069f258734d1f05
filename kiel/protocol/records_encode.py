"""
Writes record batches (magic 2), as columns where the records are alike and in one flat list where
they are not.

Both ways end in ``join`` of pieces that exist already: varints come from a table, keys and values
are the caller's bytes. Records without key and headers, many of which share a time stamp, are the
common case and take no Python loop at all.
"""
from __future__ import absolute_import

import struct
from itertools import chain, repeat, starmap

from six.moves import map, range, zip

from kiel import compression, speedups
from kiel.protocol.crc32c import crc32c
from kiel.protocol.varints import TABLE, encode as varint

#: base offset, length of what follows, leader epoch, magic, CRC-32C of all that follows
HEAD = struct.Struct(">qiibI")
#: attributes, last offset delta, first and largest time stamp, producer id and epoch, first
#: sequence, count
REST = struct.Struct(">hiqqqhii")

TRANSACTIONAL = 0x10

#: entries of a list that are joined at once
AT_ONCE = 4096

#: the widths of an offset's varint: how many offsets take no more than one, two, three ... bytes
_WIDTHS = ((64, 1), (8192, 2), (1048576, 3), (1 << 31, 4))


def encode(records, codec=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, transactional=False):
    """
    Return a record batch for the wire, in pieces; see `kiel.protocol.messages.encode_pieces`.

    :param records: the `kiel.protocol.columns.Columns`
    """
    count = len(records.values)
    stamps = records.stamps.values
    compress = compression.get(codec).compress if codec else None
    body = section(records, count)
    size = records.encoded = sum(map(len, body))
    if compress is not None:
        body = [compress(b"".join(body))]
        size = len(body[0])
    attributes = codec | TRANSACTIONAL if transactional else codec
    rest = REST.pack(
        attributes, count - 1, stamps[0], max(stamps), producer_id, producer_epoch, base_sequence, count
    )
    crc = crc32c(rest)
    for piece in body:
        crc = crc32c(piece, crc)
    return [HEAD.pack(0, size + 49, -1, 2, crc) + rest] + body


def section(records, count):
    """Return the records alone, in pieces: by the loops in C where they are and can, else by those below."""
    if speedups.native is not None:
        stamps = records.stamps
        body = speedups.native.encode(records.keys, records.values, records.headers, stamps.starts, stamps.values)
        if body is not None:
            return [body]
    if count == 1 and records.keys is None and records.values[0] is not None:  # somebody waits for it
        return [_value_only(records.values[0])]
    runs = deltas_of(records.stamps, count)
    body = values_only(records.values, runs) if records.keys is None else None
    return any_records(records, runs) if body is None else body


def _value_only(value):
    """Return the one record of a batch, which has neither a key nor headers."""
    size = len(value)
    length = size + (6 if size < 64 else 7)
    if length < len(TABLE):
        return b"".join((TABLE[length], b"\0\0\0\1", TABLE[size], value, b"\0"))
    head = varint(size)
    return b"".join((varint(size + len(head) + 5), b"\0\0\0\1", head, value, b"\0"))


def deltas_of(stamps, count):
    """
    Return how far time stamps are from the first of them, as a list of pairs: a varint and how many messages
    in a row have it.

    :param stamps: the `kiel.protocol.columns.Stamps` of ``count`` messages
    """
    first = stamps.values[0]
    return [(varint(stamp - first), number) for stamp, number in stamps.runs(count)]


def _head(width, delta, size):
    """
    How a record without a key begins: the zero header count that ends the record before, the
    record's own length, attributes, and the time stamp delta.

    :param width: bytes of the offset delta, which follows
    :param delta: the varint of the time stamp, or just of its width and left out
    :param size: bytes of the value
    """
    return b"\0" + varint(width + len(delta) + 3 + len(varint(size)) + size) + b"\0"


class _Heads(dict):
    """
    Value length -> `_head` without its time stamp delta, which takes one byte. Filled as lengths are
    met.
    """

    def __init__(self, width):
        super(_Heads, self).__init__()
        self.width = width

    def __missing__(self, size):
        """Make the entry, and forget all others when there are too many."""
        if len(self) > 65536:
            self.clear()
        self[size] = head = _head(self.width, b"\0", size)
        return head


class _Mids(dict):
    """Value length -> what stands between the offset and the value: no key, and the length."""

    def __missing__(self, size):
        """Make the entry, and forget all others when there are too many."""
        if len(self) > 65536:
            self.clear()
        self[size] = mid = b"\1" + varint(size)
        return mid


#: width -> heads
_heads = dict((width, _Heads(width)) for _, width in _WIDTHS)
_mids = _Mids()


def values_only(values, runs):
    """
    Return the records of a batch whose keys are null, with no headers, in pieces; ``None`` when they are not
    plain enough for that: a value is null, or sizes differ and time stamps are far apart.

    :param values: bytes each
    :param runs: the time stamps, see `deltas_of`
    """
    count = len(values)
    try:
        sizes = list(map(len, values))
    except TypeError:
        return None
    size = sizes[0]
    if sizes.count(size) == count:
        flat = [None] * (4 * count + 1)
        flat[0:-1:4] = _heads_of_one_size(size, runs)
        flat[2:-1:4] = [_mids[size]] * count
    elif all(len(delta) == 1 for delta, _ in runs):
        flat = [None] * (5 * count + 1)
        start = 0
        for most, width in _WIDTHS:
            stop = min(most, count)
            flat[5 * start:5 * stop:5] = map(_heads[width].__getitem__, sizes[start:stop])
            start = stop
        flat[1:-1:5] = _spread(runs)
        flat[3:-1:5] = map(_mids.__getitem__, sizes)
    else:
        return None
    step = (len(flat) - 1) // count
    flat[step - 3:-1:step] = _offsets(count)
    flat[step - 1:-1:step] = values
    flat[0] = flat[0][1:]
    flat[-1] = b"\0"
    return _joined(flat)


def _heads_of_one_size(size, runs):
    """Return the heads, with time stamps, of records whose values have all the same size: a list."""
    heads = []
    for delta, count in runs:
        for most, width in _WIDTHS:
            some = min(most - len(heads), count)
            if some > 0:
                heads += [_head(width, delta, size) + delta] * some
                count -= some
    return heads


def _spread(runs):
    """Return the time stamp deltas one by one."""
    return chain.from_iterable(starmap(repeat, runs))


def any_records(records, runs):
    """
    Return the records of a batch of whatever form, in pieces: a head per record, up to the value, then its value and
    what ends it.

    :param runs: the time stamps, see `deltas_of`
    """
    count = len(records)
    values, sizes, value_heads = _column(records.values)
    if records.keys is None:
        keys, key_heads, headers = repeat(b""), repeat(b"\1"), ()
    else:
        keys, _, key_heads = _column(records.keys)
        headers = records.headers
    heads = list(map(b"".join, zip(
        repeat(b"\0"), _spread(runs), _offsets(count), key_heads, keys, value_heads)))
    if any(headers):
        tails = [_headers(pairs) if pairs else b"\0" for pairs in headers]
        lengths = list(map(sum, zip(map(len, heads), sizes, map(len, tails))))
    else:
        tails = [b"\0"] * count
        lengths = [len(head) + size + 1 for head, size in zip(heads, sizes)]
    flat = [None] * (4 * count)
    flat[0::4] = map(_for(0, max(lengths)), lengths)
    flat[1::4] = heads
    flat[2::4] = values
    flat[3::4] = tails
    return _joined(flat)


def _joined(flat):
    """
    Join a long list piece by piece. In one go ``join`` would take 80 bytes for each entry, which is
    more than the messages themselves and than a processor's cache.
    """
    return [b"".join(flat[at:at + AT_ONCE]) for at in range(0, len(flat), AT_ONCE)]


def _column(parts):
    """
    Return keys or values as three columns: bytes, their sizes, and the varints of their sizes. A null is
    empty bytes whose size is written as -1.
    """
    if None in parts:
        heads = [b"\1" if part is None else varint(len(part)) for part in parts]
        parts = [b"" if part is None else part for part in parts]
        return parts, list(map(len, parts)), heads
    sizes = list(map(len, parts))
    return parts, sizes, map(_for(0, max(sizes)), sizes)


def _offsets(count):
    """Return the varints of 0 to ``count`` - 1, a list."""
    if count <= len(TABLE):
        return TABLE[:count]
    return TABLE + [varint(delta) for delta in range(len(TABLE), count)]


def _for(least, most):
    """
    Return what gives the varint of any number from ``least`` to ``most``: the table where it will do.
    """
    return TABLE.__getitem__ if least >= 0 and most < len(TABLE) else varint


def _headers(pairs):
    """Return the headers of a record: their count, then names and values."""
    out = [varint(len(pairs))]
    for name, value in pairs:
        if not isinstance(name, bytes):
            name = name.encode("utf-8")
        out.append(varint(len(name)))
        out.append(name)
        if value is None:
            out.append(b"\1")
        else:
            out.append(varint(len(value)))
            out.append(value)
    return b"".join(out)
