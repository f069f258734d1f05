"""
Where a leader's epoch ends in the log: tells a reader whether the log it read was cut (KIP-101,
KIP-320).
"""
from __future__ import absolute_import

from kiel import constants
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "OffsetForLeaderEpochRequest", "TopicRequest", "PartitionRequest",
    "OffsetForLeaderEpochResponse", "TopicResponse", "PartitionResponse",
]

api_name = "offset_for_leader_epoch"


class PartitionRequest(Part):
    """A partition, the epoch of its leader as the reader knows it, and the epoch whose end is asked for."""

    parts = (
        ("partition_id", Int32),
        ("current_leader_epoch", Int32, when("2+", default=-1, ignorable=True)),
        ("leader_epoch", Int32),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class OffsetForLeaderEpochRequest(Request):
    """Asks leaders for the ends of epochs."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("replica_id", Int32, when("3+", default=constants.CONSUMER_REPLICA_ID, ignorable=True)),
        ("topics", Array.of(TopicRequest)),
    )


class PartitionResponse(Part):
    """The offset after the last message of the epoch, -1 when the epoch is not known."""

    parts = (
        ("error_code", Int16),
        ("partition_id", Int32),
        ("leader_epoch", Int32, when("1+", default=-1, ignorable=True)),
        ("end_offset", Int64, when(default=-1)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class OffsetForLeaderEpochResponse(Response):
    """The ends of epochs, partition by partition."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("throttle_time", Int32, when("2+", ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )
