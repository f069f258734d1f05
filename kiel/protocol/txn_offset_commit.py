"""Commits a group's offsets with a transaction (KIP-98, KIP-447)."""
from __future__ import absolute_import

from kiel.protocol import topic_ids
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "TxnOffsetCommitRequest", "TopicRequest", "PartitionRequest",
    "TxnOffsetCommitResponse", "TopicResponse", "PartitionResponse",
]

api_name = "txn_offset_commit"


class PartitionRequest(Part):
    """The offset of the next message to read, and a word about it."""

    parts = (
        ("partition_id", Int32),
        ("offset", Int64),
        ("leader_epoch", Int32, when("2+", default=-1, ignorable=True)),
        ("metadata", String, when(nullable=True)),
    )


class TopicRequest(Part):
    """The partitions of one topic; from version 6 on it goes by its id."""

    parts = (
        ("name", String, when("0-5", ignorable=True)),
        ("topic_id", Uuid, when("6+", ignorable=True)),
        ("partitions", Array.of(PartitionRequest)),
    )


class TxnOffsetCommitRequest(Request):
    """
    Tells the group's coordinator offsets that count once the transaction is committed.

    From version 3 on it is signed with the member's id and generation, so that a member that has
    lost its partitions is refused (KIP-447). Versions 5 and later are for version 2 of the
    transaction protocol only: ``narrow`` has to choose.
    """

    api, versions, flexible = api_name, "0-6", "3+"
    parts = (
        ("transactional_id", String),
        ("group", String),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation", Int32, when("3+", default=-1)),
        ("member_id", String, when("3+")),
        ("group_instance_id", String, when("3+", default=None, nullable="3+")),
        ("topics", Array.of(TopicRequest)),
    )

    #: see `kiel.protocol.wire.complete`
    topic_names = property(topic_ids.names_of)

    @property
    def max_version(self):
        """5 as long as a topic's id is not known."""
        high = super(TxnOffsetCommitRequest, self).max_version
        return high if topic_ids.all_known(self.topics) else min(high, 5)


class PartitionResponse(Part):
    """Whether a partition's offset is part of the transaction."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String, when("0-5", ignorable=True)),
        ("topic_id", Uuid, when("6+", ignorable=True)),
        ("partitions", Array.of(PartitionResponse)),
    )


class TxnOffsetCommitResponse(Response):
    """What became of it, partition by partition."""

    api, versions, flexible = api_name, "0-6", "3+"
    parts = (
        ("throttle_time", Int32),
        ("topics", Array.of(TopicResponse)),
    )

    topics_by_id = True
