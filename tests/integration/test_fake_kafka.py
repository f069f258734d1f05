"""Other clients on `kiel.testing.FakeKafka`: what it speaks is Kafka's protocol, not kiel's idea of it."""
from __future__ import absolute_import

import sys
import time

import pytest

from kiel.testing import FakeKafka

from tests.needs import needed

#: seconds that a step may take
PATIENCE = 30


def other(module, install):
    """Another client's module; the newest Python has to have it."""
    return needed(module, install) if sys.version_info >= (3, 13) else pytest.importorskip(module)


@pytest.fixture
def fake():
    with FakeKafka({"t": 3}) as kafka:
        yield kafka


def polled(consumer, count):
    """So many messages of a confluent_kafka.Consumer."""
    found = []
    until = time.time() + PATIENCE
    while len(found) < count and time.time() < until:
        message = consumer.poll(0.5)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    return found


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_writes_reads_and_commits(fake, protocol):
    confluent = other("confluent_kafka", "pip install confluent-kafka")
    where = {"bootstrap.servers": fake.address, "log_level": 0}
    producer = confluent.Producer(dict(where, **{"enable.idempotence": True, "compression.type": "gzip"}))
    for number in range(30):
        producer.produce("t", b"%d" % number, key=b"%d" % number, headers=[("h", b"1")])
    assert producer.flush(PATIENCE) == 0
    assert sorted(int(record.value) for record in fake.messages("t")) == list(range(30))
    assert tuple(fake.messages("t")[0].headers) == (("h", b"1"),)
    consumer = confluent.Consumer(dict(
        where, **{"group.id": "g", "auto.offset.reset": "earliest", "group.protocol": protocol}))
    consumer.subscribe(["t"])
    assert sorted(int(message.value()) for message in polled(consumer, 30)) == list(range(30))
    consumer.commit(asynchronous=False)
    consumer.close()
    assert sum(fake.offsets("g").values()) == 30


def test_librdkafka_in_transactions_and_as_an_admin(fake):
    confluent = other("confluent_kafka", "pip install confluent-kafka")
    from confluent_kafka.admin import AdminClient, NewTopic
    where = {"bootstrap.servers": fake.address, "log_level": 0}
    producer = confluent.Producer(dict(where, **{"transactional.id": "x"}))
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    producer.produce("t", b"kept")
    producer.commit_transaction(PATIENCE)
    producer.begin_transaction()
    producer.produce("t", b"gone")
    producer.flush(PATIENCE)
    producer.abort_transaction(PATIENCE)
    assert sorted(record.value for record in fake.messages("t")) == [b"gone", b"kept"]
    assert [record.value for record in fake.messages("t", committed=True)] == [b"kept"]
    admin = AdminClient(where)
    for outcome in admin.create_topics([NewTopic("new", 2, 1)]).values():
        outcome.result(PATIENCE)
    assert len(admin.list_topics(timeout=PATIENCE).topics["new"].partitions) == 2
    for outcome in admin.delete_topics(["new"]).values():
        outcome.result(PATIENCE)
    assert list(fake.topics) == ["t"]


def test_kafka_python_writes_reads_and_commits(fake):
    kafka = other("kafka", "pip install kafka-python")
    producer = kafka.KafkaProducer(bootstrap_servers=fake.address)
    for number in range(10):
        producer.send("t", b"%d" % number).get(PATIENCE)
    producer.close()
    consumer = kafka.KafkaConsumer(
        "t", bootstrap_servers=fake.address, group_id="g", auto_offset_reset="earliest",
        consumer_timeout_ms=PATIENCE * 1000)
    found = [message.value for _, message in zip(range(10), consumer)]
    consumer.close()
    assert sorted(found) == [b"%d" % number for number in range(10)]
    assert sum(fake.offsets("g").values()) == 10
