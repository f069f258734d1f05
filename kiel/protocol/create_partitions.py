"""Adds partitions to topics (KIP-195); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["CreatePartitionsRequest", "CreatePartitionsResponse", "Assignment", "TopicRequest", "TopicResponse"]

api_name = "create_partitions"


class Assignment(Part):
    """The brokers that shall hold one new partition, the preferred leader first."""

    parts = (
        ("broker_ids", Array.of(Int32)),
    )


class TopicRequest(Part):
    """A topic, and how many partitions it is to have altogether."""

    parts = (
        ("name", String),
        ("count", Int32),
        ("assignments", Array.of(Assignment), when(nullable=True)),
    )


class CreatePartitionsRequest(Request):
    """Asks for topics to have more partitions, and waits up to ``timeout`` ms for them."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("topics", Array.of(TopicRequest)),
        ("timeout", Int32),
        ("validate_only", Boolean),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait before it answers."""
        return self.timeout


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String),
        ("error_code", Int16),
        ("error_message", String, when(default=None, nullable=True)),
    )


class CreatePartitionsResponse(Response):
    """What became of each topic."""

    api, versions, flexible = api_name, "0-3", "2+"
    parts = (
        ("throttle_time", Int32),
        ("results", Array.of(TopicResponse)),
    )
