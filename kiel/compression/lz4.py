"""
LZ4 frames, by the ``lz4`` package, with the wrong header checksum of old Kafka where that is
wanted.

Kafka 0.8 and 0.9 took the frame's magic number into the checksum of its header, and refuse a frame
without that mistake (KAFKA-3160). Messages of magic 0 keep it: `legacy_compress` writes it,
`decompress` takes either.
"""
from __future__ import absolute_import

import struct

import six

from kiel import compression

MAGIC = b"\x04\x22\x4d\x18"

#: output asked for in one step; lz4 2.2, the last for Python 2, never gives back the memory of a step that fails
STEP = 1 << (16 if six.PY2 else 20)

_found = []

#: what `decompress` raises for bad data; the package's own errors are RuntimeErrors
ERRORS = (RuntimeError, ValueError, EOFError)


def _package():
    """Return the package's module for frames, or ``None``."""
    if not _found:
        try:
            import lz4.frame
            _found.append(lz4.frame)
        except ImportError:
            _found.append(None)
    return _found[0]


def available():
    """Return whether the package is there."""
    return _package() is not None


def compress(data):
    """
    Compress bytes into a frame of independent blocks, the only kind that Kafka's Java client
    reads.
    """
    package = _package()
    return bytes(package.compress(
        data, block_size=package.BLOCKSIZE_MAX64KB, block_linked=False, store_size=False
    ))


def legacy_compress(data):
    """Compress bytes for a message of magic 0: the header's checksum is old Kafka's."""
    frame = compress(data)
    end = header_size(frame)
    return frame[:end - 1] + checksum(frame[:end - 1]) + frame[end:]


def decompress(data, limit=compression.LIMIT):
    """
    Decompress a frame, whose header may have the right checksum or old Kafka's.

    :raises ValueError: when it is cut off, or holds more than ``limit`` bytes; RuntimeError when it
        is no frame
    """
    end = header_size(data)
    if data[end - 1:end] == checksum(data[:end - 1]):
        data = data[:end - 1] + checksum(data[4:end - 1]) + data[end:]
    reader = _package().LZ4FrameDecompressor()
    out = []
    room = limit
    while not reader.eof:
        piece = reader.decompress(data, max_length=min(room + 1, STEP))
        if not piece and not reader.eof and (reader.needs_input or not data):
            raise ValueError("it is cut off")
        data = b""
        room -= len(piece)
        if room < 0:
            raise compression.TooLargeError(limit)
        out.append(piece)
    return b"".join(out)


def header_size(frame):
    """
    Return how many bytes the header of a frame has, its checksum included.

    :raises ValueError: when it is no frame
    """
    if frame[:4] != MAGIC or len(frame) < 7:
        raise ValueError("no LZ4 frame")
    flags, = struct.unpack_from("B", frame, 4)
    size = 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
    if len(frame) < size:
        raise ValueError("the header is cut off")
    return size


def checksum(header):
    """Return the checksum byte of a frame's header: the second lowest of its xxHash."""
    return struct.pack("B", xxh32(header) >> 8 & 255)


_P1, _P2, _P3, _P4, _P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
_MASK = 0xFFFFFFFF


def _rotate(number, bits):
    """Return a 32-bit number rotated to the left."""
    return (number << bits | number >> 32 - bits) & _MASK


def xxh32(data):
    """Return the 32-bit xxHash of bytes, seed 0; for a few bytes, so that no package is needed for it."""
    size = len(data)
    pos = 0
    if size < 16:
        total = _P5
    else:
        lanes = [_P1 + _P2 & _MASK, _P2, 0, -_P1 & _MASK]
        while pos + 16 <= size:
            for at, word in enumerate(struct.unpack_from("<4I", data, pos)):
                lanes[at] = _rotate(lanes[at] + word * _P2 & _MASK, 13) * _P1 & _MASK
            pos += 16
        total = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
    total = total + size & _MASK
    while pos + 4 <= size:
        word, = struct.unpack_from("<I", data, pos)
        total = _rotate(total + word * _P3 & _MASK, 17) * _P4 & _MASK
        pos += 4
    for byte in bytearray(data[pos:]):
        total = _rotate(total + byte * _P5 & _MASK, 11) * _P1 & _MASK
    total = (total ^ total >> 15) * _P2 & _MASK
    total = (total ^ total >> 13) * _P3 & _MASK
    return total ^ total >> 16
