"""
`isolation_level` on real brokers: what was aborted is not seen, what is open is waited for, what is committed comes.

The transactions are made by plain requests, so that this does not depend on kiel's own transactional producer.
"""
from __future__ import absolute_import

import time
import uuid

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import Admin, SingleConsumer
from kiel.clients.administering.configs import Append
from kiel.clients.administering.topics import NewTopic
from kiel.protocol import add_partitions_to_txn, coordinator, end_txn, init_producer_id, messages, produce

from tests import loop
from tests.integration import peer

BEGINNING = SingleConsumer.BEGINNING
COMMITTED = dict(isolation_level="read_committed")


@pytest.fixture(scope="module", params=peer.share("0.11.0.3", "2.8.2", "4.4.0"))
def kafka(request):
    return peer.shared(request.param)


@pytest.fixture
def topic():
    return "isolated-" + uuid.uuid4().hex[:8]


def run(kafka, body):
    peer.with_clients(kafka, body, deserializer=bytes, max_wait_time=200)


class Transactions(object):
    """A transactional producer of single batches, on a cluster of one broker."""

    def __init__(self, writer):
        self.conn, = writer.cluster.conns.values()
        self.name = "transactions-" + uuid.uuid4().hex[:8]
        self.id = self.epoch = None
        self.sequences = {}

    @gen.coroutine
    def ask(self, make, narrow):
        """Sends a request, again and again while the coordinator is not ready."""
        while True:
            request = make()
            request.narrow = narrow
            response = yield self.conn.send(request)
            codes = [getattr(response, "error_code", 0)] + [
                part.error_code for topic in getattr(response, "topics", ()) for part in topic.partitions
            ] + [part.error_code for part in getattr(response, "coordinators", ())]
            error = next((exc.for_code(code) for code in codes if code), None)
            if error is None:
                raise gen.Return(response)
            if not error.retriable:
                raise error
            yield gen.sleep(0.05)

    @gen.coroutine
    def start(self):
        yield self.ask(lambda: coordinator.GroupCoordinatorRequest(group=self.name, key_type=1), (1, 3))
        answer = yield self.ask(lambda: init_producer_id.InitProducerIdRequest(
            transactional_id=self.name, transaction_timeout=60000), (0, 1))
        self.id, self.epoch = answer.producer_id, answer.producer_epoch

    @gen.coroutine
    def put(self, topic, partition, *values):
        """Writes values as one batch of the transaction under way, or of a new one."""
        yield self.ask(lambda: add_partitions_to_txn.AddPartitionsToTxnRequest(
            transactional_id=self.name, producer_id=self.id, producer_epoch=self.epoch,
            topics=[add_partitions_to_txn.TopicRequest(name=topic, partitions=[partition])]), (0, 3))
        first = self.sequences.get((topic, partition), 0)
        self.sequences[topic, partition] = first + len(values)
        data = messages.encode_batch(
            [(None, value, [], None) for value in values], 2, 0, int(time.time() * 1000), self.id, self.epoch, first,
            True)
        yield self.ask(lambda: produce.ProduceRequest(
            transactional_id=self.name, required_acks=-1, timeout=5000, topics=[
                produce.TopicRequest(name=topic, partitions=[produce.PartitionRequest(
                    partition_id=partition, message_set=messages.MessageSet.raw(data))])]), (3, 11))

    def end(self, commit):
        return self.ask(lambda: end_txn.EndTxnRequest(
            transactional_id=self.name, producer_id=self.id, producer_epoch=self.epoch, committed=commit), (0, 3))


@gen.coroutine
def transactions(writer, count=1):
    made = [Transactions(writer) for _ in range(count)]
    for one in made:
        yield one.start()
    raise gen.Return(made)


def test_aborted_transactions_are_never_seen(kafka, topic):
    kafka.create_topic(topic)

    def body(writer, start):
        one, two = yield transactions(writer, 2)
        wanted, everything = [], []
        for number in range(12):
            # two producers whose transactions mix; each third of the first and each second of the other is aborted
            values = [("%d-%s" % (number, name)).encode("ascii") for name in ("a", "b", "c", "plain")]
            yield one.put(topic, 0, values[0])
            yield two.put(topic, 0, values[1])
            yield one.put(topic, 0, values[2])
            yield two.end(number % 2 == 0)
            yield writer.put(topic, 0, values[3:])
            yield one.end(number % 3 == 0)
            everything += values
            wanted += [value for value, kept in zip(values, (
                number % 3 == 0, number % 2 == 0, number % 3 == 0, True)) if kept]
        consumer, uncommitted, small = yield [
            start(SingleConsumer, **COMMITTED), start(SingleConsumer),
            start(SingleConsumer, max_bytes=16 * 1024, **COMMITTED),
        ]
        assert (yield peer.gather(uncommitted, topic, len(everything), start=BEGINNING)) == everything
        for reader in (consumer, small):
            found = yield peer.gather(reader, topic, len(wanted), start=BEGINNING)
            assert found == wanted
            assert (yield reader.consume(topic)) == []
        ends = yield consumer.end_offsets(topic)
        assert ends[0] > len(everything)  # the markers are offsets, too
        for reader in (consumer, uncommitted, small):
            yield reader.consume(topic)
            assert reader.position(topic, 0) == ends[0] and reader.lag(topic, 0) == 0
        # from the middle of an aborted transaction on
        consumer.seek(topic, 0, 6)
        found = yield peer.gather(consumer, topic, len(wanted) - 4)
        assert found == wanted[-len(found):]
        records = yield start(SingleConsumer, **COMMITTED)
        found = yield peer.gather(records, topic, len(wanted), start=BEGINNING, records=True)
        assert [record.value for record in found] == wanted
        offsets = [record.offset for record in found]
        assert offsets == sorted(set(offsets))
    run(kafka, body)


def test_an_open_transaction_holds_back_what_comes_after_it(kafka, topic):
    kafka.create_topic(topic)

    def body(writer, start):
        yield writer.put(topic, 0, [b"before"])
        one, = yield transactions(writer)
        yield one.put(topic, 0, b"open")
        yield writer.put(topic, 0, [b"after"])
        consumer, uncommitted = yield [start(SingleConsumer, **COMMITTED), start(SingleConsumer)]
        assert (yield consumer.end_offsets(topic)) == {0: 1}
        assert (yield uncommitted.end_offsets(topic)) == {0: 3}
        assert (yield peer.gather(consumer, topic, 1, start=BEGINNING)) == [b"before"]
        assert (yield consumer.consume(topic)) == []
        assert consumer.lag(topic, 0) == 0 and consumer.position(topic, 0) == 1
        assert (yield peer.gather(uncommitted, topic, 3, start=BEGINNING)) == [b"before", b"open", b"after"]
        # at the end for a reader of committed messages: before what is open
        late = yield start(SingleConsumer, **COMMITTED)
        assert (yield late.consume(topic, SingleConsumer.END)) == []
        yield one.end(True)
        assert (yield peer.gather(consumer, topic, 2)) == [b"open", b"after"]
        assert (yield peer.gather(late, topic, 2)) == [b"open", b"after"]
        yield loop.until(lambda: consumer.lag(topic, 0) is not None)
    run(kafka, body)


def test_settings_of_a_topic_are_changed_one_by_one(kafka, topic):
    """Here, where there is a broker that can only be told all settings at once: it keeps the others all the same."""
    def body(writer, start):
        admin, resource = (yield start(Admin)), ("topic", topic)
        yield admin.create_topics([NewTopic(topic, 1, 1, configs={"retention.ms": 90000, "segment.ms": 80000})])
        yield admin.alter_configs({resource: {"segment.ms": None, "cleanup.policy": Append(["compact"])}})

        @gen.coroutine
        def own():
            found = (yield admin.describe_configs([resource]))[resource]
            raise gen.Return(dict((name, found[name].value) for name in ("retention.ms", "segment.ms", "cleanup.policy")
                                  if found[name].source in ("topic", None)))
        while (yield own()) != {"retention.ms": "90000", "cleanup.policy": "delete,compact"}:
            yield gen.sleep(0.02)
    peer.with_clients(kafka, body)
