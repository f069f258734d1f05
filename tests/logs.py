"""
Partition logs of the fake broker, and Kafka's message formats written the plain way.

Nothing of kiel's protocol is used here: what the fake serves is a second opinion on the formats.
"""
from __future__ import absolute_import

import struct
import zlib

from kiel.testing.fake import log


TRANSACTIONAL, CONTROL = 0x10, 0x20


class PartitionLog(log.PartitionLog):
    """One partition of the scripted cluster: in any format, and with what a test may do to it."""

    stable = None  # the last stable offset, where a test says that a transaction is open

    def __init__(self, leader, magic=2):
        super(PartitionLog, self).__init__(leader)
        self.magic = magic
        self.followers = []  # brokers that serve fetches besides the leader
        self.preferred = None  # the one of them that the leader sends readers with a rack to

    def put(self, *values, **kwargs):
        """Adds values as one batch (`key=`, `timestamp=` in ms, `headers=`); gives the first offset."""
        timestamp = kwargs.get("timestamp", 1500000000000)
        records = [(kwargs.get("key"), value, kwargs.get("headers", ()), timestamp)
                   for value in values]
        data = encode(self.end, records, self.magic, self.epoch)
        return self.append(data, len(values), timestamp)

    def put_transactional(self, producer, *values):
        """Adds values of a producer's transaction as one batch; gives the first offset."""
        records = [(None, value, (), 1500000000000) for value in values]
        return self.append(batch(self.end, records, TRANSACTIONAL, None, producer, self.epoch), len(values))

    def put_marker(self, producer, commit, began=None):
        """Ends a producer's transaction, which ``began`` at that offset if it is aborted."""
        key = struct.pack(">hh", 0, int(commit))
        if not commit:
            self.aborted.append((producer, began, self.end))
        records = [(key, struct.pack(">hi", 0, 0), (), 1500000000000)]
        return self.append(batch(self.end, records, TRANSACTIONAL | CONTROL, None, producer, self.epoch))

    def accept(self, data):
        """Adds what a producer sent, if its numbers are next; those of older formats have none."""
        if self.magic < 2:
            return 0, self.produced(data)
        return super(PartitionLog, self).accept(data)

    def restart(self):
        """Knows no more than the last batch of each producer, as a broker that was stopped and started."""
        for producer_id, (epoch, recent) in self.producers.items():
            self.producers[producer_id] = (epoch, recent[-1:])

    def produced(self, data):
        """Adds what a producer sent, with offsets as a broker gives them; gives the first offset."""
        first = self.end
        for entry in entries(data):
            magic = bytearray(entry)[16]
            if magic == 2:
                count = struct.unpack_from(">i", entry, 23)[0] + 1
                timestamp = struct.unpack_from(">q", entry, 35)[0]
            else:
                assert not bytearray(entry)[17] & 7, "the fake takes no compressed message sets"
                count = 1
                timestamp = struct.unpack_from(">q", entry, 18)[0] if magic else -1
            self.append(struct.pack(">q", self.end) + entry[8:], count, timestamp)
        return first

    def cut(self, offset):
        """Loses what lies from the offset on, as an unclean election does; the next leader's epoch begins."""
        self.batches = [batch for batch in self.batches if batch[1] < offset]
        self.end = offset
        self.epoch += 1


def entries(data):
    """Cuts a message set or a run of batches: each is an offset, a length and so many bytes."""
    at = 0
    while at < len(data):
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        yield data[at:at + size]
        at += size


def encode(base, records, magic, epoch=0):
    """``(key, value, headers, timestamp)`` tuples as a batch (magic 2) or a message set (magic 0, 1)."""
    if magic == 2:
        return batch(base, records, epoch=epoch)
    out = []
    for offset, (key, value, _, timestamp) in enumerate(records, base):
        body = struct.pack(">bb", magic, 0)
        if magic:
            body += struct.pack(">q", timestamp)
        for part in (key, value):
            body += struct.pack(">i", -1 if part is None else len(part)) + (part or b"")
        crc = struct.pack(">I", zlib.crc32(body) & 0xffffffff)
        out.append(struct.pack(">qi", offset, 4 + len(body)) + crc + body)
    return b"".join(out)


def batch(base, records, attributes=0, payload=None, producer=-1, epoch=0):
    """A record batch (KIP-98); ``payload`` replaces the plain records, for compressed or broken ones."""
    first, out = records[0][3], []
    for delta, (key, value, headers, timestamp) in enumerate(records):
        body = b"\0" + varint(timestamp - first) + varint(delta) + sized(key) + sized(value)
        body += varint(len(headers))
        for name, header in headers:
            body += sized(name.encode("utf-8")) + sized(header)
        out.append(varint(len(body)) + body)
    latest = max(record[3] for record in records)
    tail = struct.pack(
        ">hiqqqhii", attributes, len(records) - 1, first, latest, producer, -1, -1, len(records)
    ) + (b"".join(out) if payload is None else payload)
    return struct.pack(">qiibI", base, 9 + len(tail), epoch, 2, crc32c(tail)) + tail


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def crc32c(data):
    crc = 0xffffffff
    for byte in bytearray(data):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
