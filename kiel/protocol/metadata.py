"""What a cluster consists of: brokers, topics, partitions and their leaders."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "MetadataRequest", "MetadataResponse", "Broker", "TopicMetadata", "PartitionMetadata", "TopicRequest",
]

api_name = "metadata"


class TopicRequest(Part):
    """A topic asked for by name, or by its id with the name None (version 12 and later)."""

    parts = (
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("name", String, when(nullable="10+")),
    )


class MetadataRequest(Request):
    """
    Asks for the brokers and for topics; no topics, ``[]``, asks for all of them, in every version.

    Topics are names, or `TopicRequest` in version 9 and later.
    """

    api, versions, flexible = api_name, "0-13", "9+"
    parts = (
        ("topics", Array.of(String), when("0-8", nullable="1-8")),
        ("topics", Array.of(TopicRequest), when("9+", nullable="9+")),
        ("allow_auto_topic_creation", Boolean, when("4+", default=True)),
        ("include_cluster_authorized_operations", Boolean, when("8-10")),
        ("include_topic_authorized_operations", Boolean, when("8+")),
    )

    #: whether to ask for no topic at all, which version 0 can't
    no_topics = False

    def for_version(self, version):
        """Return all topics are null from version 1 on; from 9 on a topic is a structure."""
        if self.no_topics and version >= 1:
            return self.copy(topics=[])
        topics = self.topics or []
        if version >= 9:
            topics = [topic if isinstance(topic, TopicRequest) else TopicRequest(name=topic)
                      for topic in topics]
        if version >= 1:
            topics = topics or None
        return self.copy(topics=topics)


class Broker(Part):
    """A broker and where its clients reach it."""

    parts = (
        ("broker_id", Int32),
        ("host", String),
        ("port", Int32),
        ("rack", String, when("1+", default=None, nullable="1+", ignorable=True)),
    )


class PartitionMetadata(Part):
    """A partition: its leader (-1 for none), its replicas and those in sync."""

    parts = (
        ("error_code", Int16),
        ("partition_id", Int32),
        ("leader", Int32),
        ("leader_epoch", Int32, when("7+", default=-1, ignorable=True)),
        ("replicas", Array.of(Int32)),
        ("isrs", Array.of(Int32)),
        ("offline_replicas", Array.of(Int32), when("5+", ignorable=True)),
    )


class TopicMetadata(Part):
    """A topic, or the error that stands in for it."""

    parts = (
        ("error_code", Int16),
        ("name", String, when(nullable="12+")),
        ("topic_id", Uuid, when("10+", ignorable=True)),
        ("is_internal", Boolean, when("1+", ignorable=True)),
        ("partitions", Array.of(PartitionMetadata)),
        ("topic_authorized_operations", Int32, when("8+", default=-2147483648)),
    )


class MetadataResponse(Response):
    """The brokers that are alive, and the topics asked for."""

    api, versions, flexible = api_name, "0-13", "9+"
    parts = (
        ("throttle_time", Int32, when("3+", ignorable=True)),
        ("brokers", Array.of(Broker)),
        ("cluster_id", String, when("2+", default=None, nullable="2+", ignorable=True)),
        ("controller_id", Int32, when("1+", default=-1, ignorable=True)),
        ("topics", Array.of(TopicMetadata)),
        ("cluster_authorized_operations", Int32, when("8-10", default=-2147483648)),
        ("error_code", Int16, when("13+", ignorable=True)),
    )
