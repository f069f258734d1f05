"""What a connection knows of the versions that its broker serves."""
from __future__ import absolute_import

import struct

import pytest

from kiel.protocol import messages, produce, request, wire


def test_a_version_that_is_served_and_one_that_is_reached():
    found = wire.Wire()
    found.versions = {"fetch": (4, 18)}
    assert [found.supports("fetch", version) for version in (3, 4, 18, 19)] == [False, True, True, False]
    assert [found.reaches("fetch", version) for version in (3, 4, 18, 19)] == [True, True, True, False]
    assert not found.reaches("produce", 0)


@pytest.mark.parametrize("sizes", [
    [10], [70000], [10, 70000, 5], [70000, 80000], [3, 4, 5, 65536, 1, 1, 100000, 2], [200] * 1000,
])
def test_large_pieces_of_a_request_are_written_as_they_are(sizes):
    found = wire.Wire({"produce": (3, 9)})
    pieces = [bytes(bytearray([65 + at % 26])) * size for at, size in enumerate(sizes)]
    asked = produce.ProduceRequest(required_acks=-1, timeout=5, topics=[produce.TopicRequest(name="t", partitions=[
        produce.PartitionRequest(partition_id=0, message_set=messages.MessageSet.raw(pieces))
    ])])
    written = found.send(asked)
    whole = b"".join(written)
    assert struct.unpack_from(">i", whole)[0] == len(whole) - 4
    assert request.deserialize(whole[4:]).topics[0].partitions[0].message_set.data == b"".join(pieces)
    large = [piece for piece in pieces if len(piece) >= wire.LARGE]
    if large:
        assert [id(piece) for piece in written if len(piece) >= wire.LARGE] == [id(piece) for piece in large]
    assert len(written) <= 2 * len(large) + 1
