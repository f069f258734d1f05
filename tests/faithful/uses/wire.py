"""Version 0 of Kafka's requests with nothing but `struct`, so that both kiels are looked at by a stranger."""
from __future__ import absolute_import

import socket
import struct
import zlib

PRODUCE, FETCH, OFFSET, METADATA, OFFSET_COMMIT, OFFSET_FETCH, COORDINATOR = 0, 1, 2, 3, 8, 9, 10
LIST_GROUPS, API_VERSIONS, CREATE_TOPICS = 16, 18, 19

NAMES = {PRODUCE: "produce", FETCH: "fetch", OFFSET: "offset", METADATA: "metadata", OFFSET_COMMIT: "offset_commit",
         OFFSET_FETCH: "offset_fetch", COORDINATOR: "group_coordinator", LIST_GROUPS: "list_groups",
         API_VERSIONS: "api_versions"}


def number(fmt, value):
    return struct.pack(">" + fmt, value)


def text(value):
    if value is None:
        return number("h", -1)
    value = value.encode("utf-8")
    return number("h", len(value)) + value


def blob(value):
    return number("i", -1) if value is None else number("i", len(value)) + value


def array(items):
    return number("i", len(items)) + b"".join(items)


class Reader(object):
    """Reads values from bytes, one after the other."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self, fmt):
        value, = struct.unpack_from(">" + fmt, self.data, self.at)
        self.at += struct.calcsize(">" + fmt)
        return value

    def take(self, size):
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at]

    def text(self):
        value = self.take(self.number("h"))
        return value if value is None else str(value.decode("utf-8"))

    def blob(self):
        return self.take(self.number("i"))

    def array(self, read):
        return [read() for _ in range(self.number("i"))]

    def topics(self, partition):
        """The list ``[(topic, [whatever `partition` reads])]`` that most requests and answers end in."""
        return self.array(lambda: (self.text(), self.array(partition)))


def entry(offset, key, value):
    """A message of magic 0 with its offset, as it stands in a message set."""
    rest = number("b", 0) + number("b", 0) + blob(key) + blob(value)
    message = struct.pack(">I", zlib.crc32(rest) & 0xffffffff) + rest
    return number("q", offset) + blob(message)


def entries(data):
    """The messages of a set as ``[(offset, attributes, key, value)]``, compressed ones as they are."""
    reader = Reader(data)
    found = []
    while len(data) - reader.at >= 12:
        offset, size = reader.number("q"), reader.number("i")
        if len(data) - reader.at < size:
            break
        inner = Reader(reader.take(size))
        inner.take(5)
        attributes = inner.number("b")
        found.append((offset, attributes, inner.blob(), inner.blob()))
    return found


def call(address, api, body, version=0):
    """Sends one request on a connection of its own and gives a `Reader` of what follows the correlation id."""
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), 30)
    try:
        payload = struct.pack(">hhi", api, version, 77) + text("stranger") + body
        sock.sendall(blob(payload))
        size, = struct.unpack(">i", receive(sock, 4))
        return Reader(receive(sock, size)[4:])
    finally:
        sock.close()


def receive(sock, size):
    """So many bytes of a socket; EOFError when it ends before."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
