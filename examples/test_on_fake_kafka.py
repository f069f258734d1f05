"""
Tests of examples/web.py and examples/worker.py with a Kafka, but without Java: on kiel.testing.FakeKafka.

    pytest -p kiel.testing.fixtures examples/test_on_fake_kafka.py
"""
from __future__ import absolute_import

import os
import sys

from tornado import gen, ioloop, testing

from kiel import clients
from kiel.testing import FakeKafka
from kiel.worker import Worker

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from web import application  # noqa: E402
from worker import handle  # noqa: E402


class TestWebOnFakeKafka(testing.AsyncHTTPTestCase):
    """The service with a producer of its own, against Tornado's test case."""

    def setUp(self):
        self.kafka = FakeKafka(topics={"events": 3})
        super(TestWebOnFakeKafka, self).setUp()
        self.io_loop.run_sync(self.producer.connect)

    def get_app(self):
        self.producer = clients.Producer(self.kafka.bootstrap)
        return application(self.producer, "events")

    def tearDown(self):
        self.io_loop.run_sync(self.producer.close)
        super(TestWebOnFakeKafka, self).tearDown()
        self.kafka.close()

    def test_an_event_is_written(self):
        assert self.fetch("/events", method="POST", body='{"id": 7}').code == 201
        record, = self.kafka.messages("events")
        assert (record.key, record.value) == (b"7", b'{"id": 7}')

    def test_a_broker_that_hangs_up_is_asked_again(self):
        self.kafka.hang_up("produce")
        assert self.fetch("/events", method="POST", body='{"id": 7}').code == 201
        assert len(self.kafka.messages("events")) == 1

    def test_what_kafka_refuses_is_told(self):
        self.kafka.fail("produce", "topic_authorization_failed")
        assert self.fetch("/events", method="POST", body='{"id": 7}').code == 503
        assert not self.kafka.messages("events")


def test_a_message_that_cannot_be_worked_on_becomes_a_dead_letter(fake_kafka, capsys):
    """The worker's handler; ``fake_kafka`` is a fixture of kiel.testing."""
    fake_kafka.topic("colors")
    fake_kafka.append("colors", {"name": "red"})
    fake_kafka.append("colors", None, key="empty")

    @gen.coroutine
    def check():
        consumer = clients.GroupedConsumer(fake_kafka.bootstrap, "workers", topics=["colors"], autocommit=False)
        worker = Worker(consumer, handle, dead_letters="colors.dead")
        running = worker.run()
        while worker.numbers["done"] + worker.numbers["dead"] < 2:
            yield gen.sleep(0.01)
        yield worker.drain()
        yield running

    ioloop.IOLoop.current().run_sync(check, timeout=30)
    assert "red" in capsys.readouterr()[0]
    letter, = fake_kafka.messages("colors.dead")
    assert letter.key == b"empty" and letter.value is None
    assert fake_kafka.offsets("workers") == {("colors", 0): 2}
