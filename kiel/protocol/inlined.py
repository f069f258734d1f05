"""
The common cases of fields that have a length, as text within what `kiel.protocol.compiling.compile_codec` makes.

A short text, an array of parts, messages: most fields of most messages. All else, and all that is wrong, is left to the
functions of the field's type, which are what these lines have to agree with.
"""
from __future__ import absolute_import

import struct

import six

from kiel.protocol import lengths, primitives

#: what the lines use
NAMES = {"BYTES": lengths.BYTES, "TEXT": six.text_type}

#: how a byte is read as a number
_BYTE = "buff[offset]" if not six.PY2 else "ord(buff[offset])"

_count = struct.Struct(">i")


def lines(field, version, flexible, nullable, names):
    """
    Return the lines that write a field, and those that read it.

    :param field: the `kiel.protocol.part.Field`, whose own functions have the names ``write_...`` and ``read_...``
    :param nullable: whether it may be null in that version
    :param names: what the lines use besides is entered here
    """
    at = {"name": field.name}
    writing = ["    write_%(name)s(add, self.%(name)s)"]
    reading = ["    self.%(name)s, offset = read_%(name)s(buff, offset)"]
    if flexible and field.kind is primitives.String:
        writing, reading = _short_text(nullable)
    elif issubclass(field.kind, primitives.Records):
        names["within_" + field.name] = field.kind.within
        names["unpack_count"] = _count.unpack_from
        reading = _compact_records() if flexible else _records()
    elif field.is_array and field.kind.codec.__func__ is primitives.Array.codec.__func__:
        write, read = field.kind.item_class.codec(version, flexible, False)
        if hasattr(read, "many"):
            names["item_" + field.name], names["many_" + field.name] = write, read.many
            names["pack_count"], names["unpack_count"] = _count.pack, _count.unpack_from
            writing, reading = (_compact_array if flexible else _array)(nullable)
    return [line % at for line in writing], [line % at for line in reading]


def _short_text(nullable):
    write = [
        "    value = self.%(name)s",
        "    if value.__class__ is TEXT:",
        "        value = value.encode('utf-8')",
        "    if value.__class__ is bytes and len(value) < 127:",
        "        add(BYTES[len(value) + 1])",
        "        add(value)",
    ]
    read = [
        "    size = " + _BYTE,
        "    end = offset + size",
        "    if 0 < size < 128 and end <= len(buff):",
        "        self.%(name)s = buff[offset + 1:end].decode('utf-8')",
        "        offset = end",
    ]
    if nullable:
        write += ["    elif value is None:", "        add(b'\\0')"]
        read += ["    elif size == 0:", "        self.%(name)s = None", "        offset += 1"]
    write += ["    else:", "        write_%(name)s(add, value)"]
    return write, read + ["    else:", "        self.%(name)s, offset = read_%(name)s(buff, offset)"]


def _compact_records():
    """Return the lines that read messages: their bytes are left where they are, behind a varint of few bytes."""
    return [
        "    size, end, shift = %s, offset + 1, 0" % _BYTE,
        "    if size > 127:",
        "        size, shift = size & 127, 7",
        "        while shift < 28:",
        "            number = " + _BYTE.replace("offset", "end"),
        "            end += 1",
        "            size |= (number & 127) << shift",
        "            if number < 128:",
        "                break",
        "            shift += 7",
        "    if size and shift < 28 and end + size - 1 <= len(buff):",
        "        offset = end + size - 1",
        "        self.%(name)s = within_%(name)s(buff, end, offset)",
        "    else:",
        "        self.%(name)s, offset = read_%(name)s(buff, offset)",
    ]


def _records():
    return [
        "    size, = unpack_count(buff, offset)",
        "    end = offset + 4 + size",
        "    if size >= 0 and end <= len(buff):",
        "        self.%(name)s = within_%(name)s(buff, offset + 4, end)",
        "        offset = end",
        "    else:",
        "        self.%(name)s, offset = read_%(name)s(buff, offset)",
    ]


def _compact_array(nullable):
    return [
        "    value = self.%(name)s",
        "    if value is not None and len(value) < 127:",
        "        add(BYTES[len(value) + 1])",
        "        for item in value:",
        "            item_%(name)s(add, item)",
        "    else:",
        "        write_%(name)s(add, value)",
    ], [
        "    count = %s - 1" % _BYTE,
        "    if 0 < count < 127 and count < len(buff) - offset:",
        "        self.%(name)s, offset = many_%(name)s(buff, offset + 1, count)",
        "    elif count == 0:",
        "        self.%(name)s = []",
        "        offset += 1",
        "    elif count == -1:",
        "        self.%%(name)s = %s" % (None if nullable else []),
        "        offset += 1",
        "    else:",
        "        self.%(name)s, offset = read_%(name)s(buff, offset)",
    ]


def _array(nullable):
    return [
        "    value = self.%(name)s",
        "    if value is not None:",
        "        add(pack_count(len(value)))",
        "        for item in value:",
        "            item_%(name)s(add, item)",
        "    else:",
        "        write_%(name)s(add, value)",
    ], [
        "    count, = unpack_count(buff, offset)",
        "    if 0 < count <= len(buff) - offset - 4:",
        "        self.%(name)s, offset = many_%(name)s(buff, offset + 4, count)",
        "    elif -2 < count < 1:",
        "        self.%%(name)s = %s" % ("[] if count == 0 else None" if nullable else []),
        "        offset += 4",
        "    else:",
        "        self.%(name)s, offset = read_%(name)s(buff, offset)",
    ]
