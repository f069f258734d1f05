"""Calls of consume() that are cancelled, timed out or dropped at each of their moments: nothing is lost by that."""
from __future__ import absolute_import

import gc
import os
import subprocess
import sys

import pytest
from tornado import gen, ioloop

from tests import loop
from tests.clients.consuming.consumers import EveryBatch, gather, with_consumer
from tests.clients.grouping.members import gather as member_gather, stored, with_member

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

needs_tasks = pytest.mark.skipif(sys.version_info < (3, 7), reason="Futures can be cancelled on asyncio only")

CALLS = ["consume", "consume_records"]


def values(messages):
    """The values of messages or records."""
    return [getattr(message, "value", message) for message in messages]


def task_of(future):
    """A task that awaits a Future; cancelling the task is not the same as cancelling the Future."""
    import asyncio

    namespace = {}
    exec("async def main(future):\n    return await future\n", namespace)
    return asyncio.get_event_loop().create_task(namespace["main"](future))


@gen.coroutine
def cancelled(task):
    """Cancel a task, and wait until it has ended."""
    import asyncio

    task.cancel()
    try:
        yield task
    except asyncio.CancelledError:
        raise gen.Return(True)
    raise gen.Return(False)


@needs_tasks
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("turns", range(8))
def test_a_task_cancelled_some_turns_after_messages_came(name, turns):
    """Some of these are between the result being set and the task's next step."""
    @with_consumer(dict(max_wait_time=2000), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"first")
        assert (yield gather(consumer, 1)) == [b"first"]
        future = getattr(consumer, name)("t")
        task = task_of(future)
        yield gen.moment
        cluster.log("t").put(b"a", b"b")
        yield loop.until(lambda: consumer.fetcher.buffered or future.done(), step=0)
        for _ in range(turns):
            yield gen.moment
        messages = []
        if not (yield cancelled(task)):
            messages += values(task.result())
        if len(messages) < 2:
            assert consumer.offsets["t"][0] == 1
            messages += yield gather(consumer, 2)
        assert messages == [b"a", b"b"]
    check()


@needs_tasks
@pytest.mark.parametrize("name", CALLS)
def test_a_task_cancelled_when_the_result_is_set(name):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"first")
        yield gather(consumer, 1)
        future = getattr(consumer, name)("t")
        task = task_of(future)
        yield gen.moment
        cluster.log("t").put(b"a")
        future.add_done_callback(lambda _: task.cancel())  # called before the task's own callback gets its turn
        yield loop.until(task.done)
        messages = [] if task.cancelled() else values(task.result())
        while len(messages) < 1:
            messages += yield gather(consumer, 1)
        assert messages == [b"a"]
    check()


@needs_tasks
@pytest.mark.parametrize("name", CALLS)
def test_what_came_before_a_message_that_cannot_be_handed_out_is_put_back(name):
    def deserializer(value):
        if value == b"bad":
            raise ValueError("bad")
        return value

    def on_error(record, error):
        raise error

    @with_consumer(dict(deserializer=deserializer, on_error=on_error), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"first")
        yield gather(consumer, 1)
        future = getattr(consumer, name)("t")
        future.add_done_callback(lambda _: task.cancel())  # before the task goes on
        task = task_of(future)
        yield gen.moment
        cluster.log("t").put(b"a", b"bad", b"b")
        yield loop.until(task.done)
        assert task.cancelled() and consumer.offsets["t"][0] == 1
        assert (yield gather(consumer, 1)) == [b"a"]
        yield loop.raises(ValueError, consumer.consume("t"))
        consumer.offsets["t"][0] = 3
        assert (yield gather(consumer, 1)) == [b"b"]
    check()


@needs_tasks
@with_consumer(topics={"t": 1})
def test_wait_for_in_a_loop_gets_all_once(cluster, consumer):
    import asyncio

    yield consumer.consume("t", consumer.END)
    messages = []
    sent = [0]

    def put():
        cluster.log("t").put(b"%d" % sent[0])
        sent[0] += 1

    periodic = ioloop.PeriodicCallback(put, 15)
    periodic.start()
    deadline = consumer.io_loop.time() + 8
    while len(messages) < 40 and consumer.io_loop.time() < deadline:
        if sent[0] == 40:
            periodic.stop()
        try:
            messages += yield asyncio.ensure_future(asyncio.wait_for(consumer.consume("t"), 0.01))
        except asyncio.TimeoutError:
            pass
    periodic.stop()
    messages += yield gather(consumer, sent[0] - len(messages), start=None) if len(messages) < sent[0] else []
    assert messages == [b"%d" % number for number in range(sent[0])]


@needs_tasks
@with_consumer(dict(max_wait_time=5000), topics={"t": 1})
def test_cancelled_while_positions_are_looked_up(cluster, consumer):
    cluster.log("t").put(b"a")
    future = consumer.consume("t", consumer.BEGINNING)
    assert future.cancel() and future.cancelled()
    assert (yield gather(consumer, 1)) == [b"a"]


@needs_tasks
@with_consumer(topics={"t": 1})
def test_cancelled_while_messages_are_decoded(cluster, consumer):
    consumer.reader.turn = EveryBatch()
    cluster.log("t").put(b"a")
    for number in range(500):  # fewer are not worth a turn of the loop
        cluster.log("t").put(b"%d" % number)
    yield consumer.consume("t")
    consumer.offsets["t"][0] = 0
    future = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] > 3, step=0)
    assert future.cancel()
    assert consumer.offsets["t"][0] == 0
    assert (yield gather(consumer, 501)) == [b"a"] + [b"%d" % number for number in range(500)]


@with_consumer(topics={"t": 1})
def test_a_result_that_was_dropped_is_handed_out_again(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    cluster.log("t").put(b"b")
    future = consumer.consume("t")
    yield loop.until(future.done)
    del future
    gc.collect()
    assert consumer.offsets["t"][0] == 1
    assert (yield gather(consumer, 1)) == [b"b"]


# -- several results that nobody took --

@gen.coroutine
def one_each(cluster, consumer, *values):
    """Return calls that are done, each with one message of a partition that is read from its end."""
    cluster.log("t").put(*values)
    calls = []
    for _ in values:
        calls.append(consumer.consume("t", max_records=1))
        yield loop.until(calls[-1].done)
    raise gen.Return(calls)


def drop(calls, index):
    """Let go of the result of a call."""
    calls[index] = None
    gc.collect()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_results_may_be_dropped_in_any_order(order):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"first")
        yield gather(consumer, 1)
        calls = yield one_each(cluster, consumer, b"a", b"b", b"c")
        for index in order:
            drop(calls, index)
        assert consumer.offsets["t"][0] == 1
        cluster.log("t").put(b"d")
        assert (yield gather(consumer, 4)) == [b"a", b"b", b"c", b"d"]
    check()


@with_consumer(topics={"t": 1})
def test_what_was_handed_out_again_is_not_put_back_once_more(cluster, consumer):
    cluster.log("t").put(b"first")
    yield gather(consumer, 1)
    calls = yield one_each(cluster, consumer, b"a", b"b", b"c")
    drop(calls, 0)
    assert (yield gather(consumer, 3)) == [b"a", b"b", b"c"]
    drop(calls, 1)
    drop(calls, 2)
    assert consumer.offsets["t"][0] == 4
    cluster.log("t").put(b"d")
    assert (yield gather(consumer, 1)) == [b"d"]


@with_consumer(topics={"t": 1})
def test_an_earlier_result_is_put_back_after_a_later_one_was_handed_out_again(cluster, consumer):
    cluster.log("t").put(b"first")
    yield gather(consumer, 1)
    calls = yield one_each(cluster, consumer, b"a", b"b")
    drop(calls, 1)
    assert (yield consumer.consume("t")) == [b"b"]
    drop(calls, 0)
    assert (yield gather(consumer, 2)) == [b"a", b"b"]  # in their order


@with_consumer(topics={"t": 1})
def test_nothing_from_before_a_seek_is_put_back(cluster, consumer):
    cluster.log("t").put(b"first")
    yield gather(consumer, 1)
    calls = yield one_each(cluster, consumer, b"a", b"b", b"c")
    drop(calls, 2)
    consumer.seek("t", 0, 3)
    drop(calls, 1)
    drop(calls, 0)
    assert consumer.offsets["t"][0] == 3
    assert (yield gather(consumer, 1)) == [b"c"]


@with_consumer(dict(buffer_bytes=1), topics={"t": 1, "u": 1})
def test_a_result_is_put_back_after_what_followed_was_dropped_for_another_topic(cluster, consumer):
    for topic in "tu":
        cluster.log(topic).put(b"first")
        yield consumer.consume(topic, consumer.BEGINNING)
    calls = yield one_each(cluster, consumer, b"a", b"b")
    drop(calls, 1)
    yield loop.until(lambda: consumer.fetcher.cursors["t"][0].handed == 2)
    calls += [consumer.consume("t", max_records=1)]
    yield loop.until(calls[-1].done)
    cluster.log("t").put(b"c")
    yield loop.until(lambda: consumer.fetcher.buffered)
    cluster.log("u").put(b"of u")
    assert (yield consumer.consume("u")) == [b"of u"]
    assert not consumer.fetcher.cursors["t"][0].holds
    drop(calls, 2)
    drop(calls, 0)
    assert (yield gather(consumer, 3)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("autocommit", [True, False])
def test_in_a_group_results_may_be_dropped_in_any_order(autocommit):
    @with_member(dict(autocommit=autocommit, max_wait_time=2000), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield member_gather(consumer, 1)
        calls = yield one_each(cluster, consumer, b"b", b"c")
        drop(calls, 1)
        drop(calls, 0)
        assert consumer.offsets["t"][0] == 1
        yield consumer.commit_offsets()
        assert stored(cluster) == 1
        assert (yield member_gather(consumer, 2)) == [b"b", b"c"]
        yield consumer.commit_offsets()
        assert stored(cluster) == 3
    check()


@with_consumer(topics={"t": 1})
def test_messages_of_a_stream_may_be_dropped_in_any_order(cluster, consumer):
    stream = consumer.stream("t", start=consumer.BEGINNING)
    cluster.log("t").put(b"a", b"b", b"c")
    calls = [stream.next()]
    yield loop.until(calls[0].done)
    calls.append(stream.next())
    yield loop.until(calls[1].done)
    drop(calls, 1)
    drop(calls, 0)
    assert consumer.position("t", 0) == 0
    found = []
    while len(found) < 3:
        found.append((yield loop.within(5, stream.next())))
    assert found == [b"a", b"b", b"c"]


@needs_tasks
@pytest.mark.parametrize("autocommit", [True, False, "processed"])
def test_in_a_group_what_was_not_returned_is_not_committed(autocommit):
    @with_member(dict(autocommit=autocommit, max_wait_time=2000), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield member_gather(consumer, 1)
        future = consumer.consume("t")
        yield gen.moment
        assert future.cancel()
        cluster.log("t").put(b"b", b"c")
        yield gen.sleep(0.05)
        future = consumer.consume("t")  # at once: no ConcurrentConsumeError is left behind
        task = task_of(future)
        future.add_done_callback(lambda _: task.cancel())
        yield loop.until(task.done)
        if task.cancelled():
            if autocommit is not True:
                yield consumer.commit_offsets()
                assert stored(cluster) == 1
            assert (yield member_gather(consumer, 2)) == [b"b", b"c"]
        else:
            assert values(task.result()) == [b"b", b"c"]
        yield consumer.commit_offsets()
        assert stored(cluster) == 3
    check()


# -- per call --

@with_consumer(dict(max_wait_time=30000), topics={"t": 1})
def test_a_call_may_wait_less_than_the_others(cluster, consumer):
    assert (yield loop.within(3, consumer.consume("t", max_wait_time=50))) == []
    assert (yield loop.within(3, consumer.consume("t", max_wait_time=0))) == []
    cluster.log("t").put(b"a")
    assert (yield loop.within(3, consumer.consume("t"))) == [b"a"]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("release", ["0.8", "0.10", "4.4"])
def test_no_more_records_than_asked_for(name, release):
    @with_consumer(dict(max_records=3), topics={"t": 2}, versions=release)
    def check(cluster, consumer):
        for partition in range(2):
            cluster.log("t", partition).put(*[b"%d" % (10 * partition + number) for number in range(8)])
        consume = getattr(consumer, name)
        found = []
        sizes = []
        while len(found) < 16:
            messages = values((yield consume("t", consumer.BEGINNING)))
            sizes.append(len(messages))
            found += messages
            assert sum(consumer.offsets["t"].values()) == len(found)
        assert sorted(found, key=int) == sorted(
            [b"%d" % (10 * partition + number) for partition in range(2) for number in range(8)], key=int)
        assert max(sizes) <= 3
        cluster.log("t", 0).put(*[b"x"] * 20)
        yield loop.until(lambda: consumer.fetcher.buffered)
        assert len((yield consume("t", max_records=15))) == 15
        assert len((yield consume("t", max_records=15))) == 5
        assert cluster.count("fetch") < 40
    check()


@pytest.mark.parametrize("autocommit", [True, False, "processed"])
def test_in_a_group_a_commit_of_what_nobody_took_is_taken_back(autocommit):
    @with_member(dict(autocommit=autocommit, max_wait_time=2000), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield member_gather(consumer, 1)
        yield consumer.commit_offsets()
        cluster.log("t").put(b"b", b"c")
        future = consumer.consume("t")
        yield loop.until(future.done)
        if autocommit is not True:
            yield consumer.commit_offsets()
        assert stored(cluster) == 3
        del future
        gc.collect()
        assert consumer.offsets["t"][0] == 1
        if autocommit is False:
            yield consumer.commit_offsets()
        else:
            yield consumer.close()  # which commits what is due
        assert stored(cluster) == 1
        if autocommit is not False:
            yield consumer.connect()
        assert (yield member_gather(consumer, 2)) == [b"b", b"c"]
        yield consumer.commit_offsets()
        assert stored(cluster) == 3
    check()


INTERRUPTED = """
import gc
from tornado import gen, ioloop
from kiel.clients import SingleConsumer
from kiel.testing import FakeKafka

left = [3]

def deserialize(value):
    left[0] -= 1
    if not left[0]:
        raise KeyboardInterrupt
    return int(value)

@gen.coroutine
def later(value):
    yield gen.moment
    raise gen.Return(deserialize(value))

@gen.coroutine
def gather(count):
    found = []
    while len(found) < count:
        found += yield consumer.consume("t", consumer.BEGINNING)
    raise gen.Return(found)

with FakeKafka(topics={"t": 1}) as kafka:
    for number in range(5):
        kafka.append("t", number)
    loop = ioloop.IOLoop()
    loop.make_current()
    consumer = SingleConsumer(kafka.bootstrap, deserializer=%s, max_wait_time=500)
    loop.run_sync(consumer.connect)
    try:
        loop.run_sync(lambda: gather(1))
    except KeyboardInterrupt:
        print("interrupted")
    gc.collect()  # what the interrupt ended is in a cycle
    print(loop.run_sync(lambda: gather(5), timeout=10))
    loop.run_sync(consumer.close)
"""


@pytest.mark.skipif(sys.version_info < (3,), reason="a loop of Tornado's own that was interrupted runs no more")
@pytest.mark.parametrize("deserializer", ["deserialize", "later"])
def test_an_interrupt_while_messages_are_decoded(deserializer):
    """The call never ends then; those that come after it have its messages. In a process of its own, which it ends."""
    printed = subprocess.check_output([sys.executable, "-c", INTERRUPTED % deserializer], cwd=ROOT)
    assert printed.decode("ascii").split("\n")[:2] == ["interrupted", "[0, 1, 2, 3, 4]"]
