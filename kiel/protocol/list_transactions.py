"""Tells which transactional ids there are (KIP-664); each broker answers for those it coordinates."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ListTransactionsRequest", "ListTransactionsResponse", "Transaction"]

api_name = "list_transactions"


class ListTransactionsRequest(Request):
    """Asks for transactional ids, in some states or of some producers, or all."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("state_filters", Array.of(String)),
        ("producer_id_filters", Array.of(Int64)),
        ("duration_filter", Int64, when("1+", default=-1)),
        ("transactional_id_pattern", String, when("2+", default=None, nullable=True)),
    )


class Transaction(Part):
    """One transactional id."""

    parts = (
        ("transactional_id", String),
        ("producer_id", Int64),
        ("transaction_state", String),
    )


class ListTransactionsResponse(Response):
    """The transactional ids that the broker coordinates."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", Array.of(String)),
        ("transaction_states", Array.of(Transaction)),
    )
