"""The way to brokers through a proxy: SOCKS5 (RFC 1928, RFC 1929) or HTTP CONNECT (RFC 9110, 9.3.6)."""
from __future__ import absolute_import

import base64
import struct

import six
from six.moves.urllib.parse import unquote, urlsplit
from tornado import gen, iostream

from kiel import exc

#: scheme -> the port where the URL names none
PORTS = {"socks5": 1080, "http": 3128}

#: what a SOCKS5 proxy answers when it does not connect (RFC 1928, 6)
REPLIES = {
    1: "general failure", 2: "its rules do not allow the connection", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "time to live expired", 7: "CONNECT is not supported", 8: "no such type of address",
}

#: the longest answer of a proxy to CONNECT, in bytes
LONGEST = 65536


class Proxy(object):
    """
    A proxy, which looks up the brokers' names itself; TLS with the broker goes through it.

    :param url: ``"socks5://user:password@host:port"`` or ``"http://..."``; what is special in a URL is percent-encoded
    :raises TypeError: when it is no text
    :raises ValueError: for another scheme, or without a host
    """

    def __init__(self, url):
        parts, port = _parsed(url)
        self.scheme = parts.scheme
        self.host = parts.hostname
        self.port = port or PORTS[parts.scheme]
        self.user = None if parts.username is None else _bytes(unquote(parts.username))
        self._password = _bytes(unquote(parts.password or ""))
        if self.scheme == "socks5" and (len(self.user or b"") > 255 or len(self._password) > 255):
            raise ValueError("proxy=: user and password of SOCKS5 have 255 bytes at most")

    def __repr__(self):
        return "Proxy(%s://%s%s:%d)" % (self.scheme, "...@" if self.user is not None else "", self.host, self.port)

    @gen.coroutine
    def tunnel(self, stream, host, port):
        """
        Have the proxy connect a stream, which is connected to it, to a broker.

        :raises kiel.exc.AuthenticationError: when the proxy wants another user or password
        :raises kiel.exc.BrokerConnectionError: when it can't or does not want to connect
        """
        try:
            yield (self._socks5 if self.scheme == "socks5" else self._connect)(stream, host, port)
        except iostream.StreamClosedError as error:
            raise self._failed(host, port, "hung up; does it speak %s?" % (
                "SOCKS5" if self.scheme == "socks5" else "HTTP"), error)

    @gen.coroutine
    def _socks5(self, stream, host, port):
        yield stream.write(b"\x05\x01\x00" if self.user is None else b"\x05\x02\x00\x02")
        version, method = bytearray((yield stream.read_bytes(2)))
        if version != 5:
            raise self._failed(host, port, "does not speak SOCKS5")
        if method == 2 and self.user is not None:
            pair = b"\x01" + _short(self.user) + _short(self._password)
            yield stream.write(pair)
            if bytearray((yield stream.read_bytes(2)))[1]:
                raise exc.AuthenticationError("%r does not accept user and password" % self)
        elif method != 0:
            raise exc.AuthenticationError("%r %s" % (
                self, "requires a user and a password" if self.user is None
                else "accepts no login by user and password"))
        yield stream.write(b"\x05\x01\x00\x03" + _short(_bytes(host)) + struct.pack(">H", port))
        _, reply, _, kind = bytearray((yield stream.read_bytes(4)))
        if reply:
            raise self._failed(host, port, "did not connect: %s" % REPLIES.get(reply, "reply %d" % reply))
        size = {1: 4, 4: 16}.get(kind)
        if size is None:
            size = bytearray((yield stream.read_bytes(1)))[0]
        yield stream.read_bytes(size + 2)

    @gen.coroutine
    def _connect(self, stream, host, port):
        where = ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)
        lines = ["CONNECT %s HTTP/1.1" % where, "Host: " + where]
        if self.user is not None:
            pair = base64.b64encode(self.user + b":" + self._password).decode("ascii")
            lines.append("Proxy-Authorization: Basic " + pair)
        yield stream.write(_bytes("\r\n".join(lines + ["", ""])))
        head = yield stream.read_until(b"\r\n\r\n", max_bytes=LONGEST)
        status = head.split(b"\r\n")[0].split(b" ", 2)
        code = int(status[1]) if len(status) > 1 and status[1].isdigit() else 0
        if code in (401, 407):  # tinyproxy says 401 to a wrong password
            raise exc.AuthenticationError("%r %s user and password" % (
                self, "requires a" if self.user is None else "does not accept"))
        if not status[0].startswith(b"HTTP/") or not 200 <= code < 300:
            raise self._failed(host, port, "did not connect: %s" % b" ".join(status)[:100].decode("latin-1"))

    def _failed(self, host, port, what, cause=None):
        return exc.BrokerConnectionError(host, port, cause=cause, hint="%r %s" % (self, what))


def checked(url):
    """Return the `Proxy` of a client's ``proxy=``, None without one."""
    return None if url is None else Proxy(url)


def _parsed(url):
    """Return the parts of a proxy's URL, and the port, or None where it names none."""
    if not isinstance(url, six.string_types):
        raise TypeError("proxy= must be a URL such as socks5://host:1080, not %s" % type(url).__name__)
    parts = urlsplit(url)
    port = _port(parts)
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        # not the URL itself: it may have a password in it
        raise ValueError("proxy= must be socks5://[user:password@]host[:port] or http://... of the same form")
    return parts, port


def _port(parts):
    """Return the port of a split URL: None where it names none, 0 where it is none that there can be."""
    try:
        port = parts.port
    except ValueError:
        return 0
    if port is None and parts.netloc[-1:].isdigit() and ":" in parts.netloc.rpartition("@")[2].rpartition("]")[2]:
        return 0  # Python 2.7 has no port where the number is too large
    return port


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")


def _short(data):
    """Return bytes with their length in front, in one byte."""
    return struct.pack(">B", len(data)) + data


__all__ = ["Proxy", "checked"]
