"""Describes delegation tokens (KIP-48); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Bytes, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DescribeDelegationTokenRequest", "DescribeDelegationTokenResponse", "Owner", "Renewer", "Token"]

api_name = "describe_delegation_token"


class Owner(Part):
    """Somebody whose tokens are asked for."""

    parts = (
        ("principal_type", String),
        ("principal_name", String),
    )


class DescribeDelegationTokenRequest(Request):
    """Asks for the tokens of some owners, or for all that may be seen."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("owners", Array.of(Owner), when(nullable=True)),
    )


class Renewer(Part):
    """Somebody who may renew the token besides its owner."""

    parts = (
        ("principal_type", String),
        ("principal_name", String),
    )


class Token(Part):
    """One token; times are milliseconds since 1970."""

    secrets = ("hmac",)
    parts = (
        ("principal_type", String),
        ("principal_name", String),
        ("token_requester_principal_type", String, when("3+")),
        ("token_requester_principal_name", String, when("3+")),
        ("issue_timestamp", Int64),
        ("expiry_timestamp", Int64),
        ("max_timestamp", Int64),
        ("token_id", String),
        ("hmac", Bytes),
        ("renewers", Array.of(Renewer)),
    )


class DescribeDelegationTokenResponse(Response):
    """The tokens that the asker may see."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("error_code", Int16),
        ("tokens", Array.of(Token)),
        ("throttle_time", Int32),
    )
