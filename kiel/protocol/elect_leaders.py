"""Elects leaders (KIP-183, KIP-460); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ElectLeadersRequest", "ElectLeadersResponse", "TopicPartitions", "PartitionResponse", "TopicResponse"]

api_name = "elect_leaders"


class TopicPartitions(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class ElectLeadersRequest(Request):
    """Asks for elections: 0 makes preferred replicas leaders, 1 those that may lack messages."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("election_type", Int8, when("1+")),
        ("topics", Array.of(TopicPartitions), when(nullable=True)),
        ("timeout", Int32, when(default=60000)),
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


class ElectLeadersResponse(Response):
    """What became of each partition."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16, when("1+")),
        ("topics", Array.of(TopicResponse)),
    )
