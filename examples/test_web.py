"""
The tests of examples/web.py: handlers without a broker, by AsyncHTTPTestCase, and a real Kafka, by fixtures of pytest.

    pytest -p kiel.testing.fixtures examples/test_web.py
"""
from __future__ import absolute_import

import json
import os
import sys

from tornado import gen, ioloop, testing

from kiel import clients, exc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from web import application  # noqa: E402


class FakeProducer(object):
    """Takes messages as a producer does, and keeps them."""

    def __init__(self):
        self.taken = []
        self.error = None  # type: Exception | None

    @gen.coroutine
    def produce_and_wait(self, topic, message, key=None, timeout=None):
        if self.error is not None:
            raise self.error
        self.taken.append((topic, message, key))
        raise gen.Return(clients.RecordMetadata(topic, 0, len(self.taken) - 1, 0))

    def health(self):
        return {"ready": self.error is None, "ended": False}


class TestHandlers(testing.AsyncHTTPTestCase):
    """The handlers, without a broker."""

    def get_app(self):
        self.producer = FakeProducer()
        return application(self.producer, "events")

    def test_an_event_is_written(self):
        response = self.fetch("/events", method="POST", body='{"id": 7}')
        assert response.code == 201
        assert json.loads(response.body.decode("utf-8")) == {"partition": 0, "offset": 0}
        assert self.producer.taken == [("events", {"id": 7}, "7")]

    def test_what_is_no_event_is_refused(self):
        assert self.fetch("/events", method="POST", body="seven").code == 400
        assert self.fetch("/events", method="POST", body="{}").code == 400
        assert not self.producer.taken

    def test_without_a_broker_the_client_may_try_again(self):
        self.producer.error = exc.NoBrokersError("none there")
        assert self.fetch("/events", method="POST", body='{"id": 7}').code == 503
        assert self.fetch("/health/ready").code == 503
        assert self.fetch("/health/live").code == 200


def test_an_event_arrives(kafka, topic):
    """The producer on a real Kafka; ``kafka`` and ``topic`` are fixtures of kiel.testing."""
    kafka.create_topic(topic, partitions=1)

    @gen.coroutine
    def check():
        producer = clients.Producer(kafka.bootstrap)
        consumer = clients.SingleConsumer(kafka.bootstrap)
        yield [producer.connect(), consumer.connect()]
        yield producer.produce(topic, {"id": 7}, key="7")
        records = yield consumer.consume_records(topic, start=consumer.BEGINNING)
        assert [(record.key, record.value) for record in records] == [(b"7", {"id": 7})]
        yield [producer.close(), consumer.close()]

    ioloop.IOLoop.current().run_sync(check, timeout=30)
