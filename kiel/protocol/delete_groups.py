"""Deletes groups with their offsets; their coordinator answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DeleteGroupsRequest", "DeleteGroupsResponse", "Result"]

api_name = "delete_groups"


class DeleteGroupsRequest(Request):
    """Asks a coordinator to delete groups, which must have no members (KIP-229)."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("groups_names", Array.of(String)),
    )


class Result(Part):
    """What became of one group."""

    parts = (
        ("group_id", String),
        ("error_code", Int16),
        ("error_message", String, when("3+", default=None, nullable="3+", ignorable=True)),
    )


class DeleteGroupsResponse(Response):
    """What became of the groups."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("throttle_time", Int32),
        ("results", Array.of(Result)),
    )
