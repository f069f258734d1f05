# coding: utf-8
"""Messages with keys or headers that follow one another go where the plain way puts them."""
from __future__ import absolute_import

import random
import time

import pytest

from kiel import exc, partitioners, speedups
from kiel.clients import producer
from kiel.clients.producing import batch as batches, bulk
from kiel.clients.producing.delivery import Delivery
from kiel.clients.producing.labelled_run import CHANCE, LabelledRun
from kiel.clients.producing.partition_queue import MOST_COUNTED

from tests import twins
from tests.clients.producing.producers import connected, records, settled
from tests.fake import with_cluster


class Clock(object):
    """Stands for the module `time`."""

    def __init__(self, now):
        self.time = lambda: now


@pytest.fixture(autouse=True)
def standing_still(monkeypatch):
    """Time does not go by for whoever takes messages: how many of them share a millisecond is no chance."""
    now = time.time()
    monkeypatch.setattr(producer, "_time", lambda: now)
    monkeypatch.setattr(bulk, "time", Clock(now))


@pytest.fixture(params=["C", "Python"])
def loops(request, monkeypatch):
    """Either way of taking a message."""
    if request.param == "Python":
        monkeypatch.setattr(speedups, "native", None)
    elif speedups.native is None:
        pytest.skip("the extension is not built here, or KIEL_EXTENSION=0")


def told(headers):
    """Return headers as a record has them when it is read."""
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return tuple((name if isinstance(name, type(u"")) else name.decode("ascii"), value) for name, value in pairs)


@pytest.mark.parametrize("seed", range(3))
def test_runs_are_written_as_they_were_given(seed, loops):
    """Whoever looks in between finds all of it counted; each message is where its Delivery says, with all it has."""
    rnd = random.Random(seed)
    taken = []

    @with_cluster(topics={"t": 3, "u": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=10, batch_size=900, max_request_bytes=30000, retry=None)
        labelled = producer._run.labelled
        quick = labelled.take
        labelled.take = lambda *args: taken.append(quick(*args)) or taken[-1]
        given = []
        for turn in range(120):
            topic = rnd.choice("tttu")
            how = rnd.choice((
                lambda: {"key": b"k%d" % rnd.randrange(9) if str is not bytes else "k%d" % rnd.randrange(9)},
                lambda: {"key": u"\xe4%d" % rnd.randrange(9), "headers": {"a": b"b"}},
                lambda: {"headers": [("trace", b"x" * rnd.randrange(50)), ("n", None if rnd.random() < 0.2 else b"1")]},
                lambda: {"key": b"k", "headers": ((b"bytes", b"y"),)},
                lambda: {"key": b"", "headers": []},
                lambda: rnd.choice(({}, {"key": b"k"}, {"key": b"k", "timestamp": 5}, {"partition": 0, "key": b"o"})),
            ))
            for number in range(rnd.randrange(1, 40)):
                value = u"%d-%d \xfc" % (turn, number)
                value += u"x" * rnd.choice((0, 90, 300 if rnd.random() < 0.95 else 9000))
                value = value if rnd.random() < 0.2 else value.encode("utf-8")
                more = how()
                given.append((topic, value, more, (yield producer.produce(topic, value, **more))))
            look = rnd.random()
            if look < 0.5:
                buffered, held = producer.buffered, producer._sender.batches()
                for batch in held:
                    batch.end_run()
                assert buffered == producer.buffered
                assert buffered == sum(batch.size - batches.BATCH_OVERHEAD for batch in held)
                for batch in held:
                    rows = list(batch.records)
                    assert len(rows) == len(batch) and batch.size <= 30000 * MOST_COUNTED
                    assert batch.size - batches.BATCH_OVERHEAD == sum(
                        batches.record_size(key, val, headers) for key, val, headers, _ in rows)
            elif look < 0.6:
                producer.partitioner = rnd.choice((
                    partitioners.random_partition, partitioners.murmur2, partitioners.given_keys,
                    lambda key, ids: ids[-1],
                ))
        yield producer.flush()
        written = dict((place, records(cluster, *place)) for place in (("t", 0), ("t", 1), ("t", 2), ("u", 0)))
        last = {}
        for topic, value, more, delivery in given:
            metadata = yield delivery
            place = topic, metadata.partition
            offset, _, key, content, headers = written[place][metadata.offset]
            assert offset == metadata.offset > last.get(place, -1)
            last[place] = offset
            assert (content, key) == (partitioners.to_bytes(value), partitioners.to_bytes(more.get("key")))
            assert tuple(headers) == told(more.get("headers"))
        assert sum(map(len, written.values())) == len(given) and settled(producer)
        yield producer.close()
    run()
    # most go the fast way
    assert len([one for one in taken if one is not None]) > 100


def test_many_with_keys_go_the_fast_way_too(loops):
    @with_cluster(topics={"t": 3})
    def run(cluster):
        producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
        yield producer.produce("t", b"before")
        quick, taken = producer._run.labelled.take, []
        producer._run.labelled.take = lambda *args: taken.append(quick(*args)) or taken[-1]
        odd_ones = {8: 5, 9: None}
        keys = [odd_ones.get(number % 50, u"k%d" % (number % 30)) for number in range(500)]
        values = [b"%d" % number if str is not bytes else str(number) for number in range(500)]
        deliveries = yield producer.produce_many("t", values, keys)
        yield producer.flush()
        written = dict((number, records(cluster, partition=number)) for number in range(3))
        for key, value, delivery in zip(keys, values, deliveries):
            if key == 5:
                assert isinstance(delivery.exception(), TypeError)
                continue
            offset, _, found, content, _ = written[delivery.partition][(yield delivery).offset]
            assert (found, content) == (partitioners.to_bytes(key), value)
            assert key is None or delivery.partition == partitioners.murmur2(key, range(3))
        assert len([one for one in taken if one is not None]) > 200
        producer.key_maker = lambda message: b"made"
        yield producer.produce_many("t", [b"a", b"b"], [b"k", None])
        yield producer.produce_many("t", [b"c"])
        yield producer.flush()
        made = [record for number in range(3) for record in records(cluster, partition=number)]
        assert dict((record[3], record[2]) for record in made if record[3] in b"abc") == {
            b"a": b"k", b"b": b"made", b"c": b"made"}
        yield producer.close()
    run()


@with_cluster(topics={"t": 5})
def test_keys_decide_alike_in_a_run_and_before_it(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    first = {}
    for number in range(300):
        key = u"key %d" % (number % 60)
        delivery = yield producer.produce("t", b"v", key=key if number % 2 else key.encode("ascii"))
        assert first.setdefault(key, delivery.partition) == delivery.partition
        assert delivery.partition == partitioners.murmur2(key, range(5))
    assert producer._run.labelled.topic == "t" and len(set(first.values())) == 5
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_key_maker_is_asked_for_each_message(cluster):
    """Also behind one to which it gave no key, and behind one that had its own."""
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    producer.key_maker = lambda message: message[:1] if message.startswith(b"k") else None
    for value in (b"a", b"b", b"k1", b"k2", b"c"):
        yield producer.produce("t", value)
    yield producer.produce("t", b"given", key=b"mine")
    for value in (b"d", b"k3"):
        yield producer.produce("t", value, headers={"a": b"b"})
    yield producer.flush()
    assert [record[2] for record in records(cluster)] == [None, None, b"k", b"k", None, b"mine", None, b"k"]
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_what_is_wrong_is_told_in_a_run_as_before_it(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6, max_request_bytes=5000)
    wrong = (
        ({"key": 5}, TypeError), ({"headers": 5}, TypeError), ({"headers": [("a",)]}, TypeError),
        ({"headers": [("", b"x")]}, ValueError), ({"headers": [("a", 5)]}, TypeError),
        ({"key": b"k" * 6000}, exc.MessageSizeTooLargeError),
    )
    for more, kind in wrong:
        before = producer.produce("t", b"v", **more)
        for _ in range(3):
            yield producer.produce("t", b"v", key=b"k", headers=[("a", b"b")])
        assert producer._run.labelled.topic == "t"
        within = producer.produce("t", b"v", **more)
        for future in (before, within):
            with pytest.raises(kind) as raised:
                yield future
            assert type(raised.value) is kind
        assert str(before.exception()) == str(within.exception())
    with pytest.raises(TypeError):
        yield producer.produce("t", 7, key=b"k")
    assert producer.unsent_count == 3 * len(wrong)
    yield producer.close()


def odd(rnd):
    """Return key, value and headers of which some are not as they should be."""
    key = rnd.choice((None, b"", b"k", u"text", u"\xe4\u20ac", u"\ud800", 5, bytearray(b"k"), b"x" * rnd.randrange(9)))
    value = rnd.choice((b"", b"value", u"text", u"\xe4", u"\ud800", None, 7, b"x" * rnd.randrange(400)))
    pair = rnd.choice((("a", b"b"), ("a", b""), ("a", None), (b"a", b"b"), (u"a", b"b"), ("", b"b"), ("a", u"b"), 5,
                       ("a",), ("a", b"b", b"c"), ["a", b"b"], (u"\xe4", b"b")))
    headers = rnd.choice((None, [], (), {}, 0, 5, "ab", [("x", b"y")], [("x", b"y"), pair], (pair,), {"a": b"b"},
                          {"a": 5}, [pair] * rnd.randrange(4)))
    return key, value, headers


@pytest.mark.skipif(speedups.native is None, reason="the extension is not built here, or KIEL_EXTENSION=0")
@pytest.mark.parametrize("seed", range(20))
def test_messages_of_any_kind_by_both(seed):
    rnd = random.Random(seed)
    twins.taken([odd(rnd) for _ in range(200)])


@pytest.mark.skipif(speedups.native is None, reason="the extension is not built here, or KIEL_EXTENSION=0")
def test_the_loop_in_c_trusts_no_state():
    taker = speedups.native.taker
    for left in ([], [1, 2], [1, 2, "3"], [-1, 2, 3], [1, 2 ** 70, 3], [1, None, 3]):
        with pytest.raises(TypeError):
            taker(left, {CHANCE: [[], [], [], 99, None, 99]}, None, Delivery, 34, 99)(b"k", b"v", None)
    for place in (5, [], [[], [], [], 99, None], [[], [], (), 99, None, 99], [[], [], [], -1, None, 99]):
        with pytest.raises(TypeError):
            taker([9, 999, 0], {CHANCE: place}, None, Delivery, 34, 99)(None, b"v", None)
    for call in (lambda: taker(), lambda: taker([1, 2, 3], {}, None, 5, 34, 99),
                 lambda: taker([1, 2, 3], {}, None, Delivery, 34, 99)(b"k")):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ZeroDivisionError):
        taker([9, 999, 0], {}, lambda place, size: 1 // 0, Delivery, 34, 99)(None, b"v", None)
    # a place that was promised and is not there, and a run that ended while its place was made
    left = [9, 999, 0]
    assert taker(left, {}, lambda place, size: True, Delivery, 34, 99)(None, b"v", None) is None
    columns = [[], [], []]
    places = {}

    def end(place, size):
        places[place] = columns + [99, None, 99]
        left[0] = 0
        return True
    assert taker(left, places, end, Delivery, 34, 99)(None, b"v", None) is None and columns == [[], [], []]


def test_a_run_that_took_nothing_lets_others_pass():
    counted = []
    run = LabelledRun(lambda *numbers: counted.append(numbers))

    class Route(object):
        ids, chosen, queues = [0], batches.Batch("t", 0, limit=1000), {}

    class Turn(object):
        last, next, ms = 1.0, 1.001, 1000
    Route.chosen.records.add(b"before", 1000)
    run.begin("t", Route, True, Turn, 1000, float("inf"))
    assert run.take(None, b"v", {"a": b"b"}).index == 1 and run.uncounted == 34 + 1 + 12
    run.end()
    run.end()
    assert counted == [(1, 47)] and Route.chosen.size == batches.BATCH_OVERHEAD + 47
    run.begin("t", Route, True, Turn, 1000, 5)
    run.end()
    begun = 0
    for _ in range(40):
        run.begin("t", Route, True, Turn, 1000, 5)
        begun += run.topic is not None
        run.end()
    assert begun == 2 and counted == [(1, 47)]
