"""Consumers on a scripted cluster, and what they asked it for."""
from __future__ import absolute_import

from tornado import gen, ioloop

from kiel.clients.single import SingleConsumer
from kiel.retry import Backoff

from tests import answers, loop
from tests.fake import with_cluster


def make(cluster, **settings):
    settings.setdefault("deserializer", bytes)
    settings.setdefault("max_wait_time", 200)
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("retry", Backoff(first=0.01, most=0.1, deadline=2))
    consumer = SingleConsumer(cluster.bootstrap, **settings)
    consumer.settings.probe_timeout = 0.1
    return consumer


def with_consumer(consumer=None, **settings):
    """Runs the test with a cluster and a connected consumer; afterwards nothing is left open."""
    def decorate(test):
        @with_cluster(**settings)
        def run(cluster):
            client = make(cluster, **(consumer or {}))
            yield client.connect()
            try:
                yield gen.coroutine(test)(cluster, client)
            finally:
                yield client.close()
            yield loop.until(lambda: not any(b.streams for b in cluster.brokers.values()))
        run.__name__ = test.__name__
        return run
    return decorate


@gen.coroutine
def gather(consumer, count, topic="t", start=SingleConsumer.BEGINNING, seconds=5):
    """Consumes until so many messages came; fails after the time."""
    messages = []
    deadline = ioloop.IOLoop.current().time() + seconds
    while len(messages) < count:
        assert ioloop.IOLoop.current().time() < deadline, messages
        messages.extend((yield loop.within(seconds, consumer.consume(topic, start))))
    raise gen.Return(messages)


def fetched_from(cluster, topic="t", partition=0):
    """The offsets that fetches asked for, oldest first."""
    found = []
    for broker in cluster.brokers.values():
        for call in broker.requests:
            if call.api == "fetch" and call.request is not None:
                for asked in call.request.topics:
                    if answers.named(call, asked) == topic:
                        found.extend(
                            part.offset for part in asked.partitions if part.partition_id == partition
                        )
    return found


def times_asked(cluster, topic="t", partition=0):
    """The times of the offset requests, oldest first."""
    return [
        part.time for broker in cluster.brokers.values() for call in broker.requests
        if call.api == "offset" for asked in call.request.topics if asked.name == topic
        for part in asked.partitions if part.partition_id == partition
    ]


class EveryBatch(object):
    """Lets the loop turn after each batch that is decoded."""

    def over(self, now):
        return True
