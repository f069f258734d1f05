"""What a coordinator knows of next-generation groups (KIP-848): epochs, members, what each has and is to have."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "ConsumerGroupDescribeRequest", "ConsumerGroupDescribeResponse", "DescribedGroup", "Member", "Assignment",
    "TopicPartitions",
]

api_name = "consumer_group_describe"


class ConsumerGroupDescribeRequest(Request):
    """Asks a coordinator about next-generation groups, by their ids; a classic group is error 69 there."""

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("group_ids", Array.of(String)),
        ("include_authorized_operations", Boolean),
    )


class TopicPartitions(Part):
    """Partitions of a topic."""

    parts = (
        ("topic_id", Uuid),
        ("topic_name", String),
        ("partitions", Array.of(Int32)),
    )


class Assignment(Part):
    """Partitions of a member."""

    parts = (
        ("topic_partitions", Array.of(TopicPartitions)),
    )


class Member(Part):
    """
    A member: ``assignment`` is what it has, ``target_assignment`` what it is to have.

    ``member_type`` is 0 for one that still speaks the classic protocol, 1 for one of the next generation, -1 where
    the broker does not tell.
    """

    parts = (
        ("member_id", String),
        ("instance_id", String, when(default=None, nullable=True)),
        ("rack_id", String, when(default=None, nullable=True)),
        ("member_epoch", Int32),
        ("client_id", String),
        ("client_host", String),
        ("subscribed_topic_names", Array.of(String)),
        ("subscribed_topic_regex", String, when(default=None, nullable=True)),
        ("assignment", Assignment),
        ("target_assignment", Assignment),
        ("member_type", Int8, when("1+", default=-1, ignorable=True)),
    )


class DescribedGroup(Part):
    """A group, or the error that stands in for it."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(default=None, nullable=True)),
        ("group_id", String),
        ("group_state", String),
        ("group_epoch", Int32),
        ("assignment_epoch", Int32),
        ("assignor_name", String),
        ("members", Array.of(Member)),
        ("authorized_operations", Int32, when(default=-2147483648)),
    )


class ConsumerGroupDescribeResponse(Response):
    """The groups asked for."""

    api, versions, flexible = api_name, "0-1", "0+"
    parts = (
        ("throttle_time", Int32),
        ("groups", Array.of(DescribedGroup)),
    )
