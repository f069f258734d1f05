"""Offsets by time: the first and last of a partition, or the first at some time (Kafka's ListOffsets)."""
from __future__ import absolute_import

from kiel import constants
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "OffsetRequest", "TopicRequest", "PartitionRequest",
    "OffsetResponse", "TopicResponse", "PartitionResponse",
]

api_name = "offset"

#: a ``time`` that asks for the end of the partition
LATEST = -1
#: a ``time`` that asks for its beginning
EARLIEST = -2


class PartitionRequest(Part):
    """A partition and a time, in milliseconds since 1970, or `LATEST` or `EARLIEST`."""

    parts = (
        ("partition_id", Int32),
        ("current_leader_epoch", Int32, when("4+", default=-1, ignorable=True)),
        ("time", Int64),
        ("max_offsets", Int32, when("0", default=1)),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class OffsetRequest(Request):
    """
    Asks leaders for offsets by time; a reader of committed messages gets the last stable offset for
    `LATEST`.
    """

    api, versions, flexible = api_name, "0-11", "6+"
    parts = (
        ("replica_id", Int32, when(default=constants.CONSUMER_REPLICA_ID)),
        ("isolation_level", Int8, when("2+")),
        ("topics", Array.of(TopicRequest)),
        ("timeout", Int32, when("10+", ignorable=True)),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may look into tiered storage."""
        return self.timeout

    def for_version(self, version):
        """Without the isolation level before version 2, of Kafka 0.11: older brokers have no transactions."""
        return self.copy(isolation_level=0) if version < 2 and self.isolation_level else self


class PartitionResponse(Part):
    """
    The first offset at or after the time asked for, or -1 when nothing is that late; ``timestamp``
    is that message's.

    Version 0 knows log segments only and has a list ``offsets``, the newest first; later versions have one ``offset``.
    `OffsetResponse.answers` sets each from the other.
    """

    parts = (
        ("partition_id", Int32),
        ("error_code", Int16),
        ("offsets", Array.of(Int64), when("0")),
        ("timestamp", Int64, when("1+", default=-1)),
        ("offset", Int64, when("1+", default=-1)),
        ("leader_epoch", Int32, when("4+", default=-1)),
    )


class TopicResponse(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class OffsetResponse(Response):
    """Offsets, partition by partition."""

    api, versions, flexible = api_name, "0-11", "6+"
    parts = (
        ("throttle_time", Int32, when("2+", ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )

    def answers(self, request):
        """
        Take ``offset`` from the list of version 0, or make a list of it as kiel 0.9 read it.

        An empty list there means that every segment is younger than the time: ``offset`` becomes
        `EARLIEST`, -2.
        """
        for topic in self.topics:
            for partition in topic.partitions:
                if self.api_version:
                    partition.offsets = [partition.offset] if partition.offset >= 0 else []
                elif partition.offsets:
                    partition.offset = partition.offsets[0]
                elif not partition.error_code:
                    partition.offset = EARLIEST
