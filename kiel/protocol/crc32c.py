"""
CRC-32C, the checksum of record batches, with or without the optional ``crc32c`` package.

The package uses the processor's own instruction. Without it: on Python 3 inputs from 4 KiB on go
through *lanes*, where one big-integer XOR and four `bytes.translate` take a step of hundreds of
lanes at once; everything else goes through two 16-bit tables, four bytes a step. The tables are
built when first needed.
"""
from __future__ import absolute_import

import struct

import six

POLYNOMIAL = 0x82F63B78

#: from this many bytes on, lanes are faster than tables (CPython 3)
LANES_FROM = 4096

_found = []
_tables = {}


def crc32c(data, value=0):
    """
    The CRC-32C of bytes, an unsigned 32-bit integer.

    :param value: the checksum of what came before, to go on from there
    """
    if not _found:
        _found.append(_find())
    return _found[0](data, value)


def _find():
    """The quickest implementation that this Python has."""
    try:
        import crc32c as package
        return package.crc32c
    except (ImportError, AttributeError):
        return pure


def pure(data, value=0):
    """The CRC-32C of bytes in pure Python; the same arguments and result as `crc32c`."""
    data = bytes(data)
    if len(data) >= LANES_FROM and not six.PY2:
        return by_lanes(data, value)
    return by_words(data, value)


def byte_table():
    """The usual table: what one byte does to the checksum."""
    table = _tables.get("bytes")
    if table is None:
        table = []
        for crc in range(256):
            for _ in range(8):
                crc = crc >> 1 ^ POLYNOMIAL if crc & 1 else crc >> 1
            table.append(crc)
        _tables["bytes"] = table
    return table


def by_bytes(data, value=0):
    """The CRC-32C a byte at a time: the plain form, and the measure for the quick ones."""
    table = byte_table()
    crc = value ^ 0xFFFFFFFF
    for byte in bytearray(data):
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _word_tables():
    """What the low and the high half of a 32-bit word do to the checksum."""
    tables = _tables.get("words")
    if tables is None:
        table = byte_table()
        # one more zero byte behind an entry: (crc >> 8) ^ table[crc & 255]
        low = [table[i & 255] for i in range(65536)]
        low = [crc >> 8 ^ table[(crc ^ i >> 8) & 255] for i, crc in enumerate(low)]
        high = low
        low = [crc >> 8 ^ table[crc & 255] for crc in high]
        low = [crc >> 8 ^ table[crc & 255] for crc in low]
        tables = _tables["words"] = (low, high)
    return tables


def by_words(data, value=0):
    """The CRC-32C four bytes at a time, by two 16-bit tables of 65,536 entries."""
    low, high = _word_tables()
    words = len(data) // 4
    crc = value ^ 0xFFFFFFFF
    for word in struct.unpack_from("<%dI" % words, data):
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    return by_bytes(data[words * 4:], crc ^ 0xFFFFFFFF)


def _planes():
    """Four 256-byte translation tables: the p-th holds byte p of every entry of the byte table."""
    planes = _tables.get("planes")
    if planes is None:
        planes = _tables["planes"] = [
            bytes(bytearray(crc >> shift & 255 for crc in byte_table())) for shift in (0, 8, 16, 24)
        ]
    return planes


def _advance_tables(count):
    """
    Four tables that together take a checksum over ``count`` zero bytes; kept, so ``count`` has few
    values.
    """
    tables = _tables.get(count)
    if tables is None:
        table = byte_table()
        # a 32x32 bit matrix as what becomes of each single bit: first for one zero byte, then
        # raised to `count`
        power = [(1 << bit) >> 8 ^ table[(1 << bit) & 255] for bit in range(32)]
        result = [1 << bit for bit in range(32)]
        rest = count
        while rest:
            if rest & 1:
                result = [_times(power, column) for column in result]
            power = [_times(power, column) for column in power]
            rest >>= 1
        tables = _tables[count] = [
            [_times(result, byte << shift) for byte in range(256)] for shift in (0, 8, 16, 24)
        ]
    return tables


def _times(matrix, vector):
    """A bit matrix times a vector of 32 bits."""
    out = 0
    bit = 0
    while vector:
        if vector & 1:
            out ^= matrix[bit]
        vector >>= 1
        bit += 1
    return out


def by_lanes(data, value=0):
    """
    The CRC-32C of many lanes at once (Python 3).

    The data is cut into L lanes of K contiguous bytes and a short tail. The states of all lanes are
    four big integers, the planes: byte j of plane p is byte p of lane j's state. Step i takes byte
    i of every lane. Last, the lanes are joined: the checksum so far is taken over K zero bytes and
    XORed with the next lane's state.
    """
    size = len(data)
    # few values of K, since the tables of the join hang on it; L grows with the data
    length = 64 if size < 32768 else 128 if size < 262144 else 256
    lanes = size // length
    if lanes == 0:
        return by_words(data, value)
    body = lanes * length
    first, second, third, fourth = _planes()
    from_bytes = int.from_bytes
    state = value ^ 0xFFFFFFFF
    plane0, plane1, plane2, plane3 = state & 255, state >> 8 & 255, state >> 16 & 255, state >> 24
    for step in range(length):
        index = (from_bytes(data[step:body:length], "little") ^ plane0).to_bytes(lanes, "little")
        plane0 = plane1 ^ from_bytes(index.translate(first), "little")
        plane1 = plane2 ^ from_bytes(index.translate(second), "little")
        plane2 = plane3 ^ from_bytes(index.translate(third), "little")
        plane3 = from_bytes(index.translate(fourth), "little")
    states = bytearray(4 * lanes)
    for at, plane in enumerate((plane0, plane1, plane2, plane3)):
        states[at::4] = plane.to_bytes(lanes, "little")
    low, mid, high, top = _advance_tables(length)
    crc = 0
    for state in struct.unpack("<%dI" % lanes, states):
        crc = low[crc & 255] ^ mid[crc >> 8 & 255] ^ high[crc >> 16 & 255] ^ top[crc >> 24] ^ state
    return by_bytes(data[body:], crc ^ 0xFFFFFFFF)
