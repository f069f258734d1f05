"""gzip, by Python's own zlib; the same bytes give the same output at any time."""
from __future__ import absolute_import

import zlib

from kiel import compression

#: what `decompress` raises for bad data
ERRORS = (zlib.error, ValueError)

#: zlib's word for "with a gzip header", whose time stamp it leaves 0
_GZIP = 16 + zlib.MAX_WBITS

#: Kafka's clients write one; each copies what follows it, so that very many would take very long
MOST_MEMBERS = 100


def available():
    """Always true: zlib comes with Python."""
    return True


def compress(data):
    """Compress bytes."""
    squeezer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, _GZIP)
    return squeezer.compress(data) + squeezer.flush()


def decompress(data, limit=compression.LIMIT):
    """
    Decompress bytes, of one gzip member or several.

    :raises ValueError: when they are cut off, or hold more than ``limit`` bytes
    """
    out = []
    room = limit
    for _ in range(MOST_MEMBERS):
        reader = zlib.decompressobj(_GZIP)
        piece = reader.decompress(data, room + 1)
        room -= len(piece)
        if room < 0:
            raise compression.TooLargeError(limit)
        out.append(piece)
        # zlib may hold output back when the input ended just as the bound was reached
        if not reader.eof if hasattr(reader, "eof") else not _ended(reader, data):
            raise ValueError("it is cut off")
        data = reader.unused_data
        # zeros may pad the end of a gzip file
        if not data.strip(b"\0"):
            return b"".join(out) if len(out) > 1 else out[0]
    raise ValueError("more than %d gzip members" % MOST_MEMBERS)


def _ended(reader, data):
    """Return whether a decompressor has come to its end (Python 2, which has no ``eof``)."""
    if reader.unused_data or reader.unconsumed_tail:
        return bool(reader.unused_data)
    probe = reader.copy()
    # behind the end, whatever comes is left over
    probe.decompress(b"\0")
    return bool(probe.unused_data)
