"""Adds partitions to a transaction before anything is written to them (KIP-98)."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "AddPartitionsToTxnRequest", "TopicRequest", "TransactionRequest",
    "AddPartitionsToTxnResponse", "TopicResponse", "PartitionResponse", "TransactionResponse",
]

api_name = "add_partitions_to_txn"


class TopicRequest(Part):
    """The partitions of one topic, by their ids."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class TransactionRequest(Part):
    """One of several transactions, as brokers ask among themselves (KIP-890)."""

    parts = (
        ("transactional_id", String),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("verify_only", Boolean),
        ("topics", Array.of(TopicRequest)),
    )


class AddPartitionsToTxnRequest(Request):
    """
    Tells the transaction's coordinator what is going to be written to.

    Versions 4 and later are of brokers among themselves: clients use up to 3, and none at all with
    version 2 of the transaction protocol.
    """

    api, versions, flexible = api_name, "0-5", "3+"
    narrow = (0, 3)
    parts = (
        ("transactions", Array.of(TransactionRequest), when("4+")),
        ("transactional_id", String, when("0-3")),
        ("producer_id", Int64, when("0-3")),
        ("producer_epoch", Int16, when("0-3")),
        ("topics", Array.of(TopicRequest), when("0-3")),
    )


class PartitionResponse(Part):
    """Whether a partition belongs to the transaction now."""

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


class TransactionResponse(Part):
    """The topics of one of several transactions."""

    parts = (
        ("transactional_id", String),
        ("topics", Array.of(TopicResponse)),
    )


class AddPartitionsToTxnResponse(Response):
    """What became of it, partition by partition: all are added or none is."""

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16, when("4+", ignorable=True)),
        ("transactions", Array.of(TransactionResponse), when("4+")),
        ("topics", Array.of(TopicResponse), when("0-3")),
    )
