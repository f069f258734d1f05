"""Agrees on a SASL mechanism (KIP-43)."""
from __future__ import absolute_import

from kiel.protocol.primitives import Array, Int16, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["SaslHandshakeRequest", "SaslHandshakeResponse"]

api_name = "sasl_handshake"


class SaslHandshakeRequest(Request):
    """
    Names the mechanism; after version 0 the tokens follow bare, after version 1 as SaslAuthenticate
    requests.
    """

    api, versions = api_name, "0-1"
    parts = (
        ("mechanism", String),
    )


class SaslHandshakeResponse(Response):
    """Whether the broker has that mechanism, and those it has."""

    api, versions = api_name, "0-1"
    parts = (
        ("error_code", Int16),
        ("mechanisms", Array.of(String)),
    )
