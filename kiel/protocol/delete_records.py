"""Deletes messages before an offset (KIP-107); the partitions' leaders answer."""
from __future__ import absolute_import

from kiel.protocol.part import Part
from kiel.protocol.primitives import Array, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DeleteRecordsRequest", "DeleteRecordsResponse", "PartitionRequest", "TopicRequest", "PartitionResponse",
    "TopicResponse",
]

api_name = "delete_records"


class PartitionRequest(Part):
    """One partition, and the offset before which messages go."""

    parts = (
        ("partition_id", Int32),
        ("offset", Int64),
    )


class TopicRequest(Part):
    """The partitions of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionRequest)),
    )


class DeleteRecordsRequest(Request):
    """Asks a leader to forget what is before an offset; -1 is the high watermark."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("topics", Array.of(TopicRequest)),
        ("timeout", Int32),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait before it answers."""
        return self.timeout


class PartitionResponse(Part):
    """What became of one partition."""

    parts = (
        ("partition_id", Int32),
        ("low_watermark", Int64),
        ("error_code", Int16),
    )


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String),
        ("partitions", Array.of(PartitionResponse)),
    )


class DeleteRecordsResponse(Response):
    """Where each partition begins now."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("throttle_time", Int32),
        ("topics", Array.of(TopicResponse)),
    )
