"""Enters a group, or a new generation of it; the answer comes when all members have."""
from __future__ import absolute_import

from kiel.protocol.consumer_protocol import Embedded, Subscription
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Bytes, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["JoinGroupRequest", "JoinGroupResponse", "GroupProtocol", "Member"]

api_name = "join_group"


class GroupProtocol(Part):
    """
    A way to share partitions that a member knows, and what it says of itself for it.

    :param name: the assignor's name
    :param metadata: a `Subscription` or its bytes; else it is made of ``version``, ``subscription`` (a list of topics)
        and ``user_data``, as in kiel 0.9
    """

    parts = (
        ("name", String),
        ("metadata", Embedded),
    )

    def __init__(self, **kwargs):
        own = dict((name, kwargs.pop(name)) for name in ("version", "user_data") if name in kwargs)
        if "subscription" in kwargs:
            own["topics"] = kwargs.pop("subscription")
        if "metadata" not in kwargs:
            kwargs["metadata"] = Subscription(**own)
        super(GroupProtocol, self).__init__(**kwargs)
        if isinstance(self.metadata, Part):
            self.metadata = self.metadata.encode()

    @property
    def version(self):
        """The version of the metadata."""
        return Subscription.unpack(self.metadata).version

    @property
    def subscription(self):
        """The topics of the metadata."""
        return Subscription.unpack(self.metadata).topics

    @property
    def user_data(self):
        """The assignor's own bytes in the metadata."""
        return Subscription.unpack(self.metadata).user_data


class JoinGroupRequest(Request):
    """
    Asks to be a member; ``session_timeout`` and ``rebalance_timeout`` are in milliseconds.

    From version 4 on a member without an id is answered with one and error 79, and asks again (KIP-394).
    """

    api, versions, flexible = api_name, "0-9", "6+"
    parts = (
        ("group_id", String),
        ("session_timeout", Int32),
        ("rebalance_timeout", Int32, when("1+", default=-1, ignorable=True)),
        ("member_id", String),
        ("group_instance_id", String, when("5+", default=None, nullable="5+")),
        ("protocol_type", String),
        ("group_protocols", Array.of(GroupProtocol)),
        ("reason", String, when("8+", default=None, nullable="8+", ignorable=True)),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait for the other members."""
        return max(self.rebalance_timeout, self.session_timeout)


class Member(Part):
    """A member and its metadata as bytes: `Subscription.unpack` reads them."""

    parts = (
        ("member_id", String),
        ("group_instance_id", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("metadata", Bytes),
    )


class JoinGroupResponse(Response):
    """The new generation; the leader, and nobody else, is told the members."""

    api, versions, flexible = api_name, "0-9", "6+"
    parts = (
        ("throttle_time", Int32, when("2+", ignorable=True)),
        ("error_code", Int16),
        ("generation_id", Int32, when(default=-1)),
        ("protocol_type", String, when("7+", default=None, nullable="7+", ignorable=True)),
        ("protocol", String, when(nullable="7+")),
        ("leader_id", String),
        ("skip_assignment", Boolean, when("9+")),
        ("member_id", String),
        ("members", Array.of(Member)),
    )
