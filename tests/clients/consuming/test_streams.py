"""Streams: message by message, several topics, patterns, some partitions, bounded reads, on one scripted cluster."""
from __future__ import absolute_import

import datetime
import gc
import re

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients import END, Record

from tests import loop
from tests.clients.consuming.consumers import fetched_from, make, with_consumer
from tests.clients.test_places import forget_the_closed
from tests.fake import FakeCluster, with_cluster
from tests.native import needs_native, needs_tasks, run

ITERATE = """
async def main(stream, count=None, found=None):
    found = [] if found is None else found
    async for message in stream:
        found.append(message)
        if len(found) == count:
            break
    return found
"""


@gen.coroutine
def taken(stream, count=None, seconds=5):
    """Take so many messages, or all until the end, as Python 2 does."""
    found = []
    while len(found) != count and (yield loop.within(seconds, stream.more())):
        found.append((yield loop.within(seconds, stream.next())))
    raise gen.Return(found)


def fill(cluster, topic="t", partition=0, count=10, first=0):
    """Put numbers into a partition; return them as they are consumed."""
    values = [b"%d" % number for number in range(first, first + count)]
    cluster.log(topic, partition).put(*values)
    return values


@with_consumer(topics={"t": 1})
def test_one_after_the_other(cluster, consumer):
    values = fill(cluster)
    stream = consumer.stream("t", start=consumer.BEGINNING)
    for number, value in enumerate(values):
        assert consumer.position("t", 0) in (None, number)
        assert (yield loop.within(5, stream.next())) == value
        assert consumer.position("t", 0) == consumer.offsets["t"][0] == number + 1
        assert consumer.lag("t", 0) == 9 - number
    pending = stream.next()
    yield gen.sleep(0.3)  # longer than one call waits
    assert not pending.done()
    values = fill(cluster, first=10)
    assert (yield loop.within(5, pending)) == values[0]
    assert (yield taken(stream, 9)) == values[1:]
    assert len(set(fetched_from(cluster))) == 3  # 0, 10, 20: nothing twice


@with_consumer(topics={"t": 1})
def test_records_and_lists(cluster, consumer):
    values = fill(cluster)
    stream = consumer.stream_records("t", start=consumer.BEGINNING)
    found = yield taken(stream, 3)
    assert [type(record) for record in found] == [Record] * 3 and [record.offset for record in found] == [0, 1, 2]
    stream.close()
    assert (yield loop.within(5, consumer.stream("t", batches=True).next())) == values[3:]
    consumer.seek("t", 0, 8)
    found = yield loop.within(5, consumer.stream_records("t", batches=True).next())
    assert [record.value for record in found] == values[8:]


@needs_native
@with_consumer(topics={"t": 1})
def test_async_for(cluster, consumer):
    values = fill(cluster)
    stream = consumer.stream("t", start=consumer.BEGINNING)
    assert (yield run(ITERATE, stream, 4)) == values[:4]
    assert (yield run(ITERATE, stream, 2)) == values[4:6]  # the same stream goes on
    assert (yield run(ITERATE, consumer.stream("t", until=END))) == values[6:]  # what the other one held
    assert (yield run(ITERATE, consumer.stream("t", until=END))) == []


@needs_native
@pytest.mark.parametrize("whose", ["stream", "consumer"])
@pytest.mark.parametrize("waits", [True, False])
def test_closing_ends_it(whose, waits):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        consumer = make(cluster)
        yield consumer.connect()
        values = fill(cluster)
        found = []
        stream = consumer.stream("t", start=consumer.BEGINNING)
        if waits:
            work = gen.convert_yielded(run(ITERATE, stream, None, found))
            yield loop.until(lambda: len(found) == 10)
        else:
            found = yield run(ITERATE, stream, 10)
        closing = stream.close() if whose == "stream" else consumer.close()
        if waits:
            assert (yield loop.within(2, work)) == values
        yield closing or gen.moment
        assert stream.ended and (yield stream.more()) is False
        yield loop.raises(exc.StreamEnded, stream.next())
        yield consumer.close()
    check()


@with_consumer(topics={"t": 1})
def test_what_a_stream_holds_is_read_by_the_next_reader(cluster, consumer):
    values = fill(cluster)
    stream = consumer.stream("t", start=consumer.BEGINNING)
    assert (yield taken(stream, 2)) == values[:2]
    assert (yield loop.within(5, consumer.consume("t"))) == values[2:]
    more = fill(cluster, first=10)
    assert (yield taken(stream, 2)) == more[:2]
    del stream
    gc.collect()
    assert consumer.position("t", 0) == 12
    assert (yield loop.within(5, consumer.consume("t"))) == more[2:]


@with_consumer(topics={"t": 2})
def test_seeking_and_pausing(cluster, consumer):
    first, second = fill(cluster), fill(cluster, partition=1, first=100)
    stream = consumer.stream("t", start=consumer.BEGINNING)
    found = yield taken(stream, 3)
    consumer.seek("t", 0, 9)
    consumer.seek("t", 1, 8)
    assert sorted((yield taken(stream, 3))) == sorted(first[9:] + second[8:])
    consumer.seek("t", 0, 5)
    consumer.seek("t", 1, 5)
    found = yield taken(stream, 1)
    paused = 0 if found[0] in first else 1
    consumer.pause("t", paused)
    rest = [first, second][1 - paused][5:]
    assert (yield taken(stream, 5)) == rest
    consumer.resume("t", paused)
    assert (yield taken(stream, 4)) == [first, second][paused][6:]


@needs_tasks
@with_consumer(topics={"t": 1})
def test_cancelled_in_a_loop_it_loses_nothing(cluster, consumer):
    import asyncio

    stream = consumer.stream("t", start=consumer.BEGINNING)
    found, sent = [], 0
    while len(found) < 40:
        if sent < 40:
            fill(cluster, first=sent, count=1)
            sent += 1
        try:
            found.append((yield asyncio.ensure_future(asyncio.wait_for(stream.next(), 0.004))))
        except asyncio.TimeoutError:
            pass
    assert found == [b"%d" % number for number in range(40)]


@needs_tasks
@pytest.mark.parametrize("batches", [False, True])
def test_cancelled_when_the_message_is_there(batches):
    import asyncio

    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        stream = consumer.stream("t", start=consumer.BEGINNING, batches=batches)
        future = stream.next()
        future.add_done_callback(lambda _: task.cancel())  # called before the task's own callback gets its turn
        task = asyncio.ensure_future(run("async def main(future):\n    return await future\n", future))
        yield gen.moment
        values = fill(cluster)
        yield loop.until(task.done)
        assert task.cancelled()
        assert consumer.position("t", 0) == 0
        assert (yield loop.within(5, stream.next())) == (values if batches else values[0])
        future = stream.next()  # dropped
        if not batches:
            yield loop.until(future.done)
            del future
            gc.collect()
            assert (yield taken(stream, 9)) == values[1:]
    check()


@with_consumer(topics={"t": 1})
def test_one_call_at_a_time(cluster, consumer):
    stream = consumer.stream("t")
    waiting = stream.next()
    yield loop.raises(RuntimeError, stream.next())
    stream.close()
    yield loop.raises(exc.StreamEnded, waiting)


@with_cluster(topics={"t": 1})
def test_before_connect_it_says_so(cluster):
    consumer = make(cluster)
    stream = consumer.stream("t", start=consumer.BEGINNING)
    yield loop.raises(exc.ClosedError, stream.next())
    fill(cluster)
    yield consumer.connect()
    assert (yield taken(stream, 1)) == [b"0"]
    yield consumer.close()


@with_consumer(topics={"t": 1})
def test_a_loop_around_what_is_there_leaves_others_their_turn(cluster, consumer):
    fill(cluster, count=20000)
    turns = []

    def turn():
        turns.append(None)
        consumer.io_loop.add_callback(turn)

    stream = consumer.stream("t", start=consumer.BEGINNING)
    yield stream.more()
    consumer.io_loop.add_callback(turn)
    for _ in range(20000):
        yield stream.next()
    assert len(turns) > 5


@needs_native
@with_consumer(topics={"t": 1})
def test_a_task_that_nobody_keeps_goes_on(cluster, consumer):
    found = []
    gen.convert_yielded(run(ITERATE, consumer.stream("t", start=consumer.BEGINNING), None, found))
    yield gen.sleep(0.01)
    gc.collect()
    values = fill(cluster)
    yield loop.until(lambda: found == values)


@with_consumer(dict(deserializer=None), topics={"t": 1})
def test_an_error_comes_out_and_the_stream_goes_on(cluster, consumer):
    def on_error(record, error):
        raise error

    consumer.on_error = on_error
    cluster.log("t").put(b"1", b"2", b"{", b"4")
    stream = consumer.stream("t", start=consumer.BEGINNING)
    assert (yield taken(stream, 2)) == [1, 2]
    for _ in range(2):
        yield loop.raises(ValueError, stream.next())
        assert consumer.position("t", 0) == 2
    consumer.seek("t", 0, 3)
    assert (yield taken(stream, 1)) == [4]


@pytest.mark.parametrize("topics", ["t", re.compile("t")], ids=str)
def test_on_another_loop_it_goes_on_where_it_was(topics):
    kept = []

    @gen.coroutine
    def body():
        cluster = FakeCluster(topics={"t": 1})
        if kept:
            cluster[1].port = kept[2]
            cluster.topic_ids = kept[3]
        cluster.start()
        values = fill(cluster)
        if not kept:
            consumer = make(cluster)
            kept.extend([consumer, consumer.stream(topics, start=consumer.BEGINNING), cluster[1].port,
                         cluster.topic_ids])
            yield consumer.connect()
            assert (yield taken(kept[1], 4)) == values[:4]
        else:
            kept[0].settings.cluster_id = None
            assert (yield taken(kept[1], 6)) == values[4:]
            yield kept[0].close()
        cluster.stop()

    for _ in range(2):
        own = ioloop.IOLoop(make_current=False)
        own.run_sync(body, timeout=8)
        loop.close(own)
    forget_the_closed()


# -- several topics, patterns, some partitions --

@pytest.mark.parametrize("records", [False, True])
def test_several_topics_take_turns(records):
    @with_consumer(topics={"a": 2, "b": 1, "c": 1})
    def check(cluster, consumer):
        values = fill(cluster, "a", 0) + fill(cluster, "a", 1, first=10) + fill(cluster, "b", first=20)
        make_stream = consumer.stream_records if records else consumer.stream
        stream = make_stream(["a", "b"], start=consumer.BEGINNING)
        yield stream.more()
        yield loop.until(lambda: len(stream._chunks) == 2)
        found = yield taken(stream, 30)
        if records:
            found = [record.value for record in found]
        assert sorted(found) == sorted(values)
        assert any(value in values[20:] for value in found[:12])
        fill(cluster, "b", first=30, count=1)
        assert len((yield taken(stream, 1))) == 1
        assert cluster.count("fetch") < 20
    check()


@pytest.mark.parametrize("name", ["consume", "consume_records"])
@pytest.mark.parametrize("topics", [["a", "b"], ("b", "a"), {"a": None, "b": [0]}, re.compile("[ab]$")], ids=str)
def test_consume_takes_several_topics(name, topics):
    @with_consumer(topics={"a": 1, "b": 1, "c": 1, "abc": 1, "__a": 1})
    def check(cluster, consumer):
        values = fill(cluster, "a") + fill(cluster, "b", first=10)
        for other in "c", "abc", "__a":
            fill(cluster, other, first=50)
        consume = getattr(consumer, name)
        found = []
        while len(found) < 20:
            messages = yield loop.within(5, consume(topics, start=consumer.BEGINNING, max_records=3))
            assert messages is not None and len(messages) <= 3
            found += [getattr(message, "value", message) for message in messages]
        assert sorted(found) == sorted(values)
        assert (yield loop.within(5, consume(topics, max_wait_time=20))) == []
        fill(cluster, "a", first=10)
        assert len((yield loop.within(5, consume(topics)))) == 10
        waiting = consume(topics, max_wait_time=60000)
        yield gen.moment
        yield consumer.close()
        assert (yield loop.within(2, waiting)) is None
        assert (yield loop.within(2, consume(topics))) is None
        yield consumer.connect()
        consumer.seek("a", 0, 19)
        assert len((yield loop.within(5, consume("a")))) == 1
    check()


@with_consumer(topics={"m.1": 1, "other": 1})
def test_a_pattern_takes_topics_that_come(cluster, consumer):
    values = fill(cluster, "m.1")
    stream = consumer.stream_records(re.compile(r"m\."), start=consumer.BEGINNING)
    assert [record.value for record in (yield taken(stream, 10))] == values
    cluster.create("m.2")
    fill(cluster, "m.2", first=30)
    waiting = stream.more()
    yield gen.moment
    yield consumer.cluster.heal()
    assert (yield loop.within(5, waiting))
    found = yield taken(stream, 10)
    assert [(record.topic, record.offset) for record in found] == [("m.2", offset) for offset in range(10)]


@with_consumer(topics={"t": 3})
def test_some_partitions(cluster, consumer):
    values = [fill(cluster, partition=number, first=100 * number) for number in range(3)]
    one = consumer.stream({"t": 0}, start=consumer.BEGINNING)
    other = consumer.stream({"t": [2]}, start=consumer.BEGINNING)
    assert (yield taken(one, 5)) == values[0][:5]
    assert (yield taken(other, 10)) == values[2]
    assert (yield taken(one, 5)) == values[0][5:]
    assert not fetched_from(cluster, partition=1)
    one.close()
    other.close()
    assert (yield loop.within(5, consumer.consume("t"))) == values[1]
    consumer.seek("t", 0, 9)
    consumer.seek("t", 1, 9)
    assert (yield loop.within(5, consumer.consume({"t": [1]}))) == values[1][9:]
    assert (yield loop.within(5, consumer.consume("t"))) == values[0][9:]  # the choice was for that call


@pytest.mark.parametrize("topic, error", [
    ([], ValueError), ({}, ValueError), ([5], TypeError), (5, TypeError), (None, TypeError), ([""], ValueError),
    ({"t": []}, ValueError), ({"t": "x"}, TypeError), ({"t": [-1]}, ValueError),
], ids=str)
def test_what_is_no_topic_is_refused(topic, error):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        with pytest.raises(error):
            consumer.stream(topic)
        yield loop.raises(error, consumer.consume(topic))
    check()


# -- bounded --

@pytest.mark.parametrize("batches", [False, True])
def test_until_the_end_that_was_there(batches):
    @with_consumer(topics={"t": 3})
    def check(cluster, consumer):
        values = fill(cluster) + fill(cluster, partition=1, first=10, count=5)
        stream = consumer.stream("t", start=consumer.BEGINNING, until=END, batches=batches)
        assert (yield stream.more())
        late = fill(cluster, first=50) + fill(cluster, partition=2, first=60)
        found = yield taken(stream)
        if batches:
            found = sum(found, [])
        assert sorted(found) == sorted(values) and stream.ended
        assert consumer.offsets["t"] == {0: 10, 1: 5, 2: 0}
        found = []
        while len(found) < 20:
            found += yield loop.within(5, consumer.consume("t"))
        assert sorted(found) == sorted(late)
    check()


@pytest.mark.parametrize("until, count", [
    (3, 6), (0, 0), (10 ** 6, 20), ({0: 2, 1: 4}, 6), ({1: 7}, 7), (datetime.timedelta(0), 20),
    (datetime.datetime(2016, 1, 1), 0), (datetime.datetime(2018, 1, 1), 20),
], ids=str)
def test_until_an_offset_or_a_time(until, count):
    @with_consumer(topics={"t": 2})
    def check(cluster, consumer):
        fill(cluster)
        fill(cluster, partition=1)
        begun = consumer.io_loop.time()
        stream = consumer.stream("t", start=consumer.BEGINNING, until=until)
        assert len((yield taken(stream))) == count
        assert consumer.io_loop.time() - begun < 2
    check()


@with_consumer(topics={"t": 2, "u": 1, "empty": 1})
def test_until_the_end_of_nothing(cluster, consumer):
    fill(cluster)
    for topics in "empty", ["empty", "t"], re.compile("none"), {"t": [1]}:
        assert (yield taken(consumer.stream(topics, until=END))) == []
    assert (yield taken(consumer.stream({"t": [1], "u": 0}, start=consumer.BEGINNING, until=END))) == []
    consumer.seek("t", 0, 4)
    assert len((yield taken(consumer.stream(["empty", "t"], until=END)))) == 6


@pytest.mark.parametrize("until, error", [
    ("end", TypeError), (-2, ValueError), (-5, ValueError), (1.5, ValueError), (True, TypeError), ({"x": 1}, TypeError),
    ({0: -1}, ValueError),
], ids=str)
def test_a_wrong_end_is_refused(until, error):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        with pytest.raises(error):
            consumer.stream("t", until=until)
        yield gen.moment
    check()
