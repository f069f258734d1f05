"""Carries the tokens of a SASL mechanism (KIP-152)."""
from __future__ import absolute_import

from kiel.protocol.part import when
from kiel.protocol.primitives import Bytes, Int16, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["SaslAuthenticateRequest", "SaslAuthenticateResponse"]

api_name = "sasl_authenticate"


class SaslAuthenticateRequest(Request):
    """A token of the client."""

    api, versions, flexible = api_name, "0-2", "2+"
    secrets = ("auth_bytes",)
    parts = (
        ("auth_bytes", Bytes),
    )


class SaslAuthenticateResponse(Response):
    """A token of the broker, or why it refuses; ``session_lifetime`` is in milliseconds, 0 for no end."""

    api, versions, flexible = api_name, "0-2", "2+"
    secrets = ("auth_bytes",)
    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("auth_bytes", Bytes),
        ("session_lifetime", Int64, when("1+", ignorable=True)),
    )
