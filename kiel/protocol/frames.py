"""Cuts the bytes that a connection brings into frames: a size of four bytes, and as many bytes as it says."""
from __future__ import absolute_import

import io

import six

from kiel.protocol.wire import Wire, size_struct

#: The most that is set aside for a frame before it comes, since a size alone proves nothing.
SET_ASIDE = 4 * 1024 * 1024

#: Bytes of a frame that is worth some care.
LARGE = 256 * 1024

_PREFIX = size_struct.size

if six.PY2:
    class Body(object):
        """
        The bytes of one frame while they come: ``size`` are set aside for them.

        Python 2 can't make a string of what a socket has filled without copying it.
        """

        __slots__ = ("size", "_bytes")

        def __init__(self, size):
            self.size = size
            self._bytes = bytearray(size)

        def grow(self, count):
            """Set so many more aside."""
            # a new one: as long as a view of it is about, a bytearray can't grow
            before, self._bytes = self._bytes, bytearray(self.size + count)
            self._bytes[:self.size] = before
            self.size += count

        def view(self, start, end):
            """Return a part, for a socket to fill."""
            return memoryview(self._bytes)[start:end]

        def release(self):
            """Take the last view back: here it goes with the last who has it."""

        def whole(self):
            """Return all of it; nothing may be done with this then."""
            made, self._bytes = bytes(self._bytes), None
            return made
else:
    class Body(object):
        """
        The bytes of one frame while they come: ``size`` are set aside for them.

        A `BytesIO` lets others fill the very bytes that it gives in the end, and grows in place where the platform's
        ``realloc`` does: nothing is copied.
        """

        __slots__ = ("size", "_file", "_view")

        def __init__(self, size):
            self.size = size
            self._file = io.BytesIO(bytes(size))
            self._view = None

        def grow(self, count):
            """Set so many more aside."""
            self.release()
            self.size += count
            self._file.seek(self.size - 1)
            self._file.write(b"\0")

        def view(self, start, end):
            """Return a part, for a socket to fill; good until anything else is asked for."""
            self.release()
            self._view = self._file.getbuffer()[start:end]
            return self._view

        def whole(self):
            """Return all of it; nothing may be done with this then."""
            self.release()
            return self._file.getvalue()

        def release(self):
            """Take the last view back: nobody may write there any more, since bytes don't change."""
            if self._view is not None:
                self._view.release()
                self._view = None


class Frames(object):
    """
    Takes bytes as they come, gives frames without their sizes.

    ``missing`` is the number of bytes that the frame which has begun still needs, 0 between frames. ``bare`` is True
    while what comes next is a SASL token instead of an answer (Kafka before 1.0), which may be empty.
    """

    __slots__ = ("missing", "bare", "_head", "_body", "_filled", "_seen_large")

    def __init__(self):
        self.missing = 0
        self.bare = False
        self._head = b""
        self._body = None
        self._filled = 0
        self._seen_large = False

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
                self._make_room(size)
                self.missing, self._filled = size, 0
                for _ in self.feed(data[at:]):
                    pass
                return
            at += size
            yield data[at - size:at]

    def _make_room(self, size):
        """Set room aside for a frame of that size, or for its beginning."""
        if size > LARGE and not self._seen_large:
            self._seen_large = True
            # glibc's malloc takes the largest block it has seen given back for the measure of what to keep instead of
            # giving it back (mallopt(3)); frames and what is read of them would be cleared by the kernel each time
            bytearray(SET_ASIDE)
        self._body = Body(min(size, SET_ASIDE))

    def room(self):
        """Where the next bytes of the frame that has begun belong, for a socket to put them there; see `filled`."""
        filled, body = self._filled, self._body
        if filled == body.size:
            body.grow(min(filled, self.missing))
        return body.view(filled, filled + self.missing)

    def fill(self, recv_into):
        """
        Have the `room` filled by a function that returns how many bytes it brought; return that, see `filled`.

        The room is taken back at once, whether something came or not. A connection may end within a frame and be
        dropped then: where it goes as part of a circle, Python 3.13 tells of bytes that can't be freed since there is
        a view of them.

        :raises EnvironmentError: what the function raises
        """
        room = self.room()
        try:
            return recv_into(room)
        finally:
            self._body.release()

    def filled(self, count):
        """Note that so many bytes of the `room` are filled; return the frame if that was the last of it, else None."""
        self._filled += count
        self.missing -= count
        if self.missing:
            self._body.release()
            return None
        body, self._body = self._body, None
        return body.whole()


__all__ = ["Frames"]
