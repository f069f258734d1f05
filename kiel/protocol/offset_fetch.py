"""Reads how far a group has come: from ZooKeeper in version 0, from Kafka itself from version 1 on."""
from __future__ import absolute_import

from kiel.protocol import topic_ids
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, Int64, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "OffsetFetchRequest", "TopicRequest", "GroupRequest",
    "OffsetFetchResponse", "TopicResponse", "PartitionResponse", "GroupResponse",
]

api_name = "offset_fetch"


class TopicRequest(Part):
    """The partitions of one topic; from version 10 on it goes by its id."""

    parts = (
        ("name", String, when("0-9", ignorable=True)),
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("partitions", Array.of(Int32)),
    )


class GroupRequest(Part):
    """One group and the topics asked for; None for all of them."""

    parts = (
        ("group_id", String),
        ("member_id", String, when("9+", default=None, nullable="9+", ignorable=True)),
        ("member_epoch", Int32, when("9+", default=-1, ignorable=True)),
        ("topics", Array.of(TopicRequest), when(nullable=True)),
    )


class OffsetFetchRequest(Request):
    """
    Asks for a group's offsets; with ``require_stable`` not while a transaction may still change them.

    ``topics`` None asks for all that the group has (version 2 and later). Without ``narrow`` it is ZooKeeper's store
    that is asked, as by kiel 0.9, where the broker has it, else Kafka's own.
    """

    api, versions, flexible = api_name, "0-10", "6+"
    preferred = 0
    parts = (
        ("group_name", String, when("0-7")),
        ("topics", Array.of(TopicRequest), when("0-7", nullable="2-7")),
        ("groups", Array.of(GroupRequest), when("8+")),
        ("require_stable", Boolean, when("7+")),
    )

    #: see `kiel.protocol.wire.complete`
    topic_names = property(topic_ids.names_of)

    @property
    def max_version(self):
        """9 as long as a topic's id is not known."""
        high = super(OffsetFetchRequest, self).max_version
        known = self.topics is not None and topic_ids.all_known(self.topics)
        return high if known else min(high, 9)

    def for_version(self, version):
        """From version 8 on the group is one of a list."""
        if version < 8 or self.groups:
            return self
        groups = [GroupRequest(group_id=self.group_name, topics=self.topics)]
        return self.copy(group_name="", topics=[], groups=groups)


class PartitionResponse(Part):
    """An offset; -1, or error 3 in version 0, when there is none."""

    parts = (
        ("partition_id", Int32),
        ("offset", Int64),
        ("leader_epoch", Int32, when("5+", default=-1, ignorable=True)),
        ("metadata", String, when(nullable=True)),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String, when("0-9", ignorable=True)),
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("partitions", Array.of(PartitionResponse)),
    )


class GroupResponse(Part):
    """The offsets of one group."""

    parts = (
        ("group_id", String),
        ("topics", Array.of(TopicResponse)),
        ("error_code", Int16),
    )


class OffsetFetchResponse(Response):
    """The offsets of the group, partition by partition, in ``topics``."""

    api, versions, flexible = api_name, "0-10", "6+"
    parts = (
        ("throttle_time", Int32, when("3+", ignorable=True)),
        ("topics", Array.of(TopicResponse), when("0-7")),
        ("error_code", Int16, when("2-7", ignorable=True)),
        ("groups", Array.of(GroupResponse), when("8+")),
    )

    topics_by_id = True

    def answers(self, request):
        """Take the first group of version 8 and later for the one asked for."""
        if self.groups:
            self.topics = self.groups[0].topics
            self.error_code = self.groups[0].error_code
