"""Deserializers that have something to wait for, or that want to see the whole record."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.single import SingleConsumer

from tests import loop
from tests.clients.consuming.consumers import gather, with_consumer
from tests.clients.consuming.test_cancelling import cancelled, needs_tasks, task_of


class Away(exc.KielError):
    """Passes."""

    retriable = True


class Later(object):
    """A deserializer whose outcome comes when the test says so; but for values that are numbers."""

    def __init__(self):
        self.futures = {}

    def __call__(self, value):
        if value.isdigit():
            return int(value)
        self.futures[value] = concurrent.Future()
        return self.futures[value]


def of(consumer, setting):
    """Have a consumer use a deserializer; return it."""
    consumer.deserializer = setting
    return setting


@pytest.mark.parametrize("name", ["consume", "consume_records"])
def test_messages_come_in_their_order(name):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        later = of(consumer, Later())
        cluster.log("t").put(b"1", b"a", b"2", b"b", b"3")
        future = getattr(consumer, name)("t", SingleConsumer.BEGINNING)
        yield loop.until(lambda: len(later.futures) == 2)
        later.futures[b"b"].set_result("B")
        yield gen.moment
        assert not future.done()
        later.futures[b"a"].set_result("A")
        found = yield loop.within(5, future)
        assert [getattr(message, "value", message) for message in found] == [1, "A", 2, "B", 3]
        assert consumer.position("t", 0) == 5
    check()


def test_poison_goes_to_on_error_once():
    seen = []
    asked = []

    def deserializer(value):
        asked.append(value)
        future = concurrent.Future()
        if value.startswith(b"x"):
            future.set_exception(ValueError("poison"))
        elif value == b"y":
            raise ValueError("at once")
        else:
            future.set_result(int(value))
        return future

    @with_consumer(dict(on_error=lambda record, error: seen.append((record.offset, record.value, str(error)))),
                   topics={"t": 1})
    def check(cluster, consumer):
        consumer.deserializer = deserializer
        cluster.log("t").put(b"1", b"x1", b"2", b"y", b"x2", b"3")
        assert (yield gather(consumer, 3)) == [1, 2, 3]
        assert seen == [(1, b"x1", "poison"), (3, b"y", "at once"), (4, b"x2", "poison")]
        assert asked.count(b"x2") == 1 or asked.count(b"x1") == 1
    check()


def test_what_may_pass_is_not_skipped():
    seen, tries = [], []

    @with_consumer(dict(on_error=lambda *args: seen.append(args)), topics={"t": 1})
    def check(cluster, consumer):
        def deserializer(value):
            tries.append(value)
            future = concurrent.Future()
            if value == b"a" and tries.count(b"a") < 3:
                future.set_exception(Away("the registry does not answer"))
            else:
                future.set_result(value)
            return future

        consumer.deserializer = deserializer
        cluster.log("t").put(b"1", b"a", b"2")
        messages, errors = [], []
        while len(messages) < 3:
            try:
                messages.extend((yield loop.within(5, consumer.consume("t", SingleConsumer.BEGINNING))))
            except Away as error:
                errors.append(error)
                assert consumer.position("t", 0) == 1
        assert messages == [b"1", b"a", b"2"] and errors and not seen
    check()


@needs_tasks
def test_a_call_that_is_cancelled_meanwhile_loses_nothing():
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        later = of(consumer, Later())
        cluster.log("t").put(b"1", b"a", b"2")
        task = task_of(consumer.consume("t", SingleConsumer.BEGINNING))
        yield loop.until(lambda: later.futures)
        assert (yield cancelled(task))
        later.futures.pop(b"a").set_result("A")
        again = gather(consumer, 3)
        yield loop.until(lambda: later.futures)
        later.futures[b"a"].set_result("A")
        assert (yield again) == [1, "A", 2]
    check()


@with_consumer(topics={"t": 1})
def test_a_seek_meanwhile_counts(cluster, consumer):
    later = of(consumer, Later())
    cluster.log("t").put(b"1", b"a", b"2", b"3")
    future = consumer.consume("t", SingleConsumer.BEGINNING)
    yield loop.until(lambda: later.futures)
    consumer.seek("t", 0, 3)
    later.futures[b"a"].set_exception(ValueError("of no interest"))
    assert (yield loop.within(5, future)) == [3]


@with_consumer(topics={"t": 1})
def test_close_ends_a_call_that_waits_for_its_deserializer(cluster, consumer):
    later = of(consumer, Later())
    cluster.log("t").put(b"a")
    future = consumer.consume("t", SingleConsumer.BEGINNING)
    yield loop.until(lambda: later.futures)
    yield loop.within(5, consumer.close())
    later.futures[b"a"].set_result("A")
    assert (yield loop.within(5, future)) is None


class OfRecord(object):
    """A deserializer that wants to see the record."""

    def __call__(self, value):
        raise AssertionError("not to be called")

    def of_record(self, record):
        """Say what it is, or fail."""
        if record.value == b"poison":
            raise ValueError("poison")
        return record.topic, record.offset, record.key, dict(record.headers), record.value


def test_a_deserializer_of_records():
    seen = []

    @with_consumer(dict(on_error=lambda record, error: seen.append(record.value)), topics={"t": 1})
    def check(cluster, consumer):
        consumer.deserializer = OfRecord()
        log = cluster.log("t")
        log.put(b"v", key=b"k", headers=[(u"h", b"x")])
        log.put(b"poison", b"w")
        first = ("t", 0, b"k", {"h": b"x"}, b"v")
        assert (yield gather(consumer, 2)) == [first, ("t", 2, None, {}, b"w")]
        consumer.seek("t", 0, 0)
        records = []
        while len(records) < 2:
            records += yield consumer.consume_records("t")
        assert records[0].value == first and records[0].key == b"k"
        assert seen == [b"poison"] * 2
    check()
