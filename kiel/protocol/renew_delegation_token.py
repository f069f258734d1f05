"""Renews a delegation token (KIP-48); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.primitives import Bytes, Int16, Int32, Int64
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["RenewDelegationTokenRequest", "RenewDelegationTokenResponse"]

api_name = "renew_delegation_token"


class RenewDelegationTokenRequest(Request):
    """Asks that a token be valid for ``renew_period_ms`` from now, -1 for the broker's own period."""

    api, versions, flexible = api_name, "0-2", "2+"
    secrets = ("hmac",)
    parts = (
        ("hmac", Bytes),
        ("renew_period_ms", Int64),
    )


class RenewDelegationTokenResponse(Response):
    """When the token ends now, in milliseconds since 1970."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("error_code", Int16),
        ("expiry_timestamp_ms", Int64),
        ("throttle_time", Int32),
    )
