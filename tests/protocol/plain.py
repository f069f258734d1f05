"""
The plain twins: record batches and message sets as the format's description says, a field at a time.

Nothing here is quick and nothing is shared with kiel: the quick ways are right when they agree with these.
"""
from __future__ import absolute_import

import struct
import zlib


def read_varint(data, pos):
    """A zigzag varint: ``(number, new position)``."""
    number = shift = 0
    while True:
        byte = bytearray(data[pos:pos + 1])[0]
        pos += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number // 2 if number % 2 == 0 else -(number + 1) // 2, pos


def varint(number):
    """A number as a zigzag varint."""
    number = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    out.append(number)
    return bytes(out)


def sized(part):
    """Bytes or None with their length before them."""
    return varint(-1) if part is None else varint(len(part)) + part


def read_sized(data, pos):
    """Bytes or None with their length before them: ``(bytes, new position)``."""
    size, pos = read_varint(data, pos)
    if size == -1:
        return None, pos
    assert size >= 0 and pos + size <= len(data)
    return data[pos:pos + size], pos + size


def crc_of(byte):
    """What one byte does to a CRC-32C, a bit at a time."""
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
    return byte


CRC_TABLE = [crc_of(byte) for byte in range(256)]


def crc32c(data):
    """CRC-32C, a byte at a time."""
    crc = 0xFFFFFFFF
    for byte in bytearray(data):
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def records(data, pos, end, count, base_offset, base_timestamp, append_time=None):
    """The tuples of the records of a batch."""
    out = []
    for _ in range(count):
        size, pos = read_varint(data, pos)
        stop = pos + size
        pos += 1
        stamp, pos = read_varint(data, pos)
        offset, pos = read_varint(data, pos)
        key, pos = read_sized(data, pos)
        value, pos = read_sized(data, pos)
        headers = []
        number, pos = read_varint(data, pos)
        for _ in range(number):
            name, pos = read_sized(data, pos)
            content, pos = read_sized(data, pos)
            headers.append((name.decode("utf-8"), content))
        assert pos == stop
        stamp = base_timestamp + stamp if append_time is None else append_time
        out.append((base_offset + offset, stamp, key, value, tuple(headers)))
    assert pos == end
    return out


def section(messages, first):
    """The records of a batch as bytes; messages are ``(key, value, headers, timestamp)``."""
    out = []
    for delta, (key, value, headers, stamp) in enumerate(messages):
        body = b"\0" + varint(stamp - first) + varint(delta) + sized(key) + sized(value)
        body += varint(len(headers))
        for name, content in headers:
            body += sized(name) + sized(content)
        out.append(varint(len(body)) + body)
    return b"".join(out)


def batch(messages, attributes=0, base_offset=0, producer_id=-1, epoch=-1, sequence=-1, squeeze=None):
    """A record batch of magic 2."""
    first = messages[0][3]
    body = section(messages, first)
    if squeeze:
        body = squeeze(body)
    rest = struct.pack(
        ">hiqqqhii", attributes, len(messages) - 1, first, max(m[3] for m in messages), producer_id,
        epoch, sequence, len(messages)) + body
    return struct.pack(">qiibI", base_offset, len(rest) + 9, -1, 2, crc32c(rest)) + rest


def message(offset, key, value, magic=0, attributes=0, stamp=-1):
    """One message of magic 0 or 1, with its offset and size."""
    body = struct.pack(">bb", magic, attributes)
    if magic:
        body += struct.pack(">q", stamp)
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    return struct.pack(">qiI", offset, len(body) + 4, zlib.crc32(body) & 0xFFFFFFFF) + body
