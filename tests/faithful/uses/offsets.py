"""Applications that write `offsets`, keep offsets of their own, or look them up their own way (A1, A3, B4, B8)."""
from __future__ import absolute_import

import collections
import json

from tornado import gen

from kiel import clients, exc
from kiel.clients.consumer import BaseConsumer
from kiel.clients.single import SingleConsumer

from . import use
from .helpers import grouped, single, take

BEGINNING = SingleConsumer.BEGINNING


def five(world, count=5):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", *[b"%d" % number for number in range(count)])
    return broker


# -- A1: what is written to `offsets` is where reading goes on


@use("A1")
@gen.coroutine
def writing_back(world):
    consumer = yield single(world, five(world))
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]
    consumer.offsets["t"][0] = 2
    assert (yield take(consumer, "t", 3)) == [2, 3, 4]
    assert consumer.offsets["t"][0] == 5


@use("A1")
@gen.coroutine
def writing_ahead(world):
    consumer = yield single(world, five(world), max_bytes=70)
    assert (yield consumer.consume("t", start=BEGINNING))[0] == 0
    consumer.offsets["t"][0] = 4
    assert (yield take(consumer, "t", 1)) == [4]


@use("A1")
@gen.coroutine
def taking_one_back(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.offsets["t"][0] -= 1
    assert (yield take(consumer, "t", 1)) == [4]


@use("A1")
@gen.coroutine
def updating_a_topic(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.offsets["t"].update({0: 3})
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1")
@gen.coroutine
def replacing_a_topic(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.offsets["t"] = {0: 1}
    assert (yield take(consumer, "t", 4)) == [1, 2, 3, 4]


@use("A1")
@gen.coroutine
def updating_all(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.offsets.update({"t": collections.defaultdict(int, {0: 3})})
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1")
@gen.coroutine
def replacing_all(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    saved = collections.defaultdict(lambda: collections.defaultdict(int))
    saved["t"][0] = 4
    consumer.offsets = saved
    assert (yield take(consumer, "t", 1)) == [4]
    assert consumer.offsets["t"][0] == 5


@use("A1")
@gen.coroutine
def a_store_of_ones_own(world):
    broker = five(world)
    store = {}
    consumer = yield single(world, broker, max_bytes=70)
    first = yield consumer.consume("t", start=BEGINNING)
    store["t"] = dict(consumer.offsets["t"])
    yield consumer.close()
    again = clients.SingleConsumer([broker.address], max_wait_time=100)
    world.closing(again)
    again.offsets["t"].update(store["t"])
    again.synced_offsets.add("t")
    yield again.connect()
    rest = yield take(again, "t", 5 - len(first))
    assert first + rest == [0, 1, 2, 3, 4], (first, rest)
    assert broker.count("offset") == 1


@use("A1")
@gen.coroutine
def a_store_as_json(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    stored = json.dumps(consumer.offsets)
    assert json.loads(stored) == {"t": {"0": 5}}
    for partition, offset in json.loads(stored)["t"].items():
        consumer.offsets["t"][int(partition)] = offset - 2
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1")
@gen.coroutine
def offsets_given_in_the_constructor(world):
    class Resuming(clients.SingleConsumer):
        def __init__(self, brokers, saved, **options):
            super(Resuming, self).__init__(brokers, **options)
            for topic, partitions in saved.items():
                self.offsets[topic].update(partitions)
                self.synced_offsets.add(topic)

    broker = five(world)
    consumer = Resuming([broker.address], {"t": {0: 3}}, max_wait_time=100)
    yield world.closing(consumer).connect()
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1", real=True)
@gen.coroutine
def committing_less_than_was_handed_out(world):
    topic, group = world.topic(), world.name("group")
    world.put(topic, b"0", b"1", b"2", b"3", b"4")
    world.commit(group, topic, 0)
    consumer = yield grouped(world, group, autocommit=False)
    assert (yield take(consumer, topic, 5)) == [0, 1, 2, 3, 4]
    consumer.offsets[topic][0] = 2
    yield consumer.commit_offsets()
    assert world.committed(group, topic) == 2, world.committed(group, topic)
    yield consumer.close()
    assert world.committed(group, topic) == 2, world.committed(group, topic)
    second = yield grouped(world, group, autocommit=False)
    assert (yield take(second, topic, 3)) == [2, 3, 4]


@use("A1", real=True)
@gen.coroutine
def committing_one_by_one(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    messages = yield take(consumer, "t", 5)
    end = consumer.offsets["t"][0]
    seen = []
    for number, message in enumerate(messages[:3]):
        consumer.offsets["t"][0] = end - len(messages) + number + 1
        consumer.topics_to_commit.add("t")
        yield consumer.commit_offsets()
        seen.append(broker.committed[group, "t", 0])
    assert seen == [1, 2, 3], seen
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1", real=True)
@gen.coroutine
def committing_what_is_done_and_reading_on(world):
    # the position of the work and that of reading are kept apart by writing there and back
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    read = consumer.offsets["t"][0]
    consumer.offsets["t"][0] = 3
    yield consumer.commit_offsets()
    consumer.offsets["t"][0] = read
    broker.put("t", b"5")
    assert broker.committed[group, "t", 0] == 3
    assert (yield take(consumer, "t", 1)) == [5]


@use("A1", real=True)
@gen.coroutine
def committing_after_an_error(world):
    # work on a message fails: everything before it is committed, and it is read again
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    messages = yield take(consumer, "t", 5)
    consumer.offsets["t"][0] -= len(messages) - messages.index(3)
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 3
    assert (yield take(consumer, "t", 2)) == [3, 4]


@use("A1", real=True)
@gen.coroutine
def writing_with_autocommit(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker)
    yield take(consumer, "t", 5)
    consumer.offsets["t"][0] = 1
    assert (yield take(consumer, "t", 4)) == [1, 2, 3, 4]
    assert broker.committed[group, "t", 0] == 5


@use("A1", real=True)
@gen.coroutine
def two_partitions_one_written(world):
    broker, group = world.scripted(topics={"t": 2}), world.name("group")
    for partition in 0, 1:
        broker.put("t", *[b"%d%d" % (partition + 1, number) for number in range(3)], partition=partition)
        broker.committed[group, "t", partition] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 6)
    consumer.offsets["t"][1] = 1
    yield consumer.commit_offsets()
    assert [broker.committed[group, "t", partition] for partition in (0, 1)] == [3, 1]


# -- A3: what `offsets` is


@use("A3")
@gen.coroutine
def offsets_after_a_first_call_that_gave_nothing(world):
    consumer = yield single(world, five(world))
    assert (yield consumer.consume("t")) == []
    assert consumer.offsets["t"][0] == 5


@use("A3", real=True)
@gen.coroutine
def offsets_in_a_group_after_nothing(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 5
    consumer = yield grouped(world, group, broker=broker)
    assert (yield consumer.consume("t")) == []
    assert consumer.offsets["t"][0] == 5


@use("A3")
@gen.coroutine
def offsets_of_all_partitions(world):
    broker = world.scripted(topics={"t": 3})
    broker.put("t", b"1", b"2", partition=1)
    consumer = yield single(world, broker)
    assert (yield consumer.consume("t")) == []
    assert dict(consumer.offsets["t"]) == {0: 0, 1: 2, 2: 0}, consumer.offsets["t"]


@use("A3")
@gen.coroutine
def looking_up_by_hand(world):
    consumer = yield single(world, five(world))
    assert (yield consumer.determine_offsets("t", BEGINNING)) is True
    assert consumer.offsets["t"][0] == 0
    yield consumer.determine_offsets("t", clients.SingleConsumer.END)
    assert consumer.offsets["t"][0] == 5


@use("A3")
@gen.coroutine
def lag_from_offsets(world):
    broker = five(world)
    consumer = yield single(world, broker)
    yield take(consumer, "t", 5, start=BEGINNING)
    before = consumer.offsets["t"][0]
    broker.put("t", b"5", b"6")
    other = yield single(world, broker)
    yield other.determine_offsets("t", other.END)
    assert other.offsets["t"][0] - before == 2


# -- B4: looked up in another way


@use("B4")
@gen.coroutine
def looked_up_elsewhere(world):
    class FromStore(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            for partition_id in self.allocation[topic]:
                self.offsets[topic][partition_id] = 3

    broker = five(world)
    consumer = yield single(world, broker, FromStore)
    assert (yield take(consumer, "t", 2)) == [3, 4]
    assert broker.count("offset") == 0


@use("B4")
@gen.coroutine
def looked_up_elsewhere_without_a_coroutine(world):
    class FromStore(clients.SingleConsumer):
        def determine_offsets(self, topic, start):
            self.offsets[topic][0] = 2
            return gen.maybe_future(True)

    consumer = yield single(world, five(world), FromStore)
    assert (yield take(consumer, "t", 3)) == [2, 3, 4]


@use("B4")
@gen.coroutine
def looked_up_twice_after_out_of_range(world):
    class FromStore(clients.SingleConsumer):
        calls = 0

        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            self.calls += 1
            yield gen.moment
            self.offsets[topic][0] = 99 if self.calls == 1 else 4

    consumer = yield single(world, five(world), FromStore)
    assert (yield take(consumer, "t", 1)) == [4]
    assert consumer.calls == 2


@use("B4")
@gen.coroutine
def corrected_after_the_look_up(world):
    class OneBack(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            yield super(OneBack, self).determine_offsets(topic, start)
            for partition_id in self.offsets[topic]:
                self.offsets[topic][partition_id] -= 1

    consumer = yield single(world, five(world), OneBack)
    assert (yield take(consumer, "t", 1)) == [4]


@use("B4")
@gen.coroutine
def another_start(world):
    class FromBeginning(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            result = yield super(FromBeginning, self).determine_offsets(topic, self.BEGINNING)
            raise gen.Return(result)

    consumer = yield single(world, five(world), FromBeginning)
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B4")
@gen.coroutine
def no_offsets(world):
    class Without(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            raise exc.NoOffsetsError

    consumer = yield single(world, five(world), Without)
    assert (yield consumer.consume("t")) == []


@use("B4")
@gen.coroutine
def an_error_of_the_look_up_comes_out(world):
    class Broken(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            raise ValueError("the database is down")

    consumer = yield single(world, five(world), Broken)
    try:
        yield consumer.consume("t")
    except ValueError as error:
        assert str(error) == "the database is down"
    else:
        assert False, "no error came out"


class Mirror(BaseConsumer):
    """A consumer of one's own: half of the partitions, from where a file says."""

    def __init__(self, brokers, partitions, **options):
        super(Mirror, self).__init__(brokers, **options)
        self.partitions = partitions
        self.asked = []

    @property
    def allocation(self):
        return {"t": self.partitions}

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        self.asked.append((topic, start))
        yield gen.moment
        for partition_id in self.allocation[topic]:
            self.offsets[topic][partition_id] = 1

    @gen.coroutine
    def wind_down(self):
        pass


@use("B4")
@gen.coroutine
def a_consumer_of_ones_own(world):
    broker = world.scripted(topics={"t": 3})
    for partition in 0, 1, 2:
        broker.put("t", *[b"%d%d" % (partition + 1, number) for number in range(3)], partition=partition)
    consumer = Mirror([broker.address], [0, 2], max_wait_time=100)
    yield world.closing(consumer).connect()
    found = yield take(consumer, "t", 4)
    assert sorted(found) == [11, 12, 31, 32], found
    assert consumer.asked == [("t", None)]


@use("B4")
@gen.coroutine
def a_consumer_of_ones_own_gets_start(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"0", b"1")
    consumer = Mirror([broker.address], [0], max_wait_time=100)
    yield world.closing(consumer).connect()
    assert (yield take(consumer, "t", 1, start="now")) == [1]
    assert consumer.asked == [("t", "now")]


@use("B4")
@gen.coroutine
def an_allocation_of_ones_own(world):
    class Sharded(clients.SingleConsumer):
        @property
        def allocation(self):
            return dict((topic, [id for id in ids if id % 2]) for topic, ids in self.cluster.topics.items())

    broker = world.scripted(topics={"t": 4})
    for partition in range(4):
        broker.put("t", b"%d" % partition, partition=partition)
    consumer = yield single(world, broker, Sharded)
    assert sorted((yield take(consumer, "t", 2, start=BEGINNING))) == [1, 3]


@use("B4", real=True)
@gen.coroutine
def a_group_with_a_database(world):
    topic, group = world.topic(), world.name("group")
    world.put(topic, *[b"%d" % number for number in range(5)])
    database = {(topic, 0): 2}

    class Stored(clients.GroupedConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            for partition_id in self.allocation[topic]:
                self.offsets[topic][partition_id] = database.get((topic, partition_id), 0)

        @gen.coroutine
        def commit_offsets(self, metadata=None):
            for topic in self.topics_to_commit:
                for partition_id in self.allocation[topic]:
                    database[topic, partition_id] = self.offsets[topic][partition_id]

    consumer = yield grouped(world, group, Stored)
    assert (yield take(consumer, topic, 3)) == [2, 3, 4]
    assert database == {(topic, 0): 5}, database
    assert world.committed(group, topic) == -1


# -- B8: the sets


@use("B8")
@gen.coroutine
def forgetting_a_topic(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    assert "t" in consumer.synced_offsets
    consumer.synced_offsets.discard("t")
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B8")
@gen.coroutine
def removing_a_topic(world):
    consumer = yield single(world, five(world))
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.synced_offsets.remove("t")
    assert "t" not in consumer.synced_offsets
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B8")
@gen.coroutine
def forgetting_all(world):
    broker = five(world)
    consumer = yield single(world, broker)
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.synced_offsets.clear()
    assert not consumer.synced_offsets
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]
    assert broker.count("offset") == 2


@use("B8")
@gen.coroutine
def claiming_that_it_is_looked_up(world):
    broker = five(world)
    consumer = yield single(world, broker)
    consumer.offsets["t"][0] = 3
    consumer.synced_offsets.add("t")
    assert (yield take(consumer, "t", 2)) == [3, 4]
    assert broker.count("offset") == 0


@use("B8")
@gen.coroutine
def claiming_without_an_offset(world):
    consumer = yield single(world, five(world))
    consumer.synced_offsets.add("t")
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B8")
@gen.coroutine
def claiming_several(world):
    consumer = yield single(world, five(world))
    consumer.synced_offsets.update(["t", "other"])
    assert consumer.synced_offsets >= set(["t", "other"])
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B8")
@gen.coroutine
def replacing_the_set(world):
    broker = five(world)
    consumer = yield single(world, broker)
    yield take(consumer, "t", 5, start=BEGINNING)
    consumer.synced_offsets = set()
    assert (yield take(consumer, "t", 5, start=BEGINNING)) == [0, 1, 2, 3, 4]


@use("B8", real=True)
@gen.coroutine
def looking_a_group_up_again(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]
    consumer.synced_offsets.discard("t")  # back to what is committed
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B8", real=True)
@gen.coroutine
def topics_that_are_due(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    assert consumer.topics_to_commit == set(["t"]), consumer.topics_to_commit
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 5
    assert not consumer.topics_to_commit


@use("B8", real=True)
@gen.coroutine
def a_topic_that_shall_not_be_committed(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    consumer.topics_to_commit.discard("t")
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 0
    consumer.topics_to_commit.add("t")
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 5


@use("B8", real=True)
@gen.coroutine
def nothing_shall_be_committed(world):
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 1
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 4)
    consumer.topics_to_commit.clear()
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 1


@use("B8", real=True)
@gen.coroutine
def committing_what_was_not_consumed(world):
    # the position is set by hand, and committed without reading: "skip to there"
    broker, group = five(world), world.name("group")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    consumer.offsets["t"][0] = 4
    consumer.topics_to_commit.add("t")
    yield consumer.commit_offsets()
    assert broker.committed[group, "t", 0] == 4
