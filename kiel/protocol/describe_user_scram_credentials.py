"""Describes who may log in by SCRAM (KIP-554); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeUserScramCredentialsRequest", "DescribeUserScramCredentialsResponse", "User", "Credential",
    "Result",
]

api_name = "describe_user_scram_credentials"


class User(Part):
    """Somebody."""

    parts = (
        ("name", String),
    )


class DescribeUserScramCredentialsRequest(Request):
    """Asks for the credentials of users; null is all users."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("users", Array.of(User), when(nullable=True)),
    )


class Credential(Part):
    """One credential: 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512."""

    parts = (
        ("mechanism", Int8),
        ("iterations", Int32),
    )


class Result(Part):
    """The credentials of one user."""

    parts = (
        ("user", String),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("credential_infos", Array.of(Credential)),
    )


class DescribeUserScramCredentialsResponse(Response):
    """The credentials, without secrets."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("results", Array.of(Result)),
    )
