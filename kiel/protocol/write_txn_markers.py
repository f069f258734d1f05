"""Ends transactions in partitions (KIP-98); a coordinator asks the leaders that, and so can an operator (KIP-664)."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "WriteTxnMarkersRequest", "WriteTxnMarkersResponse", "TopicRequest", "Marker", "PartitionResponse",
    "TopicResponse", "Result",
]

api_name = "write_txn_markers"


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class Marker(Part):
    """The end of one producer's transaction: ``transaction_result`` is whether it is committed."""

    parts = (
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("transaction_result", Boolean),
        ("topics", Array.of(TopicRequest)),
        ("coordinator_epoch", Int32),
        ("transaction_version", Int8, when("2+", ignorable=True)),
    )


class WriteTxnMarkersRequest(Request):
    """Asks a leader to write the ends of transactions."""

    api, versions, flexible = api_name, "0-2", "1+"
    parts = (
        ("markers", Array.of(Marker)),
    )


class PartitionResponse(Part):
    """What became of one partition."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class Result(Part):
    """What became of one producer's transaction."""

    parts = (
        ("producer_id", Int64),
        ("topics", Array.of(TopicResponse)),
    )


class WriteTxnMarkersResponse(Response):
    """What became of each partition."""

    api, versions, flexible = api_name, "0-2", "1+"
    parts = (
        ("markers", Array.of(Result)),
    )
