"""
How long things are, on the wire: varints, and the lengths before texts, bytes and arrays.

Lengths have a fixed size in the versions that are not flexible; in the flexible ones they are "compact"
(KIP-482): an unsigned varint of the length plus 1, 0 for null.
"""
from __future__ import absolute_import

import struct

#: a byte as indexing `bytes` gives it, on either Python -> its number
ORD = dict((bytes(bytearray([number]))[0], number) for number in range(256))

#: the zero byte as indexing `bytes` gives it
ZERO = b"\0"[0]

#: a number below 256 -> its byte
BYTES = [bytes(bytearray([number])) for number in range(256)]


def as_bytes(buff):
    """Return a `bytearray` or `memoryview` as `bytes`; bytes themselves are not copied."""
    if isinstance(buff, bytes):
        return buff
    # bytes(memoryview) is its repr on Python 2
    return buff.tobytes() if isinstance(buff, memoryview) else bytes(buff)


def write_unsigned_varint(add, value):
    """Write a number of at most 32 bits, seven bits a byte, the lowest first."""
    if value < 0x80:
        add(BYTES[value])
        return
    if value > 0xffffffff:
        raise ValueError("%d does not fit an unsigned varint" % value)
    while value > 0x7f:
        add(BYTES[value & 0x7f | 0x80])
        value >>= 7
    add(BYTES[value])


def read_unsigned_varint(buff, offset, limit=32):
    """Read what `write_unsigned_varint` writes; more than ``limit`` bits are a ValueError."""
    value = shift = 0
    while True:
        byte = ORD[buff[offset]]
        offset += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift >= limit:
            raise ValueError("a varint of more than %d bits" % limit)
    if value >> limit:
        raise ValueError("a varint of more than %d bits" % limit)
    return value, offset


def no_null(value):
    """Refuse None for a field that can't be null in this version."""
    raise ValueError("null is not allowed here")


def sizes(flexible, nullable, classic):
    """
    Return the pair (write_size, read_size) for what has a length: ``None`` stands for null.

    ``classic`` is the `struct` letter of the length in versions that are not flexible: ``h`` or ``i``.
    """
    if flexible:
        def write_size(add, size):
            if size is None:
                add(b"\0" if nullable else no_null(size))
            elif size < 127:
                add(BYTES[size + 1])
            else:
                write_unsigned_varint(add, size + 1)

        def read_size(buff, offset):
            size = ORD[buff[offset]]
            if size < 0x80:
                offset += 1
            else:
                size, offset = read_unsigned_varint(buff, offset)
            return (size - 1 if size else None), offset

        return write_size, read_size

    packer = struct.Struct(">" + classic)
    pack, unpack, width = packer.pack, packer.unpack_from, packer.size
    null = pack(-1)

    def write_size(add, size):
        if size is None:
            add(null if nullable else no_null(size))
        else:
            add(pack(size))

    def read_size(buff, offset):
        size = unpack(buff, offset)[0]
        offset += width
        if size < 0:
            if size != -1:
                raise ValueError("a length of %d" % size)
            return None, offset
        return size, offset

    return write_size, read_size


def chunks(flexible, nullable, classic, missing=None):
    """
    Return the pair (write, read) for bytes with their length before them.

    :param missing: what null is read as where it is not allowed
    """
    null = None if nullable else missing
    write_size, read_size = sizes(flexible, nullable, classic)

    def write(add, value):
        if value is None:
            write_size(add, None)
        else:
            write_size(add, len(value))
            add(value)

    def read(buff, offset):
        size, offset = read_size(buff, offset)
        if size is None:
            return null, offset
        end = offset + size
        if end > len(buff):
            raise ValueError("%d bytes announced, %d there" % (size, len(buff) - offset))
        return buff[offset:end], end

    return write, read
