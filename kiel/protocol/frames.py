"""Cuts the bytes that a connection brings into frames: a size of four bytes, and as many bytes as it says."""
from __future__ import absolute_import

from kiel.protocol.wire import Wire, size_struct

#: The most that is set aside for a frame before it comes, since a size alone proves nothing, and kept for the next.
KEPT = 4 * 1024 * 1024

#: Bytes of a frame that is worth some care.
LARGE = 256 * 1024

_PREFIX = size_struct.size


class Frames(object):
    """
    Takes bytes as they come, gives frames without their sizes.

    ``missing`` is the number of bytes that the frame which has begun still needs, 0 between frames. ``bare`` is True
    while what comes next is a SASL token instead of an answer (Kafka before 1.0), which may be empty.
    """

    __slots__ = ("missing", "bare", "_head", "_body", "_filled")

    def __init__(self):
        self.missing = 0
        self.bare = False
        self._head = b""
        self._body = b""
        self._filled = 0

    def feed(self, data):
        """
        Go through the frames that are complete with these bytes; to be used up before anything else is called.

        :raises kiel.exc.ProtocolError: at a size that no broker sends
        """
        if self._head:
            data, self._head = self._head + data, b""
        at, end = 0, len(data)
        while self.missing and at < end:
            room = self.room()
            count = min(len(room), end - at)
            room[:count] = data[at:at + count]
            at += count
            frame = self.filled(count)
            if frame is not None:
                yield frame
        while at < end:
            prefix = data[at:at + _PREFIX]
            if len(prefix) < _PREFIX:
                self._head = prefix
                return
            size = 0 if self.bare and prefix == b"\0\0\0\0" else Wire.frame_size(prefix)
            at += _PREFIX
            have = end - at
            if have < size:
                if len(self._body) < min(size, KEPT):
                    self._make_room(size)
                self.missing, self._filled = size, 0
                for _ in self.feed(data[at:]):
                    pass
                return
            at += size
            yield data[at - size:at]

    def _make_room(self, size):
        """Set room aside for a frame of that size, or for its beginning."""
        if size > LARGE and not self._body:
            # glibc's malloc takes the largest block it has seen given back for the measure of what to keep instead of
            # giving it back (mallopt(3)); frames and what is read of them would be cleared by the kernel each time
            bytearray(KEPT)
        self._body = bytearray(min(size, KEPT))

    def room(self):
        """Where the next bytes of the frame that has begun belong, for a socket to put them there; see `filled`."""
        body, filled = self._body, self._filled
        if filled == len(body):
            # a new one: as long as a view of it is about, a bytearray can't grow
            self._body = bytearray(filled + min(filled, self.missing))
            self._body[:filled] = body
            body = self._body
        return memoryview(body)[filled:filled + self.missing]

    def filled(self, count):
        """Note that so many bytes of the `room` are filled; return the frame if that was the last of it, else None."""
        self._filled += count
        self.missing -= count
        if self.missing:
            return None
        body = self._body
        if len(body) > KEPT:
            self._body = b""
        return bytes(body) if len(body) == self._filled else memoryview(body)[:self._filled].tobytes()


__all__ = ["Frames"]
