"""Through proxies: SOCKS5 and HTTP CONNECT, with user and password, TLS inside, and what goes wrong."""
from __future__ import absolute_import

import base64
import functools
import os
import ssl
import struct

import pytest
from tornado import gen, iostream, netutil, tcpclient, tcpserver

import kiel
from kiel import clients, exc
from kiel.connection import Connection
from kiel.security.proxy import Proxy
from kiel.settings import Settings

from tests import fake, loop
from tests.test_tls import quiet_tornado

TLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls")
NAME = "kafka.internal"  # a name that the proxy alone knows


class Server(tcpserver.TCPServer):
    """A proxy for tests; ``asked`` has the names and ports that it was to connect to."""

    def __init__(self, user=None, password=None, reply=0):
        super(Server, self).__init__()
        self.user, self.password, self.reply = user, password, reply
        self.asked = []
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.add_sockets(sockets)

    @gen.coroutine
    def handle_stream(self, stream, address):
        try:
            yield self.serve(stream)
        except iostream.StreamClosedError:
            stream.close()

    @gen.coroutine
    def through(self, stream, host, port):
        self.asked.append((host, port))
        other = yield tcpclient.TCPClient().connect("127.0.0.1", port)
        raise gen.Return(other)

    @gen.coroutine
    def join(self, one, other):
        yield [pump(one, other), pump(other, one)]


@gen.coroutine
def pump(source, target):
    try:
        while True:
            yield target.write((yield source.read_bytes(65536, partial=True)))
    except iostream.StreamClosedError:
        source.close()
        target.close()


class Socks5(Server):
    scheme = "socks5"

    @gen.coroutine
    def serve(self, stream):
        _, count = bytearray((yield stream.read_bytes(2)))
        methods = bytearray((yield stream.read_bytes(count)))
        if self.user is None:
            yield stream.write(b"\x05\x00")
        elif 2 not in methods:
            yield stream.write(b"\x05\xff")
            return
        else:
            yield stream.write(b"\x05\x02")
            yield stream.read_bytes(1)
            pair = []
            for _ in range(2):
                size, = bytearray((yield stream.read_bytes(1)))
                pair.append((yield stream.read_bytes(size)))
            right = pair == [self.user, self.password]
            yield stream.write(b"\x01\x00" if right else b"\x01\x01")
        _, _, _, kind, size = bytearray((yield stream.read_bytes(5)))
        assert kind == 3
        host = yield stream.read_bytes(size)
        port, = struct.unpack(">H", (yield stream.read_bytes(2)))
        if self.reply:
            yield stream.write(struct.pack(">BBBBIH", 5, self.reply, 0, 1, 0, 0))
            return
        other = yield self.through(stream, host, port)
        yield stream.write(struct.pack(">BBBBIH", 5, 0, 0, 1, 0, 0))
        yield self.join(stream, other)


class Connect(Server):
    scheme = "http"

    @gen.coroutine
    def serve(self, stream):
        head = (yield stream.read_until(b"\r\n\r\n")).decode("ascii")
        host, _, port = head.split(" ")[1].rpartition(":")
        if self.user is not None:
            pair = base64.b64encode(self.user + b":" + self.password).decode("ascii")
            if "Proxy-Authorization: Basic " + pair not in head:
                yield stream.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        if self.reply:
            yield stream.write(b"HTTP/1.1 403 Filtered\r\n\r\n")
            return
        other = yield self.through(stream, host.encode("ascii"), int(port))
        yield stream.write(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
        yield self.join(stream, other)


def with_proxy(cls, tls=None, **settings):
    """Runs a test with a cluster whose brokers are named by a name that only the proxy can look up."""
    def decorate(test):
        @functools.wraps(test)
        @fake.with_cluster(topics={"t": 1}, tls=tls)
        def run(cluster):
            proxy = cls(**settings)
            try:
                cluster[1].on("metadata", lambda call: advertised(cluster, call))
                yield gen.coroutine(test)(cluster, proxy)
            finally:
                proxy.stop()
        return run
    return decorate


@gen.coroutine
def advertised(cluster, call):
    answer = yield call.usual()
    for broker in answer["brokers"]:
        if isinstance(broker, dict):
            broker["host"] = NAME
        else:
            broker.host = NAME
    raise gen.Return(answer)


def client(cluster, url, **settings):
    return clients.Producer("%s:%d" % (NAME, cluster[1].port), serializer=bytes, proxy=url, connect_timeout=5,
                            request_timeout=5, **settings)


@pytest.mark.parametrize("cls", [Socks5, Connect])
@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_through_a_proxy(cls, login, tls, monkeypatch):
    quiet_tornado(monkeypatch)
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.path.join(TLS, "broker.pem"), os.path.join(TLS, "broker.key"))
    user = dict(user=b"al:ice" if cls is Socks5 else b"alice", password=b"Pa55 word@") if login else {}

    @with_proxy(cls, tls=context, **user)
    def check(cluster, proxy):
        who = ("al%3Aice" if cls is Socks5 else "alice") + ":Pa55%20word%40@" if login else ""
        url = "%s://%s127.0.0.1:%d" % (cls.scheme, who, proxy.port)
        ssl_settings = {"ssl": kiel.ssl(cafile=os.path.join(TLS, "ca.pem"), check_hostname=False)} if tls else {}
        producer = client(cluster, url, **ssl_settings)
        assert "Pa55" not in repr(producer.settings.proxy)
        yield producer.connect()
        yield (yield producer.produce("t", b"1"))
        assert set(proxy.asked) == {(NAME.encode("ascii"), cluster[1].port)}
        yield producer.close()
        if tls:  # the broker's name is checked, not the proxy's
            producer = client(cluster, url, ssl=kiel.ssl(cafile=os.path.join(TLS, "ca.pem")))
            error = yield loop.raises(exc.AuthenticationError, producer.connect())
            assert "certificate" in str(error)
            yield producer.close()
    check()


@pytest.mark.parametrize("cls,settings,who,error,words", [
    (Socks5, {"user": b"a", "password": b"b"}, "", exc.AuthenticationError, ["user and a password"]),
    (Socks5, {"user": b"a", "password": b"b"}, "a:wrong@", exc.AuthenticationError, ["does not accept"]),
    (Socks5, {"reply": 2}, "", exc.NoBrokersError, ["rules do not allow"]),
    (Socks5, {"reply": 5}, "", exc.NoBrokersError, ["connection refused"]),
    (Connect, {"user": b"a", "password": b"b"}, "", exc.AuthenticationError, ["requires a user"]),
    (Connect, {"user": b"a", "password": b"b"}, "a:wrong@", exc.AuthenticationError, ["does not accept user"]),
    (Connect, {"reply": 1}, "", exc.NoBrokersError, ["403 Filtered"]),
])
def test_a_proxy_that_does_not_connect(cls, settings, who, error, words):
    @with_proxy(cls, **settings)
    def check(cluster, proxy):
        producer = client(cluster, "%s://%s127.0.0.1:%d" % (cls.scheme, who, proxy.port))
        failed = yield loop.raises(error, producer.connect())
        for word in words + ["127.0.0.1:%d" % proxy.port]:
            assert word in str(failed)
        assert "wrong" not in str(failed)
        yield producer.close()
    check()


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_a_proxy_that_is_not_there(scheme):
    @with_proxy(Socks5)
    def check(cluster, proxy):
        proxy.stop()
        producer = client(cluster, "%s://127.0.0.1:%d" % (scheme, proxy.port))
        failed = yield loop.raises(exc.NoBrokersError, producer.connect())
        assert "can't be reached" in str(failed) and "Proxy(" in str(failed)
        yield producer.close()
    check()


@pytest.mark.parametrize("url,error", [
    ("socks4://127.0.0.1", ValueError), ("127.0.0.1:1080", ValueError), ("socks5://", ValueError), ("", ValueError),
    ("http://a:Pa55word@:1", ValueError), ("socks5://h:99999", ValueError), ("socks5://h:port", ValueError),
    ("socks5://%s:b@h" % ("a" * 256), ValueError), (1, TypeError), (True, TypeError), (("h", 1), TypeError),
])
def test_what_is_no_proxy_is_refused_in_the_constructor(url, error):
    with pytest.raises(error) as caught:
        clients.Producer(["127.0.0.1:1"], proxy=url)
    assert "proxy=" in str(caught.value) and "Pa55word" not in str(caught.value)


def test_ports_where_the_url_names_none():
    assert (Proxy("socks5://h").port, Proxy("http://h").port) == (1080, 3128)


class Mute(Connect):
    """Connects to nobody: whoever begins TLS waits."""

    def __init__(self):
        super(Mute, self).__init__()
        self.streams = []

    @gen.coroutine
    def through(self, stream, host, port):
        self.asked.append((host, port))
        self.streams.append(stream)
        yield stream.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            yield stream.read_bytes(65536, partial=True)


@pytest.mark.parametrize("ends", ["time-out", "close"])
def test_a_broker_behind_a_proxy_that_is_silent_in_the_handshake(ends):
    @fake.with_cluster(topics={"t": 1})
    def check(cluster):
        proxy = Mute()
        settings = Settings(connect_timeout=0.5 if ends == "time-out" else 10)
        settings.proxy = Proxy("http://127.0.0.1:%d" % proxy.port)
        settings.ssl_context = ssl.create_default_context
        conn = Connection(NAME, 9093, settings=settings)
        opening = conn.connect()
        if ends == "close":
            yield loop.until(lambda: proxy.streams)
            yield gen.sleep(0.05)
            conn.close()
        kind = exc.RequestTimeoutError if ends == "time-out" else exc.BrokerConnectionError
        yield loop.within(2, loop.raises(kind, opening))
        yield loop.until(lambda: all(stream.closed() for stream in proxy.streams))
        proxy.stop()
    check()
