"""
The few requests that the harness itself sends to a broker, packed by hand and sent over a blocking
socket.

They do not use ``kiel.protocol``: what brings up the brokers that kiel is tested against must not
depend on what is tested.
"""
from __future__ import absolute_import

import contextlib
import socket
import struct

from kiel.testing import errors


METADATA, CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS, ALTER_CONFIGS = 3, 19, 20, 37, 33


def _string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode("utf-8")
    return struct.pack(">h", len(data)) + data


def _array(items):
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


def _int(value):
    return struct.pack(">i", value)


class Reader(object):
    """Takes values off the front of an answer."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        """One fixed-width value."""
        value, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def string(self):
        """Return a string with a two-byte length, or None."""
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8")

    def array(self, item):
        """Return a list of what ``item()`` takes."""
        return [item() for _ in range(self.take("i"))]

    def ints(self):
        """Return a list of 32-bit numbers."""
        return self.array(lambda: self.take("i"))


def call(address, api, version, body, timeout=10):
    """Send one request to ``(host, port)`` on a connection of its own; return a :class:`Reader` of the answer."""
    frame = struct.pack(">hhi", api, version, 1) + _string("kiel.testing") + body
    with contextlib.closing(socket.create_connection(address, timeout)) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">i", data[:4])[0]:
            chunk = connection.recv(65536)
            if not chunk:
                raise errors.HarnessError("The broker at %s:%d closed the connection" % tuple(address[:2]))
            data += chunk
    return Reader(data[8:])


def metadata(address, topics=(), timeout=5):
    """
    Return what a broker knows, by Metadata v0, which all releases serve: ``(brokers, topics)``, or None
    when it does not answer.

    ``brokers`` is a dict of id to (host, port), ``topics`` of name to a dict of partition id to
    (error, leader, replicas, isr). No topic named means all; a topic named may be created by the
    broker.
    """
    try:
        answer = call(address, METADATA, 0, _array(_string(topic) for topic in topics), timeout)
    except (errors.HarnessError, socket.error, OSError):
        return None
    brokers = dict(answer.array(lambda: (answer.take("i"), (answer.string(), answer.take("i")))))
    found = {}
    for _ in range(answer.take("i")):
        answer.take("h")
        name = answer.string()
        found[name] = {}
        for _ in range(answer.take("i")):
            error, partition_id, leader = answer.take("h"), answer.take("i"), answer.take("i")
            found[name][partition_id] = (error, leader, answer.ints(), answer.ints())
    return brokers, found


def create_topic(address, name, assignment, config):
    """Create a topic by CreateTopics v2 with the given replicas: a dict of partition id to broker ids."""
    replicas = _array(
        _int(partition_id) + _array(_int(broker) for broker in assignment[partition_id])
        for partition_id in sorted(assignment))
    configs = _array(_string(key) + _string(config[key]) for key in sorted(config))
    body = _array([_string(name) + struct.pack(">ih", -1, -1) + replicas + configs])
    answer = call(address, CREATE_TOPICS, 2, body + struct.pack(">i?", 20000, False), 30)
    answer.take("i")
    for topic, code, message in answer.array(lambda: (answer.string(), answer.take("h"), answer.string())):
        _check("create", topic, code, message)


def delete_topic(address, name):
    """Delete a topic by DeleteTopics v1."""
    answer = call(address, DELETE_TOPICS, 1, _array([_string(name)]) + _int(20000), 30)
    answer.take("i")
    for topic, code in answer.array(lambda: (answer.string(), answer.take("h"))):
        _check("delete", topic, code)


def create_partitions(address, name, count, assignments):
    """
    Grow a topic to ``count`` partitions by CreatePartitions v0; ``assignments`` has the broker ids
    of each new one.
    """
    new = _array(_array(_int(broker) for broker in brokers) for brokers in assignments)
    body = _array([_string(name) + _int(count) + new]) + struct.pack(">i?", 20000, False)
    answer = call(address, CREATE_PARTITIONS, 0, body, 30)
    answer.take("i")
    for topic, code, message in answer.array(lambda: (answer.string(), answer.take("h"), answer.string())):
        _check("grow", topic, code, message)


def alter_topic(address, name, config):
    """Replace the topic's own configuration by AlterConfigs v0."""
    entries = _array(_string(key) + _string(config[key]) for key in sorted(config))
    body = _array([struct.pack(">b", 2) + _string(name) + entries]) + struct.pack(">?", False)
    answer = call(address, ALTER_CONFIGS, 0, body, 30)
    answer.take("i")
    for _ in range(answer.take("i")):
        code, message = answer.take("h"), answer.string()
        answer.take("b")
        _check("alter", answer.string(), code, message)


def _check(what, topic, code, message=None):
    if code:
        raise errors.TopicError("The broker would not %s topic %s: error %d%s" % (
            what, topic, code, ", " + message if message else ""))
