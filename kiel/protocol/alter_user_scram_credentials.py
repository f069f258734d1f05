"""Makes and deletes credentials for SCRAM (KIP-554); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Bytes, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["AlterUserScramCredentialsRequest", "AlterUserScramCredentialsResponse", "Deletion", "Upsertion", "Result"]

api_name = "alter_user_scram_credentials"


class Deletion(Part):
    """A credential that is to go: 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512."""

    parts = (
        ("name", String),
        ("mechanism", Int8),
    )


class Upsertion(Part):
    """A credential that is to be, in place of one that there is."""

    secrets = ("salt", "salted_password")
    parts = (
        ("name", String),
        ("mechanism", Int8),
        ("iterations", Int32),
        ("salt", Bytes),
        ("salted_password", Bytes),
    )


class AlterUserScramCredentialsRequest(Request):
    """Deletes credentials, and makes or replaces others."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("deletions", Array.of(Deletion)),
        ("upsertions", Array.of(Upsertion)),
    )


class Result(Part):
    """What became of one user."""

    parts = (
        ("user", String),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
    )


class AlterUserScramCredentialsResponse(Response):
    """What became of each user."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("results", Array.of(Result)),
    )
