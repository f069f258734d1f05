"""A port that speaks Kafka's frames: what the brokers of `kiel.testing.FakeKafka` and of kiel's own tests share."""
from __future__ import absolute_import

import errno
import struct

from tornado import gen, iostream, netutil, tcpserver

#: bytes of the smallest request: api, version and correlation id
SMALLEST = 8

#: bytes of the largest request, as ``socket.request.max.bytes`` has it
LARGEST = 100 * 1024 * 1024


class Listener(object):
    """
    Listens on a port and has a `converse` with whoever connects.

    ``accepted`` counts connections, ``streams`` are those now open.

    :param host: the address to listen on
    :param port: 0 for one that is free; the same one after a restart
    :param tls: an `ssl.SSLContext` to serve TLS with
    """

    def __init__(self, host, port=0, tls=None):
        self.host = host
        self.port = port
        self.tls = tls
        self.accepted = 0
        self.streams = set()
        self.server = None

    @property
    def address(self):
        """Where it is reached: ``"host:port"``."""
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    def start(self):
        """Listen, on the current IOLoop."""
        sockets = netutil.bind_sockets(self.port, self.host)
        self.port = sockets[0].getsockname()[1]
        self.server = _Server(self)
        self.server.add_sockets(sockets)

    def stop(self):
        """Stop listening, and hang up on all."""
        if self.server is not None:
            self.server.stop()
            self.server = None
        self.hang_up()

    def hang_up(self):
        """Close all open connections."""
        for stream in list(self.streams):
            stream.close()

    @gen.coroutine
    def serve(self, stream):
        """Have one connection's conversation; it ends with that, or when the other side hangs up."""
        self.accepted += 1
        self.streams.add(stream)
        stream.set_close_callback(lambda: None)  # so that it is seen to close while nobody reads
        try:
            yield self.converse(stream, self.accepted)
        except iostream.StreamClosedError:
            pass
        except EnvironmentError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                raise
        finally:
            stream.close()
            self.streams.discard(stream)

    def converse(self, stream, number):
        """
        Read requests and write answers; return a Future that is done when the connection is to end.

        :param number: which connection of this listener it is, from 1 on
        """
        raise NotImplementedError


def size_of(head):
    """Return how many bytes a request has, by the four before it; None where it can't be one."""
    size, = struct.unpack(">i", head)
    return size if SMALLEST <= size < LARGEST else None  # such as TLS spoken to a plain port


@gen.coroutine
def mute(stream):
    """Read on and say nothing, until the other side hangs up."""
    try:
        while True:
            yield stream.read_bytes(65536, partial=True)
    except iostream.StreamClosedError:
        pass


class _Server(tcpserver.TCPServer):
    def __init__(self, listener):
        super(_Server, self).__init__(ssl_options=listener.tls)
        self.listener = listener

    def handle_stream(self, stream, address):
        return self.listener.serve(stream)
