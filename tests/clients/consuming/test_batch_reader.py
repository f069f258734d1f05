"""From batches to messages: what can't be read, what does not deserialise, and turns for the loop."""
from __future__ import absolute_import

import gzip
import io
import json
import struct
import time

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients.consuming import call as call_module
from kiel.clients.single import SingleConsumer

from tests import fake, logs, loop
from tests.clients.consuming.consumers import EveryBatch, fetched_from, gather, make, with_consumer
from tests.fake import with_cluster


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_values_come_from_every_release(release):
    @with_consumer(versions=release, topics={"t": 2}, brokers=2)
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a", b"b")
        cluster.log("t", 1).put(b"c")
        messages = yield gather(consumer, 3)
        assert sorted(messages) == [b"a", b"b", b"c"]
        cluster.log("t", 0).put(b"d")
        assert (yield gather(consumer, 1)) == [b"d"]
        assert consumer.offsets == {"t": {0: 3, 1: 1}}
    check()


@with_consumer(topics={"t": 1})
def test_records(cluster, consumer):
    cluster.log("t").put(b"v", key=b"k", timestamp=1234567890123, headers=[(u"h", b"x")])
    records = yield consumer.consume_records("t", SingleConsumer.BEGINNING)
    assert [tuple(record) for record in records] == [
        ("t", 0, 0, 1234567890123, b"k", b"v", ((u"h", b"x"),))
    ]
    assert records[0].headers == ((u"h", b"x"),) and records[0].offset == 0


@pytest.mark.parametrize("release", ["0.8", "0.10", "4.4"])
def test_d11_a_flipped_byte_is_never_handed_out(release):
    @with_consumer(topics={"t": 2}, versions=release)
    def check(cluster, consumer):
        magic = cluster.magic
        data = bytearray(logs.encode(0, [(None, b"precious", (), 1)], magic))
        data[-4] ^= 1
        cluster.log("t", 0).append(bytes(data))
        cluster.log("t", 1).put(b"good")
        messages, errors = [], []
        for _ in range(3):
            try:
                messages.extend((yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))))
            except exc.CorruptMessageError as error:
                errors.append(error)
        assert messages == [b"good"]
        assert (errors[0].topic, errors[0].partition, errors[0].offset) == ("t", 0, 0)
        # the way past it
        cluster.log("t", 0).put(b"after")
        consumer.seek("t", 0, 1)
        assert (yield gather(consumer, 1)) == [b"after"]
    check()


@with_consumer(topics={"t": 2}, versions="0.8")
def test_d16_a_cut_message_leaves_its_neighbour_whole(cluster, consumer):
    cluster.log("t", 0).put(b"a" * 10)
    cluster.log("t", 0).put(b"b" * 10)
    cluster.log("t", 1).put(b"c" * 10)
    size = len(cluster.log("t", 0).batches[0][3])
    cut = [0]

    def at_each_byte(call):
        for topic in call.request.topics:
            for part in topic.partitions:
                if part.partition_id == 0:
                    part.max_bytes = cut[0]

    cluster[1].on("fetch", at_each_byte)
    for cut[0] in range(1, 2 * size):
        for partition in (0, 1):
            consumer.seek("t", partition, 0)
        messages = []
        wanted = [b"a" * 10] * (cut[0] >= size) + [b"c" * 10]
        deadline = time.time() + 2
        while sorted(messages) != wanted and time.time() < deadline:
            try:
                messages.extend((yield consumer.consume("t")))
            except exc.CorruptMessageError:  # cut however much it asks for: no honest broker does that
                assert cut[0] < size
        assert sorted(messages) == wanted, cut[0]


@pytest.mark.parametrize("release", ["0.8", "0.10", "2.4"])
def test_d17_a_message_larger_than_the_limit(release):
    @with_consumer(dict(max_bytes=20000), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        big = b"x" * 100000
        cluster.log("t").put(b"a")
        cluster.log("t").put(big)
        cluster.log("t").put(b"z")
        messages = yield gather(consumer, 3)
        assert messages == [b"a", big, b"z"]
    check()


@pytest.mark.parametrize("deserializer", [bytes, json.loads])
def test_what_is_deserialised_is_handed_out_in_pieces(deserializer):
    """The collector goes through all of it: a call gives `PIECE` bytes, and a batch at least; the next the rest."""
    @with_consumer(dict(deserializer=deserializer), topics={"t": 1})
    def check(cluster, consumer):
        raw = [b'"%s"' % (b"%d" % number * 1000) for number in range(7)]
        for begin, end in ((0, 3), (3, 5), (5, 6), (6, 7)):
            cluster.log("t").put(*raw[begin:end])
        sizes = []
        seen = []
        while len(seen) < len(raw):
            messages = yield consumer.consume("t", consumer.BEGINNING)
            sizes.append(len(messages))
            seen += messages
            assert consumer.position("t", 0) == len(seen)
        assert seen == [deserializer(value) for value in raw]
        assert sizes == ([7] if deserializer is bytes else [3, 3, 1])
    piece, call_module.PIECE = call_module.PIECE, 3400
    try:
        check()
    finally:
        call_module.PIECE = piece


def zipped(data):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as target:
        target.write(data)
    return out.getvalue()


@with_consumer(topics={"t": 1}, versions="0.10")
def test_d19_a_compressed_set_fetched_from_the_middle(cluster, consumer):
    inner = b"".join(logs.encode(i, [(None, b"%d" % i, (), 5)], 1) for i in range(5))
    body = struct.pack(">bbq", 1, 1, 5) + struct.pack(">i", -1)
    packed = zipped(inner)
    body += struct.pack(">i", len(packed)) + packed
    import zlib
    crc = struct.pack(">I", zlib.crc32(body) & 0xffffffff)
    wrapper = struct.pack(">qi", 4, 4 + len(body)) + crc + body
    cluster.log("t").append(wrapper, 5)
    yield consumer.consume("t")
    consumer.seek("t", 0, 3)
    assert (yield gather(consumer, 2)) == [b"3", b"4"]
    cluster.log("t").put(b"5")
    assert (yield gather(consumer, 1)) == [b"5"]
    assert 0 not in fetched_from(cluster)[1:]


@with_consumer(topics={"t": 2})
def test_d19_an_unknown_codec_is_named(cluster, consumer):
    bad = logs.batch(0, [(None, b"v", (), 1)], attributes=7, payload=b"?" * 10)
    cluster.log("t", 0).append(bad)
    cluster.log("t", 1).put(b"good")
    messages, errors = [], []
    for _ in range(3):
        try:
            messages.extend((yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))))
        except exc.CorruptMessageError as error:
            errors.append(error)
    assert messages == [b"good"] and "7" in str(errors[0])
    assert (errors[0].topic, errors[0].partition, errors[0].offset) == ("t", 0, 0)


@with_consumer(topics={"t": 2, "u": 1})
def test_d30_what_cannot_be_read_harms_nobody_else(cluster, consumer):
    broken = logs.batch(0, [(None, b"v", (), 1)], attributes=1, payload=b"no gzip at all")
    cluster.log("t", 0).append(broken)
    cluster.log("t", 1).put(b"t1")
    cluster.log("u").put(b"u0")
    got = {"t": [], "u": []}
    errors = []
    for _ in range(4):
        for topic in got:
            try:
                got[topic].extend((yield loop.within(2, consumer.consume(
                    topic, SingleConsumer.BEGINNING))))
            except exc.CorruptMessageError as error:
                errors.append(error)
    assert got == {"t": [b"t1"], "u": [b"u0"]}
    assert errors and set((e.topic, e.partition, e.offset) for e in errors) == {("t", 0, 0)}
    assert cluster[1].accepted < 6  # the connections went on
    assert cluster.count("fetch") < 40


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d25_a_poison_message_is_stepped_over(release):
    @with_consumer(dict(deserializer=json.loads), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").put(b"1", b"poison", b"2")
        cluster.log("t").put(None)
        assert (yield gather(consumer, 3)) == [1, 2, None]
        cluster.log("t").put(b"poison", timestamp=7)
        fetches = cluster.count("fetch")
        assert (yield consumer.consume("t")) == []
        assert cluster.count("fetch") - fetches < 10
        assert consumer.offsets["t"][0] == 5
        cluster.log("t").put(b"3")
        assert (yield gather(consumer, 1)) == [3]
    check()


@with_cluster(topics={"t": 1})
def test_d25_the_caller_decides_about_a_poison_message(cluster):
    seen = []
    consumer = make(cluster, deserializer=json.loads,
                    on_error=lambda record, error: seen.append((record.offset, record.value)))
    yield consumer.connect()
    cluster.log("t").put(b"1", b"poison", b"2")
    assert (yield gather(consumer, 2)) == [1, 2]
    assert seen == [(1, b"poison")]

    def refuse(record, error):
        raise LookupError("stop here")

    consumer.on_error = refuse
    cluster.log("t").put(b"3", b"poison", b"4")
    messages = []
    caught = None
    for _ in range(6):
        try:
            messages.extend((yield consumer.consume("t")))
        except LookupError as error:
            caught = error
            break
    assert messages == [3] and str(caught) == "stop here"
    consumer.on_error = lambda record, error: None
    assert (yield gather(consumer, 1)) == [4]  # the position had stayed at the message
    yield consumer.close()


@with_consumer(topics={"t": 1})
def test_d31_two_at_once_hand_out_everything_once(cluster, consumer):
    expected = []
    messages = []

    @gen.coroutine
    def reader():
        while len(messages) < 200:
            messages.extend((yield consumer.consume("t", SingleConsumer.BEGINNING)))

    readers = [reader(), reader(), reader()]
    for number in range(200):
        cluster.log("t").put(b"%d" % number)
        expected.append(b"%d" % number)
        if number % 20 == 0:
            yield gen.sleep(0.01)
    yield loop.within(5, gen.multi(readers))
    assert sorted(messages) == sorted(expected)


@with_consumer(dict(max_wait_time=100), topics={"t": 1})
def test_d31_a_second_call_while_the_first_decodes(cluster, consumer):
    consumer.reader.turn = EveryBatch()
    for number in range(1000):
        cluster.log("t").put(b"%d" % number)
    first = consumer.consume("t", SingleConsumer.BEGINNING)
    yield loop.until(lambda: consumer.offsets["t"][0] > 1, step=0.001)
    second = consumer.consume("t")
    cluster.log("t").put(b"1000")
    messages = (yield first) + (yield second)
    messages += yield gather(consumer, 1001 - len(messages))
    assert [int(message) for message in messages] == list(range(1001))
    assert consumer.position("t", 0) == 1001


class Slow(object):
    """A deserialiser that counts, and calls something once, in the loop's next turn, when it comes to a value."""

    def __init__(self, at, action):
        self.at = at
        self.action = action
        self.calls = 0

    def __call__(self, value):
        self.calls += 1
        if value == self.at and self.action is not None:
            ioloop.IOLoop.current().add_callback(self.action)
            self.action = None
        return json.loads(value.decode("ascii"))


@pytest.mark.parametrize("name", ["consume", "consume_records"])
@pytest.mark.parametrize("action", ["turn", "seek", "close", "revoke"])
def test_the_loop_turns_while_one_batch_is_deserialised(name, action):
    turns = []

    @with_consumer(dict(max_wait_time=100), topics={"t": 1})
    def check(cluster, consumer):
        what = {
            "turn": lambda: turns.append(slow.calls),
            "seek": lambda: consumer.seek("t", 0, 7),
            "close": consumer.close,
            "revoke": lambda: consumer.fetcher.revoke("t", 0),
        }
        consumer.reader.turn = EveryBatch()
        consumer.deserializer = slow = Slow(b"300", what[action])
        cluster.log("t").put(*[b"%d" % number if number != 800 else b"poison" for number in range(1000)])
        consume = getattr(consumer, name)
        messages = []
        while len(messages) < 900:
            found = yield consume("t", SingleConsumer.BEGINNING)
            if found is None:
                break
            messages.extend(found)
        if name == "consume_records":
            assert all(record.offset == record.value for record in messages)
            messages = [record.value for record in messages]
        # whatever comes in between, of a batch begun all is handed out or nothing
        first = {"turn": 0, "seek": 7, "close": 1000, "revoke": 0}[action]
        assert messages == [number for number in range(first, 1000) if number != 800]
        if action == "turn":
            assert turns and 300 < turns[0] < 400
        elif action == "close":
            assert slow.calls < 400 and not consumer.offsets["t"][0]
        else:
            assert slow.calls > 1000
        if action != "close":
            assert consumer.position("t", 0) == 1000
    check()


@with_consumer(dict(max_wait_time=100), topics={"t": 1})
def test_the_loop_turns_while_one_message_after_the_other_is_stepped_over(cluster, consumer):
    consumer.reader.turn = EveryBatch()
    seen = []

    def refuse(record, error):
        seen.append(record.offset)
        if len(seen) == 100:
            ioloop.IOLoop.current().add_callback(consumer.seek, "t", 0, 900)

    consumer.on_error = refuse
    consumer.deserializer = json.loads
    cluster.log("t").put(*([b"0"] + [b"poison"] * 998 + [b"999"]))
    assert (yield gather(consumer, 2)) == [0, 999]
    assert seen[:100] == list(range(1, 101)) and seen[-99:] == list(range(900, 999)) and len(seen) < 205
