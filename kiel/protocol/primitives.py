"""
The types that fields have: integers, text, bytes, arrays, record sets; all big-endian.

A type used in a ``parts`` table is a class with one class method, ``codec(version, flexible,
nullable)``. It gives two functions for that version: ``write(add, value)`` calls ``add`` with the
bytes, ``read(buff, offset)`` gives ``(value, new offset)``. Fixed-width types have a ``fmt``, so
that neighbours can share one `struct` call. Whether lengths are of a fixed size or "compact"
(KIP-482) follows from the version of the message, so there is no ``CompactString``.

Reading may raise `struct.error`, `IndexError` or `ValueError` on bytes that make no sense:
`Part.decode` is the door that turns them into `kiel.exc.ProtocolError`. Null is always read, as
nothing of the type where it is not ``nullable``, so that nobody is surprised by None; it is written
only where it is.
"""
from __future__ import absolute_import

import struct

import six

from kiel.protocol import lengths
from kiel.protocol.arrays import Array
from kiel.protocol.numbers import (
    Boolean, Float64, Int8, Int16, Int32, Int64, Primitive, PrimitiveType, Uint16, UnsignedVarint, Uuid, Varint,
    Varlong, is_own, rendered_codec
)

__all__ = [
    "Array", "Boolean", "Bytes", "Float64", "Int8", "Int16", "Int32", "Int64", "Primitive", "PrimitiveType", "Records",
    "String", "Uint16", "UnsignedVarint", "Uuid", "VariablePrimitive", "Varint", "Varlong", "is_own", "rendered_codec",
]

_unpack_int16 = struct.Struct(">h").unpack_from


class VariablePrimitive(Primitive):
    """Bytes with their length before them; text is written as UTF-8, anything else as `str` shows it."""

    #: the type of the length in versions that are not flexible
    size_primitive = Int32
    default = b""

    @staticmethod
    def to_bytes(value):
        """Return the bytes that stand for a value on the wire."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return lengths.as_bytes(value)
        if not isinstance(value, six.text_type):
            value = str(value)
        return value if isinstance(value, bytes) else value.encode("utf-8")

    def render(self):
        """Return the format for `struct` and the list of values, as kiel 0.9 wrote this value."""
        if self.value is None:
            return self.size_primitive.format, [-1]
        value = self.to_bytes(self.value)
        return "%s%ds" % (self.size_primitive.format, len(value)), [len(value), value]

    @classmethod
    def parse(cls, buff, offset=0):
        """Read one value as it is in version 0: return ``(value, new offset)``."""
        return lengths.chunks(False, True, cls.size_primitive.fmt, b"")[1](buff, offset)

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of this type."""
        write_chunk, read = lengths.chunks(flexible, nullable, cls.size_primitive.fmt, b"")
        to_bytes = cls.to_bytes

        def write(add, value):
            if value is not None and not isinstance(value, bytes):
                value = to_bytes(value)
            write_chunk(add, value)

        return write, read


class Bytes(VariablePrimitive):
    """Bytes with their length before them; read as bytes, whatever they are."""


class String(VariablePrimitive):
    """Text, UTF-8 on the wire with its length before it; always read as text."""

    size_primitive = Int16
    default = ""

    @classmethod
    def parse(cls, buff, offset=0):
        """Read one value as it is in version 0: return ``(value, new offset)``; bytes, as in 0.9, if not UTF-8."""
        value, offset = super(String, cls).parse(buff, offset)
        try:
            return (value if value is None else value.decode("utf-8")), offset
        except UnicodeDecodeError:
            return value, offset

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of this type."""
        write, read_chunk = super(String, cls).codec(version, flexible, nullable)
        if flexible:
            # the most frequent of all: one call less than by way of read_chunk
            def read(buff, offset):
                size = lengths.ORD[buff[offset]]
                if not 0 < size < 0x80:
                    value, offset = read_chunk(buff, offset)
                    return (value if value is None else value.decode("utf-8")), offset
                end = offset + size
                if end > len(buff):
                    raise ValueError("a text is cut off")
                return buff[offset + 1:end].decode("utf-8"), end
        else:
            def read(buff, offset):
                size = _unpack_int16(buff, offset)[0]
                if size < 0:
                    value, offset = read_chunk(buff, offset)
                    return (value if value is None else u""), offset
                offset += 2
                end = offset + size
                if end > len(buff):
                    raise ValueError("a text is cut off")
                return buff[offset:end].decode("utf-8"), end

        return write, read

    def __repr__(self):
        return repr(self.value)


class Records(object):
    """
    The field that holds messages; `kiel.protocol.messages.MessageSet` is the class of its values.

    A subclass has the attribute ``data`` (bytes for the wire, or None) and the class method `raw`,
    and may have the bytes as several ``pieces``, which spares who writes them a copy. Plain bytes are
    written too. Nothing is looked into, neither when writing nor when reading.
    """

    default = None
    data = None

    @property
    def pieces(self):
        """The bytes for the wire as a sequence of bytes, or None."""
        return None if self.data is None else (self.data,)

    @classmethod
    def raw(cls, data):
        """Return a value that holds these bytes, or None, as they are."""
        value = cls()
        value.data = data
        return value

    @classmethod
    def within(cls, buff, start, end):
        """Return a value that holds the bytes that stand there in others."""
        return cls.raw(buff[start:end])

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of the field."""
        write_chunk, _ = lengths.chunks(flexible, nullable, Int32.fmt)
        write_size, read_size = lengths.sizes(flexible, nullable, Int32.fmt)
        raw, within = cls.raw, cls.within

        def write(add, value):
            if value is None or isinstance(value, bytes):
                return write_chunk(add, value)
            pieces = value.pieces
            write_size(add, None if pieces is None else sum(map(len, pieces)))
            for piece in pieces or ():
                add(piece)

        def read(buff, offset):
            size, offset = read_size(buff, offset)
            if size is None:
                return raw(None), offset
            end = offset + size
            if end > len(buff):
                raise ValueError("%d bytes announced, %d there" % (size, len(buff) - offset))
            return within(buff, offset, end), end

        return write, read
