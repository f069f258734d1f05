"""Makes topics; the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "CreateTopicsRequest", "TopicRequest", "ReplicaAssignment", "Config",
    "CreateTopicsResponse", "TopicResponse", "ConfigResponse",
]

api_name = "create_topics"


class ReplicaAssignment(Part):
    """The brokers that shall hold one partition, the preferred leader first."""

    parts = (
        ("partition_id", Int32),
        ("broker_ids", Array.of(Int32)),
    )


class Config(Part):
    """One setting of a topic."""

    parts = (
        ("name", String),
        ("value", String, when(nullable=True)),
    )


class TopicRequest(Part):
    """A topic to be; -1 partitions or replicas are the broker's own default (version 4 and later)."""

    parts = (
        ("name", String),
        ("num_partitions", Int32),
        ("replication_factor", Int16),
        ("assignments", Array.of(ReplicaAssignment)),
        ("configs", Array.of(Config)),
    )


class CreateTopicsRequest(Request):
    """Asks the controller for new topics and waits up to ``timeout`` ms for them."""

    api, versions, flexible = api_name, "0-7", "5+"
    parts = (
        ("topics", Array.of(TopicRequest)),
        ("timeout", Int32, when(default=60000)),
        ("validate_only", Boolean, when("1+")),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait for the topics to be there."""
        return self.timeout


class ConfigResponse(Part):
    """One setting of a new topic and where it comes from."""

    parts = (
        ("name", String),
        ("value", String, when(nullable=True)),
        ("read_only", Boolean),
        ("config_source", Int8, when(default=-1)),
        ("is_sensitive", Boolean),
    )


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String),
        ("topic_id", Uuid, when("7+", ignorable=True)),
        ("error_code", Int16),
        ("error_message", String, when("1+", nullable="1+", ignorable=True)),
        ("topic_config_error_code", Int16, when("5+", tag=0, ignorable=True)),
        ("num_partitions", Int32, when("5+", default=-1, ignorable=True)),
        ("replication_factor", Int16, when("5+", default=-1, ignorable=True)),
        ("configs", Array.of(ConfigResponse), when("5+", nullable="5+", ignorable=True)),
    )


class CreateTopicsResponse(Response):
    """What became of the topics."""

    api, versions, flexible = api_name, "0-7", "5+"
    parts = (
        ("throttle_time", Int32, when("2+", ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )
