"""
What any Kafka does, asked of `kiel.testing.FakeKafka` and of a real one alike.

The modules that take these tests over bring the fixture ``kafka``; whatever holds on one and not on the other is a
mistake of the fake's.
"""
from __future__ import absolute_import

import time
import uuid

import pytest
from tornado import gen

from kiel import clients, compression, constants, exc
from kiel.clients.administering.topics import NewTopic
from kiel.connection import Connection
from kiel.protocol import (
    consumer_group_heartbeat, end_txn, heartbeat, init_producer_id, join_group, messages, offset, offset_commit,
    produce, sync_group
)

from tests import loop

#: seconds that a step may take
PATIENCE = 30

#: 12:00 UTC on a day in 2024, in milliseconds
NOON = 1718020800000


def run(body):
    loop.run(gen.coroutine(body), timeout=4 * PATIENCE)


def new_group():
    return "group-" + uuid.uuid4().hex[:8]


def identity(message):
    return message


@gen.coroutine
def produced(kafka, topic, values, **options):
    """Writes values, bytes each; gives their records' metadata."""
    settings = options.pop("settings", {})
    producer = clients.Producer(kafka.bootstrap, serializer=identity, **settings)
    yield producer.connect()
    found = []
    for value in values:
        found.append((yield producer.produce_and_wait(topic, value, **options)))
    yield producer.close()
    raise gen.Return(found)


@gen.coroutine
def consumed(kafka, topic, count, start=clients.SingleConsumer.BEGINNING, **settings):
    """Reads so many records of a topic."""
    consumer = clients.SingleConsumer(kafka.bootstrap, deserializer=identity, max_wait_time=100, **settings)
    yield consumer.connect()
    found = []

    @gen.coroutine
    def read():
        while len(found) < count:
            found.extend((yield consumer.consume_records(topic, start=start)))

    yield loop.within(PATIENCE, read())
    yield consumer.close()
    raise gen.Return(found)


@gen.coroutine
def asked(kafka, *requests):
    """The answers to requests that go to a broker one after the other."""
    host, _, port = kafka.bootstrap[0].partition(":")
    connection = Connection(host, int(port))
    yield connection.connect()
    found = []
    for request in requests:
        found.append((yield loop.within(PATIENCE, connection.send(request))))
    connection.close()
    raise gen.Return(found)


def batch(values, producer_id=-1, epoch=-1, sequence=-1, transactional=False):
    """A message set of the values."""
    data = messages.encode_batch(
        [(None, value, (), None) for value in values], 2, 0, int(time.time() * 1000), producer_id, epoch, sequence,
        transactional)
    return messages.MessageSet.raw(data)


def to_write(topic, message_set, transactional_id=None, partition=0, version=11):
    """A Produce request of one partition."""
    request = produce.ProduceRequest(
        required_acks=-1, timeout=10000, transactional_id=transactional_id, topics=[produce.TopicRequest(
            name=topic, partitions=[produce.PartitionRequest(partition_id=partition, message_set=message_set)])])
    request.narrow = (version, version)
    return request


# -- messages --

def test_messages_arrive_as_they_were_written(kafka):
    topic = kafka.topic(partitions=2)

    def body():
        first, = yield produced(kafka, topic, [b"red"], key=b"k", partition=1, headers=[("h", b"1"), ("n", None)],
                                timestamp=NOON)
        assert (first.topic, first.partition, first.offset) == (topic, 1, 0)
        yield produced(kafka, topic, [b"", b"blue"], partition=1, timestamp=NOON + 1)
        records = yield consumed(kafka, topic, 3)
        assert [record.offset for record in records] == [0, 1, 2]
        assert [record.timestamp for record in records] == [NOON, NOON + 1, NOON + 1]
        assert [record.value for record in records] == [b"red", b"", b"blue"]
        assert records[0].key == b"k" and tuple(records[0].headers) == (("h", b"1"), ("n", None))
        assert records[1].key is None and tuple(records[1].headers) == ()
    run(body)


@pytest.mark.parametrize("codec", [constants.GZIP, constants.SNAPPY, constants.LZ4, constants.ZSTD])
def test_compressed_messages_arrive(kafka, codec):
    if not compression.codecs[codec].available:
        pytest.skip("no package for %s is installed" % compression.codecs[codec].name)
    topic = kafka.topic()

    def body():
        producer = clients.Producer(
            kafka.bootstrap, serializer=identity, compression=codec, batch_size=20, linger=1)
        yield producer.connect()
        yield producer.produce_many(topic, [b"a" * 100] * 20)
        yield producer.close()
        records = yield consumed(kafka, topic, 20)
        assert [record.value for record in records] == [b"a" * 100] * 20
    run(body)


def test_offsets_by_time(kafka):
    topic = kafka.topic()

    def body():
        for step in range(3):
            yield produced(kafka, topic, [b"1"], timestamp=NOON + step * 1000)
        producer = clients.Producer(kafka.bootstrap, serializer=identity, batch_size=3, linger=5)
        yield producer.connect()
        for step in (10, 11, 12):  # in one batch
            yield producer.produce(topic, b"2", timestamp=NOON + step * 1000)
        yield producer.close()
        times = [NOON - 1, NOON, NOON + 1, NOON + 2000, NOON + 11000, NOON + 13000, -1, -2, -3]
        answers = yield asked(kafka, *[
            offset.OffsetRequest(topics=[offset.TopicRequest(
                name=topic, partitions=[offset.PartitionRequest(partition_id=0, time=when)])])
            for when in times])
        found = [answer.topics[0].partitions[0] for answer in answers]
        assert [one.error_code for one in found] == [0] * len(times)
        assert [one.offset for one in found] == [0, 0, 1, 2, 4, -1, 6, 0, 5]
        assert [one.timestamp for one in found] == [
            NOON, NOON, NOON + 1000, NOON + 2000, NOON + 11000, -1, -1, -1, NOON + 12000]
    run(body)


def test_a_reader_that_waits_is_woken(kafka):
    topic = kafka.topic()

    def body():
        consumer = clients.SingleConsumer(kafka.bootstrap, deserializer=identity, max_wait_time=PATIENCE * 1000)
        yield consumer.connect()
        reading = consumer.consume(topic, start=consumer.BEGINNING)
        yield gen.sleep(0.05)
        yield produced(kafka, topic, [b"1"])
        assert (yield loop.within(PATIENCE, reading)) == [b"1"]
        yield consumer.close()
    run(body)


def test_what_is_wrong_with_a_write_is_told(kafka):
    topic = kafka.topic(config={"max.message.bytes": 2000})

    def code(answer):
        return answer.topics[0].partitions[0].error_code

    def body():
        broken = batch([b"1"]).data[:-1] + b"\7"
        answers = yield asked(
            kafka, to_write(topic, batch([b"1"])), to_write(topic, batch([b"1"]), partition=5),
            to_write(topic + "-none", batch([b"1"])), to_write(topic, batch([b"1" * 3000])),
            to_write(topic, messages.MessageSet.raw(broken)),
            to_write(topic, messages.MessageSet.raw(batch([b"1"]).data * 2)),
            to_write(topic, batch([b"1"], 5, 0, 0, transactional=True), "never-heard-of"))
        assert [code(answer) for answer in answers[:6]] == [0, 3, 3, 10, 2, 87]
        assert code(answers[6]) != 0
    run(body)


# -- idempotence --

def test_a_batch_that_comes_twice_is_written_once(kafka):
    topic = kafka.topic()

    def body():
        given, = yield asked(kafka, init_producer_id.InitProducerIdRequest(
            transactional_id=None, transaction_timeout=10000))
        assert given.error_code == 0
        ours = given.producer_id

        def numbered(sequence, count=1, epoch=0):
            return to_write(topic, batch([b"%d" % sequence] * count, ours, epoch, sequence))

        answers = yield asked(kafka, numbered(0), numbered(1, 2), numbered(0), numbered(1, 2), numbered(5), numbered(3),
                              numbered(2), numbered(0, epoch=1), numbered(4), numbered(7, epoch=2))
        found = [answer.topics[0].partitions[0] for answer in answers]
        assert [one.error_code for one in found] == [0, 0, 0, 0, 45, 0, 45, 0, 47, 45]
        assert [one.offset for one in found if not one.error_code] == [0, 1, 0, 1, 3, 4]
        records = yield consumed(kafka, topic, 5)
        assert [record.value for record in records] == [b"0", b"1", b"1", b"3", b"0"]
    run(body)


# -- groups --

class Reader(object):
    """A member that reads; ``got`` is what it was handed."""

    def __init__(self, kafka, group, topic, protocol):
        self.consumer = clients.GroupedConsumer(
            kafka.bootstrap, group, topics=[topic], deserializer=identity, group_protocol=protocol, max_wait_time=100,
            autocommit="processed", heartbeat_interval=0.1, slow_callback=None)
        self.topic = topic
        self.got = []
        self.going = False
        self.running = None

    @gen.coroutine
    def start(self):
        yield self.consumer.connect()
        self.going = True
        self.running = self.read()

    @gen.coroutine
    def read(self):
        while self.going:
            self.got.extend((yield self.consumer.consume(self.topic)))

    @gen.coroutine
    def stop(self):
        self.going = False
        yield loop.within(PATIENCE, self.running)
        yield loop.within(PATIENCE, self.consumer.close())

    def owns(self):
        return sorted(self.consumer.allocation.get(self.topic, ()))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_share_and_what_they_commit_stays(kafka, protocol):
    topic, group = kafka.topic(partitions=4), new_group()

    def body():
        one, two = [Reader(kafka, group, topic, protocol) for _ in range(2)]
        yield one.start()
        yield loop.until(lambda: one.owns() == [0, 1, 2, 3], PATIENCE)
        yield two.start()
        yield loop.until(lambda: len(one.owns()) == len(two.owns()) == 2, PATIENCE)
        assert sorted(one.owns() + two.owns()) == [0, 1, 2, 3]
        for number in range(8):
            yield produced(kafka, topic, [b"%d" % number], partition=number % 4)
        yield loop.until(lambda: len(one.got) + len(two.got) == 8, PATIENCE)
        assert sorted(one.got + two.got) == [b"%d" % number for number in range(8)]
        admin = clients.Admin(kafka.bootstrap)
        yield admin.connect()
        described = (yield admin.describe_groups([group]))[group]
        assert len(described.members) == 2 and described.state == "Stable"
        yield two.stop()
        yield loop.until(lambda: one.owns() == [0, 1, 2, 3], PATIENCE)
        yield one.stop()
        offsets = yield admin.committed_offsets(group)
        assert dict(offsets) == dict(((topic, number), 2) for number in range(4))
        yield admin.delete_group(group)
        yield admin.close()
        again = Reader(kafka, group, topic, protocol)
        yield again.start()
        yield loop.until(lambda: len(again.got) == 8, PATIENCE)
        yield again.stop()
    run(body)


def test_strangers_to_a_group_are_told_so(kafka):
    topic, group = kafka.topic(), new_group()

    def body():
        def commit(generation, member):
            return offset_commit.OffsetCommitRequest(
                group=group, generation=generation, consumer_id=member, topics=[offset_commit.TopicRequest(
                    name=topic, partitions=[offset_commit.PartitionRequest(
                        partition_id=0, offset=3, metadata="")])])

        def join(member, protocols=("range",)):
            return join_group.JoinGroupRequest(
                group_id=group, session_timeout=10000, rebalance_timeout=10000, member_id=member,
                protocol_type="consumer", group_protocols=[
                    join_group.GroupProtocol(name=name, metadata=b"x") for name in protocols])

        yield coordinated(kafka, group)
        answers = yield asked(
            kafka, heartbeat.HeartbeatRequest(group_id=group, generation_id=1, member_id="x"), commit(-1, ""),
            commit(3, "x"), join(""), join("never-heard-of"))
        codes = [answers[0].error_code] + [
            answer.topics[0].partitions[0].error_code for answer in answers[1:3]] + [
            answer.error_code for answer in answers[3:]]
        assert codes[0] == 25 and codes[1] == 0 and codes[2] in (22, 25) and codes[3:] == [79, 25]
        ours = answers[3].member_id
        joined, = yield asked(kafka, join(ours))
        assert (joined.error_code, joined.generation_id, joined.leader_id) == (0, joined.generation_id, ours)
        generation = joined.generation_id

        def sync(number, assignments=(), name="range"):
            return sync_group.SyncGroupRequest(
                group_id=group, generation_id=number, member_id=ours, protocol_type="consumer",
                protocol_name=name, assignments=[
                    sync_group.MemberAssignment(member_id=ours, assignment=one) for one in assignments])

        answers = yield asked(
            kafka, sync(generation + 1), sync(generation, name=None), commit(generation, ours),
            sync(generation, [b"mine"]), commit(generation, ours), commit(generation + 1, ours),
            commit(-1, ""), join("", ("other",)),
            heartbeat.HeartbeatRequest(group_id=group, generation_id=generation + 1, member_id=ours),
            heartbeat.HeartbeatRequest(group_id=group, generation_id=generation, member_id=ours),
            consumer_group_heartbeat.ConsumerGroupHeartbeatRequest(
                group_id=group, member_id=uuid.uuid4().hex, member_epoch=0, rebalance_timeout=10000,
                subscribed_topic_names=[topic], topic_partitions=[]))
        assert [answers[at].error_code for at in (0, 1, 3, 7, 8, 9)] == [22, 23, 0, 23, 22, 0]
        assert answers[3].assignment == b"mine"
        assert [answers[at].topics[0].partitions[0].error_code for at in (2, 4, 5, 6)] == [27, 0, 22, 25]
        assert answers[10].error_code == 69
    run(body)


@gen.coroutine
def coordinated(kafka, group):
    """Waits until the group has a coordinator: a new cluster makes a topic for that first."""
    admin = clients.Admin(kafka.bootstrap)
    yield admin.connect()
    yield admin.committed_offsets(group)
    yield admin.close()


# -- transactions --

@gen.coroutine
def transactional(kafka, name=None, **settings):
    producer = clients.Producer(
        kafka.bootstrap, serializer=identity, transactional_id=name or new_group(), linger=0.01, **settings)
    yield producer.connect()
    raise gen.Return(producer)


def test_only_what_was_committed_is_read(kafka):
    topic = kafka.topic(partitions=2)

    def body():
        producer = yield transactional(kafka)
        for number, commits in enumerate((True, False, True, False, True)):
            yield producer.begin()
            for partition in range(2):
                yield producer.produce(topic, b"%d" % number, partition=partition)
            yield producer.flush()
            yield (producer.commit() if commits else producer.abort())
        yield producer.begin()
        yield producer.abort()  # with nothing in it
        found = yield consumed(kafka, topic, 6, isolation_level="read_committed")
        assert sorted(record.value for record in found) == [b"0", b"0", b"2", b"2", b"4", b"4"]
        found = yield consumed(kafka, topic, 10)
        assert len(found) == 10 and sorted(found)[1].offset == 2  # a marker lies between
        yield producer.close()
    run(body)


def test_an_open_transaction_is_not_read(kafka):
    topic = kafka.topic()

    def body():
        producer = yield transactional(kafka)
        yield produced(kafka, topic, [b"before"])
        yield producer.begin()
        yield producer.produce(topic, b"open")
        yield producer.flush()
        yield produced(kafka, topic, [b"behind"])
        found = yield consumed(kafka, topic, 1, isolation_level="read_committed")
        assert [record.value for record in found] == [b"before"]
        consumer = clients.SingleConsumer(kafka.bootstrap, isolation_level="read_committed")
        yield consumer.connect()
        assert (yield consumer.end_offsets(topic)) == {0: 1}
        yield consumer.close()
        yield producer.commit()
        found = yield consumed(kafka, topic, 3, isolation_level="read_committed")
        assert [record.value for record in found] == [b"before", b"open", b"behind"]
        yield producer.close()
    run(body)


@pytest.mark.parametrize("commits", [True, False])
def test_offsets_are_part_of_a_transaction(kafka, commits):
    source, target, group = kafka.topic(), kafka.topic(), new_group()

    def body():
        yield produced(kafka, source, [b"1", b"2"])
        producer = yield transactional(kafka)
        consumer = clients.GroupedConsumer(
            kafka.bootstrap, group, deserializer=identity, autocommit=False, max_wait_time=100, slow_callback=None)
        yield consumer.connect()
        got = []
        while len(got) < 2:
            got += yield loop.within(PATIENCE, consumer.consume(source))
        yield producer.begin()
        yield producer.produce(target, b"3")
        yield producer.send_offsets(consumer)
        yield (producer.commit() if commits else producer.abort())
        yield producer.close()
        yield consumer.close()
        admin = clients.Admin(kafka.bootstrap)
        yield admin.connect()
        offsets = yield admin.committed_offsets(group)
        assert dict(offsets) == ({(source, 0): 2} if commits else {})
        yield admin.close()
    run(body)


def test_an_older_producer_of_the_same_id_is_fenced(kafka):
    topic, name = kafka.topic(), new_group()

    def body():
        old = yield transactional(kafka, name)
        yield old.begin()
        yield old.produce(topic, b"old")
        yield old.flush()
        new = yield transactional(kafka, name)
        yield new.begin()
        yield new.produce(topic, b"new")
        yield new.commit()
        yield loop.raises(exc.KielError, gen.convert_yielded(old.commit()), PATIENCE)
        found = yield consumed(kafka, topic, 1, isolation_level="read_committed")
        assert [record.value for record in found] == [b"new"]
        yield new.close()
        yield old.close()
    run(body)


def test_an_end_without_a_transaction_is_refused(kafka):
    def body():
        name = new_group()
        producer = yield transactional(kafka, name)
        yield producer.begin()
        yield producer.abort()
        yield producer.close()
        given, = yield asked(kafka, init_producer_id.InitProducerIdRequest(
            transactional_id=name, transaction_timeout=10000))
        assert given.error_code == 0

        def end(epoch, committed, version, producer_id=given.producer_id):
            request = end_txn.EndTxnRequest(
                transactional_id=name, producer_id=producer_id, producer_epoch=epoch, committed=committed)
            request.narrow = (version, version)
            return request

        epoch = given.producer_epoch
        answers = yield asked(
            kafka, end(epoch, True, 4), end(epoch, True, 5), end(epoch - 1, True, 4), end(epoch, True, 4, 99999999))
        assert [answer.error_code for answer in answers] == [48, 48, 90, 49]
    run(body)


# -- topics --

def test_topics_come_grow_and_go(kafka):
    name = "topic-" + uuid.uuid4().hex[:8]

    def body():
        admin = clients.Admin(kafka.bootstrap)
        yield admin.connect()

        @gen.coroutine
        def outcome(call):
            raise gen.Return((yield call)[name])

        assert (yield outcome(admin.create_topics([NewTopic(name, 2)]))).partitions == 2
        yield produced(kafka, name, [b"1"], partition=1)
        assert (yield outcome(admin.create_topics([NewTopic(name, 2)]))).code == 36
        assert (yield outcome(admin.create_partitions({name: 3}))) is True
        assert (yield outcome(admin.create_partitions({name: 3}))).code == 37
        yield produced(kafka, name, [b"2"], partition=2)
        assert sorted((yield admin.end_offsets(name)).items()) == [(0, 0), (1, 1), (2, 1)]
        assert (yield admin.delete_records({(name, 1): 1})) == {(name, 1): 1}
        assert (yield admin.beginning_offsets(name))[1] == 1
        configs = yield admin.describe_configs([("topic", name)])
        assert list(configs.values())[0]["max.message.bytes"].value == "1048588"
        yield admin.alter_configs({("topic", name): {"max.message.bytes": 1000}})
        configs = yield admin.describe_configs([("topic", name)], ["max.message.bytes"])
        assert [found.value for found in list(configs.values())[0].values()] == ["1000"]
        assert (yield outcome(admin.delete_topics([name]))) is True
        assert name not in [topic.name for topic in (yield admin.list_topics())]
        assert (yield outcome(admin.delete_topics([name]))).code == 3
        assert (yield outcome(admin.create_topics([NewTopic(name, 1)]))).partitions == 1
        yield produced(kafka, name, [b"anew"])
        found = yield consumed(kafka, name, 1)
        assert [(record.offset, record.value) for record in found] == [(0, b"anew")]
        yield admin.close()
    run(body)
