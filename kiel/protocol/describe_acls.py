"""Describes access control lists (KIP-140); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DescribeAclsRequest", "DescribeAclsResponse", "Resource", "Acl"]

api_name = "describe_acls"


class DescribeAclsRequest(Request):
    """
    Asks for the rules that a filter lets through: null is any name, principal or host, the number 1 any of the others.

    ``pattern_type_filter`` is a pattern's type, or 2 for all patterns that cover the name (KIP-290).
    """

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("resource_type_filter", Int8),
        ("resource_name_filter", String, when(nullable=True)),
        ("pattern_type_filter", Int8, when("1+", default=3)),
        ("principal_filter", String, when(nullable=True)),
        ("host_filter", String, when(nullable=True)),
        ("operation", Int8),
        ("permission_type", Int8),
    )


class Acl(Part):
    """One rule about a resource."""

    parts = (
        ("principal", String),
        ("host", String),
        ("operation", Int8),
        ("permission_type", Int8),
    )


class Resource(Part):
    """A resource, or a prefix of names, with its rules."""

    parts = (
        ("resource_type", Int8),
        ("resource_name", String),
        ("pattern_type", Int8, when("1+", default=3)),
        ("acls", Array.of(Acl)),
    )


class DescribeAclsResponse(Response):
    """The rules, by resource."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("resources", Array.of(Resource)),
    )
