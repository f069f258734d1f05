"""What has a fixed width on the wire, and varints; and what all types of fields are made of."""
from __future__ import absolute_import

import struct

import six

from kiel.protocol import lengths


class PrimitiveType(type):
    """
    Has types that were written for kiel 0.9 work: their ``format`` is the ``fmt``, and what they override is used.

    A type of an application that has a ``render`` or ``parse`` of its own is written and read by them.
    """

    def __init__(cls, name, bases, namespace):
        super(PrimitiveType, cls).__init__(name, bases, namespace)
        if "fmt" in namespace or "format" in namespace:
            cls.fmt = cls.format = namespace.get("fmt", namespace.get("format"))
        if is_own(cls) or not ("render" in namespace or "parse" in namespace):
            return
        # not one of several in a struct call
        cls.fmt = None
        cls.codec = classmethod(rendered_codec)


def is_own(cls):
    """Return whether a class is one of kiel's, not one of an application or a test."""
    return cls.__module__.partition(".")[0] == "kiel"


def rendered_codec(cls, version=0, flexible=False, nullable=False):
    """Return the pair of functions (write, read) of a type or part that has a ``render`` or ``parse`` of its own."""
    is_part = not issubclass(cls, Primitive)

    def write(add, value):
        fmt, data = (value if is_part else cls(value)).render()
        add(struct.pack(">" + fmt, *data))

    return write, cls.parse


@six.add_metaclass(PrimitiveType)
class Primitive(object):
    """A fixed-width value; ``fmt`` is its letter in the `struct` module, ``format`` what kiel 0.9 called it."""

    fmt = None
    #: what a field of this type is when nobody sets it
    default = 0

    def __init__(self, value):
        self.value = value

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of this type."""
        packer = struct.Struct(">" + cls.fmt)
        pack, unpack, size = packer.pack, packer.unpack_from, packer.size

        def write(add, value):
            add(pack(value))

        def read(buff, offset):
            return unpack(buff, offset)[0], offset + size

        return write, read

    def render(self):
        """Return the format for `struct` and the list of values, as kiel 0.9 wrote this value."""
        return self.format, [self.value]

    @classmethod
    def parse(cls, buff, offset=0):
        """Read one value as it is in version 0: return ``(value, new offset)``."""
        packer = struct.Struct(">" + cls.format)
        return packer.unpack_from(buff, offset)[0], offset + packer.size

    def encode(self):
        """Return the bytes of this value as they are in version 0."""
        out = []
        self.codec(0, False, True)[0](out.append, self.value)
        return b"".join(out)

    def __eq__(self, other):
        return isinstance(other, Primitive) and self.value == other.value

    def __ne__(self, other):
        return not self == other

    __hash__ = None

    def __repr__(self):
        return "%s(%r)" % (self.__class__.__name__, self.value)


class Int8(Primitive):
    """A signed integer of one byte."""

    fmt = "b"


class Int16(Primitive):
    """A signed integer of two bytes."""

    fmt = "h"


class Int32(Primitive):
    """A signed integer of four bytes."""

    fmt = "i"


class Int64(Primitive):
    """A signed integer of eight bytes."""

    fmt = "q"


class Uint16(Primitive):
    """An unsigned integer of two bytes."""

    fmt = "H"


class Float64(Primitive):
    """A floating point number of eight bytes."""

    fmt = "d"
    default = 0.0


class Boolean(Primitive):
    """One byte; any but zero is true."""

    fmt = "?"
    default = False


class Uuid(Primitive):
    """Sixteen bytes as they are, such as a topic id; all zero means none."""

    fmt = "16s"
    default = b"\0" * 16


class UnsignedVarint(Primitive):
    """An integer of at most 32 bits in as few bytes as it needs."""

    @classmethod
    def parse(cls, buff, offset=0):
        """Read one value: return ``(value, new offset)``."""
        return cls.codec()[1](buff, offset)

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of this type."""
        return lengths.write_unsigned_varint, lengths.read_unsigned_varint


class Varlong(Primitive):
    """A signed integer of at most 64 bits in as few bytes as its absolute value needs (zigzag)."""

    bits = 64

    @classmethod
    def parse(cls, buff, offset=0):
        """Read one value: return ``(value, new offset)``."""
        return cls.codec()[1](buff, offset)

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) of this type."""
        bits = cls.bits

        def write(add, value):
            if not -1 << bits - 1 <= value < 1 << bits - 1:
                raise ValueError("%d does not fit %d bits" % (value, bits))
            value = value << 1 ^ value >> bits - 1
            while value > 0x7f:
                add(lengths.BYTES[value & 0x7f | 0x80])
                value >>= 7
            add(lengths.BYTES[value])

        def read(buff, offset):
            value, offset = lengths.read_unsigned_varint(buff, offset, bits)
            return value >> 1 ^ -(value & 1), offset

        return write, read


class Varint(Varlong):
    """A signed integer of at most 32 bits in as few bytes as its absolute value needs (zigzag)."""

    bits = 32
