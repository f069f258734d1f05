"""`kiel.worker.Worker` against a scripted broker: order, failures, rebalances, and the end of it."""
from __future__ import absolute_import

import json
import sys
import threading
import time

import mock
import pytest
from tornado import concurrent, gen, ioloop

from kiel import clients, exc
from kiel.events import settle
from kiel.retry import Backoff
from kiel.worker import HandlerTimeoutError, Reject, Worker, commits, dead_letters, intake

from tests import loop, raised
from tests.fake import CLOSE, error
from tests.worker.working import Gate, with_stage

SOON = Backoff(first=0.01, most=0.02, deadline=5)
TWICE = Backoff(first=0.01, most=0.01, factor=200, jitter=0, deadline=0.015)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch):
    """What is done soon is done sooner."""
    monkeypatch.setattr(commits, "DELAY", 0.02)
    monkeypatch.setattr(commits, "PATIENCE", Backoff(first=0.02, most=0.05, deadline=None))
    monkeypatch.setattr(intake, "PATIENCE", Backoff(first=0.02, most=0.05, deadline=None))
    monkeypatch.setattr(dead_letters, "PATIENCE", Backoff(first=0.02, most=0.05, deadline=None))


def native(text):
    """Makes a native coroutine function ``handler`` of its text, where Python has them."""
    if sys.version_info < (3,):
        pytest.skip("native coroutines need Python 3")
    names = {"gen": gen}
    exec(text, names)
    return names["handler"]


# -- what works --


@with_stage
def test_each_message_is_worked_on_and_committed(stage):
    stage.put(1, 2, 3)
    stage.put(4, partition=1)
    stage.start()
    yield stage.commits(3)
    yield stage.commits(1, partition=1)
    assert sorted(stage.values()) == [1, 2, 3, 4]
    numbers = stage.worker.numbers
    assert (numbers["done"], numbers["in_flight"], numbers["waiting"], numbers["dead"]) == (4, 0, 0, 0)
    assert numbers["oldest"] == 0


@with_stage
def test_a_coroutine_is_waited_for(stage):
    done = []

    @gen.coroutine
    def handler(record):
        yield gen.sleep(0.01)
        done.append((record.topic, record.partition, record.offset, record.key, record.value, tuple(record.headers)))

    stage.put({"a": 1}, key=b"k", headers=[(u"h", b"v")])
    stage.start(handler)
    yield stage.commits(1)
    assert done == [("t", 0, 0, b"k", {"a": 1}, (("h", b"v"),))]


@with_stage
def test_a_native_coroutine_is_waited_for(stage):
    done = []
    handler = native("async def handler(record):\n    await gen.sleep(0.01)\n    done.append(record.value)\n")
    handler.__globals__["done"] = done
    stage.put(1, 2)
    stage.start(handler)
    yield stage.commits(2)
    assert sorted(done) == [1, 2]


class Threads(object):
    """An executor with a thread for each call."""

    def __init__(self):
        self.threads = set()

    def submit(self, function, *args):
        from concurrent.futures import Future
        future = Future()

        def work():
            self.threads.add(threading.current_thread())
            try:
                future.set_result(function(*args))
            except BaseException as failure:
                future.set_exception(failure)
        threading.Thread(target=work).start()
        return future


@with_stage
def test_a_blocking_function_runs_in_the_executor(stage):
    pytest.importorskip("concurrent.futures", reason="Python 2 has executors by a package that kiel does not need")
    done = []

    def handler(record):
        time.sleep(0.05)
        done.append((record.value, threading.current_thread()))

    executor = Threads()
    for number in range(4):
        stage.put(number)
    stage.start(handler, executor=executor)
    yield stage.commits(4)
    assert sorted(value for value, _ in done) == [0, 1, 2, 3]
    assert threading.current_thread() not in executor.threads


@with_stage
def test_what_fails_in_the_executor_fails_its_message(stage):
    pytest.importorskip("concurrent.futures", reason="Python 2 has executors by a package that kiel does not need")
    dead = []

    def handler(record):
        raise StopIteration("thread")

    stage.put(1)
    stage.start(handler, executor=Threads(), dead_letters=lambda record, failure, attempts: dead.append(failure))
    yield stage.commits(1)
    assert len(dead) == 1


@with_stage
def test_values_come_through_the_consumers_deserializer(stage):
    stage.put(b"raw")
    stage.start(member=dict(deserializer=bytes))
    yield stage.commits(1)
    assert stage.values() == [b"raw"]


@with_stage(topics={"t": 1})
def test_a_deserializer_may_have_to_wait(stage):
    futures, dead = {}, []

    def deserializer(value):
        futures[value] = concurrent.Future()
        return futures[value]

    class Away(exc.KielError):
        retriable = True

    stage.put(b"1", b"2", b"3")
    stage.start(member=dict(deserializer=deserializer), retry=Backoff(first=0.001, most=0.001, deadline=5),
                dead_letters=lambda record, failure, attempts: dead.append((record.value, str(failure))), order=None)
    yield loop.until(lambda: len(futures) == 3)
    futures.pop(b"2").set_exception(Away("not now"))
    futures.pop(b"3").set_exception(ValueError("poison"))
    yield loop.until(lambda: dead and b"2" in futures)
    futures[b"2"].set_result("two")
    futures[b"1"].set_result("one")
    yield stage.commits(3)
    assert sorted(stage.values()) == ["one", "two"] and dead == [(b"3", "poison")]


@with_stage(topics={"t": 1})
def test_a_message_that_is_deserialised_when_its_partition_is_gone_is_not_handled(stage):
    futures = []

    def deserializer(value):
        futures.append(concurrent.Future())
        return futures[-1]

    stage.put(b"1")
    stage.start(member=dict(deserializer=deserializer))
    yield loop.until(lambda: futures)
    yield loop.within(5, stage.worker.drain(0.01))
    futures[0].set_result("late")
    yield gen.moment
    assert not stage.calls


@with_stage(topics={"t": 1, "u": 1})
def test_several_topics(stage):
    stage.put(1)
    stage.cluster.log("u").put(b"2")
    stage.start(member=dict(topics=["t", "u"]))
    yield stage.commits(1)
    yield loop.until(lambda: stage.cluster.kafka_offsets.get(("g", "u", 0), (None,))[0] == 1)
    assert sorted(stage.values()) == [1, 2]


@with_stage(topics={"t": 1})
def test_reading_goes_on_where_the_group_left_off(stage):
    stage.put(1, 2, 3)
    stage.cluster.kafka_offsets["g", "t", 0] = 2, ""
    stage.start()
    yield stage.commits(3)
    assert stage.values() == [3]


@with_stage(topics={"t": 1})
def test_markers_of_transactions_are_committed_too(stage):
    stage.cluster.log("t").put_transactional(7, b"1", b"2")
    stage.cluster.log("t").put_marker(7, True)
    stage.start(member=dict(isolation_level="read_committed"))
    yield stage.commits(3)
    assert stage.values() == [1, 2]


# -- order --


@with_stage(topics={"t": 1})
def test_never_two_of_one_key_at_once(stage):
    gate = Gate()
    stage.put(1, 2, key=b"a")
    stage.put(3, key=b"b")
    stage.put(4, 5)
    stage.start(gate)
    yield loop.until(lambda: len(gate.begun) == 4)
    assert sorted(gate.begun) == [1, 3, 4, 5]
    gate.let(3, 4, 5)
    yield gen.sleep(0.05)
    assert stage.committed() is None and sorted(gate.begun) == [1, 3, 4, 5]
    gate.let(1)
    yield stage.commits(1)
    assert gate.begun[-1] == 2
    gate.let(2)
    yield stage.commits(5)


@with_stage
def test_never_two_of_one_partition_at_once(stage):
    gate = Gate()
    stage.put(1, 2)
    stage.put(3, 4, partition=1)
    stage.start(gate, order="partition")
    yield loop.until(lambda: len(gate.begun) == 2)
    yield gen.sleep(0.02)
    assert sorted(gate.begun) == [1, 3]
    gate.let(3)
    yield loop.until(lambda: 4 in gate.open)
    assert 2 not in gate.begun
    gate.let(1, 4)
    yield loop.until(lambda: 2 in gate.open)
    gate.let(2)


@with_stage(topics={"t": 1})
def test_no_order(stage):
    gate = Gate()
    stage.put(1, 2, 3, key=b"a")
    stage.start(gate, order=None)
    yield loop.until(lambda: len(gate.begun) == 3)
    gate.let(2, 3)
    yield gen.sleep(0.05)
    assert stage.committed() is None
    gate.let(1)
    yield stage.commits(3)


@with_stage(topics={"t": 1})
def test_no_more_than_the_concurrency_are_at_work(stage):
    gate = Gate()
    stage.put(*range(7))
    stage.start(gate, concurrency=3)
    yield loop.until(lambda: len(gate.open) == 3)
    yield gen.sleep(0.03)
    assert gate.begun == [0, 1, 2] and stage.worker.numbers["in_flight"] == 3
    assert stage.worker.numbers["waiting"] == 4 and stage.worker.numbers["oldest"] > 0
    for value in range(7):
        yield loop.until(lambda: value in gate.open)
        gate.let(value)
    yield stage.commits(7)


# -- back-pressure --


@with_stage(topics={"t": 1})
def test_what_is_taken_ahead_has_a_limit(stage):
    gate = Gate()
    stage.cluster.log("t").put(*[b"%d" % number for number in range(250)])
    stage.start(gate, concurrency=2)
    yield loop.until(lambda: len(gate.open) == 2)
    yield gen.sleep(0.1)
    numbers = stage.worker.numbers
    assert numbers["in_flight"] + numbers["waiting"] <= 100
    while len(gate.begun) < 250 or gate.open:
        yield loop.until(lambda: gate.open, step=0.001)
        gate.let(*gate.open)
    yield stage.commits(250)
    assert gate.begun == list(range(250))


@with_stage(topics={"t": 1})
def test_large_messages_have_a_limit_too(stage):
    gate = Gate()
    for number in range(10):
        stage.put(u"%d" % number + u"x" * 1000)
    stage.start(gate, member=dict(buffer_bytes=3000, max_bytes=1100), concurrency=1)
    yield loop.until(lambda: gate.open)
    yield gen.sleep(0.1)
    numbers = stage.worker.numbers
    assert numbers["in_flight"] + numbers["waiting"] <= 5
    while len(gate.begun) < 10 or gate.open:
        yield loop.until(lambda: gate.open)
        gate.let(*gate.open)
    yield stage.commits(10)


@with_stage
def test_a_partition_that_waits_for_one_message_is_paused_and_others_go_on(stage):
    gate = Gate()
    first = []

    def handler(record):
        if record.value == "slow":
            first.append(gate(record))
            return first[0]

    stage.put(u"slow")
    stage.cluster.log("t").put(*[b"1"] * 300)
    stage.start(handler)
    yield loop.until(lambda: ("t", 0) in stage.consumer.positions.paused)
    stage.cluster.log("t", 1).put(*[b"2"] * 300)
    yield stage.commits(300, partition=1)
    assert stage.committed() is None
    gate.let("slow")
    yield stage.commits(301)
    assert not stage.consumer.positions.paused


@with_stage(topics={"t": 1})
def test_a_worker_without_room_shows_that_it_lives(stage):
    gate, progress = Gate(), []

    class Heart(object):
        working = False

        def progress(self):
            progress.append(stage.worker is not None and len(gate.open))

    stage.cluster.log("t").put(*[b"%d" % number for number in range(200)])
    stage.make(gate, concurrency=1)
    stage.consumer.allocator.heartbeat = Heart()
    stage.running = stage.worker.run()
    yield loop.until(lambda: stage.worker._window.hungry)
    del progress[:]
    stage.worker._show_life()
    assert progress == [1]
    stage.consumer.allocator.heartbeat = None
    gate.let(0)
    yield loop.until(lambda: gate.open)
    gate.let(1)
    yield loop.until(lambda: gate.open)
    stage.worker.drain(0)


# -- failures --


@with_stage(topics={"t": 1, "t.dead": 1})
def test_a_message_is_tried_again_and_holds_up_its_key_alone(stage):
    tries = []

    def handler(record):
        tries.append(record.value)
        if record.value == "bad" and tries.count("bad") < 3:
            raise ValueError("not yet")

    stage.put(u"bad", u"after", key=b"a")
    stage.put(u"other", key=b"b")
    stage.start(handler, retry=SOON, concurrency=1)
    yield stage.commits(3)
    assert tries.count("bad") == 3 and tries.index("other") < 3
    assert tries[-1] == "after" and tries.count("after") == 1
    assert stage.worker.numbers["retried"] == 2 and stage.worker.numbers["dead"] == 0


def headers(record):
    return dict(record.headers)


@gen.coroutine
def read(cluster, topic, count):
    """The records of a topic, raw."""
    consumer = clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=100)
    yield consumer.connect()
    records = []
    while len(records) < count:
        records.extend((yield consumer.consume_records(topic, start=consumer.BEGINNING)))
    yield consumer.close()
    raise gen.Return(records)


@with_stage(topics={"t": 1, "t.dead": 1})
def test_dead_letters_have_all_that_came_and_what_failed(stage):
    def handler(record):
        raise KeyError("color")

    stage.put(1)
    stage.put({"no": "color"}, key=b"k\xff", headers=[(u"h", b"v"), (u"n", None)], timestamp=1600000000000)
    stage.start(handler, retry=TWICE, dead_letters="t.dead", order="partition")
    yield stage.commits(2)
    records = yield read(stage.cluster, "t.dead", 2)
    assert [record.value for record in records] == [b"1", b'{"no": "color"}']
    assert [record.key for record in records] == [None, b"k\xff"]
    assert records[1].timestamp == 1600000000000
    assert tuple(records[1].headers)[:2] == (("h", b"v"), ("n", None))
    assert headers(records[1]) == {
        "h": b"v", "n": None, "kiel.error.type": b"KeyError", "kiel.error.text": b"'color'",
        "kiel.error.attempts": b"2", "kiel.error.topic": b"t", "kiel.error.partition": b"0", "kiel.error.offset": b"1"}
    assert stage.worker.numbers["dead"] == 2


@with_stage(topics={"t": 1, "t.dead": 1})
def test_poison_goes_there_with_its_bytes_and_is_not_tried_again(stage):
    stage.put(b"\xff{", b"[1]")
    stage.start(retry=SOON, dead_letters="t.dead")
    yield stage.commits(2)
    record, = yield read(stage.cluster, "t.dead", 1)
    assert record.value == b"\xff{" and headers(record)["kiel.error.attempts"] == b"1"
    assert stage.values() == [[1]] and stage.worker.numbers["retried"] == 0


@with_stage(topics={"t": 1, "t.dead": 1})
def test_a_rejected_message_is_not_tried_again(stage):
    def handler(record):
        raise Reject("no such customer")

    stage.put(1)
    with mock.patch("kiel.worker.bench.log.error") as told:
        stage.start(handler, retry=SOON, dead_letters="t.dead")
        yield stage.commits(1)
    args, how = told.call_args
    assert (args[0] % args[1:]).endswith("failed for good, attempt 1: Reject: no such customer")
    assert how == {"exc_info": None}
    record, = yield read(stage.cluster, "t.dead", 1)
    assert headers(record)["kiel.error.type"] == b"kiel.worker.errors.Reject"
    assert headers(record)["kiel.error.attempts"] == b"1"


@with_stage(topics={"t": 1, "t.dead": 1})
def test_an_offset_is_committed_after_the_dead_letter_is_acknowledged(stage):
    held = gen.Future()
    stage.cluster[1].on("produce", lambda call: held, times=1)
    stage.put(b"{", b"2")
    stage.start(dead_letters="t.dead")
    yield loop.until(lambda: stage.cluster.count("produce") == 1 and stage.values() == [2])
    yield gen.sleep(0.05)
    assert stage.committed() is None and stage.worker.numbers["in_flight"] == 1
    held.set_result(None)
    yield stage.commits(2)


@with_stage(topics={"t": 1, "t.dead": 1})
def test_a_dead_letter_that_can_not_be_written_in_passing_is_written_later(stage):
    stage.cluster[1].on("produce", CLOSE, times=1)
    stage.put(b"{")
    stage.start(dead_letters="t.dead")
    yield stage.commits(1)
    yield read(stage.cluster, "t.dead", 1)


@with_stage(topics={"t": 1, "t.dead": 1})
def test_a_dead_letter_that_may_not_be_written_ends_the_worker(stage):
    stage.cluster[1].on("produce", error(29))
    stage.put(1, b"{", 3)
    stage.start(dead_letters="t.dead", order="partition")
    failure = yield loop.raises(exc.TopicAuthorizationFailedError, stage.running)
    assert stage.worker.error is failure
    assert stage.values() == [1] and stage.committed() == 1
    stage.running = None


@with_stage(topics={"t": 1})
def test_dead_letters_may_be_a_function(stage):
    dead = []

    @gen.coroutine
    def bury(record, failure, attempts):
        yield gen.sleep(0.01)
        dead.append((record.value, type(failure), attempts))

    stage.put(b"{", b"2")
    stage.start(dead_letters=bury)
    yield stage.commits(2)
    assert len(dead) == 1 and dead[0][0] == b"{" and dead[0][2] == 1 and issubclass(dead[0][1], ValueError)


@pytest.mark.parametrize("failure", raised.ERRORS, ids=raised.NAMES)
def test_what_a_dead_letter_function_raises_ends_the_worker(failure):
    @with_stage(topics={"t": 1})
    def check(stage):
        def bury(record, error, attempts):
            raise failure

        stage.put(1, b"{")
        stage.start(dead_letters=bury, order="partition")
        yield loop.raises(Exception, stage.running)
        assert stage.committed() == 1
        stage.running = None
    check()


@with_stage(topics={"t": 1})
def test_without_dead_letters_a_failure_ends_the_worker_and_comes_again(stage):
    gate = Gate()
    stage.put(0, 1, 2, 3)
    stage.start(gate, concurrency=2)
    yield loop.until(lambda: len(gate.open) == 2)
    gate.fail(1, KeyError("color"))
    yield gen.sleep(0.02)
    assert not stage.running.done()  # 0 is at work
    gate.let(0)
    yield loop.raises(KeyError, stage.running)
    assert gate.begun == [0, 1] and stage.committed() == 1
    assert stage.worker.numbers["given_back"] == 3
    stage.running = None


def raising(kind, failure):
    """A handler that raises, at once or later."""
    @gen.coroutine
    def later(record):
        yield gen.moment
        raise failure

    def at_once(record):
        raise failure

    @gen.coroutine
    def first(record):
        raise failure

    @gen.coroutine
    def waits(record):
        future = gen.Future()
        ioloop.IOLoop.current().add_callback(
            lambda: getattr(future, "cancel", bool)() or settle(future, error=failure))
        yield future

    class Method(object):
        @gen.coroutine
        def __call__(self, record):
            yield gen.moment
            raise failure

    return dict(later=later, at_once=at_once, first=first, method=Method(), waits=waits)[kind]


@pytest.mark.parametrize("failure", raised.ERRORS, ids=raised.NAMES)
@pytest.mark.parametrize("kind", ["at_once", "first", "later", "method", "waits"])
def test_whatever_a_handler_raises_is_its_messages_failure(kind, failure):
    @with_stage(topics={"t": 1})
    def check(stage):
        dead = []
        stage.put(1, 2)
        stage.start(raising(kind, failure), dead_letters=lambda record, error, attempts: dead.append(record.value))
        yield stage.commits(2)
        # a StopIteration is a generator's way to end, before Python 3.7 for one that is raised, too
        if not isinstance(failure, StopIteration) or kind == "at_once":
            assert dead == [b"1", b"2"]
    check()


@pytest.mark.parametrize("failure", raised.ERRORS, ids=raised.NAMES)
def test_whatever_a_native_handler_raises_is_its_messages_failure(failure):
    @with_stage(topics={"t": 1})
    def check(stage):
        dead = []
        handler = native("async def handler(record):\n    await gen.sleep(0)\n    raise failure\n")
        handler.__globals__["failure"] = failure
        stage.put(1, 2)
        stage.start(handler, dead_letters=lambda record, error, attempts: dead.append(record.value))
        yield stage.commits(2)
        assert dead == [b"1", b"2"]
    check()


@with_stage(topics={"t": 1})
def test_a_generator_that_is_no_coroutine_is_a_failure_not_silence(stage):
    dead = []
    stage.put(1)
    stage.start(lambda record: (value for value in [1]),
                dead_letters=lambda record, failure, attempts: dead.append(failure))
    yield stage.commits(1)
    assert isinstance(dead[0], TypeError) and "gen.coroutine" in str(dead[0])


# -- time-outs --


@with_stage(topics={"t": 1})
def test_a_handler_that_takes_too_long_has_failed(stage):
    dead = []

    @gen.coroutine
    def handler(record):
        if record.value == "stuck":
            yield gen.Future()

    stage.put(u"stuck", u"after", key=b"k")
    stage.start(handler, timeout=0.05, retry=TWICE,
                dead_letters=lambda record, failure, attempts: dead.append((type(failure), attempts)))
    yield stage.commits(2)
    assert dead == [(HandlerTimeoutError, 2)]


@with_stage(topics={"t": 1})
def test_a_native_coroutine_that_takes_too_long_is_cancelled_first(stage):
    if not hasattr(ioloop.IOLoop.current(), "asyncio_loop"):
        return
    events = []
    handler = native(
        "async def handler(record):\n    events.append('begin')\n    try:\n        await gen.sleep(10)\n"
        "    finally:\n        events.append('end')\n")
    handler.__globals__["events"] = events
    stage.put(1)
    stage.start(handler, timeout=0.05, dead_letters=lambda record, failure, attempts: events.append(type(failure)))
    yield stage.commits(1)
    assert events == ["begin", "end", HandlerTimeoutError]


# -- partitions come and go --


@with_stage
def test_what_is_at_work_is_waited_for_and_the_rest_given_back(stage):
    gate = Gate()
    stage.put(0, 1, 2, 3)
    stage.start(gate, concurrency=2)
    yield loop.until(lambda: len(gate.open) == 2)
    gone = stage.consumer.allocator.give(t=[1])
    yield gen.sleep(0.05)
    assert not gone.done() and stage.committed() is None
    gate.let(0)
    yield gen.sleep(0.02)
    assert not gone.done() and gate.begun == [0, 1]
    gate.let(1)
    yield loop.within(2, gone)
    assert stage.committed() == 2 and gate.begun == [0, 1]
    stage.put(4, partition=1)
    yield loop.until(lambda: 4 in gate.open)
    gate.let(4)
    yield stage.commits(1, partition=1)
    yield stage.consumer.allocator.give(t=[0, 1])
    yield loop.until(lambda: len(gate.open) == 2)
    assert gate.begun == [0, 1, 4, 2, 3]
    gate.let(2, 3)
    yield stage.commits(4)


@with_stage
def test_a_failure_while_its_partition_goes_is_the_next_owners(stage):
    gate, dead = Gate(), []
    stage.put(0, 1)
    stage.start(gate, dead_letters=lambda *args: dead.append(args))
    yield loop.until(lambda: len(gate.open) == 2)
    gone = stage.consumer.allocator.give(t=[1])
    gate.let(0)
    gate.fail(1)
    yield loop.within(2, gone)
    assert stage.committed() == 1 and not dead


@pytest.mark.parametrize("end", ["rebalance", "drain"])
def test_what_lies_before_a_message_that_is_done_is_done_too(end):
    """Else the one that is done could not be committed, and would be done twice."""
    @with_stage
    def check(stage):
        tries = []

        def handler(record):
            if record.value in (1, 3, 5):
                tries.append(record.value)
                if tries.count(record.value) < 2:
                    raise ValueError("not yet")
            return gate(record) if record.value == 0 else stage.note(record)

        gate = Gate()
        stage.put(0, 1, key=b"a")  # 1 waits for 0
        stage.put(2, 3, key=b"b")  # 3 rests
        stage.put(4, key=b"c")  # is done
        stage.put(5, key=b"d")  # rests, and nothing after it is done
        stage.start(handler, retry=Backoff(first=60, most=60, deadline=None))
        yield loop.until(lambda: stage.values() == [2, 4] and sorted(tries) == [3, 5])
        ended = stage.worker.drain() if end == "drain" else stage.consumer.allocator.give(t=[1])
        yield loop.until(lambda: len(tries) == 3)
        assert tries[-1] == 3
        stage.worker._bench.retry = Backoff(first=0.01, most=0.01, deadline=None)
        gate.let(0)
        yield loop.within(2, ended)
        assert stage.committed() == 5 and sorted(stage.values()) == [1, 2, 3, 4]
    check()


@with_stage(topics={"t": 1})
def test_what_may_not_be_done_in_time_is_given_back_with_what_lies_after_it(stage):
    def handler(record):
        stage.note(record)
        if record.value == 0:
            raise ValueError("never")

    stage.put(0, 1)
    stage.start(handler, retry=Backoff(first=0.05, most=0.05, deadline=None))
    yield loop.until(lambda: 1 in stage.values())
    yield loop.within(2, stage.worker.drain(0.2))
    assert stage.committed() is None and stage.worker.numbers["given_back"] == 1


@with_stage
def test_what_takes_too_long_is_left_to_the_next_owner(stage):
    gate = Gate()
    stage.put(0, 1, key=b"k")
    stage.start(gate, member=dict(rebalance_timeout=0.2))
    yield loop.until(lambda: gate.open)
    yield loop.within(2, stage.consumer.allocator.give(t=[1]))
    assert stage.committed() is None and stage.worker.numbers["given_back"] == 2
    yield stage.consumer.allocator.give(t=[0, 1])
    yield gen.sleep(0.3)
    assert gate.begun == [0]  # it still is at work here: never two of one key
    gate.let(0)
    yield loop.until(lambda: gate.open)
    assert gate.begun == [0, 0] and stage.committed() is None
    gate.let(0)
    yield loop.until(lambda: gate.open)
    gate.let(1)
    yield stage.commits(2)


@with_stage
def test_a_partition_that_comes_again_before_its_last_commit_is_through_is_read(stage):
    """A rebalance goes on without a commit that takes too long; what is read then must not count as the old term's."""
    stage.cluster[1].on("offset_commit", error(14))
    stage.put(0)
    stage.start(member=dict(rebalance_timeout=0.1, retry=Backoff(first=0.6, most=0.6, deadline=10)))
    yield loop.until(lambda: stage.values() == [0] and stage.cluster.count("offset_commit"))
    yield loop.within(2, stage.consumer.allocator.give(t=[1]))
    stage.put(1, 2)
    yield stage.consumer.allocator.give(t=[0, 1])
    yield loop.until(lambda: stage.values()[-2:] == [1, 2])
    stage.cluster[1].on("offset_commit", None)
    yield stage.commits(3)


@with_stage
def test_nothing_of_a_lost_partition_is_committed(stage):
    gate = Gate()
    stage.put(0, 1)
    stage.start(gate, concurrency=1)
    yield loop.until(lambda: gate.open)
    consumer = stage.consumer
    before, consumer.allocator.allocation = consumer.allocator.allocation, {"t": [1]}
    assert before == {"t": [0, 1]}
    yield consumer.allocator.on_lost({"t": [0]})
    gate.let(0)
    yield gen.sleep(0.1)
    assert stage.committed() is None and gate.begun == [0]


@with_stage
def test_the_applications_own_callbacks_are_called(stage):
    told = []
    stage.put(0)
    stage.make(member=dict(on_rebalance=lambda *args: told.append(args), on_lost=lambda lost: told.append(lost)))
    hooks = stage.consumer.on_rebalance, stage.consumer.on_lost
    stage.running = stage.worker.run()
    yield stage.commits(1)
    yield stage.consumer.allocator.give(t=[1])
    yield stage.consumer.allocator.on_lost({"t": [1]})
    assert told == [({}, {"t": [0, 1]}), ({"t": [0]}, {}), {"t": [1]}]
    yield stage.stop()
    assert (stage.consumer.on_rebalance, stage.consumer.on_lost) == hooks


@with_stage
def test_lost_partitions_are_told_of_as_revoked_where_that_is_all_there_is(stage):
    told = []
    stage.put(0)
    stage.start(member=dict(on_rebalance=lambda *args: told.append(args)))
    yield stage.commits(1)
    yield stage.consumer.allocator.on_lost({"t": [0]})
    assert told[1:] == [({"t": [0]}, {})]


@with_stage(topics={"t": 1})
def test_a_partition_that_went_while_it_was_paused_is_read_when_it_comes_again(stage):
    gate = Gate()
    slow = gate

    def handler(record):
        return slow(record) if record.value == "slow" and not gate.begun else None

    stage.put(u"slow")
    stage.cluster.log("t").put(*[b"1"] * 150)
    stage.start(handler, member=dict(rebalance_timeout=0.2))
    yield loop.until(lambda: stage.consumer.positions.paused)
    yield stage.consumer.allocator.give()
    yield stage.consumer.allocator.give(t=[0])
    yield stage.commits(151)
    gate.let("slow")


@with_stage(topics={"t": 1})
def test_a_partition_whose_work_ended_while_it_went_is_read_when_it_comes_again(stage):
    """Where its pause should end, it is no longer this member's; the pause outlived that, and nothing was read."""
    gate = Gate()
    stage.put(u"slow")
    stage.cluster.log("t").put(*[b"1"] * 250)
    stage.start(lambda record: gate(record) if record.value == "slow" else None)
    yield loop.until(lambda: stage.consumer.positions.paused and gate.open)
    given = stage.consumer.allocator.give()
    yield gen.sleep(0.02)
    gate.let("slow")
    yield loop.within(2, given)
    assert stage.committed()
    yield stage.consumer.allocator.give(t=[0])
    yield stage.commits(251)


@with_stage(topics={"t": 1})
def test_the_application_may_seek_back(stage):
    stage.put(0, 1, 2)
    stage.start()
    yield stage.commits(3)
    stage.consumer.seek("t", 0, 1)
    yield loop.until(lambda: stage.values() == [0, 1, 2, 1, 2])
    yield stage.commits(3)


# -- commits --


@with_stage(topics={"t": 1})
def test_a_commit_that_fails_is_made_up_for(stage):
    stage.cluster[1].on("offset_commit", error(25), times=1)  # unknown member: a group in ZooKeeper has no cure
    stage.put(1)
    stage.start()
    yield stage.commits(1)
    assert stage.cluster.count("offset_commit") == 2


# -- the end --


@with_stage(topics={"t": 1})
def test_drain_finishes_what_is_at_work(stage):
    gate = Gate()
    stage.put(0, 1, 2, 3)
    stage.start(gate, concurrency=2)
    yield loop.until(lambda: len(gate.open) == 2)
    drained = stage.worker.drain()
    yield gen.sleep(0.02)
    assert not drained.done()
    gate.let(0, 1)
    yield loop.within(2, drained)
    assert gate.begun == [0, 1] and stage.committed() == 2
    assert stage.running.done() and stage.consumer.closing
    yield stage.worker.drain()


@with_stage(topics={"t": 1})
def test_drain_has_a_deadline(stage):
    gate = Gate()
    stage.put(0, 1)
    stage.start(gate)
    yield loop.until(lambda: len(gate.open) == 2)
    gate.let(0)
    stage.worker.drain(60)
    yield loop.within(3, stage.worker.drain(0.1))
    assert stage.committed() == 1
    gate.let(1)  # nobody cares
    yield gen.sleep(0.01)
    assert stage.worker.numbers["given_back"] == 1


@with_stage(topics={"t": 1, "t.dead": 1})
def test_drain_does_not_wait_for_the_next_attempt(stage):
    def handler(record):
        raise ValueError("later")

    stage.put(0)
    stage.start(handler, retry=Backoff(first=60, most=60, deadline=None), dead_letters="t.dead")
    yield loop.until(lambda: stage.worker.numbers["waiting"])
    yield loop.within(2, stage.worker.drain())
    assert stage.committed() is None and stage.worker.numbers["given_back"] == 1


@with_stage(topics={"t": 1})
def test_drain_before_and_during_connect(stage):
    worker = stage.make()
    yield loop.within(1, worker.drain())
    with pytest.raises(RuntimeError):
        worker.run()
    stage.start()
    yield loop.within(2, stage.worker.drain())
    assert stage.running.done()


@with_stage(topics={"t": 1})
def test_a_consumer_that_is_closed_elsewhere_ends_the_worker(stage):
    stage.put(0)
    stage.start()
    yield stage.commits(1)
    yield stage.consumer.close()
    yield loop.within(2, stage.running)


@with_stage(topics={"t": 1})
def test_a_cancelled_run_drains(stage):
    stage.put(0)
    stage.start()
    yield stage.commits(1)
    if not stage.running.cancel():
        return  # Futures of Tornado 4.5 can't be
    yield loop.within(2, stage.worker.drain())
    stage.running = None


@with_stage(topics={"t": 1})
def test_what_can_not_be_read_for_good_ends_the_worker(stage):
    stage.cluster[1].on("fetch", error(29))
    stage.start()
    yield loop.raises(exc.TopicAuthorizationFailedError, stage.running)
    stage.running = None


@with_stage(topics={"t": 1})
def test_brokers_that_are_away_for_a_while_do_not_end_it(stage):
    stage.put(0)
    stage.start()
    yield stage.commits(1)
    stage.cluster[1].stop()
    yield loop.until(lambda: stage.consumer.cluster.down_since is not None)
    yield gen.sleep(0.3)
    stage.cluster[1].start()
    stage.put(1)
    yield stage.commits(2)
    assert stage.values() == [0, 1]


@with_stage(topics={"t": 1})
def test_a_worker_is_run_once_and_what_keeps_it_from_connecting_is_raised(stage):
    stage.start()
    with pytest.raises(RuntimeError):
        stage.worker.run()
    yield stage.stop()
    stage.make(member=dict(connect_timeout=0.1, retry=Backoff(deadline=0.1)))
    stage.cluster.stop()
    yield loop.raises(exc.NoBrokersError, stage.worker.run())
    stage.running = None


# -- arguments --


def member(**settings):
    return clients.GroupedConsumer(["h:1"], "g", **dict(dict(topics=["t"], autocommit=False), **settings))


@gen.coroutine
def coroutine(record):
    yield gen.moment


def generator(record):
    yield


class Callable(object):
    """An object with a handler."""

    @gen.coroutine
    def __call__(self, record):
        yield gen.moment


WRONG = [
    (dict(concurrency=0), ValueError, "concurrency"),
    (dict(concurrency="many"), TypeError, "concurrency"),
    (dict(order="keys"), ValueError, "order"),
    (dict(retry=3), TypeError, "retry"),
    (dict(timeout=0), ValueError, "timeout"),
    (dict(timeout="1"), TypeError, "timeout"),
    (dict(dead_letters=""), ValueError, "dead_letters"),
    (dict(dead_letters=5), TypeError, "dead_letters"),
    (dict(dead_letters="t"), ValueError, "dead_letters"),
    (dict(executor=5), TypeError, "executor"),
    (dict(executor=Threads(), handler=coroutine), TypeError, "executor"),
    (dict(executor=Threads(), handler=Callable()), TypeError, "executor"),
    (dict(handler=None), TypeError, "handler"),
    (dict(handler=generator), TypeError, "gen.coroutine"),
    (dict(consumer=clients.SingleConsumer(["h:1"])), TypeError, "GroupedConsumer"),
    (dict(consumer=member(autocommit=True)), ValueError, "autocommit=False"),
    (dict(consumer=member(autocommit="processed")), ValueError, "autocommit=False"),
    (dict(consumer=member(topics=())), ValueError, "topics"),
]


@pytest.mark.parametrize("wrong,kind,word", WRONG, ids=[
    "%d-%s" % (number, word) for number, (_, _, word) in enumerate(WRONG)])
def test_wrong_arguments_are_refused(wrong, kind, word):
    arguments = dict(consumer=wrong.pop("consumer", None) or member(), handler=wrong.pop("handler", coroutine), **wrong)
    if "executor" in wrong and arguments["handler"] is coroutine and wrong["executor"] == 5:
        arguments["handler"] = len
    with pytest.raises(kind) as caught:
        Worker(**arguments)
    assert word in str(caught.value)


def test_right_arguments_are_taken():
    for handler in (coroutine, Callable(), len, Callable().__call__):
        Worker(member(), handler)
    worker = Worker(member(topics="t"), len, 5, "partition", Backoff(), "t.dead", 3, Threads())
    assert worker.topics == ["t"] and worker.concurrency == 5
    assert json.dumps(worker.numbers)
