"""Reads messages from the leaders of partitions."""
from __future__ import absolute_import

from kiel import constants
from kiel.protocol import topic_ids
from kiel.protocol.messages import MessageSet
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, Int64, String, Uuid
from kiel.protocol.produce import CurrentLeader, NodeEndpoint
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "FetchRequest", "TopicRequest", "PartitionRequest", "ForgottenTopic", "ReplicaState",
    "FetchResponse", "TopicResponse", "PartitionResponse", "AbortedTransaction", "DivergingEpoch", "SnapshotId",
    "CurrentLeader", "NodeEndpoint",
]

api_name = "fetch"


class PartitionRequest(Part):
    """From which offset to read a partition, and how many bytes at most."""

    parts = (
        ("partition_id", Int32),
        ("current_leader_epoch", Int32, when("9+", default=-1, ignorable=True)),
        ("offset", Int64),
        ("last_fetched_epoch", Int32, when("12+", default=-1)),
        ("log_start_offset", Int64, when("5+", default=-1, ignorable=True)),
        ("max_bytes", Int32),
        ("replica_directory_id", Uuid, when("17+", tag=0, ignorable=True)),
        ("high_watermark", Int64, when("18+", default=0x7fffffffffffffff, tag=1, ignorable=True)),
    )


class TopicRequest(Part):
    """The partitions of one topic; from version 13 on it goes by its id."""

    parts = (
        ("name", String, when("0-12", ignorable=True)),
        ("topic_id", Uuid, when("13+", ignorable=True)),
        ("partitions", Array.of(PartitionRequest)),
    )


class ForgottenTopic(Part):
    """Partitions that leave a fetch session (KIP-227)."""

    parts = (
        ("name", String, when("7-12", ignorable=True)),
        ("topic_id", Uuid, when("13+", ignorable=True)),
        ("partitions", Array.of(Int32)),
    )


class ReplicaState(Part):
    """What a follower says of itself; consumers leave it alone."""

    parts = (
        ("replica_id", Int32, when(default=-1)),
        ("replica_epoch", Int64, when(default=-1)),
    )


class FetchRequest(Request):
    """
    Asks a leader for messages; it waits up to ``max_wait_time`` ms until there are ``min_bytes``.

    ``max_bytes`` bounds the whole answer; before version 3 only each partition's own ``max_bytes`` counts.
    """

    api, versions, flexible = api_name, "0-18", "12+"
    parts = (
        ("cluster_id", String, when("12+", default=None, nullable="12+", tag=0, ignorable=True)),
        ("replica_id", Int32, when("0-14", default=constants.CONSUMER_REPLICA_ID)),
        ("replica_state", ReplicaState, when("15+", tag=1)),
        ("max_wait_time", Int32),
        ("min_bytes", Int32),
        ("max_bytes", Int32, when("3+", default=0x7fffffff, ignorable=True)),
        ("isolation_level", Int8, when("4+", ignorable=True)),
        ("session_id", Int32, when("7+", ignorable=True)),
        ("session_epoch", Int32, when("7+", default=-1, ignorable=True)),
        ("topics", Array.of(TopicRequest)),
        ("forgotten_topics", Array.of(ForgottenTopic), when("7+")),
        ("rack_id", String, when("11+", ignorable=True)),
    )

    #: topic id -> name, of topics that the answer may bring although this request leaves them out (KIP-227)
    names = {}

    @property
    def topic_names(self):
        """``{topic id: name}`` of all topics that the answer may bring."""
        names = dict(self.names)
        names.update(topic_ids.names_of(self))
        return names

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait for messages."""
        return self.max_wait_time

    @property
    def max_version(self):
        """12 as long as a topic's id is not known."""
        high = super(FetchRequest, self).max_version
        return high if topic_ids.all_known(self.topics) else min(high, 12)


class AbortedTransaction(Part):
    """A transaction that a reader of committed messages leaves out, from its first offset on."""

    parts = (
        ("producer_id", Int64),
        ("first_offset", Int64),
    )


class DivergingEpoch(Part):
    """Where a log went another way than the reader's (KIP-595)."""

    parts = (
        ("epoch", Int32, when(default=-1)),
        ("end_offset", Int64, when(default=-1)),
    )


class SnapshotId(Part):
    """The snapshot to read instead (KIP-630)."""

    parts = (
        ("end_offset", Int64, when(default=-1)),
        ("epoch", Int32, when(default=-1)),
    )


class PartitionResponse(Part):
    """The messages of one partition, unread yet, and where its log begins and ends."""

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("highwater_mark_offset", Int64),
        ("last_stable_offset", Int64, when("4+", default=-1, ignorable=True)),
        ("log_start_offset", Int64, when("5+", default=-1, ignorable=True)),
        ("diverging_epoch", DivergingEpoch, when("12+", tag=0)),
        ("current_leader", CurrentLeader, when("12+", tag=1)),
        ("snapshot_id", SnapshotId, when("12+", tag=2)),
        ("aborted_transactions", Array.of(AbortedTransaction), when("4+", nullable="4+", ignorable=True)),
        ("preferred_read_replica", Int32, when("11+", default=-1)),
        ("message_set", MessageSet, when(nullable=True)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String, when("0-12", ignorable=True)),
        ("topic_id", Uuid, when("13+", ignorable=True)),
        ("partitions", Array.of(PartitionResponse)),
    )


class FetchResponse(Response):
    """Messages, partition by partition."""

    api, versions, flexible = api_name, "0-18", "12+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16, when("7+", ignorable=True)),
        ("session_id", Int32, when("7+")),
        ("topics", Array.of(TopicResponse)),
        ("node_endpoints", Array.of(NodeEndpoint), when("16+", tag=0)),
    )

    topics_by_id = True
