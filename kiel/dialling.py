"""
Dialling: the addresses of a name, and one of them, with TLS.

A name may stand for several addresses, of which some drop packets, hang up or keep silent. They are tried side by side
as RFC 8305 ("happy eyeballs") has it, and not only until one takes the connection, but until one gets through the
handshake: `first_through`.
"""
from __future__ import absolute_import

import socket

import tornado
from tornado import gen, iostream, netutil

from kiel import exc
from kiel.events import first

#: seconds after which the next address is tried while the one before has not taken the connection (RFC 8305, 5)
DELAY = 0.25

#: the same, while one has taken the connection and the handshake goes on
HANDSHAKE_DELAY = 1.0


@gen.coroutine
def addresses(host, port):
    """
    Return the addresses of a name, ``[(family, socket address)]``, the two families by turns (RFC 8305, 4).

    :raises socket.gaierror: when there is no such name
    """
    # the default resolver blocks the loop before Tornado 5
    resolver = netutil.ThreadedResolver() if tornado.version_info < (5,) else netutil.Resolver()
    found = yield resolver.resolve(host, port)
    found = [(family, tuple(address)) for family, address in found]
    rows = {}
    places = []
    for place, (family, address) in enumerate(found):
        row = rows[family] = rows.get(family, -1) + 1
        places.append((row, place))
    raise gen.Return([found[place] for _, place in sorted(places)])


class Dial(object):
    """
    One socket on its way to an address; `close` calls it off at any time.

    :param address: (family, socket address)
    :param host: the name that a certificate has to be for
    :param context: an `ssl.SSLContext`; None for plain text
    :param port: of the broker, where the address is that of a proxy
    :param proxy: the `kiel.security.proxy.Proxy` at the address; None without one
    """

    def __init__(self, address, host, context, port=None, proxy=None):
        self._family, self._address = address
        self._host = host
        self._port = port
        self._context = context
        self._proxy = proxy
        #: another descriptor of the socket during the handshake of TLS behind a proxy, None at other times
        self._handshaking = None
        opened = socket.socket(self._family, socket.SOCK_STREAM)
        if context is None or proxy is not None:  # TLS begins behind the proxy
            self.stream = iostream.IOStream(opened)
        else:
            self.stream = iostream.SSLIOStream(opened, ssl_options=context)

    @gen.coroutine
    def connect(self):
        """Return the stream, once it is connected and the handshake of TLS is done."""
        if self._proxy is None:
            yield self.stream.connect(self._address, server_hostname=self._host)
            raise gen.Return(self.stream)
        try:
            yield self.stream.connect(self._address)
        except EnvironmentError as error:
            raise exc.BrokerConnectionError(
                self._host, self._port, cause=getattr(error, "real_error", None) or error,
                hint="%r can't be reached" % self._proxy)
        yield self._proxy.tunnel(self.stream, self._host, self._port)
        if self._context is not None:
            # Tornado hands the new stream out only when the handshake is done: until then nothing else can end it
            self._handshaking = socket.fromfd(self.stream.socket.fileno(), self._family, socket.SOCK_STREAM)
            try:
                self.stream = yield self.stream.start_tls(False, self._context, server_hostname=self._host)
            finally:
                self._handshaking.close()
                self._handshaking = None
        raise gen.Return(self.stream)

    def close(self):
        """Give up."""
        if self._handshaking is not None:
            try:
                self._handshaking.shutdown(socket.SHUT_RDWR)
            except EnvironmentError:  # the proxy has closed it
                pass
        elif self.stream.socket is not None:
            self.stream.close()


@gen.coroutine
def first_through(contenders):
    """
    Connect several connections side by side and return the first that is open; the others are closed.

    Each begins `DELAY` after the one before, or as soon as those before have failed.

    :param contenders: `kiel.connection.Connection` each, not connected yet
    :raises kiel.exc.KielError: when none gets through: a refused login, or the last error
    """
    waiting = list(contenders)
    running = []
    failure = None
    try:
        while waiting or running:
            if waiting:
                running.append(waiting.pop(0))
            yield _patiently(running, bool(waiting))
            for conn in [other for other in running if other.connect().done()]:
                running.remove(conn)
                error = conn.connect().exception() or conn.error
                if error is None:
                    contenders = [other for other in contenders if other is not conn]
                    raise gen.Return(conn)
                if not isinstance(failure, exc.AuthenticationError):
                    failure = error
        raise failure
    finally:
        for conn in contenders:
            conn.close()


@gen.coroutine
def _patiently(running, others):
    """Wait until one of those that run is done, or until it is time for others to begin."""
    futures = [conn.connect() for conn in running]
    if not others:
        yield first(*futures)
        return
    yield first(gen.sleep(DELAY), *futures)
    if not any(future.done() for future in futures) and any(conn.dialled for conn in running):
        yield first(gen.sleep(HANDSHAKE_DELAY - DELAY), *futures)
