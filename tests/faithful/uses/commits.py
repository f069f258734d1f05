"""Applications that override `commit_offsets` and the handlers of a group (A2, part of B11)."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients

from . import use
from .helpers import grouped, take


def five(world):
    broker, group = world.scripted(topics={"t": 1}), world.name("group")
    broker.put("t", b"0", b"1", b"2", b"3", b"4")
    broker.committed[group, "t", 0] = 0
    return broker, group


@use("A2", real=True)
@gen.coroutine
def committing_to_a_database(world):
    database = {}

    class Stored(clients.GroupedConsumer):
        @gen.coroutine
        def commit_offsets(self, metadata=None):
            for topic in self.topics_to_commit:
                for partition_id in self.allocation[topic]:
                    database[topic, partition_id] = self.offsets[topic][partition_id]
            self.topics_to_commit.clear()

    broker, group = five(world)
    consumer = yield grouped(world, group, Stored, broker)
    yield take(consumer, "t", 5)
    assert database == {("t", 0): 5}, database
    yield consumer.close()
    assert broker.committed[group, "t", 0] == 0, "kiel committed besides"


@use("A2", real=True)
@gen.coroutine
def counting_commits(world):
    class Counted(clients.GroupedConsumer):
        commits = 0

        @gen.coroutine
        def commit_offsets(self, metadata=None):
            self.commits += 1
            yield super(Counted, self).commit_offsets(metadata)

    broker, group = five(world)
    consumer = yield grouped(world, group, Counted, broker)
    yield take(consumer, "t", 5)
    assert consumer.commits >= 1
    assert broker.committed[group, "t", 0] == 5


@use("A2", real=True)
@gen.coroutine
def metadata_of_ones_own(world):
    class Signed(clients.GroupedConsumer):
        @gen.coroutine
        def commit_offsets(self, metadata="by worker 7"):
            result = yield super(Signed, self).commit_offsets(metadata=metadata)
            raise gen.Return(result)

    broker, group = five(world)
    consumer = yield grouped(world, group, Signed, broker)
    yield take(consumer, "t", 5)
    commits = [topics for api, topics in broker.requests if api == "offset_commit" and topics]
    assert commits[-1] == [("t", [(0, 5, "by worker 7")])], commits


@use("A2", real=True)
@gen.coroutine
def committing_every_second_time(world):
    class Seldom(clients.GroupedConsumer):
        calls = 0

        @gen.coroutine
        def commit_offsets(self, metadata=None):
            self.calls += 1
            if self.calls % 2 == 0:
                yield super(Seldom, self).commit_offsets(metadata)

    broker, group = five(world)
    consumer = yield grouped(world, group, Seldom, broker, max_bytes=60)
    seen = []
    while len(seen) < 4:
        seen += yield consumer.consume("t")
        committed = broker.committed[group, "t", 0]
        assert committed == (len(seen) if consumer.calls % 2 == 0 else committed)
    assert consumer.calls >= 2


@use("A2", real=True)
@gen.coroutine
def an_error_of_the_database_comes_out(world):
    class Broken(clients.GroupedConsumer):
        @gen.coroutine
        def commit_offsets(self, metadata=None):
            raise ValueError("the database is down")

    broker, group = five(world)
    consumer = yield grouped(world, group, Broken, broker)
    try:
        yield take(consumer, "t", 5)
    except ValueError as error:
        assert str(error) == "the database is down"
    else:
        assert False, "no error came out"


@use("A2", real=True)
@gen.coroutine
def committing_before_it_is_handed_out(world):
    order = []

    class Ordered(clients.GroupedConsumer):
        @gen.coroutine
        def commit_offsets(self, metadata=None):
            order.append(("commit", self.offsets["t"][0]))
            yield super(Ordered, self).commit_offsets(metadata)

    broker, group = five(world)
    consumer = yield grouped(world, group, Ordered, broker)
    messages = yield take(consumer, "t", 5)
    order.append(("messages", len(messages)))
    assert order[-2:] == [("commit", 5), ("messages", 5)], order


@use("A2", real=True)
@gen.coroutine
def a_function_that_gives_a_future(world):
    class Plain(clients.GroupedConsumer):
        commits = 0

        def commit_offsets(self, metadata=None):
            self.commits += 1
            return super(Plain, self).commit_offsets("plainly")

    broker, group = five(world)
    consumer = yield grouped(world, group, Plain, broker)
    yield take(consumer, "t", 5)
    assert consumer.commits >= 1 and broker.committed[group, "t", 0] == 5


@use("A2", real=True)
@gen.coroutine
def set_on_the_object(world):
    broker, group = five(world)
    consumer = yield grouped(world, group, broker=broker)
    commits = []
    usual = consumer.commit_offsets

    def commit_offsets(metadata=None):
        commits.append(dict(consumer.offsets["t"]))
        return usual(metadata)

    consumer.commit_offsets = commit_offsets
    yield take(consumer, "t", 5)
    assert commits[-1] == {0: 5}, commits
    assert broker.committed[group, "t", 0] == 5


@use("A2", real=True)
@gen.coroutine
def both_stores_on_real_brokers(world):
    topic, group = world.topic(), world.name("group")
    world.put(topic, b"0", b"1", b"2")
    world.commit(group, topic, 0)
    database = {}

    class Both(clients.GroupedConsumer):
        @gen.coroutine
        def commit_offsets(self, metadata=None):
            database.update((topic, dict(self.offsets[topic])) for topic in self.topics_to_commit)
            yield super(Both, self).commit_offsets(metadata)

    consumer = yield grouped(world, group, Both)
    yield take(consumer, topic, 3)
    assert database == {topic: {0: 3}}, database
    assert world.committed(group, topic) == 3


# -- B11: handlers of a group's answers


@use("B11", real=True)
@gen.coroutine
def a_handler_of_commits_that_gives_what_it_gave(world):
    class Watching(clients.GroupedConsumer):
        seen = 0

        def handle_offset_commit_response(self, response):
            self.seen += 1
            for topic in response.topics:
                for partition in topic.partitions:
                    assert (topic.name, partition.partition_id, partition.error_code) == ("t", 0, 0)
                    self.topics_to_commit.discard(topic.name)
            return (False, False)

    broker, group = five(world)
    consumer = yield grouped(world, group, Watching, broker)
    yield take(consumer, "t", 5)
    assert consumer.seen >= 1 and broker.committed[group, "t", 0] == 5


@use("B11", real=True)
@gen.coroutine
def a_handler_of_commits_that_wants_another_try(world):
    class Again(clients.GroupedConsumer):
        seen = 0

        def handle_offset_commit_response(self, response):
            self.seen += 1
            retry, adjust_metadata = super(Again, self).handle_offset_commit_response(response)
            assert (retry, adjust_metadata) == (False, False)
            return self.seen < 3, False

    broker, group = five(world)
    consumer = yield grouped(world, group, Again, broker, autocommit=False)
    yield take(consumer, "t", 5)
    yield consumer.commit_offsets()
    assert consumer.seen == 3, consumer.seen


@use("B11", real=True)
@gen.coroutine
def a_handler_of_commits_that_wants_no_metadata(world):
    class Shorter(clients.GroupedConsumer):
        seen = 0

        def handle_offset_commit_response(self, response):
            self.seen += 1
            return self.seen == 1, self.seen == 1

    broker, group = five(world)
    consumer = yield grouped(world, group, Shorter, broker, autocommit=False)
    yield take(consumer, "t", 5)
    yield consumer.commit_offsets("x" * 100)
    metadata = [topics[0][1][0][2] for api, topics in broker.requests if api == "offset_commit" and topics]
    assert metadata == ["x" * 100, ""], metadata


@use("B11", real=True)
@gen.coroutine
def too_much_metadata(world):
    broker, group = five(world)
    consumer = yield grouped(world, group, broker=broker, autocommit=False)
    yield take(consumer, "t", 5)
    broker.errors["offset_commit"] = [12]
    yield consumer.commit_offsets("x" * 100)
    metadata = [topics[0][1][0][2] for api, topics in broker.requests if api == "offset_commit" and topics]
    assert metadata == ["x" * 100, ""], metadata
    assert broker.committed[group, "t", 0] == 5


@use("B11", real=True)
@gen.coroutine
def a_handler_of_offset_fetches(world):
    class Later(clients.GroupedConsumer):
        seen = 0

        def handle_offset_fetch_response(self, response):
            self.seen += 1
            if self.seen == 1:
                return True
            for partition in response.topics[0].partitions:
                self.offsets[response.topics[0].name][partition.partition_id] = max(partition.offset, 2)
            return False

    broker, group = five(world)
    consumer = yield grouped(world, group, Later, broker)
    assert (yield take(consumer, "t", 3)) == [2, 3, 4]
    assert consumer.seen == 2, consumer.seen


@use("B11", real=True)
@gen.coroutine
def a_handler_of_offset_fetches_that_asks_the_usual_one(world):
    class Watching(clients.GroupedConsumer):
        def handle_offset_fetch_response(self, response):
            retry = super(Watching, self).handle_offset_fetch_response(response)
            self.retry = retry
            self.found = dict(self.offsets[response.topics[0].name])
            return retry

    broker, group = five(world)
    broker.committed[group, "t", 0] = 3
    consumer = yield grouped(world, group, Watching, broker)
    assert (yield take(consumer, "t", 2)) == [3, 4]
    assert consumer.retry is False and consumer.found == {0: 3}, (consumer.retry, consumer.found)


@use("B11", real=True)
@gen.coroutine
def a_handler_of_the_coordinator(world):
    class Watching(clients.GroupedConsumer):
        seen = 0

        def handle_group_coordinator_response(self, response):
            self.seen += 1
            if self.seen == 1:
                return False
            self.coordinator_id = response.coordinator_id
            return True

    broker, group = five(world)
    consumer = yield grouped(world, group, Watching, broker)
    assert consumer.coordinator_id == 1 and consumer.seen == 2, (consumer.coordinator_id, consumer.seen)
    assert (yield take(consumer, "t", 5)) == [0, 1, 2, 3, 4]


@use("B11", real=True)
@gen.coroutine
def asking_for_the_coordinator_again(world):
    broker, group = five(world)
    consumer = yield grouped(world, group, broker=broker)
    before = broker.count("group_coordinator")
    yield consumer.determine_coordinator()
    assert consumer.coordinator_id == 1
    assert broker.count("group_coordinator") == before + 1
