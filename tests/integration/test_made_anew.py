"""Topics that are deleted and made again on real brokers: where messages go, what is read, and who says so."""
from __future__ import absolute_import

import uuid

import pytest

from kiel import clients, exc

from tests import loop
from tests.integration import peer

#: without topic ids, with ids and messages by name, with messages by id
RELEASES = peer.share("1.1.1", "2.8.2", "4.4.0")

BEGINNING = clients.SingleConsumer.BEGINNING


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    return peer.shared(request.param)


@pytest.fixture
def topic(kafka):
    name = "anew-" + uuid.uuid4().hex[:8]
    kafka.create_topic(name)
    return name


def make_again(kafka, topic):
    kafka.delete_topic(topic)
    kafka.create_topic(topic)


def run(kafka, body):
    peer.with_clients(kafka, body)


def producer_of(start, **settings):
    return start(clients.Producer, serializer=bytes, delivery_timeout=20, linger=0.001, **settings)


def reader_of(start, **settings):
    return start(clients.SingleConsumer, deserializer=bytes, max_wait_time=200, **settings)


def lines(caplog, *words):
    return [record.getMessage() for record in caplog.records
            if record.levelname == "WARNING" and any(word in record.getMessage() for word in words)]


@pytest.mark.parametrize("idempotent", [None, False])
def test_what_was_accepted_is_written_to_the_new_topic(kafka, topic, idempotent, caplog):
    def body(writer, start):
        producer = yield producer_of(start, idempotent=idempotent)
        for _ in range(7):
            yield (yield producer.produce(topic, b"old")).future()
        make_again(kafka, topic)
        values = [b"%d" % number for number in range(50)]
        deliveries = yield [producer.produce(topic, value) for value in values]
        written = yield [delivery.future() for delivery in deliveries]
        assert [record.offset for record in written] == list(range(50))
        yield loop.until(lambda: lines(caplog, "recreated"), 10)
        line, = lines(caplog, "recreated")
        assert topic in line
        consumer = yield reader_of(start)
        assert (yield peer.gather(consumer, topic, 50, start=BEGINNING)) == values
    run(kafka, body)


def test_a_transaction_that_has_written_to_the_old_topic_fails_and_the_next_goes_well(kafka, topic):
    def body(writer, start):
        producer = yield producer_of(start, transactional_id=topic)
        yield producer.begin()
        for _ in range(3):
            yield (yield producer.produce(topic, b"old")).future()
        make_again(kafka, topic)
        try:
            yield producer.produce(topic, b"mixed")
            yield producer.commit()
        except exc.KielError as error:  # without ids the broker says first that it does not know the producer
            assert isinstance(error, (exc.TransactionFailedError, exc.UnknownProducerIdError)), error
        else:
            raise AssertionError("half a transaction was committed")
        yield producer.abort()
        yield producer.begin()
        yield producer.produce(topic, b"whole")
        yield producer.commit()
        consumer = yield reader_of(start, isolation_level="read_committed")
        assert (yield peer.gather(consumer, topic, 1, start=BEGINNING)) == [b"whole"]
    run(kafka, body)


def test_a_reader_behind_the_end_is_told(kafka, topic, caplog):
    def body(writer, start):
        consumer = yield reader_of(start)
        yield consumer.consume(topic, BEGINNING)
        yield writer.put(topic, 0, [b"old"] * 11)
        yield peer.gather(consumer, topic, 11)
        consumer.seek(topic, 0, 2)
        consumer.pause(topic)  # an empty topic would tell it
        make_again(kafka, topic)
        yield writer.put(topic, 0, [b"1", b"2", b"3"])
        consumer.resume(topic)
        known = kafka.version != "1.1.1"
        found = yield peer.gather(consumer, topic, 3 if known else 1)
        assert found == ([b"1", b"2", b"3"] if known else [b"3"])
        yield loop.until(lambda: lines(caplog, "recreated"), 10)
        assert topic in lines(caplog, "recreated")[0]
    run(kafka, body)


def test_a_reader_at_the_end_is_told(kafka, topic, caplog):
    def body(writer, start):
        consumer = yield reader_of(start)
        yield consumer.consume(topic, BEGINNING)
        yield writer.put(topic, 0, [b"old"] * 7)
        yield peer.gather(consumer, topic, 7)
        make_again(kafka, topic)
        yield writer.put(topic, 0, [b"1", b"2", b"3"])
        assert (yield peer.gather(consumer, topic, 3)) == [b"1", b"2", b"3"]
        assert topic in lines(caplog, "recreated")[0]
    run(kafka, body)
