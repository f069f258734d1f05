"""Adds a group's offsets to a transaction before any are committed with it (KIP-98)."""
from __future__ import absolute_import

from kiel.protocol.primitives import Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["AddOffsetsToTxnRequest", "AddOffsetsToTxnResponse"]

api_name = "add_offsets_to_txn"


class AddOffsetsToTxnRequest(Request):
    """Tells the transaction's coordinator of a group; `txn_offset_commit` to the group's follows."""

    api, versions, flexible = api_name, "0-4", "3+"
    parts = (
        ("transactional_id", String),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("group", String),
    )


class AddOffsetsToTxnResponse(Response):
    """Whether the group belongs to the transaction now."""

    api, versions, flexible = api_name, "0-4", "3+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
    )
