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

_unpack_int16 = struct.Struct(">h").unpack_from


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


class Array(Primitive):
    """Any number of values of one type, with their count before them: `Array.of` makes the type."""

    item_class = None
    #: fields of this type begin with a list of their own
    default = ()

    @classmethod
    def of(cls, part_class):
        """Return the type "array of ``part_class``", a `Primitive` or a `Part`."""
        return PrimitiveType("ArrayOf" + part_class.__name__, (cls,), {
            "item_class": part_class, "__doc__": "An array of `%s`." % part_class.__name__,
        })

    def render(self):
        """Return the format for `struct` and the list of values, as kiel 0.9 wrote this value."""
        values = () if self.value is None else self.value
        formats = [Int32.format]
        data = [len(values)]
        for value in values:
            item = self.item_class(value) if issubclass(self.item_class, Primitive) else value
            item_format, item_data = item.render()
            formats.append(item_format)
            data.extend(item_data)
        return "".join(formats), data

    @classmethod
    def parse(cls, buff, offset=0):
        """Read a list of values as it is in version 0: return ``(values, new offset)``."""
        return cls.codec(0, False, True)[1](buff, offset)

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read); None is written as an empty array unless null is allowed."""
        write_size, read_size = lengths.sizes(flexible, nullable, Int32.fmt)
        fmt = getattr(cls.item_class, "fmt", None)
        if fmt:
            write_items, read_items = cls._fixed(fmt)
        else:
            write_items, read_items = cls._walked(version, flexible)

        def write(add, values):
            if values is None:
                write_size(add, None if nullable else 0)
            else:
                write_size(add, len(values))
                write_items(add, values)

        def read(buff, offset):
            count, offset = read_size(buff, offset)
            if not count:
                return (None if count is None and nullable else []), offset
            # an item takes a byte at least: an impossible count must not cost memory
            if count > len(buff) - offset:
                raise ValueError("%d items announced, %d bytes there" % (count, len(buff) - offset))
            return read_items(buff, offset, count)

        return write, cls._short(fmt, flexible, read) if fmt else read

    @staticmethod
    def _short(fmt, flexible, read_any):
        """Reading short lists of items of a fixed width, count and all: metadata has some for each partition."""
        head = ">%dx" % (1 if flexible else 4)
        known = {}  # by the number that stands for the count
        for count in range(16):
            packer = struct.Struct(head + fmt * count)
            known[count + bool(flexible)] = packer.unpack_from, packer.size
        known_of = known.get
        unpack_int32 = struct.Struct(">i").unpack_from

        if flexible:
            def read(buff, offset):
                found = known_of(lengths.ORD[buff[offset]])
                if found is None:
                    return read_any(buff, offset)
                return list(found[0](buff, offset)), offset + found[1]
        else:
            def read(buff, offset):
                found = known_of(unpack_int32(buff, offset)[0])
                if found is None:
                    return read_any(buff, offset)
                return list(found[0](buff, offset)), offset + found[1]

        return read

    @staticmethod
    def _fixed(fmt):
        """Return items of a fixed width: one struct call for all, made ready for the short lists of metadata."""
        packs = [struct.Struct(">" + fmt * count).pack for count in range(16)]
        width = struct.calcsize(">" + fmt)

        def write_items(add, values):
            if len(values) < 16:
                add(packs[len(values)](*values))
            else:
                add(struct.Struct(">" + fmt * len(values)).pack(*values))

        def read_items(buff, offset, count):
            if count * width > len(buff) - offset:
                raise ValueError("%d items announced, %d bytes there" % (count, len(buff) - offset))
            packer = struct.Struct(">" + fmt * count)
            return list(packer.unpack_from(buff, offset)), offset + packer.size

        return write_items, read_items

    @classmethod
    def _walked(cls, version, flexible):
        """Return items that are read one after the other."""
        write_item, read_item = cls.item_class.codec(version, flexible, False)

        def write_items(add, values):
            for value in values:
                write_item(add, value)

        def read_items(buff, offset, count):
            items = []
            append = items.append
            for _ in six.moves.range(count):
                item, offset = read_item(buff, offset)
                append(item)
            return items, offset

        # a part has a function that does so without a call for each
        return write_items, getattr(read_item, "many", read_items)

    def __repr__(self):
        return "[%s]" % ", ".join(repr(item) for item in self.value or ())


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
