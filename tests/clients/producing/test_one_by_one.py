"""Messages one by one: one call that writes and waits, one that never waits, tasks that are made of produce()."""
from __future__ import absolute_import

import datetime
import sys

import pytest
from tornado import gen

from kiel import clients, exc

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import MUTE, VERSIONS, error, with_cluster
from tests.native import needs_tasks, run

WAIT = datetime.timedelta(seconds=0.1)

settings_of_each_way = pytest.mark.parametrize("settings", [
    dict(), dict(linger=0.01), dict(batch_size=3), dict(linger=0, batch_size=2)
], ids=str)


@settings_of_each_way
def test_one_call_writes_and_waits(settings):
    @with_cluster(topics={"t": 1}, versions=VERSIONS["4.4"])
    def check(cluster):
        producer = yield connected(cluster, **settings)
        record = yield producer.produce_and_wait("t", b"a", key=b"k", partition=0, headers={"h": b"1"}, timestamp=5)
        assert record == clients.RecordMetadata("t", 0, 0, 5)
        for number in range(2):
            assert (yield producer.produce_and_wait("t", b"%d" % number)).offset == number + 1
        assert values(cluster) == [b"a", b"0", b"1"]
        yield loop.raises(TypeError, producer.produce_and_wait("t", b"a", key=5))
        yield loop.raises(exc.UnknownTopicOrPartitionError, producer.produce_and_wait("t", b"a", partition=7))
        cluster[1].on("produce", error(87), times=1)
        yield loop.raises(exc.InvalidRecordError, producer.produce_and_wait("t", b"a"))
        assert (yield producer.produce_and_wait("t", b"b", timeout=datetime.timedelta(seconds=5))).offset == 3
        yield producer.close()
        yield loop.raises(exc.ClosedError, producer.produce_and_wait("t", b"a"))
    check()


@settings_of_each_way
def test_it_waits_no_longer_than_it_is_told(settings):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        producer = yield connected(cluster, request_timeout=30, **settings)
        yield producer.produce_and_wait("t", b"a")
        cluster[1].on("produce", MUTE)
        told = yield loop.raises(exc.DeliveryTimeoutError, producer.produce_and_wait("t", b"b", timeout=WAIT), 2)
        assert "timeout=0.1 s" in str(told) and "may be written" in str(told)
        yield producer.close(timeout=0)
    check()


@with_cluster(topics={"t": 1})
def test_nowait(cluster):
    producer = yield connected(cluster, linger=0.01, buffer_bytes=1000)
    delivery = producer.produce_nowait("t", b"x" * 400)
    producer.produce_nowait("t", b"x" * 400)
    with pytest.raises(exc.BufferFullError) as caught:
        producer.produce_nowait("t", b"x" * 400)
    assert caught.value.topic == "t"
    with pytest.raises(exc.UnknownTopicOrPartitionError):
        producer.produce_nowait("unknown", b"x")
    with pytest.raises(exc.UnknownTopicOrPartitionError):
        producer.produce_nowait("t", b"x", partition=9)
    assert (yield delivery).offset == 0
    yield producer.flush()
    producer.produce_nowait("t", b"x" * 2000)  # alone, it may be larger than the whole buffer
    yield producer.close()
    with pytest.raises(exc.ClosedError):
        producer.produce_nowait("t", b"x")
    assert len(values(cluster)) == 3


@needs_tasks
@with_cluster(topics={"t": 1})
def test_cancelled_before_there_is_room_it_withdraws_the_message(cluster):
    producer = yield connected(cluster, linger=0.01, buffer_bytes=300, request_timeout=30)
    yield producer.produce_and_wait("t", b"a")
    cluster[1].on("produce", MUTE, times=1)
    yield producer.produce("t", b"b" * 150)
    waiting = producer.produce_and_wait("t", b"c" * 150)
    assert waiting.cancel()
    yield loop.until(lambda: not producer._undelivered._pending.all())
    yield producer.close(timeout=0)


TASKS = """
import asyncio

async def main(producer, produce):
    task = asyncio.create_task(produce(b"a"))
    first = await task
    if hasattr(asyncio, "TaskGroup"):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(produce(b"%d" % number)) for number in range(3)]
        found = [task.result() for task in tasks]
    else:
        found = await asyncio.gather(*[asyncio.create_task(produce(b"%d" % number)) for number in range(3)])
    return [first] + found + [await asyncio.wait_for(produce(b"b"), 5), await asyncio.shield(produce(b"c"))]
"""


@needs_tasks
@settings_of_each_way
@pytest.mark.parametrize("waits", [False, True])
def test_tasks_are_made_of_it(settings, waits):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        producer = yield connected(cluster, **settings)
        call = producer.produce_and_wait if waits else producer.produce
        found = yield run(TASKS, producer, lambda value: call("t", value))
        if not waits:
            found = yield [each.future() for each in found]
        assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
        assert values(cluster) == [b"a", b"0", b"1", b"2", b"b", b"c"]
        yield loop.until(lambda: settled(producer))
        yield producer.close()
    check()


@needs_tasks
@with_cluster(topics={"t": 1})
def test_a_task_made_of_it_may_fail_and_be_cancelled(cluster):
    import asyncio

    producer = yield connected(cluster, request_timeout=30)
    tasks = [asyncio.ensure_future(run("import asyncio\nasync def main(call):\n    return await asyncio.create_task("
                                       "call)\n", call)) for call in [
        producer.produce("t", b"a", key=5), producer.produce("t", b"a", partition=7),
        producer.produce_and_wait("t", b"a", key=5)]]
    for task, kind in zip(tasks, [TypeError, exc.UnknownTopicOrPartitionError, TypeError]):
        yield loop.raises(kind, task)
    cluster[1].on("produce", MUTE, times=1)
    call = producer.produce("t", b"a")
    task = asyncio.get_event_loop().create_task(call)
    yield gen.moment
    task.cancel()
    yield loop.until(task.done)
    assert task.cancelled() and call.cancelled()
    yield producer.close(timeout=0)


@needs_tasks
@with_cluster(topics={"t": 1})
def test_futures_of_it_are_gathered_as_before(cluster):
    import asyncio

    producer = yield connected(cluster, linger=0.001)
    futures = [producer.produce("t", b"a") for _ in range(3)]
    assert all(asyncio.ensure_future(future) is future for future in futures)
    found = yield asyncio.gather(*futures)
    assert len((yield [each.future() for each in found])) == 3
    if sys.version_info >= (3, 11):  # as with any coroutine
        with pytest.raises(TypeError, match="tasks"):
            yield asyncio.ensure_future(asyncio.wait(futures))
    yield producer.close()
