"""Servers that speak Kafka's protocol and are not Kafka: librdkafka's mock cluster, where confluent-kafka is there."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import clients

from tests import loop

confluent_kafka = pytest.importorskip("confluent_kafka")


def test_librdkafkas_mock_cluster():
    owner = confluent_kafka.Producer({"test.mock.num.brokers": 2})
    hosts = ["%s:%d" % (broker.host, broker.port) for broker in owner.list_topics(timeout=10).brokers.values()]

    @gen.coroutine
    def body():
        producer = clients.Producer(hosts, serializer=bytes)
        yield producer.connect()
        yield producer.produce("t", b"hello")
        yield producer.close()
        consumer = clients.SingleConsumer(hosts, deserializer=bytes)
        yield consumer.connect()
        got = []
        while not got:
            got = yield consumer.consume("t", start=consumer.BEGINNING)
        assert got == [b"hello"]
        yield consumer.close()

    loop.run(body, timeout=30)
    del owner
