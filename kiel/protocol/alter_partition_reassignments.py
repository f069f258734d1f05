"""Moves partitions to other brokers (KIP-455); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "AlterPartitionReassignmentsRequest", "AlterPartitionReassignmentsResponse", "PartitionRequest",
    "TopicRequest", "PartitionResponse", "TopicResponse",
]

api_name = "alter_partition_reassignments"


class PartitionRequest(Part):
    """One partition, and the brokers that shall hold it, the preferred leader first."""

    parts = (
        ("partition_id", Int32),
        ("replicas", Array.of(Int32), when(default=None, nullable=True)),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class AlterPartitionReassignmentsRequest(Request):
    """Asks for partitions to move; replicas of null call a move off."""

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("timeout", Int32, when(default=60000)),
        ("allow_replication_factor_change", Boolean, when("1+", default=True)),
        ("topics", Array.of(TopicRequest)),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait before it answers."""
        return self.timeout


class PartitionResponse(Part):
    """What became of one partition."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
    )


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class AlterPartitionReassignmentsResponse(Response):
    """What became of each partition."""

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("throttle_time", Int32),
        ("allow_replication_factor_change", Boolean, when("1+", default=True, ignorable=True)),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("topics", Array.of(TopicResponse)),
    )
