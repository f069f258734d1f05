"""Has a delegation token expire (KIP-48); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.primitives import Bytes, Int16, Int32, Int64
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ExpireDelegationTokenRequest", "ExpireDelegationTokenResponse"]

api_name = "expire_delegation_token"


class ExpireDelegationTokenRequest(Request):
    """Asks that a token end ``expiry_time_period_ms`` from now; a negative number ends it at once."""

    api, versions, flexible = api_name, "0-2", "2+"
    secrets = ("hmac",)
    parts = (
        ("hmac", Bytes),
        ("expiry_time_period_ms", Int64),
    )


class ExpireDelegationTokenResponse(Response):
    """When the token ends now, in milliseconds since 1970."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("error_code", Int16),
        ("expiry_timestamp_ms", Int64),
        ("throttle_time", Int32),
    )
