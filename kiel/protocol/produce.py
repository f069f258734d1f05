"""Hands messages to the leaders of partitions."""
from __future__ import absolute_import

from kiel.protocol import topic_ids
from kiel.protocol.messages import Produced
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "ProduceRequest", "TopicRequest", "PartitionRequest",
    "ProduceResponse", "TopicResponse", "PartitionResponse", "RecordError", "CurrentLeader", "NodeEndpoint",
]

api_name = "produce"


class PartitionRequest(Part):
    """The messages for one partition."""

    parts = (
        ("partition_id", Int32),
        ("message_set", Produced, when(nullable=True)),
    )


class TopicRequest(Part):
    """The partitions of one topic; from version 13 on it goes by its id."""

    parts = (
        ("name", String, when("0-12", ignorable=True)),
        ("topic_id", Uuid, when("13+", ignorable=True)),
        ("partitions", Array.of(PartitionRequest)),
    )


class ProduceRequest(Request):
    """
    Asks a leader to append; ``timeout`` is in milliseconds, ``required_acks`` 0, 1 or -1 for all
    replicas in sync.
    """

    api, versions, flexible = api_name, "0-13", "9+"
    parts = (
        ("transactional_id", String, when("3+", default=None, nullable="3+")),
        ("required_acks", Int16),
        ("timeout", Int32),
        ("topics", Array.of(TopicRequest)),
    )

    @property
    def expects_response(self):
        """With no acks asked for, the broker says nothing."""
        return self.required_acks != 0

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait for the replicas."""
        return self.timeout

    @property
    def max_version(self):
        """12 as long as a topic's id is not known."""
        high = super(ProduceRequest, self).max_version
        return high if topic_ids.all_known(self.topics) else min(high, 12)

    #: see `kiel.protocol.wire.complete`
    topic_names = property(topic_ids.names_of)


class RecordError(Part):
    """Which record of a batch was refused, and why (KIP-467)."""

    parts = (
        ("batch_index", Int32),
        ("message", String, when(default=None, nullable=True)),
    )


class CurrentLeader(Part):
    """Who leads a partition now, when the one asked does not (KIP-951)."""

    parts = (
        ("leader_id", Int32, when(default=-1)),
        ("leader_epoch", Int32, when(default=-1)),
    )


class NodeEndpoint(Part):
    """Where a broker named in `CurrentLeader` is reached."""

    parts = (
        ("broker_id", Int32),
        ("host", String),
        ("port", Int32),
        ("rack", String, when(default=None, nullable=True)),
    )


class PartitionResponse(Part):
    """
    What became of one partition's messages; ``timestamp`` is the broker's own, -1 where the
    message's counts.
    """

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("offset", Int64),
        ("timestamp", Int64, when("2+", default=-1, ignorable=True)),
        ("log_start_offset", Int64, when("5+", default=-1, ignorable=True)),
        ("record_errors", Array.of(RecordError), when("8+", ignorable=True)),
        ("error_message", String, when("8+", default=None, nullable="8+", ignorable=True)),
        ("current_leader", CurrentLeader, when("10+", tag=0)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String, when("0-12", ignorable=True)),
        ("topic_id", Uuid, when("13+", ignorable=True)),
        ("partitions", Array.of(PartitionResponse)),
    )


class ProduceResponse(Response):
    """What became of the messages, partition by partition."""

    api, versions, flexible = api_name, "0-13", "9+"
    parts = (
        ("topics", Array.of(TopicResponse)),
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("node_endpoints", Array.of(NodeEndpoint), when("10+", tag=0)),
    )

    topics_by_id = True
