"""Hands out the leader's assignment to the members of a group."""
from __future__ import absolute_import

from kiel.protocol.consumer_protocol import Assignment, Embedded, TopicAssignment
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Bytes, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["SyncGroupRequest", "SyncGroupResponse", "MemberAssignment", "TopicAssignment"]

api_name = "sync_group"


class MemberAssignment(Part):
    """What one member gets: an `Assignment`, or its bytes."""

    parts = (
        ("member_id", String),
        ("assignment", Embedded),
    )


class SyncGroupRequest(Request):
    """Asks for the member's own assignment; the leader brings those of all."""

    api, versions, flexible = api_name, "0-5", "4+"
    parts = (
        ("group_id", String),
        ("generation_id", Int32),
        ("member_id", String),
        ("group_instance_id", String, when("3+", default=None, nullable="3+")),
        ("protocol_type", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("protocol_name", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("assignments", Array.of(MemberAssignment)),
    )


class SyncGroupResponse(Response):
    """The member's own assignment as bytes, in ``assignment``: `Assignment.unpack` reads them."""

    api, versions, flexible = api_name, "0-5", "4+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16),
        ("protocol_type", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("protocol_name", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("assignment", Bytes),
    )

    @property
    def assignments(self):
        """The assignment as kiel 0.9 named it: a list of one `MemberAssignment`, which names no member."""
        return [MemberAssignment(assignment=Assignment.unpack(self.assignment))]
