"""Cuts the bytes that a connection brings into frames: a size of four bytes, and as many bytes as it says."""
from __future__ import absolute_import

from kiel.protocol.wire import Wire, size_struct

_PREFIX = size_struct.size


class Frames(object):
    """
    Takes bytes as they come, gives frames without their sizes.

    ``missing`` is the number of bytes that the frame which has begun still needs, 0 between frames. ``bare`` is True
    while what comes next is a SASL token instead of an answer (Kafka before 1.0), which may be empty.
    """

    __slots__ = ("missing", "bare", "_head", "_parts")

    def __init__(self):
        self.missing = 0
        self.bare = False
        self._head = b""
        self._parts = []

    def feed(self, data):
        """
        Goes through the frames that are complete with these bytes; to be used up before the next call.

        :raises kiel.exc.ProtocolError: at a size that no broker sends
        """
        at, end = 0, len(data)
        if self.missing:
            if end < self.missing:
                self._parts.append(data)
                self.missing -= end
                return
            at, self.missing = self.missing, 0
            # without a second copy where the bytes end with the frame, as those of large ones do
            self._parts.append(data if at == end else data[:at])
            parts, self._parts = self._parts, []
            yield b"".join(parts)
        elif self._head:
            data = self._head + data
            end = len(data)
            self._head = b""
        while at < end:
            if end - at < _PREFIX:
                self._head = data[at:]
                return
            prefix = data[at:at + _PREFIX]
            size = 0 if self.bare and not any(bytearray(prefix)) else Wire.frame_size(prefix)
            at += _PREFIX
            if end - at < size:
                self._parts.append(data[at:])
                self.missing = size - (end - at)
                return
            at += size
            yield data[at - size:at]


__all__ = ["Frames"]
