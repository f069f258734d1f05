"""`kiel.worker.Worker` with a producer, against a scripted broker; tests/integration/test_churn.py has a real one."""
from __future__ import absolute_import

import json
import sys
from concurrent import futures

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients.producing.serializing import Serialized
from kiel.retry import Backoff
from kiel.worker import Output, Reject, Worker, commits, transactions

from tests import loop
from tests.clients.producing import producers
from tests.fake import error
from tests.worker.working import Gate, with_stage

COMMITTED = dict(isolation_level="read_committed")
TOPICS = {"t": 2, "out": 1, "t.dead": 1}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is done soon is done sooner."""
    monkeypatch.setattr(commits, "PATIENCE", Backoff(first=0.02, most=0.05, deadline=None))
    monkeypatch.setattr(transactions, "PATIENCE", Backoff(first=0.02, most=0.05, deadline=None))


def exactly_once(test=None, **cluster):
    """Runs the test with a `Stage` whose workers have a producer."""
    def decorate(test):
        @with_stage(**dict(dict(topics=TOPICS), **cluster))
        def run(stage):
            inner = stage.make

            def make(handler=None, member=None, **settings):
                settings["producer"] = producers.make(stage.cluster, serializer=json.dumps, transactional_id="w")
                settings.setdefault("transaction_seconds", 0.02)
                return inner(handler or copy, dict(COMMITTED, **(member or {})), **settings)
            stage.make = make
            yield gen.coroutine(test)(stage)
        run.__name__ = test.__name__
        return run
    return decorate if test is None else decorate(test)


def copy(record):
    """What a handler makes of a message."""
    return Output("out", {"of": record.value}, key=b"k")


def written(stage, topic="out"):
    """The values of all that was written to a topic, that of aborted transactions too: this broker does not tell."""
    return [json.loads(value.decode("ascii")) for _, _, _, value, _ in producers.records(stage.cluster, topic)]


def offsets(stage, committed=True):
    """{partition: offset} of each transaction that was ended so."""
    return [dict((entry[2], entry[3]) for entry in entries if len(entry) == 4)
            for well, entries in stage.cluster.ended if well == committed]


@exactly_once
def test_results_and_offsets_are_one_transaction(stage):
    stage.put(1, 2)
    stage.put(3, partition=1)
    stage.start()
    yield loop.until(lambda: sum(len(one) for one in offsets(stage)) >= 2)
    assert sorted(one["of"] for one in written(stage)) == [1, 2, 3]
    assert dict(pair for one in offsets(stage) for pair in one.items()) == {0: 2, 1: 1}
    assert not stage.cluster.count("offset_commit")
    yield loop.until(lambda: stage.worker.numbers["transactions"] == len(offsets(stage)))
    numbers = stage.worker.numbers
    assert (numbers["done"], numbers["aborted"], numbers["waiting"]) == (3, 0, 0)


@exactly_once
def test_results_of_all_kinds_in_the_order_of_their_messages(stage):
    gate = Gate()

    @gen.coroutine
    def handler(record):
        yield gate(record)
        if record.value == 0:
            raise gen.Return([Output("out", "a", headers={"h": b"1"}), Output("out", u"b", timestamp=1500000000000)])
        raise gen.Return({1: None, 2: (), 3: Output("out", None, key=u"k", partition=0)}[record.value])

    stage.put(0, 1, 2, 3)
    stage.start(handler)
    yield loop.until(lambda: len(gate.open) == 4)
    gate.let(3, 2, 1)
    yield gen.sleep(0.05)
    assert not stage.cluster.ended
    gate.let(0)
    yield loop.until(lambda: offsets(stage) == [{0: 4}])
    found = producers.records(stage.cluster, "out")
    assert [(key, value, list(headers)) for _, _, key, value, headers in found] == [
        (None, b'"a"', [("h", b"1")]), (None, b'"b"', []), (b"k", b"null", [])]
    assert found[1][1] == 1500000000000


@exactly_once
def test_results_of_threads_and_native_coroutines(stage):
    with futures.ThreadPoolExecutor(1) as threads:
        stage.put(1)
        stage.start(executor=threads)
        yield loop.until(lambda: offsets(stage) == [{0: 1}])
        yield stage.stop()
    if sys.version_info >= (3,):
        names = dict(copy=copy)
        exec("async def handler(record):\n    return [copy(record)]\n", names)
        stage.put(2)
        stage.cluster.kafka_offsets["g", "t", 0] = (1, "")  # which this broker does not take from transactions
        stage.start(names["handler"])
        yield loop.until(lambda: offsets(stage) == [{0: 1}, {0: 2}])
    assert [one["of"] for one in written(stage)] == [1, 2][:len(offsets(stage))]


@exactly_once
def test_an_aborted_transaction_is_made_again_without_the_handler(stage):
    calls = []
    stage.cluster[1].on("txn_offset_commit", error(22), times=2)  # this member's generation has ended
    stage.put(1)
    stage.start(lambda record: calls.append(record.value) or copy(record))
    yield loop.until(lambda: offsets(stage) == [{0: 1}])
    assert calls == [1] and written(stage) == [{"of": 1}] * 3
    assert [well for well, _ in stage.cluster.ended] == [False, False, True]
    assert stage.worker.numbers["aborted"] == 2


@exactly_once
def test_an_end_that_is_not_known_is_asked_for_again(stage):
    stage.cluster[1].on("end_txn", error(14))  # loading, for longer than the producer tries
    stage.put(1)
    stage.start()
    yield loop.until(lambda: stage.worker._store.producer.identity.state == "committing")
    yield gen.sleep(1.1)
    stage.put(2)
    stage.cluster[1].on("end_txn", None)
    yield loop.until(lambda: offsets(stage) == [{0: 1}, {0: 2}])
    assert [one["of"] for one in written(stage)] == [1, 2]


@exactly_once
def test_a_fenced_worker_ends(stage):
    stage.put(1)
    stage.start()
    yield loop.until(lambda: offsets(stage))
    other = yield producers.connected(stage.cluster, transactional_id="w")
    stage.put(2)
    yield loop.raises(exc.ProducerFencedError, stage.running)
    assert isinstance(stage.worker.error, exc.ProducerFencedError) and stage.worker.health()["ended"]
    stage.running = None
    yield other.close()


@exactly_once
def test_what_no_broker_takes_ends_the_worker(stage):
    stage.put(1)
    stage.start(lambda record: Output("out", "x" * 2000000))
    yield loop.raises(exc.MessageSizeTooLargeError, stage.running)
    stage.running = None
    assert not offsets(stage)


@exactly_once
def test_transactions_are_bounded(stage):
    stage.put(*range(25))
    stage.start(transaction_messages=10, transaction_seconds=0.5)
    yield loop.until(lambda: offsets(stage) and offsets(stage)[-1] == {0: 25})
    ends = [0] + [one[0] for one in offsets(stage)]
    assert max(after - before for before, after in zip(ends, ends[1:])) <= 10
    assert [one["of"] for one in written(stage)] == list(range(25))


@exactly_once
def test_messages_are_taken_ahead_up_to_what_is_not_committed(stage):
    stage.cluster[1].on("add_offsets_to_txn", error(14))
    stage.cluster[1].on("txn_offset_commit", error(14))
    stage.cluster.log("t").put(*[b"1"] * 300)
    stage.start(transaction_messages=20)
    yield loop.until(lambda: stage.worker.numbers["done"] >= 100)
    yield gen.sleep(0.1)
    assert stage.worker.numbers["done"] == 100
    stage.cluster[1].on("add_offsets_to_txn", None)
    stage.cluster[1].on("txn_offset_commit", None)
    yield loop.until(lambda: offsets(stage) and offsets(stage)[-1] == {0: 300}, seconds=10)


@exactly_once
def test_after_a_failure_there_is_a_pause_however_much_is_done(stage):
    stage.cluster[1].on("txn_offset_commit", error(22))
    stage.make(transaction_messages=1)
    stage.worker._commits._clock = Backoff(first=60, most=60, jitter=0, deadline=None).start()
    stage.running = stage.worker.run()
    for number in range(5):
        stage.put(number)
        yield loop.until(lambda: stage.worker.numbers["done"] == number + 1 and stage.worker.numbers["aborted"])
        yield gen.sleep(0.02)
    assert stage.cluster.count("txn_offset_commit") == 1
    stage.cluster[1].on("txn_offset_commit", None)


@exactly_once
def test_dead_letters_are_part_of_it(stage):
    def handler(record):
        if record.value == 2:
            raise Reject("two")
        return copy(record)

    stage.put(1, 2, b"{", key=b"key", headers=[(u"h", b"v")])
    stage.start(handler, dead_letters="t.dead")
    yield loop.until(lambda: offsets(stage) and offsets(stage)[-1] == {0: 3})
    first, second = producers.records(stage.cluster, "t.dead")
    assert (first[1:4], second[3]) == ((1500000000000, b"key", b"2"), b"{")
    told = dict(first[4])
    assert told["h"] == b"v" and told["kiel.error.text"] == b"two" and told["kiel.error.offset"] == b"1"
    assert stage.worker.numbers["dead"] == 2 and written(stage) == [{"of": 1}]
    assert any(("t.dead", 0) in entries for _, entries in stage.cluster.ended)


@exactly_once
def test_a_serializer_may_have_to_wait(stage):
    stage.put(1, 2)

    @gen.coroutine
    def serializer(message):
        yield gen.sleep(0.02)
        if message == {"of": 2}:
            raise ValueError("no schema")
        raise gen.Return(Serialized(json.dumps(message), [("schema", b"7")]))

    stage.make(dead_letters="t.dead")
    stage.worker._store.outputs._serializer = serializer
    stage.running = stage.worker.run()
    yield loop.until(lambda: offsets(stage) and offsets(stage)[-1] == {0: 2})
    assert [list(record[4]) for record in producers.records(stage.cluster, "out")] == [[("schema", b"7")]]
    assert dict(producers.records(stage.cluster, "t.dead")[0][4])["kiel.error.text"] == b"no schema"


@exactly_once
def test_what_can_not_be_produced_is_its_messages_failure(stage):
    wrong = [b"bytes", 5, [copy], Output("out", object()), Output("", 1), Output("out", 1, partition=-1),
             Output("out", 1, headers=5)]
    stage.put(*range(len(wrong)))
    stage.start(lambda record: wrong[record.value], dead_letters="t.dead")
    yield loop.until(lambda: offsets(stage) and offsets(stage)[-1] == {0: len(wrong)})
    kinds = [dict(record[4])["kiel.error.type"] for record in producers.records(stage.cluster, "t.dead")]
    assert kinds == [b"TypeError"] * 4 + [b"ValueError"] * 2 + [b"TypeError"] and not written(stage)


@exactly_once
def test_a_partition_that_goes_is_committed_first(stage):
    gate = Gate()
    stage.put(1)
    stage.start(lambda record: gate(record), transaction_seconds=60)
    yield loop.until(lambda: gate.open)
    future = gate.open.pop(1)
    given = stage.consumer.allocator.give(t=[1])
    yield gen.sleep(0.02)
    future.set_result(Output("out", 1))
    yield loop.within(2, given)
    assert offsets(stage) == [{0: 1}] and written(stage) == [1]


@exactly_once
def test_what_was_done_in_a_partition_that_is_lost_is_dropped(stage):
    stage.put(1)
    stage.put(2, partition=1)
    stage.start(transaction_seconds=0.3)
    yield loop.until(lambda: stage.worker.numbers["done"] == 2)
    consumer = stage.consumer
    consumer.allocator.allocation = {"t": [1]}
    yield consumer.allocator.on_lost({"t": [0]})
    yield loop.until(lambda: offsets(stage))
    assert offsets(stage) == [{1: 1}] and written(stage) == [{"of": 2}]


@exactly_once
def test_a_partition_that_went_and_came_again_meanwhile_is_not_committed(stage):
    """Its new term would be taken for the one that the message was done in; others may have come further."""
    stage.cluster[1].on("produce", error(6), times=3)
    stage.put(1)
    stage.start()
    yield loop.until(lambda: stage.cluster.count("produce"))
    consumer = stage.consumer
    stage.cluster.kafka_offsets["g", "t", 0] = (1, "")  # so far had another member come
    yield consumer.allocator.on_lost({"t": [0]})
    yield consumer.allocator.on_change({}, {"t": [0]})
    yield loop.until(lambda: stage.worker.numbers["aborted"])
    stage.put(2)
    yield loop.until(lambda: offsets(stage))
    assert offsets(stage)[-1] == {0: 2} and not any(entry == {0: 1} for entry in offsets(stage))


@exactly_once
def test_drain_commits_and_leaves_no_transaction_open(stage):
    gate = Gate()
    stage.put(1, 2)
    stage.start(lambda record: gate(record), transaction_seconds=60)
    yield loop.until(lambda: len(gate.open) == 2)
    drained = stage.worker.drain(5)
    gate.open.pop(1).set_result(copy(Record(1)))
    gate.open.pop(2).set_result(copy(Record(2)))
    yield loop.within(5, drained)
    assert offsets(stage) == [{0: 2}] and stage.worker.numbers["transactions"] == 1
    assert not stage.cluster.enlisted and stage.running.done()


class Record(object):
    """A message with a value."""

    def __init__(self, value):
        self.value = value


@exactly_once(versions="2.4")
def test_brokers_that_do_not_look_at_the_member_are_refused(stage):
    stage.start()
    failed = yield loop.raises(exc.UnsupportedVersionError, stage.running)
    assert "Kafka 2.5" in str(failed)
    stage.running = None


@with_stage(topics={"t": 1, "t.dead": 1})
def test_a_result_without_a_producer_is_refused(stage):
    stage.put(1, 2, 3)
    results = {1: Output("out", 1), 2: [Output("out", 1)], 3: ["of no interest"]}
    stage.start(lambda record: results[record.value], dead_letters="t.dead")
    yield stage.commits(3)
    assert stage.worker.numbers["dead"] == 2 and stage.worker.numbers["done"] == 1
    assert b"transactional_id" in dict(producers.records(stage.cluster, "t.dead")[0][4])["kiel.error.text"]


@with_stage(topics={"t": 1})
def test_where_to_begin(stage):
    stage.put(1, 2, 3)
    stage.start(start=clients.GroupedConsumer.END)
    yield loop.until(lambda: stage.consumer.position("t", 0) == 3)
    stage.put(4)
    yield loop.until(lambda: stage.values() == [4])


def member(**settings):
    return clients.GroupedConsumer(["h:1"], "g", **dict(dict(topics=["t"], autocommit=False, **COMMITTED), **settings))


def transactional(**settings):
    return clients.Producer(["h:1"], **dict(dict(transactional_id="x"), **settings))


def test_what_can_not_work_together_is_refused():
    taken = transactional()
    Worker(member(), copy, producer=taken)
    for wrong, kind, word in [
        (dict(producer=clients.Producer(["h:1"])), ValueError, "transactional_id"),
        (dict(producer=True), TypeError, "Producer"),
        (dict(producer=taken), ValueError, "another worker"),
        (dict(producer=transactional(), consumer=member(isolation_level="read_uncommitted")), ValueError, "isolation"),
        (dict(producer=transactional(), consumer=member(zk_hosts=["z:1"])), ValueError, "zk_hosts"),
        (dict(producer=transactional(), dead_letters=copy), ValueError, "outside"),
        (dict(producer=transactional(), transaction_messages=0), ValueError, "transaction_messages"),
        (dict(producer=transactional(), transaction_seconds="x"), TypeError, "transaction_seconds"),
        (dict(transaction_messages=5), ValueError, "need a producer"),
        (dict(transaction_seconds=5), ValueError, "need a producer"),
        (dict(start="yesterday"), ValueError, "start"),
    ]:
        arguments = dict(dict(consumer=member()), **wrong)
        with pytest.raises(kind) as caught:
            Worker(arguments.pop("consumer"), copy, **arguments)
        assert word in str(caught.value)
