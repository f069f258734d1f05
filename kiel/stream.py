"""
The bytes of one socket on the IOLoop: what comes is handed on in the turn in which it comes.

Tornado's `tornado.iostream.IOStream` dials and does the handshake of TLS. After that its Futures would cost several
turns of the loop for each answer, and its buffer two more copies of it; so its socket is read and written here.
"""
from __future__ import absolute_import

import collections
import errno
import ssl

from tornado import ioloop, iostream

from kiel.events import ignore, is_closed
from kiel.protocol.frames import Frames
from kiel.retry import monotonic

#: Bytes that a read asks for between frames, and at the end of one; within a large one it takes whatever is there.
FEW = 64 * 1024

_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class Stream(object):
    """
    A socket that is connected; nobody reads or writes it but this.

    :param dialled: the `tornado.iostream.IOStream`, connected; it is closed with this
    :param on_readable: called when something came, which `receive` is to give
    :param on_end: called with the error when the connection is over, unless `close` ended it
    """

    def __init__(self, io_loop, dialled, on_readable, on_end):
        self.io_loop = io_loop
        self.socket = dialled.socket
        self._dialled = dialled
        self._on_readable = on_readable
        self._on_end = on_end
        self._queue = collections.deque()  # (bytes to be written, Future or None)
        self._secure = isinstance(self.socket, ssl.SSLSocket)
        self._over = False
        #: what becomes frames, see `kiel.protocol.frames.Frames`
        self.incoming = Frames()
        early = dialled.read_bytes(FEW, partial=True)  # who speaks first is no broker, but is to be heard too
        ignore(early)  # most often it never comes
        self._early = early if early.done() else None
        #: when the first bytes came of the frame that is being read, or was read last (`kiel.retry.monotonic`), where
        #: they did not all come at once; else 0
        self.began = 0
        if not dialled.closed():
            io_loop.remove_handler(self.socket)
            io_loop.add_handler(self.socket, self._handle, ioloop.IOLoop.READ)
        if self._early is not None:
            io_loop.add_callback(self._handle, None, ioloop.IOLoop.READ)

    def hand_over(self, on_readable, on_end):
        """Let others hear of what comes from now on."""
        self._on_readable = on_readable
        self._on_end = on_end

    def closed(self):
        """Return whether it is closed, by either side."""
        return self._dialled.closed()

    def write(self, data, future=None):
        """
        Write bytes, at once as far as the socket takes them.

        :param future: given None once all is written
        :raises EnvironmentError: when the connection is broken
        """
        if self._queue:
            self._queue.append((data, future))
            return
        sent = self._send(data)
        if sent < len(data):
            self._queue.append((memoryview(data)[sent:], future))
            self.io_loop.update_handler(self.socket, ioloop.IOLoop.READ | ioloop.IOLoop.WRITE)
            # TLS takes a record at a time
            self._flush()
        elif future is not None:
            future.set_result(None)

    def close(self):
        """End the connection; return the Futures of what was not written."""
        self._over = True
        queue, self._queue = self._queue, collections.deque()
        try:
            self._dialled.close()  # takes the handler of its socket from the loop
        except RuntimeError:  # the socket is closed; those who would be told of that are gone with their loop
            if not is_closed(self.io_loop):
                raise
        return [future for _, future in queue if future is not None]

    def _send(self, data):
        """Write what the socket takes; return how much that was."""
        try:
            return self.socket.send(data)
        except EnvironmentError as error:
            if error.errno in (_WANT_WRITE if isinstance(error, ssl.SSLError) else _AGAIN):
                return 0
            raise

    def _flush(self):
        """Write what waits, as far as the socket takes it."""
        while self._queue:
            data, future = self._queue[0]
            sent = self._send(data)
            if sent < len(data):
                self._queue[0] = (memoryview(data)[sent:], future)
                if not sent:
                    return
                continue
            self._queue.popleft()
            if future is not None:
                future.set_result(None)
        if not self._over:
            self.io_loop.update_handler(self.socket, ioloop.IOLoop.READ)

    def _handle(self, _, events):
        """The socket can be read or written, or is broken, which reading tells."""
        try:
            if self._queue and events & ioloop.IOLoop.WRITE:
                self._flush()
            if events & ~ioloop.IOLoop.WRITE:
                self._on_readable()
        except Exception as error:
            if not self._over:
                self._on_end(error)

    def receive(self):
        """
        Go through the frames that have come; each is to be dealt with before the next is asked for.

        :raises EnvironmentError: when the connection is over
        :raises kiel.exc.ProtocolError: at a size that no broker sends
        """
        incoming = self.incoming
        if self._early is not None:
            early, self._early = self._early, None
            for frame in incoming.feed(early.result()):
                yield frame
            if self.closed():
                raise iostream.StreamClosedError(self._dialled.error)
        while not self._over:
            data = None
            try:
                if incoming.missing > FEW:
                    count = incoming.fill(self.socket.recv_into)
                else:
                    data = self.socket.recv(FEW)
                    count = len(data)
            except EnvironmentError as error:
                if error.errno in (_WANT_READ if isinstance(error, ssl.SSLError) else _AGAIN):
                    if incoming.missing and not self.began:
                        self.began = monotonic()
                    return
                raise
            if not count:
                raise iostream.StreamClosedError()
            if data is None:
                frame = incoming.filled(count)
                if frame is not None:
                    yield frame
                    self.began = 0
            else:
                for frame in incoming.feed(data):
                    yield frame
                    self.began = 0
                    if self._over:
                        return
            # of a frame that has begun more may have come; and what TLS has decrypted already, the loop does not see
            if count < FEW and not incoming.missing and not self._secure:
                return


_WANT_READ = (ssl.SSL_ERROR_WANT_READ,)
_WANT_WRITE = (ssl.SSL_ERROR_WANT_WRITE,)


__all__ = ["Stream"]
