"""What clients of 2016 relied on where brokers did not answer well."""
from __future__ import absolute_import

import datetime
import time

from tornado import gen

from kiel import clients, constants

from . import use
from .helpers import grouped, producer, single, take


def five(world, partitions=1):
    broker = world.scripted(topics={"t": partitions})
    broker.put("t", b"0", b"1", b"2", b"3", b"4")
    return broker


@use("S")
@gen.coroutine
def a_deserializer_that_fails(world):
    def picky(value):
        number = int(value)
        if number == 2:
            raise ValueError("not two")
        return number

    consumer = yield single(world, five(world), deserializer=picky)
    assert (yield take(consumer, "t", 4, start=consumer.BEGINNING)) == [0, 1, 3, 4]
    assert consumer.offsets["t"][0] == 5


@use("S")
@gen.coroutine
def out_of_range(world):
    broker = five(world)
    consumer = yield single(world, broker)
    yield take(consumer, "t", 5, start=consumer.BEGINNING)
    broker.first["t", 0] = 100  # the old ones are deleted
    found = yield consumer.consume("t", start=consumer.BEGINNING)  # nothing in 0.9, which looks up at the next
    found += yield take(consumer, "t", 5 - len(found), start=consumer.BEGINNING)
    assert found[-5:] == [0, 1, 2, 3, 4], found
    assert consumer.offsets["t"][0] == 105


@use("S")
@gen.coroutine
def a_retriable_code_of_a_fetch(world):
    broker = five(world)
    broker.errors["fetch"] = [6, 5]
    consumer = yield single(world, broker)
    assert (yield take(consumer, "t", 5, start=consumer.BEGINNING)) == [0, 1, 2, 3, 4]
    assert broker.count("metadata") >= 2


@use("S")
@gen.coroutine
def the_end_by_default(world):
    broker = five(world)
    consumer = yield single(world, broker)
    assert (yield consumer.consume("t")) == []
    broker.put("t", b"5")
    assert (yield take(consumer, "t", 1)) == [5]


@use("S")
@gen.coroutine
def starts(world):
    broker = five(world)
    consumer = yield single(world, broker)
    now = datetime.datetime(*time.gmtime()[:6])
    for start in datetime.timedelta(hours=1), now - datetime.timedelta(hours=1), consumer.END:
        consumer.synced_offsets.discard("t")
        assert (yield consumer.consume("t", start)) == []
    assert broker.count("offset") == 3


@use("S")
@gen.coroutine
def an_unknown_topic(world):
    consumer = yield single(world, five(world))
    broker_calls = []
    for _ in range(2):
        try:
            broker_calls.append((yield consumer.consume("none")))
        except ValueError:
            broker_calls.append([])  # 0.9 has nobody to ask for offsets
    assert broker_calls == [[], []]


@use("S")
@gen.coroutine
def shares_of_max_bytes(world):
    broker = world.scripted(topics={"t": 4})
    consumer = yield single(world, broker, max_bytes=4096)
    yield consumer.consume("t")
    sizes = set(
        size for api, topics in broker.requests if api == "fetch" for _, parts in topics for _, _, size in parts)
    assert sizes == set([1024]), sizes


@use("S")
@gen.coroutine
def a_retriable_code_of_a_produce(world):
    broker = five(world)
    client = yield producer(world, broker)
    broker.errors["produce"] = [6]
    yield client.produce("t", 5)
    yield client.flush()
    assert [value for _, value in broker.logs["t"][0]][5:] == [b"5"]


@use("S")
@gen.coroutine
def compressed(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, compression=constants.GZIP, batch_size=3)
    for number in range(3):
        yield client.produce("t", number)
    consumer = yield single(world, broker)
    (_, value), = broker.logs["t"][0]
    assert value[:2] == b"\x1f\x8b"
    yield consumer.close()


@use("S", real=True)
@gen.coroutine
def compressed_on_real_brokers(world):
    topic = world.topic()
    client = clients.Producer(world.brokers, compression=constants.GZIP, batch_size=3)
    yield world.closing(client).connect()
    for number in range(6):
        yield client.produce(topic, {"n": number})
    consumer = clients.SingleConsumer(world.brokers, max_wait_time=100)
    yield world.closing(consumer).connect()
    found = yield take(consumer, topic, 6, start=consumer.BEGINNING)
    assert found == [{"n": number} for number in range(6)]


@use("S", real=True)
@gen.coroutine
def a_code_of_the_coordinator(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 3
    broker.errors["group_coordinator"] = [15]
    consumer = yield grouped(world, group, broker=broker)
    assert consumer.coordinator_id == 1
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("S", real=True)
@gen.coroutine
def offsets_that_load(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 3
    broker.errors["offset_fetch"] = [14]
    consumer = yield grouped(world, group, broker=broker)
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("S", real=True)
@gen.coroutine
def a_commit_that_is_tried_again(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    broker.errors["offset_commit"] = [16]
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 5


@use("S", real=True)
@gen.coroutine
def metadata_of_a_commit(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    yield consumer.commit_offsets()
    commits = [topics for api, topics in broker.requests if api == "offset_commit" and topics]
    (_, ((_, offset, metadata),)), = commits[-1]
    assert (offset, metadata) == (5, "committed by " + consumer.name)


@use("S")
@gen.coroutine
def plain_text_messages(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, serializer=lambda text: text)
    yield client.produce("t", u"caf\xe9")
    yield client.produce("t", b"raw")
    assert [value for _, value in broker.logs["t"][0]] == [u"caf\xe9".encode("utf-8"), b"raw"]


@use("S", real=True)
@gen.coroutine
def an_allocator_of_ones_own(world):
    seen = []

    def backwards(members, partitions):
        seen.append((members, partitions))
        mapping = dict((member, {}) for member in members)
        for number, partition in enumerate(partitions):
            topic, _, partition_id = partition.rpartition(":")
            owner = members[-1 - number % len(members)]
            mapping[owner].setdefault(topic, []).append(int(partition_id))
        mapping.setdefault("", {})
        return Mapping(mapping)

    class Mapping(dict):
        def __missing__(self, key):
            return {}

    broker, group = world.scripted(topics={"t": 2}), world.name("group")
    consumer = yield grouped(world, group, broker=broker, partition_allocator=backwards)
    assert sorted(consumer.allocation["t"]) == [0, 1]
    members, partitions = seen[-1]
    assert members == [consumer.name] and list(partitions) == ["t:0", "t:1"]


@use("S")
@gen.coroutine
def the_name_of_a_consumer(world):
    consumer = yield single(world, five(world))
    host, _, number = consumer.name.rpartition(":")
    assert host and number.isdigit()
