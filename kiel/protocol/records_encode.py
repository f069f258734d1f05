"""
Writes record batches (magic 2), as columns where the records are alike and in one flat list where
they are not.

Both ways end in one ``join`` of pieces that exist already: varints come from a table, keys and
values are the caller's bytes. Records without key and headers, all of one time stamp, are the
common case and take no Python loop at all.
"""
from __future__ import absolute_import

import struct
from itertools import repeat

from six.moves import map, range, zip

from kiel.protocol.crc32c import crc32c
from kiel.protocol.varints import TABLE, encode as varint

#: base offset, length of what follows, leader epoch, magic, CRC-32C of all that follows
HEAD = struct.Struct(">qiibI")
#: attributes, last offset delta, first and largest time stamp, producer id and epoch, first
#: sequence, count
REST = struct.Struct(">hiqqqhii")

TRANSACTIONAL = 0x10

#: the widths of an offset's varint: how many offsets take no more than one, two, three ... bytes
_WIDTHS = ((64, 1), (8192, 2), (1048576, 3), (1 << 31, 4))


def encode(
    records, codec, producer_id, producer_epoch, base_sequence, transactional, compress
):
    """
    A record batch for the wire; see `kiel.protocol.messages.encode_batch`.

    :param records: the `kiel.protocol.columns.Columns`
    :param compress: what compresses the records, or ``None``
    """
    stamps = records.stamps
    count = len(stamps)
    first = latest = stamps[0]
    deltas = body = None
    short = True
    if stamps.count(first) != count:
        table = _Deltas(first)
        deltas = list(map(table.__getitem__, stamps))
        latest = max(table)
        short = all(len(delta) == 1 for delta in table.values())
    if short and records.keys is None:
        body = values_only(records.values, deltas)
    if body is None:
        body = any_records(records, deltas)
    if compress is not None:
        body = compress(body)
    attributes = codec | TRANSACTIONAL if transactional else codec
    rest = REST.pack(
        attributes, count - 1, first, latest, producer_id, producer_epoch, base_sequence, count
    )
    return b"".join((
        HEAD.pack(0, len(body) + 49, -1, 2, crc32c(body, crc32c(rest))), rest, body
    ))


class _Deltas(dict):
    """
    Time stamp -> the varint of how far it is from the first. Many messages share one, as many come
    in a millisecond.
    """

    def __init__(self, first):
        super(_Deltas, self).__init__()
        self.first = first

    def __missing__(self, stamp):
        """Makes the entry."""
        self[stamp] = delta = varint(stamp - self.first)
        return delta


class _Heads(dict):
    """
    Value length -> how such a record begins: the zero header count that ends the record before, the
    record's own length, attributes, and time stamp delta 0 unless that follows by itself. Filled as
    lengths are met.

    :param width: bytes of the offset delta
    :param stamped: whether the time stamp delta, of one byte, is in it
    """

    def __init__(self, width, stamped):
        super(_Heads, self).__init__()
        self.width = width
        self.tail = b"\0\0" if stamped else b"\0"

    def __missing__(self, size):
        """Makes the entry, and forgets all others when there are too many."""
        if len(self) > 65536:
            self.clear()
        length = self.width + 4 + len(varint(size)) + size
        self[size] = head = b"\0" + varint(length) + self.tail
        return head


class _Mids(dict):
    """Value length -> what stands between the offset and the value: no key, and the length."""

    def __missing__(self, size):
        """Makes the entry, and forgets all others when there are too many."""
        if len(self) > 65536:
            self.clear()
        self[size] = mid = b"\1" + varint(size)
        return mid


#: (width, stamped) -> heads
_heads = dict(
    ((width, stamped), _Heads(width, stamped)) for _, width in _WIDTHS for stamped in (True, False)
)
_mids = _Mids()


def values_only(values, deltas=None):
    """
    The records of a batch whose keys are null, with no headers; ``None`` when a value is null, too.

    :param values: bytes each
    :param deltas: the varints of the time stamps less the first, of one byte each; ``None`` when
        all are 0
    """
    count = len(values)
    try:
        sizes = list(map(len, values))
    except TypeError:
        return None
    size = sizes[0]
    fixed = sizes.count(size) == count
    step = 4 if deltas is None else 5
    flat = [None] * (step * count + 1)
    start = 0
    for most, width in _WIDTHS:
        stop = min(most, count)
        heads = _heads[width, deltas is None]
        if fixed:
            flat[step * start:step * stop:step] = [heads[size]] * (stop - start)
        else:
            flat[step * start:step * stop:step] = map(heads.__getitem__, sizes[start:stop])
        start = stop
        if stop == count:
            break
    if deltas is not None:
        flat[1:-1:5] = deltas
    flat[step - 3:-1:step] = _offsets(count)
    flat[step - 2:-1:step] = [_mids[size]] * count if fixed else map(_mids.__getitem__, sizes)
    flat[step - 1:-1:step] = values
    flat[0] = flat[0][1:]
    flat[-1] = b"\0"
    return b"".join(flat)


def any_records(records, deltas=None):
    """
    The records of a batch of whatever form: a head per record, up to the value, then its value and
    what ends it.

    :param deltas: the varints of the time stamps less the first; ``None`` when all are 0
    """
    count = len(records)
    values, sizes, value_heads = _column(records.values)
    if records.keys is None:
        keys, key_heads, headers = repeat(b""), repeat(b"\1"), ()
    else:
        keys, _, key_heads = _column(records.keys)
        headers = records.headers
    heads = list(map(b"".join, zip(
        repeat(b"\0"), deltas or repeat(b"\0"), _offsets(count), key_heads, keys, value_heads)))
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
    return b"".join(flat)


def _column(parts):
    """
    Keys or values as three columns: bytes, their sizes, and the varints of their sizes. A null is
    empty bytes whose size is written as -1.
    """
    if None in parts:
        heads = [b"\1" if part is None else varint(len(part)) for part in parts]
        parts = [b"" if part is None else part for part in parts]
        return parts, list(map(len, parts)), heads
    sizes = list(map(len, parts))
    return parts, sizes, map(_for(0, max(sizes)), sizes)


def _offsets(count):
    """The varints of 0 to ``count`` - 1, a list."""
    if count <= len(TABLE):
        return TABLE[:count]
    return TABLE + [varint(delta) for delta in range(len(TABLE), count)]


def _for(least, most):
    """
    What gives the varint of any number from ``least`` to ``most``: the table where it will do.
    """
    return TABLE.__getitem__ if least >= 0 and most < len(TABLE) else varint


def _headers(pairs):
    """The headers of a record: their count, then names and values."""
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
