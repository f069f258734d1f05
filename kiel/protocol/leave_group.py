"""Leaves a group at once instead of by time-out."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["LeaveGroupRequest", "LeaveGroupResponse", "MemberIdentity", "MemberResponse"]

api_name = "leave_group"


class MemberIdentity(Part):
    """Who leaves, and why."""

    parts = (
        ("member_id", String),
        ("group_instance_id", String, when(default=None, nullable=True)),
        ("reason", String, when("5+", default=None, nullable="5+", ignorable=True)),
    )


class LeaveGroupRequest(Request):
    """Takes ``member_id`` out of the group; or ``members``, several at once (version 3 and later)."""

    api, versions, flexible = api_name, "0-5", "4+"
    parts = (
        ("group_id", String),
        ("member_id", String, when("0-2")),
        ("members", Array.of(MemberIdentity), when("3+")),
    )

    #: why ``member_id`` leaves, for the broker's log (version 5 and later)
    reason = None

    def __init__(self, **kwargs):
        reason = kwargs.pop("reason", None)
        super(LeaveGroupRequest, self).__init__(**kwargs)
        self.reason = reason

    def for_version(self, version):
        """From version 3 on the member is one of a list."""
        if version < 3 or not self.member_id:
            return self
        member = MemberIdentity(member_id=self.member_id, reason=self.reason)
        return self.copy(member_id="", members=[member] + list(self.members))


class MemberResponse(Part):
    """What became of one member."""

    parts = (
        ("member_id", String),
        ("group_instance_id", String, when(nullable=True)),
        ("error_code", Int16),
    )


class LeaveGroupResponse(Response):
    """Whether the member has left."""

    api, versions, flexible = api_name, "0-5", "4+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16),
        ("members", Array.of(MemberResponse), when("3+")),
    )

    def answers(self, request):
        """Take the error of the one member that was to leave."""
        if not self.error_code and len(self.members) == 1:
            self.error_code = self.members[0].error_code
