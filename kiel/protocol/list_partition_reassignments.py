"""Tells which partitions are on their way to other brokers (KIP-455); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "ListPartitionReassignmentsRequest", "ListPartitionReassignmentsResponse", "TopicRequest",
    "PartitionResponse", "TopicResponse",
]

api_name = "list_partition_reassignments"


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class ListPartitionReassignmentsRequest(Request):
    """Asks for moves that are under way; topics of null are all."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("timeout", Int32, when(default=60000)),
        ("topics", Array.of(TopicRequest), when(default=None, nullable=True)),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait before it answers."""
        return self.timeout


class PartitionResponse(Part):
    """The move of one partition."""

    parts = (
        ("partition_id", Int32),
        ("replicas", Array.of(Int32)),
        ("adding_replicas", Array.of(Int32)),
        ("removing_replicas", Array.of(Int32)),
    )


class TopicResponse(Part):
    """The moves of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class ListPartitionReassignmentsResponse(Response):
    """The moves that are under way."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("topics", Array.of(TopicResponse)),
    )
