"""Deletes access control lists (KIP-140); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DeleteAclsRequest", "DeleteAclsResponse", "Filter", "FilterResult", "MatchingAcl"]

api_name = "delete_acls"


class Filter(Part):
    """Which rules are to go; see `kiel.protocol.describe_acls.DescribeAclsRequest`."""

    parts = (
        ("resource_type_filter", Int8),
        ("resource_name_filter", String, when(nullable=True)),
        ("pattern_type_filter", Int8, when("1+", default=3)),
        ("principal_filter", String, when(nullable=True)),
        ("host_filter", String, when(nullable=True)),
        ("operation", Int8),
        ("permission_type", Int8),
    )


class DeleteAclsRequest(Request):
    """Asks that all rules go that one of the filters lets through."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("filters", Array.of(Filter)),
    )


class MatchingAcl(Part):
    """A rule that was to go, and whether it has gone."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("resource_type", Int8),
        ("resource_name", String),
        ("pattern_type", Int8, when("1+", default=3)),
        ("principal", String),
        ("host", String),
        ("operation", Int8),
        ("permission_type", Int8),
    )


class FilterResult(Part):
    """What one filter let through."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("matching_acls", Array.of(MatchingAcl)),
    )


class DeleteAclsResponse(Response):
    """What became of the rules, by filter in their order."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("throttle_time", Int32),
        ("filter_results", Array.of(FilterResult)),
    )
