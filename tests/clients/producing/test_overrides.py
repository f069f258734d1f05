"""Subclasses of 0.9: what they replaced is called."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.retry import Backoff

from tests import loop
from tests.clients.producing.producers import values
from tests.fake import error, with_cluster


class Counting(clients.Producer):
    """Overrides both hooks as an application of 2016 did."""

    def __init__(self, *args, **kwargs):
        self.calls = []
        super(Counting, self).__init__(*args, **kwargs)

    @gen.coroutine
    def flush(self):
        self.calls.append(("flush", self.unsent_count))
        yield super(Counting, self).flush()

    def handle_produce_response(self, response):
        self.calls.append(("response", response.topics[0].partitions[0].error_code))
        return super(Counting, self).handle_produce_response(response)


@gen.coroutine
def started(cluster, cls, **settings):
    producer = cls(cluster.bootstrap, serializer=bytes, retry=Backoff(first=0.02, most=0.05, deadline=1), **settings)
    yield producer.connect()
    raise gen.Return(producer)


@with_cluster(topics={"t": 1})
def test_hooks_are_called_on_the_way_of_a_message(cluster):
    producer = yield started(cluster, Counting)
    delivery = yield producer.produce("t", b"1")
    assert delivery.result().offset == 0
    assert producer.calls == [("flush", 1), ("response", 0)]
    yield loop.within(5, producer.close())
    assert producer.calls[2:] == [("flush", 0)]


@with_cluster(topics={"t": 1})
def test_hooks_are_called_when_a_batch_is_full_and_by_close_without_an_argument(cluster):
    producer = yield started(cluster, Counting, batch_size=3)
    yield [producer.produce("t", b"abc"[i:i + 1]) for i in range(3)]
    assert producer.calls == [("flush", 3), ("response", 0)]
    yield producer.produce("t", b"d")
    yield loop.within(5, producer.close())
    assert [name for name, _ in producer.calls[2:]] == ["flush", "response"]
    assert values(cluster) == [b"a", b"b", b"c", b"d"]


@with_cluster(topics={"t": 1})
def test_produce_many_and_a_retry_go_by_the_hooks_too(cluster):
    cluster[1].on("produce", error(6), times=1)
    producer = yield started(cluster, Counting)
    yield (yield producer.produce_many("t", [b"1", b"2"]))
    assert producer.calls[0][0] == "flush" and ("response", 6) in producer.calls and producer.calls[-1][1] == 0
    assert values(cluster) == [b"1", b"2"]
    yield producer.close()


class Strict(clients.Producer):
    """Raises where its messages can't be written."""

    @gen.coroutine
    def handle_produce_response(self, response):
        yield gen.moment
        raise KeyError("strict")


@with_cluster(topics={"t": 1})
def test_what_the_handler_raises_reaches_the_caller_as_in_0_9(cluster):
    producer = yield started(cluster, Strict)
    yield loop.raises(KeyError, producer.produce("t", b"1"))
    yield loop.raises(KeyError, producer.produce("t", b"2"))
    assert values(cluster) == [b"1", b"2"] and not producer.sent
    yield loop.within(5, producer.close())


class Silent(clients.Producer):
    """Handles answers itself, all of it."""

    def handle_produce_response(self, response):
        pass


@with_cluster(topics={"t": 1})
def test_a_handler_that_leaves_the_rest_out_holds_up_nothing(cluster):
    producer = yield started(cluster, Silent)
    for value in (b"1", b"2"):
        yield loop.within(5, producer.produce("t", value))
    assert values(cluster) == [b"1", b"2"]
    yield loop.within(5, producer.close())


class Failing(clients.Producer):
    """Its flush fails."""

    def flush(self):
        raise exc.KielError("no")


@with_cluster(topics={"t": 1})
def test_what_flush_raises_reaches_the_caller_and_close_goes_on(cluster):
    producer = yield started(cluster, Failing)
    yield loop.raises(exc.KielError, producer.produce("t", b"1"))
    yield loop.within(5, producer.close())


def test_a_method_that_nobody_would_call_is_refused():
    class Retrying(clients.Producer):
        """Overrides what is not called any more."""

        def queue_retries(self, topic, msgs):
            """Never called."""

    with pytest.raises(TypeError) as caught:
        Retrying(["nowhere:1"])
    assert "queue_retries" in str(caught.value) and "delivery_timeout=" in str(caught.value)


def test_names_of_0_9():
    producer = clients.Producer(["nowhere:1"])
    assert producer.key_maker("message") is None
    assert producer.unsent["nothing"] == [] and producer.unsent_count == 0
    assert producer.partitioner(None, [3]) == 3


@with_cluster(versions="0.8", topics={"t": 1})
def test_more_acks_than_one_where_the_broker_takes_them(cluster):
    producer = yield started(cluster, clients.Producer, required_acks=2)
    yield producer.produce("t", b"1")
    assert [call.request.required_acks for call in cluster[1].requests if call.api == "produce"] == [2]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_more_acks_than_one_where_it_does_not(cluster):
    cluster[1].on("produce", error(21))
    producer = yield started(cluster, clients.Producer, required_acks=2)
    yield loop.raises(exc.InvalidRequiredAcksError, producer.produce("t", b"1"))
    yield producer.close()
