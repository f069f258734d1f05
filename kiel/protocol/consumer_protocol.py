"""
What consumers of a group tell one another: subscriptions and assignments.

Kafka itself does not look into them: they travel as bytes inside JoinGroup, SyncGroup and
DescribeGroups, with a version of their own before them, and are never flexible.
"""
from __future__ import absolute_import

from kiel import exc
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Bytes, Int16, Int32, String

__all__ = ["Assignment", "Embedded", "Subscription", "TopicAssignment"]


class Embedded(Bytes):
    """
    Bytes that hold a part with its version before it; a part or ready bytes are written, bytes are
    read.
    """

    @staticmethod
    def to_bytes(value):
        """Return the bytes that stand for a value on the wire."""
        return value.encode() if isinstance(value, Part) else Bytes.to_bytes(value)


class VersionedPart(Part):
    """A part that begins with its own version; `encode` and `unpack` go by that."""

    version = 0

    def encode(self, version=None):
        """Return the bytes in that version, or in the part's own."""
        if version is None:
            version = self.version
        return super(VersionedPart, self.copy(version=version)).encode(version)

    @classmethod
    def unpack(cls, data):
        """
        Read bytes by the version they begin with; no bytes give an empty part.

        Of a version newer than kiel knows, the known fields are read, as Kafka wants it. Raises
        `kiel.exc.ProtocolError` for bytes that make no sense.
        """
        if not data:
            return cls()
        lowest, highest = cls.version_range
        version = Version.decode(data)[0].version
        if version < lowest:
            raise exc.ProtocolError("%s of version %d" % (cls.__name__, version))
        return cls.decode(data, 0, min(version, highest))[0]


class Version(Part):
    """The version that an embedded part begins with."""

    parts = (
        ("version", Int16),
    )


class TopicAssignment(Part):
    """Partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class Subscription(VersionedPart):
    """What a member wants, and from version 1 on what it has (KIP-429, KIP-792, KIP-881)."""

    versions = "0-3"
    parts = (
        ("version", Int16),
        ("topics", Array.of(String)),
        ("user_data", Bytes, when(default=None, nullable=True)),
        ("owned_partitions", Array.of(TopicAssignment), when("1+", ignorable=True)),
        ("generation_id", Int32, when("2+", default=-1, ignorable=True)),
        ("rack_id", String, when("3+", default=None, nullable="3+", ignorable=True)),
    )


class Assignment(VersionedPart):
    """What a member gets."""

    versions = "0-3"
    parts = (
        ("version", Int16),
        ("topics", Array.of(TopicAssignment)),
        ("user_data", Bytes, when(default=None, nullable=True)),
    )
