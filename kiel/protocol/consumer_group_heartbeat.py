"""A member's one request in a next-generation group (KIP-848): it joins, stays, tells what it owns, and leaves."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ConsumerGroupHeartbeatRequest", "ConsumerGroupHeartbeatResponse", "Assignment", "TopicPartitions"]

api_name = "consumer_group_heartbeat"


class TopicPartitions(Part):
    """Partitions of a topic, which goes by its id."""

    parts = (
        ("topic_id", Uuid),
        ("partitions", Array.of(Int32)),
    )


class ConsumerGroupHeartbeatRequest(Request):
    """
    Says that a member is there, and what changed with it since its last heartbeat: None, or -1, is "nothing".

    ``member_epoch`` is 0 to join, -1 to leave, -2 where a static member leaves to come back; ``rebalance_timeout`` is
    in milliseconds. From version 1 on the member makes its own id (KIP-1082).
    """

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("group_id", String),
        ("member_id", String),
        ("member_epoch", Int32),
        ("instance_id", String, when(default=None, nullable=True)),
        ("rack_id", String, when(default=None, nullable=True)),
        ("rebalance_timeout", Int32, when(default=-1)),
        ("subscribed_topic_names", Array.of(String), when(default=None, nullable=True)),
        ("subscribed_topic_regex", String, when("1+", default=None, nullable="1+")),
        ("server_assignor", String, when(default=None, nullable=True)),
        ("topic_partitions", Array.of(TopicPartitions), when(default=None, nullable=True)),
    )


class Assignment(Part):
    """All partitions that the member may have now."""

    parts = (
        ("topic_partitions", Array.of(TopicPartitions)),
    )


class ConsumerGroupHeartbeatResponse(Response):
    """The member's epoch and, where it changed, its assignment; ``heartbeat_interval`` is in milliseconds."""

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(default=None, nullable=True)),
        ("member_id", String, when(default=None, nullable=True)),
        ("member_epoch", Int32),
        ("heartbeat_interval", Int32),
        ("assignment", Assignment, when(default=None, nullable=True)),
    )
