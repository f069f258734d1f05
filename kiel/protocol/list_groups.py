"""Which groups a broker coordinates."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ListGroupsRequest", "ListGroupsResponse", "Group"]

api_name = "list_groups"


class ListGroupsRequest(Request):
    """Asks for the groups of a broker, all or those in some states or of some types."""

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("states_filter", Array.of(String), when("4+")),
        ("types_filter", Array.of(String), when("5+")),
    )


class Group(Part):
    """A group and what kind it is: "consumer", "connect" ..."""

    parts = (
        ("group_id", String),
        ("protocol_type", String),
        ("group_state", String, when("4+", ignorable=True)),
        ("group_type", String, when("5+", ignorable=True)),
    )


class ListGroupsResponse(Response):
    """The groups that the broker coordinates."""

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16),
        ("groups", Array.of(Group)),
    )
