"""Keeps a member in its group; the answer tells when the group forms anew."""
from __future__ import absolute_import

from kiel.protocol.part import when
from kiel.protocol.primitives import Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["HeartbeatRequest", "HeartbeatResponse"]

api_name = "heartbeat"


class HeartbeatRequest(Request):
    """Says that a member is alive."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("group_id", String),
        ("generation_id", Int32),
        ("member_id", String),
        ("group_instance_id", String, when("3+", default=None, nullable="3+")),
    )


class HeartbeatResponse(Response):
    """Whether the generation still holds; error 27 asks to join again."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16),
    )
