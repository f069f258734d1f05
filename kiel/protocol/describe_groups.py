"""What a group's coordinator knows of it: state, members, assignment."""
from __future__ import absolute_import

from kiel.protocol.consumer_protocol import Assignment, Embedded, TopicAssignment
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Bytes, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeGroupsRequest", "DescribeGroupsResponse", "GroupDescription", "MemberDescription", "Assignment",
    "TopicAssignment",
]

api_name = "describe_groups"


class DescribeGroupsRequest(Request):
    """Asks a coordinator about groups, by their ids."""

    api, versions, flexible = api_name, "0-6", "5+"
    parts = (
        ("groups", Array.of(String)),
        ("include_authorized_operations", Boolean, when("3+")),
    )


class MemberDescription(Part):
    """
    A member; for consumers `Subscription.unpack` reads ``metadata``, `Assignment.unpack` reads
    ``assignment``.
    """

    parts = (
        ("member_id", String),
        ("group_instance_id", String, when("4+", default=None, nullable="4+", ignorable=True)),
        ("client_id", String),
        ("client_host", String),
        ("metadata", Bytes),
        ("assignment", Embedded),
    )


class GroupDescription(Part):
    """A group; a group that does not exist is "Dead"."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when("6+", default=None, nullable="6+")),
        ("group_id", String),
        ("state", String),
        ("protocol_type", String),
        ("protocol", String),
        ("members", Array.of(MemberDescription)),
        ("authorized_operations", Int32, when("3+", default=-2147483648)),
    )


class DescribeGroupsResponse(Response):
    """The groups asked for."""

    api, versions, flexible = api_name, "0-6", "5+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("groups", Array.of(GroupDescription)),
    )
