"""Where consumers read on: topics made again, seeks before anything was consumed, arguments, callbacks of any kind."""
from __future__ import absolute_import

import datetime
import sys

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients.single import SingleConsumer

from tests import loop
from tests.clients.consuming.consumers import gather, make, with_consumer
from tests.clients.grouping.members import gather as member_gather, with_member
from tests.fake import with_cluster


def make_again(cluster, topic="t", partitions=1):
    """Delete a topic and make it again, with another id."""
    cluster.topics.pop(topic)
    cluster.topic_ids.pop(topic)
    cluster.create(topic, partitions)


@with_consumer(topics={"t": 1})
def test_a_topic_made_again_is_read_from_its_beginning(cluster, consumer):
    cluster.log("t").put(b"1", b"2")
    assert (yield gather(consumer, 2)) == [b"1", b"2"]
    make_again(cluster)
    cluster.log("t").put(b"new 1", b"new 2", b"new 3")
    yield consumer.cluster.heal()
    assert (yield gather(consumer, 3, start=consumer.END)) == [b"new 1", b"new 2", b"new 3"]
    assert consumer.offsets["t"][0] == 3


@pytest.mark.parametrize("seen", ["by metadata", "by a fetch"])
@pytest.mark.parametrize("release", ["0.9", "0.11", "2.4"])
def test_a_topic_made_again_where_there_are_no_ids_is_told_by_its_end(release, seen):
    @with_consumer(topics={"t": 2}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").put(b"0")
        yield consumer.consume("t", consumer.END)
        yield consumer.consume("t", consumer.END)
        cluster.log("t").put(b"1", b"2")
        assert (yield gather(consumer, 2, start=consumer.END)) == [b"1", b"2"]
        cluster.topics.pop("t")
        if seen == "by metadata":
            yield consumer.cluster.heal()
        else:
            yield consumer.consume("t", consumer.END)
        cluster.create("t", 2)
        cluster.log("t").put(b"new 1", b"new 2")
        cluster.log("t", 1).put(b"new 3")
        yield consumer.cluster.heal()
        found = yield gather(consumer, 3, start=consumer.END)
        assert sorted(found) == [b"new 1", b"new 2", b"new 3"]
        assert consumer.offsets["t"] == {0: 2, 1: 1}
    check()


@with_consumer(topics={"t": 1}, versions="2.4")
def test_a_topic_made_again_where_there_are_no_ids_is_told_by_its_epoch(cluster, consumer):
    cluster.log("t").epoch = 5
    cluster.log("t").put(b"1", b"2")
    assert (yield gather(consumer, 2)) == [b"1", b"2"]
    cluster.topics.pop("t")
    yield consumer.cluster.heal()
    cluster.create("t", 1)
    cluster.log("t").put(b"new 1", b"new 2", b"new 3")  # it has gone beyond the position already
    yield consumer.cluster.heal()
    assert (yield gather(consumer, 3, start=consumer.END)) == [b"new 1", b"new 2", b"new 3"]


@with_consumer(topics={"t": 1}, versions="2.4")
def test_a_topic_that_only_seemed_to_be_gone_is_read_on(cluster, consumer):
    cluster.log("t").put(b"1", b"2")
    assert (yield gather(consumer, 2)) == [b"1", b"2"]
    kept = cluster.topics.pop("t")
    yield consumer.cluster.heal()
    cluster.topics["t"] = kept
    cluster.log("t").put(b"3")
    yield consumer.cluster.heal()
    assert (yield gather(consumer, 1)) == [b"3"]


@with_member(dict(autocommit=False), topics={"t": 1})
def test_a_topic_made_again_in_a_group(cluster, consumer):
    cluster.log("t").put(b"1", b"2")
    assert (yield member_gather(consumer, 2)) == [b"1", b"2"]
    make_again(cluster)
    cluster.log("t").put(b"new 1", b"new 2", b"new 3")
    yield consumer.cluster.heal()
    assert not consumer.topics_to_commit
    assert (yield member_gather(consumer, 3)) == [b"new 1", b"new 2", b"new 3"]


@with_consumer(topics={"t": 2})
def test_a_seek_before_the_first_consume_leaves_other_partitions_alone(cluster, consumer):
    for partition in range(2):
        cluster.log("t", partition).put(b"a", b"b")
    consumer.seek("t", 0, 1)
    assert (yield gather(consumer, 1, start=consumer.END)) == [b"b"]
    assert (yield consumer.consume("t")) == []
    assert consumer.offsets["t"] == {0: 2, 1: 2}


@with_consumer(topics={"t": 1})
def test_a_number_out_of_range_goes_on_at_the_start(cluster, consumer):
    cluster.log("t").put(b"a")
    consumer.seek("t", 0, 80)
    assert (yield gather(consumer, 1)) == [b"a"]


@pytest.mark.parametrize("release,uses", [("0.11", False), ("2.4", True), ("4.4", True)])
def test_epochs_of_old_metadata_are_not_used(release, uses):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").epoch = 3
        yield consumer.cluster.heal()
        assert consumer.cluster.leader_epochs["t"] == ({0: 3} if uses else {})
    check()


def test_epochs_before_version_9_are_not_used():
    from kiel.topics import Topics

    topics = Topics()
    topics.conns[1] = object()
    for epochs in (True, False):
        topics.process_topics([("t", 0, None, [(0, 1, 5)])], (), epochs)
        assert topics.leader_epochs["t"] == ({0: 5} if epochs else {}) and topics.leaders["t"] == {0: 1}


@with_consumer(topics={"t": 2})
def test_what_is_paused_stays_paused_when_a_partition_comes_again(cluster, consumer):
    yield consumer.consume("t", consumer.BEGINNING)
    consumer.pause("t", 0)
    consumer.fetcher.revoke("t", 0)
    for partition in range(2):
        cluster.log("t", partition).put(b"%d" % partition)
    assert (yield gather(consumer, 1)) == [b"1"]
    assert (yield consumer.consume("t")) == []
    consumer.resume("t", 0)
    assert (yield gather(consumer, 1)) == [b"0"]


# -- arguments --

@pytest.mark.parametrize("name,value,error", [
    ("max_wait_time", 0.5, ValueError), ("max_wait_time", 10 ** 10, ValueError), ("max_wait_time", -1, ValueError),
    ("max_wait_time", "100", TypeError), ("max_wait_time", True, TypeError),
    ("max_wait_time", float("nan"), ValueError),
    ("max_records", 0, ValueError), ("max_records", 1.5, ValueError), ("max_records", "x", TypeError),
    ("topic", ["a", 7], TypeError), ("topic", None, TypeError), ("topic", "", ValueError), ("topic", 7, TypeError),
    ("start", 80, ValueError), ("start", "beginning", ValueError), ("start", True, ValueError),
])
@pytest.mark.parametrize("call", ["consume", "consume_records"])
def test_arguments_of_consume(call, name, value, error):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        given = dict({"topic": "t"}, **{name: value})
        raised = yield loop.raises(error, getattr(consumer, call)(**given))
        assert name in str(raised)
        assert cluster.count("fetch") == 0
    check()


@with_consumer(topics={"t": 1})
def test_what_holds_for_all_calls_is_checked_when_it_is_set(cluster, consumer):
    for name, value, error in (("max_wait_time", 0.5, ValueError), ("max_wait_time", "100", TypeError),
                               ("max_wait_time", None, TypeError), ("max_records", 0, ValueError),
                               ("max_records", "x", TypeError)):
        before = getattr(consumer, name)
        with pytest.raises(error) as raised:
            setattr(consumer, name, value)
        assert name in str(raised.value)
        assert getattr(consumer, name) == before
    consumer.max_records, consumer.max_wait_time = 1.0, 300.0
    cluster.log("t").put(b"a", b"b")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    consumer.max_records = None
    assert (yield consumer.consume("t")) == [b"b"]


@with_consumer(topics={"t": 1})
def test_a_topic_that_is_read_may_be_named_by_bytes(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    waiting = consumer.consume(b"t")
    cluster.log("t").put(b"b")
    assert (yield waiting) == [b"b"] and list(consumer.offsets) == ["t"]
    for name, error in (("", ValueError), (b"", ValueError)):
        yield loop.raises(error, consumer.consume(name))


@with_consumer(topics={"t": 1})
def test_arguments_that_mean_something_are_taken(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume(b"t", consumer.BEGINNING, max_wait_time=1000.0)) == [b"a"]
    consumer.seek(b"t", 0.0, 0)
    assert (yield gather(consumer, 1)) == [b"a"]
    for start in (datetime.datetime(1, 1, 1), datetime.datetime(1960, 1, 1), datetime.timedelta(days=40000)):
        consumer.seek("t", 0, start)
        assert (yield gather(consumer, 1)) == [b"a"]  # times before 1970 are no offsets of their own


@pytest.mark.parametrize("settings", [
    dict(max_wait_time=0.5), dict(max_wait_time=10 ** 10), dict(max_bytes=-1), dict(min_bytes="1"),
    dict(buffer_bytes=None), dict(max_records=0),
])
def test_arguments_of_consumers(settings):
    with pytest.raises((TypeError, ValueError)) as raised:
        SingleConsumer("localhost:1", **settings)
    assert list(settings)[0] in str(raised.value)


@pytest.mark.parametrize("partition,offset,error", [
    ("0", 0, TypeError), (-1, 0, ValueError), (0, -7, ValueError), (0, 1.5, ValueError), (0, "end", ValueError),
    (0, 2 ** 63, ValueError), (5, 0, ValueError),
])
def test_arguments_of_seek(partition, offset, error):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        with pytest.raises(error):
            consumer.seek("t", partition, offset)
        if error is ValueError and partition == 0:
            with pytest.raises((TypeError, ValueError)):
                consumer.offsets["t"][0] = offset
    check()


def test_a_consumer_that_is_not_connected_says_so():
    @gen.coroutine
    def check():
        for call in ("consume", "consume_records"):
            error = yield loop.raises(exc.ClosedError, getattr(SingleConsumer("localhost:1"), call)("t"))
            assert "connect" in str(error)
    loop.run(check)


@with_cluster(topics={"t": 1})
def test_a_loop_of_calls_that_end_at_once_lets_the_loop_turn(cluster):
    consumer = make(cluster)
    turns = []
    periodic = ioloop.PeriodicCallback(lambda: turns.append(1), 1)
    periodic.start()
    for wrong in (True, False):
        before, until = len(turns), ioloop.IOLoop.current().time() + 0.1
        while ioloop.IOLoop.current().time() < until:
            try:
                yield consumer.consume(7 if wrong else "t")
            except (TypeError, exc.ClosedError):
                pass
        assert len(turns) > before
    yield consumer.connect()
    closing = consumer.close()
    while not closing.done():
        assert (yield consumer.consume("t")) is None
    periodic.stop()


# -- callbacks --

class BrokenText(Exception):
    def __str__(self):
        raise ValueError("no text")


RAISED = [ValueError, StopIteration, GeneratorExit, BrokenText] + ([] if sys.version_info < (3, 8) else [
    __import__("asyncio").CancelledError])


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("who", ["deserializer", "on_error"])
@pytest.mark.parametrize("call", ["consume", "consume_records"])
def test_whatever_a_callback_raises_stays_with_its_message(call, who, raised):
    def deserializer(value):
        if value == b"poison":
            raise raised()
        return value

    def on_error(record, error):
        raise raised()

    settings = dict(deserializer=deserializer)
    if who == "on_error":
        settings["on_error"] = on_error

    @with_consumer(settings, topics={"t": 2})
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a", b"poison", b"b")
        cluster.log("t", 1).put(b"c")
        found, errors = [], 0
        for _ in range(4 if who == "on_error" else 20):
            try:
                found += yield getattr(consumer, call)("t", consumer.BEGINNING)
            except Exception:
                errors += 1
            if len(found) == 3 or (errors and len(found) == 2):
                break
        values = sorted(getattr(one, "value", one) for one in found)
        assert values == ([b"a", b"c"] if who == "on_error" else [b"a", b"b", b"c"])
        if who == "on_error":
            assert errors and consumer.position("t", 0) == 1
    check()


@pytest.mark.skipif(sys.version_info < (3, 6), reason="there is no async def")
def test_callbacks_may_be_coroutines():
    namespace = {"gen": gen, "seen": []}
    exec("async def on_error(record, error):\n    await gen.sleep(0.01)\n    seen.append(record.value)\n"
         "async def deserializer(value):\n    await gen.sleep(0.001)\n    return int(value)\n", namespace)
    with pytest.raises(TypeError):
        SingleConsumer("localhost:1", deserializer="json")

    @with_consumer(dict(deserializer=namespace["deserializer"], on_error=namespace["on_error"]), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"1", b"poison", b"2")
        assert (yield gather(consumer, 2)) == [1, 2]
        assert namespace["seen"] == [b"poison"]
    check()
