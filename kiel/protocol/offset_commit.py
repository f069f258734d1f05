"""Stores how far a group has come: in ZooKeeper in version 0, in Kafka itself from version 1 on."""
from __future__ import absolute_import

from kiel.protocol import topic_ids
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "OffsetCommitRequest", "OffsetCommitV0Request", "OffsetCommitV1Request", "OffsetCommitV2Request",
    "TopicRequest", "TopicV1Request", "PartitionRequest", "PartitionV1Request",
    "OffsetCommitResponse", "TopicResponse", "PartitionResponse",
]

api_name = "offset_commit"


class PartitionRequest(Part):
    """The offset of the next message to read, and a word about it."""

    parts = (
        ("partition_id", Int32),
        ("offset", Int64),
        ("leader_epoch", Int32, when("6+", default=-1, ignorable=True)),
        ("timestamp", Int64, when("1", default=-1)),
        ("metadata", String, when(nullable=True)),
    )


class PartitionV1Request(PartitionRequest):
    """A `PartitionRequest` by its name of kiel 0.9."""


class TopicRequest(Part):
    """The partitions of one topic; from version 10 on it goes by its id."""

    parts = (
        ("name", String, when("0-9", ignorable=True)),
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("partitions", Array.of(PartitionRequest)),
    )


class TopicV1Request(TopicRequest):
    """A `TopicRequest` by its name of kiel 0.9."""


class OffsetCommitRequest(Request):
    """
    Commits offsets of a group, signed with the member's id and generation where it has them.

    ``consumer_id`` is what Kafka calls the member id; ``retention_time`` is in milliseconds, -1 for
    the broker's own.
    """

    api, versions, flexible = api_name, "0-10", "8+"
    parts = (
        ("group", String),
        ("generation", Int32, when("1+", default=-1, ignorable=True)),
        ("consumer_id", String, when("1+", ignorable=True)),
        ("group_instance_id", String, when("7+", default=None, nullable="7+")),
        ("retention_time", Int64, when("2-4", default=-1, ignorable=True)),
        ("topics", Array.of(TopicRequest)),
    )

    #: see `kiel.protocol.wire.complete`
    topic_names = property(topic_ids.names_of)

    @property
    def max_version(self):
        """9 as long as a topic's id is not known."""
        high = super(OffsetCommitRequest, self).max_version
        return high if topic_ids.all_known(self.topics) else min(high, 9)


class OffsetCommitV0Request(OffsetCommitRequest):
    """A commit that goes to ZooKeeper, where kiel 0.9 keeps its offsets; to Kafka's store where there is no other."""

    preferred = 0


class OffsetCommitV1Request(OffsetCommitRequest):
    """A commit of version 1: Kafka's own store on 0.8.2, each partition with a time stamp."""

    narrow = (1, 1)
    api_version = 1


class OffsetCommitV2Request(OffsetCommitRequest):
    """A commit of version 2: Kafka's own store, with a retention time."""

    narrow = (2, 2)
    api_version = 2


class PartitionResponse(Part):
    """Whether a partition's offset is stored."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String, when("0-9", ignorable=True)),
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("partitions", Array.of(PartitionResponse)),
    )


class OffsetCommitResponse(Response):
    """What became of a commit, partition by partition."""

    api, versions, flexible = api_name, "0-10", "8+"
    parts = (
        ("throttle_time", Int32, when("3+", ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )

    topics_by_id = True
