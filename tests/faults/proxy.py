"""
A TCP proxy between a client and one broker that does what networks do.

It runs on threads of its own, two for each connection. What it does to the bytes is `mode`, and may change at any time:

========= ==============================================================
pass      hands them on
delay     hands them on after ``seconds``
slow      hands on ``rate`` bytes a second
hole      takes them and hands nothing on; the connection stays open
cut       hands on the half of what comes next, then resets both sides
refuse    closes connections, old ones and new ones
========= ==============================================================
"""
from __future__ import absolute_import

import socket
import struct
import threading
import time

MODES = ("pass", "delay", "slow", "hole", "cut", "refuse")

CHUNK = 64 * 1024


class Proxy(object):
    """
    One proxy: listens on a port of its own and connects to ``(host, port)`` for each connection that comes.

    :param port: the port to listen on; default: any
    """

    def __init__(self, target, port=0):
        self.target = target
        self.mode = "pass"
        self.seconds = 0.2
        self.rate = 20000
        #: connections that came, and that were cut by `cut` or `refuse`
        self.taken = self.cuts = 0
        #: bytes handed on, by direction
        self.bytes = {"up": 0, "down": 0}
        self._lock = threading.Lock()
        self._pairs = set()
        self._closing = False
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(100)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)

    @staticmethod
    def _spawn(function, *args):
        thread = threading.Thread(target=function, args=args)
        thread.daemon = True
        thread.start()

    def set(self, mode, seconds=None, rate=None):
        """Changes what happens to the bytes from now on; ``cut`` and ``refuse`` hit the connections there are."""
        if mode not in MODES:
            raise ValueError("a proxy can %s, not %r" % (", ".join(MODES), mode))
        self.seconds = self.seconds if seconds is None else seconds
        self.rate = self.rate if rate is None else rate
        self.mode = mode
        if mode == "refuse":
            self.reset()

    def reset(self):
        """Resets all connections that are there now."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        self.cuts += len(pairs)
        for pair in pairs:
            for end in pair:
                _reset(end)

    @property
    def open(self):
        """How many connections are there."""
        return len(self._pairs)

    def close(self):
        """Ends it all."""
        self._closing = True
        _reset(self._listener)
        self.reset()

    def _accept(self):
        while not self._closing:
            try:
                client = self._listener.accept()[0]
            except (OSError, socket.error):
                return
            self.taken += 1
            if self.mode == "refuse":
                _reset(client)
                continue
            try:
                broker = socket.create_connection(self.target, 10)
            except (OSError, socket.error):
                _reset(client)
                continue
            broker.settimeout(None)
            for end in (client, broker):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = client, broker
            with self._lock:
                self._pairs.add(pair)
            self._spawn(self._pump, "up", client, broker, pair)
            self._spawn(self._pump, "down", broker, client, pair)

    def _pump(self, way, source, sink, pair):
        """Hands on what comes from one end, until either is gone."""
        try:
            while True:
                data = source.recv(CHUNK)
                if not data:
                    break
                mode = self.mode
                if mode == "cut" and len(data) > 1:
                    sink.sendall(data[:len(data) // 2])
                    self.cuts += 1
                    break
                if mode == "hole":
                    continue
                if mode == "delay":
                    time.sleep(self.seconds)
                if mode == "slow":
                    piece = max(1, self.rate // 20)
                    for at in range(0, len(data), piece):
                        if self.mode != "slow":
                            sink.sendall(data[at:])
                            break
                        sink.sendall(data[at:at + piece])
                        time.sleep(0.05)
                else:
                    sink.sendall(data)
                self.bytes[way] += len(data)
        except (OSError, socket.error):
            pass
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            _reset(end)


def _reset(end):
    """Closes a socket with a reset, whatever still waits to be sent, and wakes a thread that reads from it."""
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (OSError, socket.error):
        pass
    try:
        end.shutdown(socket.SHUT_RDWR)
    except (OSError, socket.error):
        pass
    try:
        end.close()
    except (OSError, socket.error):
        pass
