"""Zstandard, by the ``zstandard`` package; Kafka has it since 2.1 (KIP-110)."""
from __future__ import absolute_import

from kiel import compression

#: output asked for in one step
STEP = 1 << 18

#: a frame that wants more memory for its window is refused: 2^27, as zstd itself does by default
MOST_WINDOW = 1 << 27

#: a frame that claims, or may have, no more than so many bytes is decompressed in one step, into a buffer of that size
AT_ONCE = 1 << 22

#: a frame that wants no larger window is decompressed by a reader that is kept, and with it the window
KEPT_WINDOW = 1 << 23

#: times the size of a frame that does not say how much it holds: most hold less
GUESS = 12

_found = []

#: readers that are not in use: no more than there are threads, since none can be in two places at once
_idle = []

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


def _at_once(data, size):
    """Return what a frame holds, so many bytes at most, by a reader that is kept: a new one takes a quarter longer."""
    try:
        reader = _idle.pop()
    except IndexError:
        reader = _package().ZstdDecompressor(max_window_size=KEPT_WINDOW)
    try:
        return reader.decompress(data, max_output_size=size)
    finally:
        _idle.append(reader)


def decompress(data, limit=compression.LIMIT):
    """
    Decompress a frame.

    :raises ValueError: when it is cut off, or holds more than ``limit`` bytes
    """
    package = _package()
    if data[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no zstd frame")
    # the size that a frame claims is never allocated before it is checked
    claimed = package.frame_content_size(data)
    if claimed > limit:
        raise compression.TooLargeError(limit)
    room = claimed if claimed >= 0 else min(GUESS * len(data) + STEP, limit)
    if room <= AT_ONCE and package.get_frame_parameters(data).window_size <= KEPT_WINDOW:
        try:
            return _at_once(data, room)
        except package.ZstdError:
            pass  # it holds more than was guessed, or makes no sense
    reader = package.ZstdDecompressor(max_window_size=MOST_WINDOW)
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
