"""Zstandard, by the ``zstandard`` package; Kafka has it since 2.1 (KIP-110)."""
from __future__ import absolute_import

from kiel import compression

#: output asked for in one step
STEP = 1 << 18

#: a frame that wants more memory for its window is refused: 2^27, as zstd itself does by default
MOST_WINDOW = 1 << 27

_found = []

#: what `decompress` raises for bad data; the package's own error is added when it is found
ERRORS = (ValueError,)


def _package():
    """Return the package, or ``None``."""
    global ERRORS
    if not _found:
        try:
            import zstandard
            ERRORS = (ValueError, zstandard.ZstdError)
            _found.append(zstandard)
        except ImportError:
            _found.append(None)
    return _found[0]


def available():
    """Return whether the package is there."""
    return _package() is not None


def compress(data):
    """Compress bytes into one frame."""
    return _package().ZstdCompressor().compress(data)


def decompress(data, limit=compression.LIMIT):
    """
    Decompress a frame.

    :raises ValueError: when it is cut off, or holds more than ``limit`` bytes
    """
    package = _package()
    if data[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no zstd frame")
    reader = package.ZstdDecompressor(max_window_size=MOST_WINDOW)
    # the size that a frame claims is never allocated before it is checked
    claimed = package.frame_content_size(data)
    if claimed > limit:
        raise compression.TooLargeError(limit)
    out = []
    room = limit
    for piece in reader.read_to_iter(data, write_size=STEP):
        room -= len(piece)
        if room < 0:
            raise compression.TooLargeError(limit)
        out.append(piece)
    data = b"".join(out)
    if claimed >= 0 and len(data) != claimed:
        raise ValueError("%d bytes instead of %d" % (len(data), claimed))
    return data
