"""Deletes committed offsets of a group; its coordinator answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "OffsetDeleteRequest", "TopicRequest", "PartitionRequest",
    "OffsetDeleteResponse", "TopicResponse", "PartitionResponse",
]

api_name = "offset_delete"


class PartitionRequest(Part):
    """A partition whose offset is to go."""

    parts = (
        ("partition_id", Int32),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class OffsetDeleteRequest(Request):
    """Asks a coordinator to forget offsets of topics that no member is subscribed to (KIP-496)."""

    api, versions, flexible = api_name, "0", None
    parts = (
        ("group_id", String),
        ("topics", Array.of(TopicRequest)),
    )


class PartitionResponse(Part):
    """What became of one partition's offset."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class OffsetDeleteResponse(Response):
    """What became of the offsets; an error of the group as a whole stands at the top."""

    api, versions, flexible = api_name, "0", None
    parts = (
        ("error_code", Int16),
        ("throttle_time", Int32, when(ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )
