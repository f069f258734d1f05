"""Describes transactional ids (KIP-664); their coordinators answer."""
from __future__ import absolute_import

from kiel.protocol.part import Part
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DescribeTransactionsRequest", "DescribeTransactionsResponse", "Topic", "Transaction"]

api_name = "describe_transactions"


class DescribeTransactionsRequest(Request):
    """Asks for transactional ids."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("transactional_ids", Array.of(String)),
    )


class Topic(Part):
    """Partitions that the open transaction has written to."""

    parts = (
        ("name", String),
        ("partitions", Array.of(Int32)),
    )


class Transaction(Part):
    """One transactional id; times are milliseconds since 1970, -1 for none."""

    parts = (
        ("error_code", Int16),
        ("transactional_id", String),
        ("transaction_state", String),
        ("transaction_timeout_ms", Int32),
        ("transaction_start_time_ms", Int64),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("topics", Array.of(Topic)),
    )


class DescribeTransactionsResponse(Response):
    """The transactional ids."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("transaction_states", Array.of(Transaction)),
    )
