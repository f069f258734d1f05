"""How much one call hands out: messages, and bytes as they are once decompressed; the rest is kept for the next."""
from __future__ import absolute_import

import gzip
import io
import struct
import zlib

import pytest
from six.moves import range
from tornado import gen

from kiel.clients.consuming.cursor import BUFFERED
from kiel.clients.consuming.portion import Portion, Unpacked
from kiel.protocol import messages

from tests import logs
from tests.clients.consuming.consumers import fetched_from, gather, with_consumer
from tests.loop import until

#: bytes of what a message of these tests is when decompressed, about
KILO = 1000


def value(number):
    return b"%04d" % number * (KILO // 4)


def records(first, count):
    return [(None, value(number), (), 1500000000000) for number in range(first, first + count)]


def zipped(data):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as target:
        target.write(data)
    return out.getvalue()


def put_packed(log, count):
    """Adds that many messages of `KILO` bytes as one compressed batch, of the log's format."""
    first = log.end
    if log.magic == 2:
        plain = logs.batch(first, records(first, count))
        log.append(logs.batch(first, records(first, count), 1, zipped(plain[61:])), count)
        return
    inner = zipped(logs.encode(0 if log.magic else first, records(first, count), log.magic))
    body = struct.pack(">bb", log.magic, 1) + (struct.pack(">q", 5) if log.magic else b"") + struct.pack(">i", -1)
    body += struct.pack(">i", len(inner)) + inner
    crc = struct.pack(">I", zlib.crc32(body) & 0xffffffff)
    log.append(struct.pack(">qi", first + count - 1, 4 + len(body)) + crc + body, count)


def values(found):
    """The values of messages or records."""
    return [getattr(message, "value", message) for message in found]


@pytest.mark.parametrize("call", ["consume", "consume_records"])
@pytest.mark.parametrize("release", ["0.8", "0.10", "4.4"])
def test_compressed_batches_count_as_what_they_hold(release, call):
    @with_consumer(dict(max_bytes=25 * KILO), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        for _ in range(10):
            put_packed(cluster.log("t"), 10)
        seen = []
        while len(seen) < 100:
            found = values((yield getattr(consumer, call)("t", consumer.BEGINNING)))
            assert 0 < len(found) <= 35  # the batch that goes beyond it still comes
            seen += found
            assert consumer.position("t", 0) == len(seen)
        assert seen == [value(number) for number in range(100)]
        assert 0 not in fetched_from(cluster)[1:]
    check()


@pytest.mark.parametrize("call", ["consume", "consume_records"])
@pytest.mark.parametrize("release", ["0.8", "0.10", "4.4"])
def test_a_compressed_batch_that_is_too_large_is_cut(release, call):
    @with_consumer(dict(max_bytes=10 * KILO + 200, max_wait_time=3000), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        put_packed(cluster.log("t"), 100)
        put_packed(cluster.log("t"), 1)
        seen = []
        while len(seen) < 101:
            found = values((yield getattr(consumer, call)("t", consumer.BEGINNING)))
            seen += found
            assert len(found) == 10 or len(seen) == 101
            assert consumer.position("t", 0) == len(seen)
            if len(seen) < 100:
                assert 100 * KILO < consumer.fetcher.buffered < 110 * KILO  # what is unpacked is there as a whole
        assert seen == [value(number) for number in range(101)] and not consumer.fetcher.buffered
        assert fetched_from(cluster) in ([0], [0, 101])
    check()


@with_consumer(dict(max_bytes=10 * KILO), topics={"t": 1})
def test_max_records_cuts_inside_a_compressed_batch_too(cluster, consumer):
    put_packed(cluster.log("t"), 30)
    cluster.log("t").put(*[value(number) for number in range(30, 50)])
    sizes = []
    for most in (3, 1, 100, None, 7, None, 4, 9, 100):
        found = yield consumer.consume("t", consumer.BEGINNING, max_records=most)
        assert found == [value(number) for number in range(sum(sizes), sum(sizes) + len(found))]
        sizes.append(len(found))
        if sum(sizes) == 50:
            break
    assert sizes[:2] == [3, 1] and max(sizes[:5]) <= 10 and sum(sizes) == 50


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 1})
def test_plain_and_compressed_batches_in_turn(cluster, consumer):
    for _ in range(3):
        cluster.log("t").put(*[value(cluster.log("t").end + number) for number in range(3)])
        put_packed(cluster.log("t"), 4)
    seen = []
    while len(seen) < 21:
        found = yield consumer.consume("t", consumer.BEGINNING)
        assert len(found) < 10
        seen += found
    assert seen == [value(number) for number in range(21)]


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 2})
def test_partitions_take_turns(cluster, consumer):
    for partition in (0, 1):
        put_packed(cluster.log("t", partition), 50)
    taken = []
    while len(taken) < 2 or min(consumer.position("t", 0), consumer.position("t", 1)) < 50:
        yield consumer.consume("t", consumer.BEGINNING)
        taken.append(consumer.position("t", 0) - (consumer.position("t", 1) or 0))
    assert max(map(abs, taken)) <= 6


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 1})
def test_a_seek_within_a_batch_that_was_cut(cluster, consumer):
    put_packed(cluster.log("t"), 50)
    assert len((yield consumer.consume("t", consumer.BEGINNING))) == 4
    assert consumer.fetcher.find("t", 0).state == BUFFERED
    consumer.seek("t", 0, 30)
    assert not consumer.fetcher.buffered
    assert (yield gather(consumer, 20)) == [value(number) for number in range(30, 50)]


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 1})
def test_a_dropped_call_of_a_batch_that_is_cut(cluster, consumer):
    put_packed(cluster.log("t"), 20)
    consumer.consume("t", consumer.BEGINNING)
    yield until(lambda: cluster.count("fetch"))
    assert (yield gather(consumer, 20)) == [value(number) for number in range(20)]


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 1})
def test_what_a_dropped_call_has_decoded_comes_before_what_follows(cluster, consumer):
    """In whichever turn of the loop the next call comes: the dropped one had messages, its Future had not."""
    put_packed(cluster.log("t"), 20)
    consumer.consume("t", consumer.BEGINNING)
    while not consumer.position("t", 0):
        yield gen.moment
    assert (yield gather(consumer, 20)) == [value(number) for number in range(20)]


@with_consumer(dict(max_bytes=5 * KILO), topics={"t": 1})
def test_calls_of_one_topic_wait_for_each_other(cluster, consumer):
    calls = [consumer.consume("t", consumer.BEGINNING) for _ in range(5)]
    put_packed(cluster.log("t"), 20)
    found = yield calls
    assert sum(found, []) == [value(number) for number in range(20)]


@with_consumer(dict(max_wait_time=3000), topics={"t": 1})
def test_the_next_fetch_is_sent_once_a_compressed_batch_is_read(cluster, consumer):
    """Not when somebody waits again: the message that comes meanwhile is on its way then."""
    put_packed(cluster.log("t"), 2)
    assert len((yield consumer.consume("t", consumer.BEGINNING))) == 2
    yield until(lambda: cluster.count("fetch") == 2)
    cluster.log("t").put(b"next")
    yield until(lambda: consumer.fetcher.buffered)
    assert (yield consumer.consume("t")) == [b"next"]


def test_a_decompressed_batch_reads_as_the_same():
    log = logs.PartitionLog(1)
    put_packed(log, 5)
    batch, = messages.batches(log.batches[0][3])
    opened = batch.decompressed()
    assert batch.codec == 1 and opened.codec == 0 and opened.size > 5 * KILO > batch.size
    for start in (0, 2, 5):
        assert list(opened.values(start)) == list(batch.values(start))
        assert opened.records(start) == batch.records(start)
    assert (opened.next_offset, opened.leader_epoch, opened.count) == (batch.next_offset, batch.leader_epoch, 5)
    plain, = messages.batches(logs.batch(0, records(0, 2)))
    assert plain.decompressed() is plain


def unpacked(sizes):
    """A batch of values of those sizes, at every other offset from 10 on."""
    offsets = list(range(10, 10 + 2 * len(sizes), 2))
    batch, = messages.batches(logs.batch(10, records(0, 1)))
    made = Unpacked(batch, (offsets, [0] * len(sizes), [None] * len(sizes), [b"x" * size for size in sizes], [()] * 99))
    made.next_offset = 100
    return made


@pytest.mark.parametrize("start, count, size, expected", [
    (10, None, 1000, 100), (10, None, 107, 12), (10, None, 213, 12), (10, None, 214, 14), (10, None, 1, 12),
    (12, None, 107, 14), (11, None, 107, 14), (14, None, 50, 16), (16, None, 50, 100), (10, 2, 1000, 14),
    (10, 1, 1000, 12), (10, 9, 107, 12), (98, None, 5, 100),
])
def test_how_far_a_part_goes(start, count, size, expected):
    batch = unpacked([100, 100, 300, 20])
    part = Portion.of(batch, start, count, size, True)
    assert part.next_offset == expected
    found = [len(each) for each in part.values(start)]
    assert part.size == sum(found) + 7 * len(found) and (found or start == 98)


def test_a_batch_of_nothing_has_one_part():
    part = Portion.of(unpacked([]), 10, 1, 1, True)
    assert (part.next_offset, part.size, part.values(10)) == (100, 0, [])
