"""Applications that wait, and those that override how messages are read (B5, B6, B7, B10)."""
from __future__ import absolute_import

import time

from tornado import gen, ioloop

from kiel import clients
from kiel.clients.single import SingleConsumer

from . import use
from .helpers import grouped, single, take

BEGINNING = SingleConsumer.BEGINNING


def five(world, partitions=1):
    broker = world.scripted(topics={"t": partitions})
    for partition in range(partitions):
        broker.put("t", *[b"%d" % (10 * partition + number) for number in range(5)], key=b"k", partition=partition)
    return broker


# -- B5


@use("B5")
@gen.coroutine
def not_waiting_at_all(world):
    consumer = yield single(world, five(world), max_wait_time=0)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B5")
@gen.coroutine
def not_waiting_and_nothing_there(world):
    broker = five(world)
    consumer = yield single(world, broker, max_wait_time=0)
    for _ in range(5):
        assert (yield consumer.consume("t")) == []
    assert broker.count("fetch") >= 1
    broker.put("t", b"5")
    assert (yield take(consumer, "t", 1)) == [5]


@use("B5")
@gen.coroutine
def polling_by_the_clock(world):
    broker = five(world)
    consumer = yield single(world, broker, max_wait_time=0)
    found = []

    @gen.coroutine
    def poll():
        found.extend((yield consumer.consume("t", start=BEGINNING)))

    periodic = ioloop.PeriodicCallback(poll, 20)
    periodic.start()
    for _ in range(500):
        if len(found) >= 5:
            break
        yield gen.sleep(0.01)
    periodic.stop()
    yield gen.sleep(0.05)
    assert sorted(set(found)) == [0, 1, 2, 3, 4], found


@use("B5", real=True)
@gen.coroutine
def not_waiting_in_a_group(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, max_wait_time=0)
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B5", real=True)
@gen.coroutine
def not_waiting_on_real_brokers(world):
    topic = world.topic(2)
    world.put(topic, b"1", b"2")
    world.put(topic, b"3", partition=1)
    consumer = yield single_real(world, max_wait_time=0)
    assert sorted((yield take(consumer, topic, 3, start=BEGINNING))) == [1, 2, 3]


@use("B5")
@gen.coroutine
def changed_while_it_runs(world):
    consumer = yield single(world, five(world))
    consumer.max_wait_time = 0
    began = time.time()
    for _ in range(3):
        assert (yield consumer.consume("t")) == []
    consumer.max_wait_time = 300
    began = time.time()
    assert (yield consumer.consume("t")) == []
    assert time.time() - began > 0.15


@gen.coroutine
def single_real(world, cls=clients.SingleConsumer, **options):
    options.setdefault("max_wait_time", 100)
    consumer = cls(world.brokers, **options)
    yield world.closing(consumer).connect()
    raise gen.Return(consumer)


# -- B6


@use("B6")
@gen.coroutine
def until_there_is_nothing(world):
    # the wait of a broker that has less than min_bytes ends just when that of consume() does
    consumer = yield single(world, five(world), min_bytes=1024, max_wait_time=200)
    found = []
    messages = yield consumer.consume("t", start=BEGINNING)
    while messages:
        found.extend(messages)
        messages = yield consumer.consume("t")
    assert found == [0, 1, 2, 3, 4], found


@use("B6")
@gen.coroutine
def until_there_is_nothing_in_three_partitions(world):
    broker = five(world, 3)
    consumer = yield single(world, broker, max_bytes=200)
    found = []
    messages = yield consumer.consume("t", start=BEGINNING)
    while messages:
        found.extend(messages)
        messages = yield consumer.consume("t")
    assert sorted(found) == [10 * partition + number for partition in range(3) for number in range(5)], found


@use("B6")
@gen.coroutine
def a_broker_that_takes_its_time(world):
    broker = five(world)
    broker.delays["fetch"] = 0.4
    consumer = yield single(world, broker, max_wait_time=200)
    assert (yield consumer.consume("t", start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B6")
@gen.coroutine
def a_look_up_that_takes_its_time(world):
    broker = five(world)
    broker.delays["offset"] = 0.4
    consumer = yield single(world, broker, max_wait_time=200)
    assert (yield consumer.consume("t", start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B6", real=True)
@gen.coroutine
def a_group_whose_store_takes_its_time(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    broker.delays["offset_fetch"] = 0.4
    consumer = yield grouped(world, group, broker=broker, max_wait_time=200)
    assert (yield consumer.consume("t")) == [0, 1, 2, 3, 4]


@use("B6")
@gen.coroutine
def a_slow_broker_and_no_wait(world):
    broker = five(world)
    broker.delays["fetch"] = 0.3
    consumer = yield single(world, broker, max_wait_time=0)
    assert (yield consumer.consume("t", start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B6")
@gen.coroutine
def the_last_hundred_of_a_topic(world):
    # "tail": from the end back, by writing offsets, till the first empty answer
    broker = world.scripted(topics={"t": 1})
    broker.put("t", *[b"%d" % number for number in range(300)])
    consumer = yield single(world, broker, max_bytes=2000)
    assert (yield consumer.consume("t")) == []
    consumer.offsets["t"][0] -= 100
    found, messages = [], [None]
    while messages:
        messages = yield consumer.consume("t")
        found.extend(messages)
    assert found == list(range(200, 300)), (len(found), found[:3])


@use("B6", real=True)
@gen.coroutine
def a_whole_topic_on_real_brokers(world):
    topic = world.topic(3)
    for partition in range(3):
        world.put(topic, *[b"%d" % (1000 * partition + number) for number in range(200)], partition=partition)
    consumer = yield single_real(world, min_bytes=100000, max_wait_time=150)
    found = []
    messages = yield consumer.consume(topic, start=BEGINNING)
    while messages:
        found.extend(messages)
        messages = yield consumer.consume(topic)
    assert len(found) == len(set(found)) == 600, len(found)


@use("B6")
@gen.coroutine
def what_comes_while_it_waits(world):
    broker = five(world)
    consumer = yield single(world, broker, max_wait_time=5000)
    ioloop.IOLoop.current().call_later(0.3, broker.put, "t", b"5")
    began = time.time()
    assert (yield consumer.consume("t")) == [5]
    assert time.time() - began < 4


# -- B7


class Records(clients.SingleConsumer):
    """Gives (partition, offset, key, value), as one had to in 0.9."""

    def deserialize_messages(self, topic_name, partition):
        found = []
        for offset, message in partition.message_set.messages:
            found.append((topic_name, partition.partition_id, offset, as_text(message.key), as_text(message.value)))
            self.offsets[topic_name][partition.partition_id] = offset + 1
        return found


def as_text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


@use("B7")
@gen.coroutine
def keys_and_offsets(world):
    consumer = yield single(world, five(world), Records)
    found = yield take(consumer, "t", 5, start=BEGINNING)
    assert found == [("t", 0, number, "k", str(number)) for number in range(5)], found
    assert consumer.offsets["t"][0] == 5
    assert (yield consumer.consume("t")) == []


@use("B7")
@gen.coroutine
def keys_and_offsets_of_partitions(world):
    consumer = yield single(world, five(world, 2), Records)
    found = yield take(consumer, "t", 10, start=BEGINNING)
    assert sorted(record[1:3] for record in found) == [
        (partition, number) for partition in (0, 1) for number in range(5)]


@use("B7")
@gen.coroutine
def counting_what_comes(world):
    class Counted(clients.SingleConsumer):
        count = 0

        def deserialize_messages(self, topic_name, partition):
            messages = super(Counted, self).deserialize_messages(topic_name, partition)
            self.count += len(messages)
            return messages

    consumer = yield single(world, five(world), Counted)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]
    assert consumer.count == 5


@use("B7")
@gen.coroutine
def only_some_of_them(world):
    class Even(clients.SingleConsumer):
        def deserialize_messages(self, topic_name, partition):
            return [value for value in super(Even, self).deserialize_messages(topic_name, partition) if value % 2 == 0]

    consumer = yield single(world, five(world), Even)
    assert (yield take(consumer, "t", 3, start=BEGINNING)) == [0, 2, 4]
    assert consumer.offsets["t"][0] == 5


@use("B7")
@gen.coroutine
def with_the_deserializer_of_the_consumer(world):
    class Pairs(clients.SingleConsumer):
        def deserialize_messages(self, topic_name, partition):
            pairs = []
            for offset, message in partition.message_set.messages:
                pairs.append((offset, self.deserializer(message.value)))
                self.offsets[topic_name][partition.partition_id] = offset + 1
            return pairs

    consumer = yield single(world, five(world), Pairs, deserializer=lambda value: int(value) * 2)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [(number, 2 * number) for number in range(5)]


@use("B7")
@gen.coroutine
def from_the_middle_of_a_set(world):
    consumer = yield single(world, five(world), Records)
    consumer.offsets["t"][0] = 3
    consumer.synced_offsets.add("t")
    assert [record[2] for record in (yield take(consumer, "t", 2))] == [3, 4]


@use("B7")
@gen.coroutine
def offsets_that_it_sets_count(world):
    # one that stops at a marker, and gets the rest next time
    class Stopping(clients.SingleConsumer):
        def deserialize_messages(self, topic_name, partition):
            for offset, message in partition.message_set.messages:
                self.offsets[topic_name][partition.partition_id] = offset + 1
                return [int(message.value)]
            return []

    consumer = yield single(world, five(world), Stopping)
    found = []
    for _ in range(5):
        messages = yield consumer.consume("t", start=BEGINNING)
        assert len(messages) <= 1
        found.extend(messages)
    assert found == [0, 1, 2, 3, 4], found


@use("B7", real=True)
@gen.coroutine
def in_a_group(world):
    class Keys(clients.GroupedConsumer):
        def deserialize_messages(self, topic_name, partition):
            messages = super(Keys, self).deserialize_messages(topic_name, partition)
            keys = [as_text(message.key) for _, message in partition.message_set.messages]
            return list(zip(keys, messages))

    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, Keys, broker)
    assert (yield take(consumer, "t", 5)) == [("k", number) for number in range(5)]
    assert broker.committed[group, "t", 0] == 5


@use("B7")
@gen.coroutine
def a_dictionary_for_each(world):
    class Rows(clients.SingleConsumer):
        def deserialize_messages(self, topic_name, partition):
            rows = super(Rows, self).deserialize_messages(topic_name, partition)
            return [
                {"value": row, "from": partition.partition_id, "end": partition.highwater_mark_offset} for row in rows
            ]

    consumer = yield single(world, five(world), Rows)
    found = yield take(consumer, "t", 5, start=BEGINNING)
    assert found[0] == {"value": 0, "from": 0, "end": 5}, found[0]


@use("B7", real=True)
@gen.coroutine
def keys_on_real_brokers(world):
    topic = world.topic()
    world.put(topic, b"1", b"2", key=b"a")
    consumer = yield single_real(world, Records)
    assert (yield take(consumer, topic, 2, start=BEGINNING)) == [(topic, 0, 0, "a", "1"), (topic, 0, 1, "a", "2")]


# -- B10


@use("B10")
@gen.coroutine
def looking_at_answers(world):
    class Watching(clients.SingleConsumer):
        answers = 0

        def handle_fetch_response(self, response):
            self.answers += 1
            return super(Watching, self).handle_fetch_response(response)

    consumer = yield single(world, five(world), Watching)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]
    assert consumer.answers >= 1


@use("B10")
@gen.coroutine
def high_water_marks(world):
    class Lagging(clients.SingleConsumer):
        def __init__(self, *args, **kwargs):
            super(Lagging, self).__init__(*args, **kwargs)
            self.marks = {}

        def handle_fetch_response(self, response):
            for topic in response.topics:
                for partition in topic.partitions:
                    self.marks[topic.name, partition.partition_id] = partition.highwater_mark_offset
            return super(Lagging, self).handle_fetch_response(response)

    consumer = yield single(world, five(world, 2), Lagging, max_bytes=140)
    yield take(consumer, "t", 2, start=BEGINNING)
    assert consumer.marks == {("t", 0): 5, ("t", 1): 5}, consumer.marks


@use("B10")
@gen.coroutine
def what_it_gives_is_what_comes(world):
    class Upper(clients.SingleConsumer):
        def handle_fetch_response(self, response):
            return ["%s!" % value for value in super(Upper, self).handle_fetch_response(response)]

    consumer = yield single(world, five(world), Upper)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == ["0!", "1!", "2!", "3!", "4!"]


@use("B10")
@gen.coroutine
def all_by_itself(world):
    class Own(clients.SingleConsumer):
        def handle_fetch_response(self, response):
            found = []
            for topic in response.topics:
                for partition in topic.partitions:
                    if partition.error_code:
                        continue
                    for offset, message in partition.message_set.messages:
                        found.append((partition.partition_id, offset, int(message.value)))
                        self.offsets[topic.name][partition.partition_id] = offset + 1
            return found

    consumer = yield single(world, five(world), Own)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [(0, number, number) for number in range(5)]
    assert (yield consumer.consume("t")) == []


@use("B10")
@gen.coroutine
def a_handler_that_is_a_coroutine(world):
    class Slow(clients.SingleConsumer):
        @gen.coroutine
        def handle_fetch_response(self, response):
            yield gen.sleep(0.01)
            raise gen.Return(super(Slow, self).handle_fetch_response(response))

    consumer = yield single(world, five(world), Slow)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B10")
@gen.coroutine
def codes_of_errors(world):
    class Codes(clients.SingleConsumer):
        def __init__(self, *args, **kwargs):
            super(Codes, self).__init__(*args, **kwargs)
            self.codes = []

        def handle_fetch_response(self, response):
            self.codes += [partition.error_code for partition in response.topics[0].partitions]
            return super(Codes, self).handle_fetch_response(response)

    broker = five(world)
    broker.errors["fetch"] = [6]
    consumer = yield single(world, broker, Codes)
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]
    assert 6 in consumer.codes and 0 in consumer.codes, consumer.codes


@use("B10", real=True)
@gen.coroutine
def in_a_group_with_both(world):
    class Both(clients.GroupedConsumer):
        batches = 0

        def handle_fetch_response(self, response):
            self.batches += 1
            return super(Both, self).handle_fetch_response(response)

        def deserialize_messages(self, topic_name, partition):
            return [
                (self.batches, value)
                for value in super(Both, self).deserialize_messages(topic_name, partition)
            ]

    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, Both, broker)
    found = yield take(consumer, "t", 5)
    assert [value for _, value in found] == [0, 1, 2, 3, 4]
    assert all(batch >= 1 for batch, _ in found)


@use("B10", real=True)
@gen.coroutine
def on_real_brokers(world):
    class Marks(clients.SingleConsumer):
        mark = None

        def handle_fetch_response(self, response):
            self.mark = response.topics[0].partitions[0].highwater_mark_offset
            return super(Marks, self).handle_fetch_response(response)

    topic = world.topic()
    world.put(topic, b"1", b"2")
    consumer = yield single_real(world, Marks)
    assert (yield take(consumer, topic, 2, start=BEGINNING)) == [1, 2]
    assert consumer.mark == 2


@use("B7")
@gen.coroutine
def a_method_that_is_set_on_a_connected_consumer(world):
    consumer = yield single(world, five(world))
    consumer.deserialize_messages = lambda topic_name, partition: ["mine"]
    assert (yield take(consumer, "t", 1, start=BEGINNING))[0] == "mine"
