"""Commits or aborts a transaction (KIP-98, KIP-890)."""
from __future__ import absolute_import

from kiel.protocol.part import when
from kiel.protocol.primitives import Boolean, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["EndTxnRequest", "EndTxnResponse"]

api_name = "end_txn"


class EndTxnRequest(Request):
    """
    Ends a transaction: ``committed`` says how.

    Version 5 is for version 2 of the transaction protocol only: ``narrow`` has to choose.
    """

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("transactional_id", String),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
    )


class EndTxnResponse(Response):
    """Whether the end is decided; from version 5 on, the id and epoch of the next transaction."""

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("producer_id", Int64, when("5+", default=-1, ignorable=True)),
        ("producer_epoch", Int16, when("5+", default=-1, ignorable=True)),
    )
