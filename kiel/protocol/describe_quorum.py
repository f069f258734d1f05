"""Describes the controllers' quorum (KIP-595); the active controller answers, or a broker for it."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String, Uint16, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeQuorumRequest", "DescribeQuorumResponse", "PartitionRequest", "TopicRequest", "Replica",
    "PartitionResponse", "TopicResponse", "Listener", "Node",
]

api_name = "describe_quorum"


class PartitionRequest(Part):
    """One partition."""

    parts = (
        ("partition_id", Int32),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class DescribeQuorumRequest(Request):
    """Asks for the state of quorums, of which there is one: partition 0 of ``__cluster_metadata``."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("topics", Array.of(TopicRequest)),
    )


class Replica(Part):
    """How far a node is; times are milliseconds since 1970, -1 where nobody tells."""

    parts = (
        ("replica_id", Int32),
        ("replica_directory_id", Uuid, when("2+")),
        ("log_end_offset", Int64),
        ("last_fetch_timestamp", Int64, when("1+", default=-1, ignorable=True)),
        ("last_caught_up_timestamp", Int64, when("1+", default=-1, ignorable=True)),
    )


class PartitionResponse(Part):
    """One partition: who leads, who votes, who looks on."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("error_message", String, when("2+", nullable=True, ignorable=True)),
        ("leader_id", Int32),
        ("leader_epoch", Int32),
        ("high_watermark", Int64),
        ("current_voters", Array.of(Replica)),
        ("observers", Array.of(Replica)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class Listener(Part):
    """One address of a controller."""

    parts = (
        ("name", String, when("2+")),
        ("host", String, when("2+")),
        ("port", Uint16, when("2+")),
    )


class Node(Part):
    """A controller, and where it listens."""

    parts = (
        ("node_id", Int32, when("2+")),
        ("listeners", Array.of(Listener), when("2+")),
    )


class DescribeQuorumResponse(Response):
    """The state of each quorum."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("error_code", Int16),
        ("error_message", String, when("2+", nullable=True, ignorable=True)),
        ("topics", Array.of(TopicResponse)),
        ("nodes", Array.of(Node), when("2+")),
    )
