"""Gives a producer its id and epoch, for idempotence and transactions (KIP-98, KIP-360)."""
from __future__ import absolute_import

from kiel.protocol.part import when
from kiel.protocol.primitives import Boolean, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["InitProducerIdRequest", "InitProducerIdResponse"]

api_name = "init_producer_id"


class InitProducerIdRequest(Request):
    """
    Asks for a producer id, or with ``producer_id`` and ``producer_epoch`` for the next epoch of that one.

    ``transaction_timeout`` is in milliseconds. Version 6 (KIP-939) is not final in Kafka 4.4: it
    goes out only where ``narrow`` asks for it.
    """

    api, versions, flexible = api_name, "0-6", "2+"
    narrow = (0, 5)
    parts = (
        ("transactional_id", String, when(nullable=True)),
        ("transaction_timeout", Int32),
        ("producer_id", Int64, when("3+", default=-1)),
        ("producer_epoch", Int16, when("3+", default=-1)),
        ("enable_2pc", Boolean, when("6+")),
        ("keep_prepared_txn", Boolean, when("6+")),
    )


class InitProducerIdResponse(Response):
    """The producer's id and epoch."""

    api, versions, flexible = api_name, "0-6", "2+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("producer_id", Int64, when(default=-1)),
        ("producer_epoch", Int16),
        ("ongoing_txn_producer_id", Int64, when("6+", default=-1)),
        ("ongoing_txn_producer_epoch", Int16, when("6+", default=-1)),
    )
