"""Describes who writes to partitions (KIP-664); their leaders answer."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeProducersRequest", "DescribeProducersResponse", "TopicRequest", "Producer", "PartitionResponse",
    "TopicResponse",
]

api_name = "describe_producers"


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class DescribeProducersRequest(Request):
    """Asks for the producers of partitions."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("topics", Array.of(TopicRequest)),
    )


class Producer(Part):
    """One producer; ``current_txn_start_offset`` is -1 where it has no open transaction there."""

    parts = (
        ("producer_id", Int64),
        ("producer_epoch", Int32),
        ("last_sequence", Int32, when(default=-1)),
        ("last_timestamp", Int64, when(default=-1)),
        ("coordinator_epoch", Int32),
        ("current_txn_start_offset", Int64, when(default=-1)),
    )


class PartitionResponse(Part):
    """The producers that wrote to one partition."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("error_message", String, when(default=None, nullable=True)),
        ("active_producers", Array.of(Producer)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class DescribeProducersResponse(Response):
    """The producers, by partition."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("topics", Array.of(TopicResponse)),
    )
