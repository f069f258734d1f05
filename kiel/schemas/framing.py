"""
Confluent's wire format: how a message says which schema it was written by.

A value begins with a byte 0 and the schema's id in four bytes, or with a byte 1 and its GUID in sixteen. The same may
stand in a header instead, with the value left as it is. Protobuf adds which message of the schema's file it is: the
path of indexes to it.
"""
from __future__ import absolute_import

import binascii
import struct

from kiel.protocol import varints
from kiel.schemas.errors import WireFormatError

#: the headers in which ids may stand
KEY_HEADER, VALUE_HEADER = "__key_schema_id", "__value_schema_id"

_by_id = struct.Struct(">bI")

#: a message may be nested so deep, and no id of a file or message is larger
MOST_INDEXES, MOST_INDEX = 64, 1 << 20


def of_id(number, indexes=None):
    """Return the bytes that name a schema by its id."""
    return _by_id.pack(0, number) + (b"" if indexes is None else of_indexes(indexes))


def of_guid(guid, indexes=None):
    """Return the bytes that name a schema by its GUID, as text."""
    return b"\x01" + binascii.unhexlify(guid.replace("-", "").encode("ascii")) + (
        b"" if indexes is None else of_indexes(indexes))


def of_indexes(indexes):
    """Return the bytes of a path of indexes; that of the first message of a file is a single byte."""
    indexes = list(indexes)
    if indexes == [0]:
        return b"\x00"
    return b"".join(varints.encode(number) for number in [len(indexes)] + indexes)


def parse(data):
    """
    Return the name of a value's schema and where that ends: ``(id as a number, or GUID as text; offset)``.

    :raises WireFormatError: for a value that does not begin so
    """
    magic = data[:1]
    if magic == b"\x00" and len(data) >= 5:
        return _by_id.unpack_from(data)[1], 5
    if magic == b"\x01" and len(data) >= 17:
        digits = binascii.hexlify(data[1:17]).decode("ascii")
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])), 17
    if not data:
        raise WireFormatError("the value is empty, so no serializer of a schema registry wrote it")
    if magic in (b"\x00", b"\x01"):
        raise WireFormatError("the value has %d bytes, too few for the id of a schema" % len(data))
    raise WireFormatError(
        "the value begins with the byte 0x%s, not with the 0 or 1 of a schema registry's serializers: it is of "
        "something else (is this the right deserializer for the topic?)" % binascii.hexlify(magic).decode("ascii"))


def parse_indexes(data, offset):
    """
    Return a path of indexes as a tuple, and where it ends.

    :raises WireFormatError: for bytes that are none
    """
    if data[offset:offset + 1] == b"\x00":
        return (0,), offset + 1
    count, offset = _read_varint(data, offset)
    if not 0 < count <= MOST_INDEXES:
        raise WireFormatError("a path of %d indexes does not name a Protobuf message" % count)
    found = []
    for _ in range(count):
        index, offset = _read_varint(data, offset)
        if not 0 <= index <= MOST_INDEX:
            raise WireFormatError("%d is not an index of a Protobuf message" % index)
        found.append(index)
    return tuple(found), offset


def in_headers(headers, name):
    """Return the bytes in a record's headers that name the schema; None where there are none."""
    for header, value in headers:
        if header == name:
            return value
    return None


def _read_varint(data, offset):
    try:
        number, length = varints.decode(bytearray(data[offset:offset + 5]), 0)
        return number, offset + length
    except (IndexError, ValueError):
        raise WireFormatError("the value ends within its Protobuf message indexes, or these are malformed")
