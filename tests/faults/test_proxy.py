"""The proxy itself, between plain sockets."""
from __future__ import absolute_import

import contextlib
import socket
import threading
import time

import pytest

from tests.faults import proxy


@pytest.fixture
def echo():
    """A server that gives back what it gets: its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(10)

    def serve(connection):
        try:
            while True:
                data = connection.recv(65536)
                if not data:
                    break
                connection.sendall(data)
        except (OSError, socket.error):
            pass
        connection.close()

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except (OSError, socket.error):
                return
            thread = threading.Thread(target=serve, args=(connection,))
            thread.daemon = True
            thread.start()

    thread = threading.Thread(target=accept)
    thread.daemon = True
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def between(echo):
    made = proxy.Proxy(echo)
    yield made
    made.close()


@contextlib.contextmanager
def connection(between):
    client = socket.create_connection(("127.0.0.1", between.port), 5)
    try:
        yield client
    finally:
        client.close()


def exchange(client, data=b"hello"):
    """What comes back of some bytes; cut short when the connection is lost."""
    client.sendall(data)
    got = b""
    while len(got) < len(data):
        try:
            piece = client.recv(65536)
        except socket.timeout:
            return got
        except (OSError, socket.error):
            piece = b""
        if not piece:
            return got + b"!"
        got += piece
    return got


def test_pass(between):
    with connection(between) as client:
        assert exchange(client) == b"hello"
        assert exchange(client, b"x" * 300000) == b"x" * 300000
        # counted once it is handed on, when the answer may be here already
        deadline = time.time() + 5
        while between.bytes["up"] < 300005 and time.time() < deadline:
            time.sleep(0.005)
        assert between.open == 1 and between.bytes["up"] >= 300005


def test_delay_and_slow(between):
    with connection(between) as client:
        between.set("delay", seconds=0.1)
        begun = time.time()
        assert exchange(client) == b"hello"
        assert 0.2 <= time.time() - begun < 2
        between.set("slow", rate=10000)
        begun = time.time()
        assert exchange(client, b"x" * 3000) == b"x" * 3000
        assert 0.2 < time.time() - begun < 5


def test_hole(between):
    with connection(between) as client:
        between.set("hole")
        client.settimeout(0.3)
        assert exchange(client) == b""
        # the connection is still there, and what comes later gets through: what fell into the hole is gone
        between.set("pass")
        assert exchange(client, b"again") == b"again"


def test_cut(between):
    with connection(between) as client:
        assert exchange(client) == b"hello"
        between.set("cut")
        got = exchange(client, b"x" * 1000)
        assert got.endswith(b"!") and len(got) < 1000
        assert between.cuts >= 1
        between.set("pass")
    with connection(between) as client:
        assert exchange(client) == b"hello"


def test_refuse(between):
    with connection(between) as client:
        assert exchange(client) == b"hello"
        between.set("refuse")
        assert lost(client)
    assert refused(between)
    between.set("pass")
    with connection(between) as client:
        assert exchange(client) == b"hello"


def refused(between):
    """Whether a new connection is hung up on; some kernels say so in connect() already."""
    try:
        with connection(between) as client:
            return lost(client)
    except (OSError, socket.error):
        return True


def lost(client):
    """Whether nothing comes through any more, because the other side has hung up."""
    try:
        return exchange(client) == b"!"
    except (OSError, socket.error):
        return True


def test_a_mode_that_there_is_not(between):
    with pytest.raises(ValueError):
        between.set("melt")
