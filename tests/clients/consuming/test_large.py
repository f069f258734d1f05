"""Large answers are received, cut up and read without copies, and let go as soon as little of them is left."""
from __future__ import absolute_import

import json
import os
import struct
import subprocess
import sys

import pytest
import tornado

from kiel.clients.consuming import isolation
from kiel.clients.consuming.cursor import BUFFERED, READY, Cursor
from kiel.clients.consuming.portion import Unpacked
from kiel.protocol import fetch, frames, messages

from tests import loop
from tests.clients.consuming.consumers import make
from tests.fake import with_cluster
from tests.test_tls import path, serving

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

SIZE = 16 * 1024 * 1024


def encoded(*values, **settings):
    """A batch of magic 2, as it stands in a frame."""
    first = settings.pop("first", 0)
    data = messages.encode_batch([(None, value, (), 1500000000000) for value in values], 2, 0, **settings)
    return struct.pack(">q", first) + data[8:]


def takes_twice_its_size(cluster, *more):
    """A consumer in a process of its own takes a large message's frame and the message, and no more."""
    cluster.log("small").put(b"a")
    cluster.log("large").append(encoded(b"v" * SIZE))
    process = subprocess.Popen([sys.executable, "-m", "tests.clients.consuming.peak", cluster[1].address] + list(more),
                               cwd=ROOT, stdout=subprocess.PIPE)
    yield loop.until(lambda: process.poll() is not None, 30)
    found = json.loads(process.communicate()[0].decode("ascii"))
    assert found["sizes"] == [1, SIZE]
    assert found["peak"] < 2.6 * SIZE, found
    if found["traced"] is not None:
        assert found["traced"] < 2.1 * SIZE, found


@with_cluster(topics={"small": 1, "large": 1})
def test_a_large_message_takes_its_frame_and_itself_and_no_more(cluster):
    return takes_twice_its_size(cluster)


# Tornado 4.5, as the server, has a line for each connection that ends without a word of TLS
@pytest.mark.skipif("KIEL_LONG" not in os.environ or tornado.version_info < (5,), reason="with KIEL_LONG only")
@with_cluster(topics={"small": 1, "large": 1}, tls=serving("broker"))
def test_so_it_does_by_tls(cluster):
    return takes_twice_its_size(cluster, path("ca.pem"))


def test_a_set_that_is_most_of_its_frame_is_not_copied():
    batch = encoded(b"v" * 1000)
    frame = b"head" + batch + b"tail"
    found = messages.MessageSet.within(frame, 4, len(frame) - 4)
    one, = found.batches()
    assert one.data is frame and one.values() == [b"v" * 1000]
    assert found.size == len(batch) and found.data == batch and found.pieces == [batch]
    assert [(offset, message.value) for offset, message in found.messages] == [(0, b"v" * 1000)]
    assert found == messages.MessageSet.raw(batch)
    found.messages = []
    assert found.size == 0 and found.batches() == []


def test_a_set_that_is_little_of_its_frame_is_copied():
    batch = encoded(b"v")
    frame = b"x" * 1000 + batch + b"y" * 1000
    found = messages.MessageSet.within(frame, 1000, 1000 + len(batch))
    assert found.batches()[0].data == batch and found.size == len(batch) and found.data == batch


def test_what_stands_behind_a_set_is_not_read():
    first, second = encoded(b"a"), encoded(b"b", first=1)
    frame = first + second
    found = messages.MessageSet.within(frame, 0, len(first))
    assert [batch.values() for batch in found.batches()] == [[b"a"]]
    cut = messages.MessageSet.within(frame, 0, len(frame) - 1)  # cut off, though the frame goes on
    assert [batch.values() for batch in cut.batches()] == [[b"a"]]


def test_an_answer_is_cut_up_without_copies():
    def part(number, data):
        return fetch.PartitionResponse(partition_id=number, message_set=messages.MessageSet.raw(data))
    sets = [encoded(b"a" * 500), encoded(b"b" * 500), None, b""]
    for version in range(19):
        answer = fetch.FetchResponse(topics=[fetch.TopicResponse(
            name="t" if version < 13 else "", partitions=[part(number, data) for number, data in enumerate(sets)])])
        raw = answer.serialize(version)
        read = fetch.FetchResponse.deserialize(raw, version)
        found = [one.message_set for one in read.topics[0].partitions]
        assert [one.data for one in found] == sets
        assert [one.size for one in found] == [len(data or b"") for data in sets]
        assert all(batch.data is raw for one in found for batch in one.batches())


def buffered(frame, wrap=lambda batches: batches):
    """A cursor that was given all batches of a frame."""
    cursor = Cursor("t", 0)
    cursor.locate(0)
    cursor.send(cursor)
    cursor.fetched(wrap(messages.batches(frame)))
    return cursor


def with_a_small_one_behind(count=1):
    """A large frame, nearly all of which is its first batch."""
    return encoded(b"v" * (frames.SET_ASIDE + 1)) + b"".join(
        encoded(b"w", first=1 + at) for at in range(count))


def test_a_small_batch_does_not_keep_the_large_frame_that_it_came_in():
    frame = with_a_small_one_behind(2)
    cursor = buffered(frame)
    assert cursor.batches[0].data is frame
    assert [batch.size for batch in cursor.take(0)] == [len(frame) - 2 * len(encoded(b"w"))]
    assert cursor.state == BUFFERED
    left = list(cursor.batches)
    assert [len(batch.data) for batch in left] == [batch.size for batch in left]
    assert [batch.values(0) for batch in left] == [[b"w"], [b"w"]]
    cursor.take(frames.SET_ASIDE)
    assert cursor.state == READY and not cursor.size


def test_nor_where_batches_stay_until_they_are_read():
    cursor = buffered(with_a_small_one_behind())
    first, second = cursor.batches
    cursor.replace_first(Unpacked(first, first.columns()))
    cursor.drop_first()
    assert list(cursor.batches) == [second] and len(second.data) == second.size and second.values() == [b"w"]


def test_nor_one_of_an_aborted_transaction():
    frame = encoded(b"v" * (frames.SET_ASIDE + 1)) + encoded(
        b"w", first=1, producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    aborted = [fetch.AbortedTransaction(producer_id=7, first_offset=1)]
    cursor = buffered(frame, lambda batches: isolation.without_aborted(batches, aborted))
    cursor.take(0)
    left, = cursor.batches
    assert isinstance(left, isolation.AbortedBatch) and len(left.data) == left.size and left.values() == []


def test_half_of_a_frame_is_left_where_it_is():
    half = frames.SET_ASIDE // 2 + 1
    cursor = buffered(encoded(b"v" * half) + encoded(b"w" * half, first=1))
    frame = cursor.batches[0].data
    cursor.take(0)
    assert cursor.batches[0].data is frame


@with_cluster(topics={"t": 1})
def test_what_is_left_of_a_large_answer_is_handed_out(cluster):
    cluster.log("t").append(with_a_small_one_behind(3), 4)
    consumer = make(cluster, max_bytes=2 * frames.SET_ASIDE, deserializer=len)
    yield consumer.connect()
    try:
        found = []
        while len(found) < 4:
            found += yield consumer.consume("t", consumer.BEGINNING, max_records=1)
        assert found == [frames.SET_ASIDE + 1, 1, 1, 1]
    finally:
        yield consumer.close()
