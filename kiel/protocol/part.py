"""
A message, or a piece of one, as a table of its fields; compiled once per version into two flat functions.

::

    class FetchRequest(Request):
        api, versions, flexible = "fetch", "0-17", "12+"
        parts = (
            ("replica_id", Int32, when("0-14", default=-1)),
            ("max_wait_time", Int32),
            ("topics", Array.of(TopicRequest)),
        )

The order of the table is the order on the wire. A name may stand on two lines whose versions do not
meet: that is a field that changed its type.
"""
from __future__ import absolute_import

import copy
import struct

import six

from kiel import exc
from kiel.protocol import lengths, primitives
from kiel.protocol.compiling import compile_codec, read_tags, within

#: what bytes that make no sense raise beneath `Part.decode`
BAD_BYTES = (struct.error, IndexError, ValueError, OverflowError, MemoryError)

_UNSET = object()


def parse_range(text):
    """
    ``"3-9"``, ``"3+"`` or ``"3"`` as ``(lowest, highest)``; None gives None.

    >>> parse_range("3-9"), parse_range("3")
    ((3, 9), (3, 3))
    """
    if text is None:
        return None
    if text.endswith("+"):
        return int(text[:-1]), 0x7fff
    low, _, high = text.partition("-")
    return int(low), int(high or low)


class when(object):
    """
    The third entry of a line in ``parts``: in which versions there is such a field, and what it is otherwise.

    :param versions: as in Kafka's definitions: ``"0+"``, ``"3-9"``, ``"4"``
    :param default: what the attribute is when nobody sets it or the version has no such field; default: the type's own
    :param nullable: the versions in which null may be written, or True for all
    :param tag: its number, for a tagged field (KIP-482)
    :param ignorable: whether a value may be dropped without a word in a version without the field; else writing raises
        `kiel.exc.UnsupportedVersionError`
    """

    def __init__(self, versions="0+", default=_UNSET, nullable=None, tag=None, ignorable=False):
        self.versions = parse_range(versions)
        self.default = default
        self.nullable = self.versions if nullable is True else parse_range(nullable)
        self.tag = tag
        self.ignorable = ignorable


class Field(object):
    """One line of a ``parts`` table."""

    def __init__(self, name, kind, rule=None, own=True):
        # in kiel 0.9, and so in an application's own parts, any text or bytes may be null
        text = rule is None and issubclass(kind, primitives.VariablePrimitive)
        rule = rule or when()
        self.name = name
        self.kind = kind
        self.versions = rule.versions
        self.nullable = rule.nullable if own or not text else when(nullable=True).nullable
        self.tag = rule.tag
        self.ignorable = rule.ignorable
        self.is_array = issubclass(kind, primitives.Array)
        self.is_part = issubclass(kind, Part)
        if rule.default is not _UNSET:
            self.default = rule.default
        else:
            self.default = kind() if self.is_part else kind.default

    def test(self, subject):
        """Return the text of an expression that is true when ``subject`` is not the default."""
        if self.default is None:
            return "%s is not None" % subject
        if self.is_array:
            return subject
        return "%s != D_%s" % (subject, self.name)


class PartType(type):
    """Reads the ``parts`` table when the class is made: defaults become class attributes."""

    def __init__(cls, name, bases, namespace):
        super(PartType, cls).__init__(name, bases, namespace)
        # a class of its own table or not, what is compiled knows its class
        cls._codecs = {}
        # an application's part that has a `render` or `parse` of its own, as in 0.9, is written and read by them
        if not primitives.is_own(cls) and ("render" in namespace or "parse" in namespace):
            cls.codec = classmethod(primitives.rendered_codec)
        # an application's table may have fields of these names
        cls.version_range = parse_range(None if "versions" in cls._known else cls.versions)
        cls._flexible_range = parse_range(None if "flexible" in cls._known else cls.flexible)
        if "parts" not in namespace:
            return
        own = primitives.is_own(cls)
        cls.fields = tuple(Field(*line, own=own) for line in cls.parts)
        names = [field.name for field in cls.fields]
        for name in names:
            if hasattr(Part, name) and (own or name not in ("versions", "flexible")):
                raise TypeError("a field can't be called %r: every Part has an attribute of that name" % name)
        # a name on two lines counts once
        cls._names = tuple(sorted(set(names), key=names.index))
        cls._known = frozenset(names)
        cls._lists = tuple(field.name for field in cls.fields
                           if field.is_array and field.default is not None)
        for field in cls.fields:
            if field.name not in namespace:
                setattr(cls, field.name, field.default)


@six.add_metaclass(PartType)
class Part(object):
    """
    A structure of Kafka's protocol; subclasses say in ``parts`` what it is made of.

    Every field is an attribute and a keyword of the constructor, whatever the version; what is not
    given has its default. A keyword that is no field raises ValueError.
    """

    #: lines of ``(name, type)`` or ``(name, type, when(...))``
    parts = ()
    #: the versions that exist, or None for those of whatever the part is in
    versions = None
    #: the versions with compact lengths and tagged fields (KIP-482), or None
    flexible = None

    #: names of the fields that no `repr`, and so no log, may show
    secrets = ()

    fields = _names = _lists = ()
    _known = frozenset()

    def __init__(self, **kwargs):
        if not self._known.issuperset(kwargs):
            unknown = sorted(set(kwargs) - self._known)
            raise ValueError("%s has no field %s" % (type(self).__name__, ", ".join(unknown)))
        values = self.__dict__
        for name in self._lists:
            if name not in kwargs:
                values[name] = []
        values.update(kwargs)

    def encode(self, version=0):
        """
        Return the bytes of this part in that version.

        Raises `kiel.exc.UnsupportedVersionError` when a field is set that this version can't tell,
        and ValueError for a value that does not fit its field.
        """
        out = []
        write = self.codec(version, self.is_flexible(version))[0]
        try:
            write(out.append, self)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("%s can't be written: %s" % (type(self).__name__, error))
        return b"".join(out)

    @classmethod
    def decode(cls, buff, offset=0, version=0):
        """
        Read a part of that version: return ``(instance, new offset)``.

        Bytes that make no sense raise `kiel.exc.ProtocolError`, whatever is wrong with them.
        """
        if buff.__class__ is not bytes:
            buff = lengths.as_bytes(buff)
        read = cls.codec(version, cls.is_flexible(version))[1]
        try:
            return read(buff, offset)
        except BAD_BYTES as error:
            raise exc.ProtocolError("%s of version %d can't be read: %s" % (cls.__name__, version, error))

    @classmethod
    def walk(cls, name, buff, offset=0, version=0):
        """
        Read what `decode` reads, but leave one array to be read item by item: a generator of them.

        The instance comes first, with the fields before the array; those behind it are read when the generator ends.
        The array itself stays empty.

        :param name: the array's
        """
        buff = lengths.as_bytes(buff)
        flexible = cls.is_flexible(version)
        self = cls()
        known = {}
        try:
            for field in cls.fields:
                if not within(version, field.versions):
                    continue
                nullable = within(version, field.nullable)
                if field.name == name:
                    yield self
                    count, offset = lengths.sizes(flexible, nullable, primitives.Int32.fmt)[1](buff, offset)
                    read = field.kind.item_class.codec(version, flexible)[1]
                    for _ in six.moves.range(count or 0):
                        item, offset = read(buff, offset)
                        yield item
                    continue
                read = field.kind.codec(version, flexible, nullable)[1]
                if field.tag is not None:
                    known[field.tag] = field.name, read
                    continue
                value, offset = read(buff, offset)
                setattr(self, field.name, value)
            if flexible:
                read_tags(self, buff, offset, known)
        except BAD_BYTES as error:
            raise exc.ProtocolError("%s of version %d can't be read: %s" % (cls.__name__, version, error))

    def render(self, parts=None):
        """
        Return the format for `struct` and the list of values, as kiel 0.9 wrote this part: in version 0.

        :param parts: the lines ``(name, class)`` of some of the fields; default: all
        """
        if not parts:
            parts = [(field.name, field.kind) for field in self.fields
                     if within(0, field.versions) and field.tag is None]
        formats = []
        data = []
        for name, kind in parts:
            value = getattr(self, name, None)
            if issubclass(kind, primitives.Primitive):
                value = kind(value)
            part_format, part_data = value.render()
            formats.append(part_format)
            data.extend(part_data)
        return "".join(formats), data

    @classmethod
    def parse(cls, buff, offset=0):
        """Read a part of version 0: return ``(instance, new offset)``; errors as those of `decode`."""
        buff = lengths.as_bytes(buff)
        try:
            return cls._compiled(0, cls.is_flexible(0))[1](buff, offset)
        except BAD_BYTES as error:
            raise exc.ProtocolError("%s of version 0 can't be read: %s" % (cls.__name__, error))

    @classmethod
    def is_flexible(cls, version):
        """Return whether that version has compact lengths and tagged fields."""
        return within(version, cls._flexible_range)

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """Return the pair of functions (write, read) for a version; made on first use, then kept."""
        return cls._compiled(version, flexible, nullable)

    @classmethod
    def _compiled(cls, version, flexible, nullable=False):
        key = version, flexible, nullable
        if key not in cls._codecs:
            if cls.version_range and not within(version, cls.version_range):
                raise exc.UnsupportedVersionError(
                    "%s has no version %d" % (cls.__name__, version))
            pair = compile_codec(cls, version, flexible)
            cls._codecs[key] = _nullable(*pair) if nullable else pair
        return cls._codecs[key]

    def copy(self, **changes):
        """Return the same part with some fields changed; what is inside is shared."""
        twin = copy.copy(self)
        twin.__dict__.update(changes)
        return twin

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, type(self)) and not isinstance(self, type(other)):
            return False
        if not isinstance(other, Part):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in self._names)

    def __ne__(self, other):
        return not self == other

    # what can change can't be a key: refused on both Pythons alike
    __hash__ = None

    def __repr__(self):
        shown = []
        for field in self.fields:
            value = getattr(self, field.name)
            unset = not value and value is not None if field.is_array else value == field.default
            text = "%s=..." % field.name if field.name in self.secrets else "%s=%r" % (field.name, value)
            if (field.versions[0] == 0 or not unset) and text not in shown:
                shown.append(text)
        return "%s(%s)" % (type(self).__name__, ", ".join(shown))


def _nullable(write_part, read_part):
    """Return a part that may be null has a byte before it: -1 when it is."""
    def write(add, value):
        if value is None:
            add(b"\xff")
        else:
            add(b"\x01")
            write_part(add, value)

    def read(buff, offset):
        if lengths.ORD[buff[offset]] > 0x7f:
            return None, offset + 1
        return read_part(buff, offset + 1)

    return write, read
