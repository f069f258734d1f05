"""SingleConsumer against a scripted broker; defects of 0.9 by their number."""
from __future__ import absolute_import

import calendar
import datetime
import gzip
import io
import json
import struct
import time

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients import consumer as consuming, single
from kiel.clients.single import SingleConsumer, start_to_timestamp
from kiel.retry import Backoff

from tests import answers, fake, logs, loop
from tests.fake import with_cluster


def make(cluster, **settings):
    settings.setdefault("deserializer", bytes)
    settings.setdefault("max_wait_time", 200)
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("retry", Backoff(first=0.01, most=0.1, deadline=2))
    consumer = SingleConsumer(cluster.bootstrap, **settings)
    consumer.settings.probe_timeout = 0.1
    return consumer


def with_consumer(consumer=None, **settings):
    """Runs the test with a cluster and a connected consumer; afterwards nothing is left open."""
    def decorate(test):
        @with_cluster(**settings)
        def run(cluster):
            client = make(cluster, **(consumer or {}))
            yield client.connect()
            try:
                yield gen.coroutine(test)(cluster, client)
            finally:
                yield client.close()
            yield loop.until(lambda: not any(b.streams for b in cluster.brokers.values()))
        run.__name__ = test.__name__
        return run
    return decorate


@gen.coroutine
def gather(consumer, count, topic="t", start=SingleConsumer.BEGINNING, seconds=5):
    """Consumes until so many messages came; fails after the time."""
    messages = []
    deadline = ioloop.IOLoop.current().time() + seconds
    while len(messages) < count:
        assert ioloop.IOLoop.current().time() < deadline, messages
        messages.extend((yield loop.within(seconds, consumer.consume(topic, start))))
    raise gen.Return(messages)


def fetched_from(cluster, topic="t", partition=0):
    """The offsets that fetches asked for, oldest first."""
    found = []
    for broker in cluster.brokers.values():
        for call in broker.requests:
            if call.api == "fetch" and call.request is not None:
                for asked in call.request.topics:
                    if answers.named(call, asked) == topic:
                        found.extend(
                            part.offset for part in asked.partitions if part.partition_id == partition
                        )
    return found


def times_asked(cluster, topic="t", partition=0):
    """The times of the offset requests, oldest first."""
    return [
        part.time for broker in cluster.brokers.values() for call in broker.requests
        if call.api == "offset" for asked in call.request.topics if asked.name == topic
        for part in asked.partitions if part.partition_id == partition
    ]


# -- what works --

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
def test_start_at_the_end_is_the_default(cluster, consumer):
    cluster.log("t").put(b"old")
    assert (yield consumer.consume("t")) == []
    cluster.log("t").put(b"new")
    assert (yield gather(consumer, 1, start=None)) == [b"new"]


@with_consumer(topics={"t": 1})
def test_records(cluster, consumer):
    cluster.log("t").put(b"v", key=b"k", timestamp=1234567890123, headers=[(u"h", b"x")])
    records = yield consumer.consume_records("t", SingleConsumer.BEGINNING)
    assert [tuple(record) for record in records] == [
        ("t", 0, 0, 1234567890123, b"k", b"v", ((u"h", b"x"),))
    ]
    assert records[0].headers == ((u"h", b"x"),) and records[0].offset == 0


# -- section A, as a consumer meets it --

@with_consumer(topics={"t": 1})
def test_d1_a_broker_that_closes_on_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.CLOSE, times=2)
    assert (yield gather(consumer, 1)) == [b"a"]


@with_consumer(topics={"t": 1})
def test_d1_a_broker_that_always_closes_on_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.CLOSE)
    assert (yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))) == []
    assert isinstance(consumer.last_error, exc.BrokerConnectionError)


@with_consumer(topics={"t": 1})
def test_d2_a_broker_that_never_answers_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.MUTE, times=1)
    assert (yield gather(consumer, 1)) == [b"a"]
    assert not consumer.last_error


@with_consumer(dict(max_wait_time=30000), topics={"t": 1})
def test_d3_close_ends_a_consume(cluster, consumer):
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("fetch"))
    yield loop.within(1, consumer.close())
    assert (yield loop.within(1, consuming)) is None
    assert (yield loop.within(0.1, consumer.consume("t"))) is None


@with_consumer(topics={"t": 1})
def test_d3_close_ends_a_look_up(cluster, consumer):
    cluster[1].on("offset", fake.MUTE)
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset"))
    yield loop.within(1, consumer.close())
    assert (yield loop.within(1, consuming)) is None


@with_consumer(topics={"t": 2}, brokers=2)
def test_d4_all_brokers_stop_and_come_back(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    cluster.stop()
    outcomes = []
    begun = time.time()
    while time.time() - begun < 1.2:
        try:
            outcomes.append((yield loop.within(3, consumer.consume("t"))))
        except exc.NoBrokersError as error:
            outcomes.append(error)
    assert any(isinstance(outcome, exc.NoBrokersError) for outcome in outcomes)
    assert len(outcomes) < 15  # it does not spin
    cluster.start()
    cluster.log("t").put(b"b")
    messages = []
    for _ in range(50):
        try:
            messages.extend((yield loop.within(3, consumer.consume("t"))))
        except exc.NoBrokersError:
            pass
        if messages:
            break
    assert messages == [b"b"]


@with_consumer(topics={"t": 2}, brokers=2)
def test_a_leader_that_moves_loses_and_repeats_nothing(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(b"%d" % partition)
    assert sorted((yield gather(consumer, 2))) == [b"0", b"1"]
    cluster.log("t", 1).leader = 1
    cluster.log("t", 1).put(b"moved")
    assert (yield gather(consumer, 1)) == [b"moved"]


# -- section B, as a consumer meets it --

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
    piece, consuming.PIECE = consuming.PIECE, 3400
    try:
        check()
    finally:
        consuming.PIECE = piece


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


# -- section C --

class Zone(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return datetime.timedelta(0)


def test_d20_times_are_whole_milliseconds():
    naive = datetime.datetime(2016, 10, 19, 12, 0, 0, 345678)
    expected = calendar.timegm((2016, 10, 19, 12, 0, 0)) * 1000 + 345
    assert start_to_timestamp(naive) == expected
    aware = datetime.datetime(2016, 10, 19, 14, 0, 0, 345678, Zone())
    assert start_to_timestamp(aware) == expected
    back = start_to_timestamp(datetime.timedelta(hours=1))
    assert abs(back - (time.time() - 3600) * 1000) < 1000
    for value in (start_to_timestamp(naive), back):
        struct.pack(">q", value)
        assert isinstance(value, int) or str(value).isdigit()
    assert start_to_timestamp(SingleConsumer.BEGINNING) == -2
    assert start_to_timestamp(SingleConsumer.END) == start_to_timestamp(None) == -1


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d20_the_time_goes_out_in_milliseconds(release):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        yield consumer.consume("t", datetime.datetime(2001, 9, 9, 1, 46, 40))
        assert times_asked(cluster)[0] == 1000000000000
    check()


@with_consumer(topics={"t": 1})
def test_d20_a_start_by_time_begins_there(cluster, consumer):
    for second in range(5):
        cluster.log("t").put(b"%d" % second, timestamp=1000 * second)
    start = datetime.datetime(1970, 1, 1, 0, 0, 3)
    assert (yield gather(consumer, 2, start=start)) == [b"3", b"4"]


@with_consumer(topics={"t": 1})
def test_d21_a_retriable_error_of_the_look_up_is_looked_up_again(cluster, consumer):
    for number in range(100):
        cluster.log("t").put(b"%d" % number)
    cluster[1].on("offset", fake.error(6), times=1)
    cluster.log("t").truncate(99)
    assert (yield gather(consumer, 1)) == [b"99"]
    assert set(fetched_from(cluster)) <= {99, 100}
    assert cluster.count("offset") == 2


@with_consumer(topics={"other": 1}, auto_create=False)
def test_d22_a_topic_that_appears_later_is_read_from_the_asked_start(cluster, consumer):
    assert (yield loop.within(2, consumer.consume("t", SingleConsumer.END))) == []
    cluster.create("t")
    cluster.log("t").put(b"before anyone looked")
    asked = cluster.count("offset")
    for _ in range(10):
        yield consumer.consume("t", SingleConsumer.END)
        if cluster.count("offset") > asked:
            break
    assert times_asked(cluster)[0] == -1
    cluster.log("t").put(b"new")
    assert (yield gather(consumer, 1, start=SingleConsumer.END)) == [b"new"]
    assert 0 not in fetched_from(cluster)


@with_consumer(dict(metadata_max_age=0.1), topics={"t": 1})
def test_d22_d34_a_partition_added_later(cluster, consumer):
    yield consumer.consume("t", SingleConsumer.END)
    cluster.create("t", 2)
    cluster.log("t", 1).put(b"in the new one")
    assert (yield gather(consumer, 1, start=SingleConsumer.END)) == [b"in the new one"]
    assert times_asked(cluster, partition=1)  # looked up before it was fetched
    assert consumer.last_error is None


@with_consumer(topics={"t": 2})
def test_d23_out_of_range_moves_only_its_own_partition(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(*[b"%d" % partition] * 3)
    assert len((yield gather(consumer, 6))) == 6
    cluster.log("t", 0).put(b"kept")
    cluster.log("t", 1).put(b"lost")
    cluster.log("t", 1).truncate(500)
    cluster.log("t", 1).put(b"later")
    messages = yield gather(consumer, 2)
    assert sorted(messages) == [b"kept", b"later"]
    assert times_asked(cluster, partition=0) == [-2]
    assert len(times_asked(cluster, partition=1)) == 2


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d25_a_poison_message_is_stepped_over(release):
    @with_consumer(dict(deserializer=json.loads), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").put(b"1", b"poison", b"2")
        cluster.log("t").put(None)
        assert (yield gather(consumer, 2)) == [1, 2]
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


@pytest.mark.parametrize("fault", [
    fake.CLOSE, fake.CUT, fake.MUTE, fake.error(1), fake.error(6), fake.error(29), fake.error(4711),
    b"\0nonsense",
])
def test_d26_one_leader_fails_and_the_other_ones_messages_come_once(fault):
    @with_consumer(topics={"t": 2}, brokers=2)
    def check(cluster, consumer):
        for number in range(3):
            cluster.log("t", 0).put(b"%d" % number)
        cluster[2].on("fetch", fault)
        messages = []
        for _ in range(4):
            try:
                messages.extend((yield loop.within(3, consumer.consume("t", SingleConsumer.BEGINNING))))
            except exc.KielError:
                pass
        assert messages == [b"0", b"1", b"2"]
        cluster[2].on("fetch", None)
        cluster.log("t", 1).put(b"back")
        late = []
        for _ in range(20):
            try:
                late.extend((yield loop.within(3, consumer.consume("t"))))
            except exc.KielError:
                pass
            if late:
                break
        assert late == [b"back"]
    check()


@pytest.mark.parametrize("api", ["fetch", "offset"])
def test_d27_an_unknown_error_code_reaches_the_caller(api):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        cluster[1].on(api, fake.error(4711))
        errors = []
        for _ in range(3):
            try:
                yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))
            except exc.BrokerError as error:
                errors.append(error)
        assert errors and errors[0].code == 4711 and "4711" in str(errors[0])
        cluster[1].on(api, None)
        try:
            messages = yield gather(consumer, 1)
        except exc.BrokerError:  # that of a request which was under way by then
            messages = yield gather(consumer, 1)
        assert messages == [b"a"]
    check()


@with_consumer(topics={"t": 1})
def test_d27_a_missing_permission_reaches_the_caller(cluster, consumer):
    cluster[1].on("fetch", fake.error(29))
    yield loop.raises(exc.TopicAuthorizationFailedError, consumer.consume("t"), 2)


@pytest.mark.parametrize("release", ["0.8", "4.4"])
@pytest.mark.parametrize("stored", [0, 2])
def test_d28_a_time_that_nothing_is_as_old_or_as_late_as(release, stored):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        for _ in range(stored):
            cluster.log("t").put(b"x", timestamp=1000)
        assert isinstance((yield loop.within(2, consumer.consume(
            "t", datetime.datetime(2030, 1, 1)))), list)
        cluster.log("t").put(b"new")
        messages = yield gather(consumer, 1)
        assert messages[-1] == b"new"
    check()


@with_consumer(topics={"t": 2}, brokers=2)
def test_d29_a_partition_without_a_leader_does_not_hold_up_the_others(cluster, consumer):
    cluster.log("t", 1).leader = -1
    yield consumer.cluster.heal()
    cluster.log("t", 0).put(b"a")
    assert (yield gather(consumer, 1, seconds=1)) == [b"a"]
    cluster.log("t", 1).put(b"b")
    yield consumer.consume("t")
    cluster.log("t", 1).leader = 2
    assert (yield gather(consumer, 1)) == [b"b"]


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


class EveryBatch(object):
    """Lets the loop turn after each batch that is decoded."""

    def over(self, now):
        return True


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


@pytest.mark.parametrize("fault", [
    fake.CLOSE, fake.error(3), fake.error(6), fake.error(29), fake.error(4711), fake.error(1),
])
def test_d32_an_endless_loop_does_not_spin(fault):
    @with_consumer(dict(max_wait_time=50), topics={"t": 1})
    def check(cluster, consumer):
        cluster[1].on("fetch", fault)
        errors, calls = [], 0
        begun = time.time()
        while time.time() - begun < 1:
            calls += 1
            try:
                yield consumer.consume("t")
            except exc.KielError as error:
                errors.append(error)
            if consumer.last_error is not None:
                errors.append(consumer.last_error)
        assert errors
        assert calls < 60
        assert sum(len(broker.requests) for broker in cluster.brokers.values()) < 100
    check()


@with_consumer(dict(max_wait_time=50), topics={"other": 1})
def test_d32_an_unknown_topic_does_not_spin(cluster, consumer):
    begun, calls = time.time(), 0
    while time.time() - begun < 1:
        calls += 1
        assert (yield consumer.consume("t")) == []
    assert calls < 40 and len(cluster[1].requests) < 60
    assert consumer.last_error.code == 3


@with_consumer(topics={}, auto_create=True)
def test_d33_a_topic_is_made_by_consuming_it(cluster, consumer):
    yield loop.within(2, consumer.consume("t"))
    yield loop.until(lambda: "t" in cluster.topics)
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]


@with_consumer(dict(max_wait_time=3000), topics={"t": 2}, brokers=2)
def test_d35_an_idle_leader_does_not_hold_up_a_busy_one(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    for number in range(5):
        begun = time.time()
        assert (yield gather(consumer, 1)) == [b"a"]
        assert time.time() - begun < 0.5
        cluster.log("t", 0).put(b"a")


@with_consumer(dict(max_wait_time=3000), topics={"t": 2}, brokers=1)
def test_d35_an_idle_partition_does_not_hold_up_a_busy_one_of_the_same_leader(cluster, consumer):
    for number in range(5):
        cluster.log("t", 0).put(b"a")
        begun = time.time()
        assert (yield gather(consumer, 1)) == [b"a"]
        assert time.time() - begun < 0.5


@with_consumer(dict(max_bytes=100), topics={"t": 30}, versions="0.8")
def test_d35_no_limit_is_too_small_to_make_progress(cluster, consumer):
    for partition in range(30):
        cluster.log("t", partition).put(b"x" * 500)
    assert len((yield gather(consumer, 30))) == 30
    for call in cluster[1].requests:
        if call.api == "fetch":
            assert all(part.max_bytes > 1000 for topic in call.request.topics for part in topic.partitions)


@with_consumer(dict(max_wait_time=500), topics={"t": 1, "u": 1})
def test_d35_several_topics_share_one_fetch(cluster, consumer):
    both = gen.multi([consumer.consume("t"), consumer.consume("u")])

    def shared():
        return any(len(call.request.topics) == 2 for call in cluster[1].requests if call.api == "fetch")

    yield both
    for _ in range(3):
        yield [consumer.consume("t"), consumer.consume("u")]
    assert shared()


@with_consumer(dict(max_wait_time=500), topics={"t": 1, "u": 1, "v": 1})
def test_idle_topics_are_not_polled(cluster, consumer):
    begun = time.time()

    @gen.coroutine
    def reader(topic, phase):
        yield gen.sleep(phase)
        while time.time() - begun < 2:
            assert (yield consumer.consume(topic)) == []

    yield [reader("t", 0), reader("u", 0.1), reader("v", 0.23)]
    assert cluster.count("fetch") < 30
    before = cluster.count("fetch")
    yield gen.sleep(0.7)  # nobody waits: one fetch under way may end, none begins
    assert cluster.count("fetch") <= before + 1


# -- bad input --

@with_cluster()
def test_no_broker_at_all(cluster):
    cluster.stop()
    consumer = make(cluster)
    error = yield loop.raises(exc.NoBrokersError, consumer.connect(), 2)
    assert str(cluster[1].port) in str(error)
    yield consumer.close()


@with_cluster()
def test_a_tls_port_spoken_to_in_plain_text(cluster):
    cluster[1].on("accept", b"\x15\x03\x03\x00\x02\x02\x46")
    consumer = make(cluster)
    error = yield loop.raises(exc.NoBrokersError, consumer.connect(), 2)
    assert "TLS" in str(error)
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_a_mute_bootstrap_host(cluster):
    cluster[1].on("accept", fake.MUTE)
    consumer = make(cluster)
    yield loop.raises(exc.NoBrokersError, consumer.connect(), 2)
    yield consumer.close()


def with_a_topic_that_goes(gone_after):
    """Runs the rest of a test in which topic "t" goes from metadata and comes back with one message more."""
    def decorate(test):
        @with_consumer(topics={"t": 1, "other": 1})
        def run(cluster, consumer):
            single.GONE_AFTER = gone_after
            cluster.log("t").put(b"a", b"b")
            assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a", b"b"]
            kept = cluster.topics.pop("t")
            yield consumer.cluster.heal()
            assert "t" not in consumer.cluster.topics
            assert (yield consumer.consume("t")) == []
            yield gen.sleep(0.1)
            assert (yield consumer.consume("t")) == []
            cluster.topics["t"] = kept
            cluster.log("t").put(b"c")
            yield consumer.cluster.heal()
            yield gen.coroutine(test)(consumer)
        run.__name__ = test.__name__
        return run
    return decorate


@with_a_topic_that_goes(gone_after=30.0)
def test_a_topic_that_a_starting_broker_does_not_know_goes_on_where_it_was(consumer):
    assert (yield consumer.consume("t")) == [b"c"]


@with_a_topic_that_goes(gone_after=0.05)
def test_a_topic_that_was_gone_for_long_is_a_new_one(consumer):
    assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_each_partition_may_fill_a_fetch_where_the_broker_bounds_the_whole(release):
    """Fetch version 3 and later; Kafka 4 serves none before 4, and was once taken for one that is older."""
    @with_consumer(versions=release, topics={"t": 10})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a"]
        asked = next(call.request for call in cluster[1].requests if call.api == "fetch")
        limits = set(part.max_bytes for topic in asked.topics for part in topic.partitions)
        whole = fake.VERSIONS[release]["fetch"][1] >= 3
        assert limits == {consumer.max_bytes if whole else consumer.max_bytes // 10}
    check()
