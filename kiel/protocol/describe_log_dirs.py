"""Describes directories of logs (KIP-113); each broker answers about its own."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeLogDirsRequest", "DescribeLogDirsResponse", "TopicRequest", "PartitionResponse", "TopicResponse",
    "LogDir",
]

api_name = "describe_log_dirs"


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class DescribeLogDirsRequest(Request):
    """Asks for the partitions in a broker's directories; topics of null are all."""

    api, versions, flexible = api_name, "0-5", "2+"
    parts = (
        ("topics", Array.of(TopicRequest), when(nullable=True)),
    )


class PartitionResponse(Part):
    """The log of one partition."""

    parts = (
        ("partition_id", Int32),
        ("partition_size", Int64),
        ("offset_lag", Int64),
        ("is_future_key", Boolean),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class LogDir(Part):
    """One directory; sizes are bytes, -1 where the broker does not tell."""

    parts = (
        ("error_code", Int16),
        ("log_dir", String),
        ("topics", Array.of(TopicResponse)),
        ("total_bytes", Int64, when("4+", default=-1, ignorable=True)),
        ("usable_bytes", Int64, when("4+", default=-1, ignorable=True)),
        ("is_cordoned", Boolean, when("5+", ignorable=True)),
    )


class DescribeLogDirsResponse(Response):
    """What is in each directory."""

    api, versions, flexible = api_name, "0-5", "2+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16, when("3+", ignorable=True)),
        ("results", Array.of(LogDir)),
    )
