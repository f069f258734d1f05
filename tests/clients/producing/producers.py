"""Producers of a scripted Kafka, and what they wrote there."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients
from kiel.protocol import messages
from kiel.retry import Backoff


def make(cluster, **settings):
    settings.setdefault("serializer", lambda message: message)
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("retry", Backoff(first=0.02, most=0.05, deadline=1))
    producer = clients.Producer(cluster.bootstrap, **settings)
    producer.settings.probe_timeout = 0.1
    return producer


@gen.coroutine
def connected(cluster, **settings):
    producer = make(cluster, **settings)
    yield producer.connect()
    raise gen.Return(producer)


def records(cluster, topic="t", partition=0):
    """All that was written to a partition: (offset, timestamp, key, value, headers)."""
    data = b"".join(entry[3] for entry in cluster.log(topic, partition).batches)
    return [record for batch in messages.batches(data) for record in batch.records()]


def values(cluster, topic="t", partition=0):
    return [record[3] for record in records(cluster, topic, partition)]


def settled(producer):
    """Nothing is left of what was under way."""
    return not producer.sent and not producer.unsent_count and producer.buffered == 0
