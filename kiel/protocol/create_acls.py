"""Makes access control lists (KIP-140); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["CreateAclsRequest", "CreateAclsResponse", "Creation", "Result"]

api_name = "create_acls"


class Creation(Part):
    """A rule to be."""

    parts = (
        ("resource_type", Int8),
        ("resource_name", String),
        ("resource_pattern_type", Int8, when("1+", default=3)),
        ("principal", String),
        ("host", String),
        ("operation", Int8),
        ("permission_type", Int8),
    )


class CreateAclsRequest(Request):
    """Asks for rules."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("creations", Array.of(Creation)),
    )


class Result(Part):
    """What became of one rule."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
    )


class CreateAclsResponse(Response):
    """What became of the rules, in their order."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("throttle_time", Int32),
        ("results", Array.of(Result)),
    )
