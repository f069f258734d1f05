"""Makes a delegation token (KIP-48); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Bytes, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["CreateDelegationTokenRequest", "CreateDelegationTokenResponse", "Renewer"]

api_name = "create_delegation_token"


class Renewer(Part):
    """Somebody who may renew the token besides its owner."""

    parts = (
        ("principal_type", String),
        ("principal_name", String),
    )


class CreateDelegationTokenRequest(Request):
    """
    Asks for a token that is valid for ``max_lifetime_ms`` at most, -1 for as long as the broker lets it.

    A null owner is whoever asks (version 3 and later: KIP-373).
    """

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("owner_principal_type", String, when("3+", nullable="3+")),
        ("owner_principal_name", String, when("3+", nullable="3+")),
        ("renewers", Array.of(Renewer)),
        ("max_lifetime_ms", Int64),
    )


class CreateDelegationTokenResponse(Response):
    """The token; times are milliseconds since 1970."""

    api, versions, flexible = api_name, "0-3", "2+"
    secrets = ("hmac",)
    parts = (
        ("error_code", Int16),
        ("principal_type", String),
        ("principal_name", String),
        ("token_requester_principal_type", String, when("3+")),
        ("token_requester_principal_name", String, when("3+")),
        ("issue_timestamp_ms", Int64),
        ("expiry_timestamp_ms", Int64),
        ("max_timestamp_ms", Int64),
        ("token_id", String),
        ("hmac", Bytes),
        ("throttle_time", Int32),
    )
