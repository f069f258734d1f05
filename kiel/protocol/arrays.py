"""Any number of values of one type."""
from __future__ import absolute_import

import struct

import six

from kiel.protocol import lengths
from kiel.protocol.numbers import Int32, Primitive, PrimitiveType


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
