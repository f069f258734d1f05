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

#: Bytes that a read asks for between frames, and in TLS, which gives 16 KiB at most
FEW = 64 * 1024

#: Bytes that a read asks for at most, within a large frame
MANY = 1024 * 1024

_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class Stream(object):
    """
    A socket that is connected; nobody reads or writes it but this.

    :param dialled: the `tornado.iostream.IOStream`, connected; it is closed with this
    :param on_bytes: called with bytes that came; gives the number of those known to follow
    :param on_end: called with the error when the connection is over, unless `close` ended it
    """

    def __init__(self, io_loop, dialled, on_bytes, on_end):
        self.io_loop = io_loop
        self.socket = dialled.socket
        self._dialled = dialled
        self._on_bytes = on_bytes
        self._on_end = on_end
        self._queue = collections.deque()  # (bytes to be written, Future or None)
        self._secure = isinstance(self.socket, ssl.SSLSocket)
        self._ask = FEW
        self._over = False
        early = dialled.read_bytes(FEW, partial=True)  # who speaks first is no broker, but is to be heard too
        early.add_done_callback(_seen)
        if not dialled.closed():
            io_loop.remove_handler(self.socket)
            io_loop.add_handler(self.socket, self._handle, ioloop.IOLoop.READ)
        if early.done():
            io_loop.add_callback(self._begin, early)

    def closed(self):
        """Whether it is closed, by either side."""
        return self._dialled.closed()

    def write(self, data, future=None):
        """
        Writes bytes, at once as far as the socket takes them.

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
        """Ends the connection; gives the Futures of what was not written."""
        self._over = True
        queue, self._queue = self._queue, collections.deque()
        self._dialled.close()  # takes the handler of its socket from the loop
        return [future for _, future in queue if future is not None]

    def _send(self, data):
        """Writes what the socket takes; gives how much that was."""
        try:
            return self.socket.send(data)
        except EnvironmentError as error:
            if error.errno in (_WANT_WRITE if isinstance(error, ssl.SSLError) else _AGAIN):
                return 0
            raise

    def _flush(self):
        """Writes what waits, as far as the socket takes it."""
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
                self._read()
        except Exception as error:
            self._end(error)

    def _read(self):
        """Reads what is there and hands it on."""
        while not self._over:
            ask = self._ask
            try:
                data = self.socket.recv(ask)
            except EnvironmentError as error:
                if error.errno in (_WANT_READ if isinstance(error, ssl.SSLError) else _AGAIN):
                    return
                raise
            if not data:
                raise iostream.StreamClosedError()
            self._take(data)
            # what TLS has decrypted already, the loop does not see
            if len(data) < ask and not (self._secure and not self._over and self.socket.pending()):
                return

    def _take(self, data):
        """Hands bytes on."""
        follow = self._on_bytes(data)
        self._ask = FEW if self._secure or follow <= FEW else min(follow, MANY)

    def _begin(self, early):
        """What came, or went wrong, before the socket was ours."""
        try:
            if not self._over:
                self._take(early.result())
            if not self._over and self.closed():
                raise iostream.StreamClosedError(self._dialled.error)
        except Exception as error:
            self._end(error)

    def _end(self, error):
        """The connection is over, or what came makes no sense."""
        if not self._over:
            self._on_end(error)


def _seen(future):
    """Looks at the exception of what never came, so that it is not logged."""
    future.exception()


_WANT_READ = (ssl.SSL_ERROR_WANT_READ,)
_WANT_WRITE = (ssl.SSL_ERROR_WANT_WRITE,)


__all__ = ["Stream"]
