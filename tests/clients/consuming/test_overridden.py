"""An application's own ``handle_fetch_response`` is shown errors that are dealt with, and may act on them."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel.clients.single import SingleConsumer
from kiel.protocol import errors
from kiel.retry import Backoff

from tests import loop
from tests.fake import error, with_cluster

REFUSALS = [errors.offset_out_of_range, errors.not_partition_leader, errors.topic_authorization_failed]


class Acting(SingleConsumer):
    """Does something about a partition's error, as applications of 2016 did."""

    act = None
    seen = 0

    def handle_fetch_response(self, response):
        for topic in response.topics:
            for part in topic.partitions:
                if part.error_code:
                    self.seen += 1
                    self.act(topic.name, part.partition_id)
        return super(Acting, self).handle_fetch_response(response)


@gen.coroutine
def refused(cluster, code, act):
    """Return a consumer that has read one message of each of two partitions, whose next fetch of one is refused."""
    consumer = Acting(cluster.bootstrap, bytes, max_wait_time=2000, retry=Backoff(first=0.01, most=0.1, deadline=2))
    consumer.act = lambda topic, partition: act(consumer, topic, partition)
    yield consumer.connect()
    cluster.log("t", 0).put(b"a")
    cluster.log("t", 1).put(b"b")
    found = []
    while len(found) < 2:
        found.extend((yield consumer.consume("t", consumer.BEGINNING)))
    for broker in cluster.brokers.values():
        broker.on("fetch", error(code, "t", 0), times=1)
    cluster.log("t", 0).put(b"c")
    cluster.log("t", 1).put(b"d")
    raise gen.Return(consumer)


@gen.coroutine
def all_of(consumer, wanted):
    found = []
    while not wanted <= set(found):
        found.extend((yield loop.within(5, consumer.consume("t"))))


def offset_written(consumer, topic, partition):
    consumer.offsets[topic][partition] = 0


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("act", [lambda consumer, *where: consumer.seek(*(where + (0,))), offset_written])
def test_it_may_go_elsewhere(code, act):
    @with_cluster(topics={"t": 2})
    def run(cluster):
        consumer = yield refused(cluster, code, act)
        yield all_of(consumer, {b"a", b"c", b"d"})
        assert consumer.seen == 1
        yield consumer.close()
    run()


@pytest.mark.parametrize("code", REFUSALS)
def test_it_may_close_the_consumer(code):
    @with_cluster(topics={"t": 2})
    def run(cluster):
        consumer = yield refused(cluster, code, lambda consumer, *_: consumer.close())
        while (yield loop.within(5, consumer.consume("t"))) is not None:
            pass
        assert consumer.seen == 1
    run()


@pytest.mark.parametrize("code", REFUSALS[:2])
def test_what_it_raises_comes_out_of_consume_once(code):
    def act(*_):
        raise ValueError("my own")

    @with_cluster(topics={"t": 2})
    def run(cluster):
        consumer = yield refused(cluster, code, act)
        with pytest.raises(ValueError):
            yield all_of(consumer, {b"never"})
        cluster.log("t", 0).put(b"e")
        yield all_of(consumer, {b"e"})
        yield consumer.close()
    run()
