"""
Snappy, in the xerial framing that Kafka's Java client uses; raw snappy is read too.

The package is cramjam, or python-snappy where that is what is installed (below 0.7 on Python 2).

======= ==================================================
bytes   content
======= ==================================================
1       0x82
6       ``SNAPPY``
1       0
4       version, big-endian, 1
4       lowest compatible version, big-endian, 1
======= ==================================================

Then comes, for each 32 KiB of input, the big-endian length of a block and the block in raw snappy.
"""
from __future__ import absolute_import

import struct

from kiel import compression

DEFAULT_VERSION = 1
MIN_COMPAT_VERSION = 1
MAGIC_HEADER = (-126, b"SNAPPY", 0)
BLOCK_SIZE = 32768

raw_header = struct.pack(">b6sbii", *(MAGIC_HEADER + (DEFAULT_VERSION, MIN_COMPAT_VERSION)))

#: what a raw block can grow by at most: a copy of 64 bytes takes three
MOST_GROWTH = 22

_size = struct.Struct(">i")


def _find():
    """
    Return the functions that compress and decompress a raw block, or ``None`` twice; and what they raise
    for bad data.
    """
    try:
        from cramjam import snappy as package, DecompressionError
        return package.compress_raw, package.decompress_raw, DecompressionError
    except (ImportError, AttributeError):
        pass
    try:
        import snappy as package
        return package.compress, package.decompress, package.UncompressError
    except (ImportError, AttributeError):
        return None, None, ValueError


_compress, _decompress, _error = _find()

#: whether a package is there; looked up at each call
snappy_available = _compress is not None

#: what `decompress` raises for bad data
ERRORS = (_error, ValueError)


def available():
    """Return whether a package is there."""
    return snappy_available


def compress(data):
    """
    Compress bytes, framed.

    :raises RuntimeError: when there is no package for it
    """
    if not snappy_available:
        raise RuntimeError("Snappy compression unavailable.")
    out = [raw_header]
    for start in range(0, len(data), BLOCK_SIZE):
        block = bytes(_compress(data[start:start + BLOCK_SIZE]))
        out.append(_size.pack(len(block)))
        out.append(block)
    return b"".join(out)


def decompress(data, limit=compression.LIMIT):
    """
    Decompress bytes, framed or raw.

    :raises RuntimeError: when there is no package for it
    :raises ValueError: when they are neither, or hold more than ``limit`` bytes; a package's own
        error for a bad block
    """
    if not snappy_available:
        raise RuntimeError("Snappy compression unavailable.")
    if data[:8] != raw_header[:8]:
        return _raw(data, limit)[0]
    if len(data) < len(raw_header):
        raise ValueError("the header is cut off")
    out = []
    room = limit
    pos = len(raw_header)
    while pos < len(data):
        # some producers begin each buffer anew
        if data[pos:pos + 8] == raw_header[:8]:
            pos += len(raw_header)
            continue
        if pos + 4 > len(data):
            raise ValueError("a block's length is cut off")
        size, = _size.unpack_from(data, pos)
        pos += 4
        if not 0 <= size <= len(data) - pos:
            raise ValueError("a block of %d bytes where %d are left" % (size, len(data) - pos))
        block, length = _raw(data[pos:pos + size], room, limit)
        out.append(block)
        room -= length
        pos += size
    return b"".join(out)


def _raw(block, room, limit=None):
    """
    Return a raw block decompressed, and its length; the length it claims is checked before anything is
    allocated.
    """
    claimed = shift = 0
    for byte in bytearray(block[:5]):
        claimed |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    else:
        raise ValueError("no length at the block's begin")
    if claimed > room:
        raise compression.TooLargeError(room if limit is None else limit)
    if claimed > MOST_GROWTH * len(block):
        raise ValueError("a block of %d bytes can't hold %d" % (len(block), claimed))
    if not claimed:
        if len(block) != 1:
            raise ValueError("bytes behind an empty block")
        return b"", 0
    data = bytes(_decompress(block))
    if len(data) != claimed:
        raise ValueError("a block of %d bytes instead of %d" % (len(data), claimed))
    return data, claimed
