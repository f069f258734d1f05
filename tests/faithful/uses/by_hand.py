"""Applications that make requests by hand (B11)."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients, constants, exc
from kiel.clients.client import Client
from kiel.protocol import (
    coordinator, errors, fetch, messages, metadata, offset, offset_commit, offset_fetch, produce,
)

from . import use
from .helpers import connected


class ByHand(Client):
    """Keeps every answer."""

    def __init__(self, brokers):
        super(ByHand, self).__init__(brokers)
        self.answers = []

    @gen.coroutine
    def wind_down(self):
        pass

    def keep(self, response):
        self.answers.append(response)
        return response

    handle_metadata_response = handle_offset_response = handle_fetch_response = handle_produce_response = keep
    handle_offset_commit_response = handle_offset_fetch_response = handle_group_coordinator_response = keep


@gen.coroutine
def by_hand(world, brokers, cls=ByHand):
    client = yield connected(world, cls(brokers))
    raise gen.Return(client)


def offset_request(topic, time, partition=0, count=1):
    return offset.OffsetRequest(replica_id=constants.CONSUMER_REPLICA_ID, topics=[
        offset.TopicRequest(name=topic, partitions=[
            offset.PartitionRequest(partition_id=partition, time=time, max_offsets=count)
        ])
    ])


def produce_request(topic, message_set, partition=0, acks=-1):
    return produce.ProduceRequest(required_acks=acks, timeout=1000, topics=[
        produce.TopicRequest(name=topic, partitions=[
            produce.PartitionRequest(partition_id=partition, message_set=message_set)
        ])
    ])


def fetch_request(topic, position, partition=0, size=1 << 20):
    return fetch.FetchRequest(replica_id=constants.CONSUMER_REPLICA_ID, max_wait_time=100, min_bytes=1, topics=[
        fetch.TopicRequest(name=topic, partitions=[
            fetch.PartitionRequest(partition_id=partition, offset=position, max_bytes=size)
        ])
    ])


def message(value, key=None):
    return messages.Message(magic=0, attributes=0, key=key, value=value)


def as_bytes(value):
    return value if value is None or isinstance(value, bytes) else value.encode("utf-8")


@gen.coroutine
def ask_for_offsets(client, topic):
    found = []
    for time in -2, -1:
        broker_id = client.cluster.get_leader(topic, 0)
        results = yield client.send({broker_id: offset_request(topic, time)})
        answer = results[broker_id].topics[0].partitions[0]
        assert answer.error_code == errors.no_error
        found.append(list(answer.offsets))
    raise gen.Return(found)


@use("B11")
@gen.coroutine
def offsets_of_a_broker_of_2016(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"0", b"1")
    client = yield by_hand(world, [broker.address])
    assert (yield ask_for_offsets(client, "t")) == [[0], [2]]


@use("B11", real=True)
@gen.coroutine
def offsets(world):
    topic = world.topic()
    world.put(topic, b"0", b"1", b"2")
    client = yield by_hand(world, world.brokers)
    assert (yield ask_for_offsets(client, topic)) == [[0], [3]]


@use("B11", real=True)
@gen.coroutine
def lag_of_a_group(world):
    # the lag monitor: ends of partitions and what is committed, both by hand
    topic, group = world.topic(), world.name("group")
    world.put(topic, b"0", b"1", b"2")
    world.commit(group, topic, 1)
    client = yield by_hand(world, world.brokers)
    broker_id = client.cluster.get_leader(topic, 0)
    ends = yield client.send({broker_id: offset_request(topic, -1)})
    request = offset_fetch.OffsetFetchRequest(
        group_name=group, topics=[offset_fetch.TopicRequest(name=topic, partitions=[0])])
    committed = yield client.send({broker_id: request})
    end = ends[broker_id].topics[0].partitions[0].offsets[0]
    assert end - committed[broker_id].topics[0].partitions[0].offset == 2


@use("B11", real=True)
@gen.coroutine
def messages_written_by_hand(world):
    topic = world.topic()
    client = yield by_hand(world, world.brokers)
    broker_id = client.cluster.get_leader(topic, 0)
    results = yield client.send({broker_id: produce_request(topic, messages.MessageSet([
        (-1, message(b"one", b"k")), (-1, message(b"two")),
    ]))})
    answer = results[broker_id].topics[0].partitions[0]
    assert (answer.error_code, answer.offset) == (0, 0), answer
    assert world.log(topic) == [(b"k", b"one"), (None, b"two")], world.log(topic)


@use("B11", real=True)
@gen.coroutine
def compressed_by_hand(world):
    topic = world.topic()
    client = yield by_hand(world, world.brokers)
    broker_id = client.cluster.get_leader(topic, 0)
    message_set = messages.MessageSet.compressed(constants.GZIP, [message(b"one"), message(b"two", b"k")])
    results = yield client.send({broker_id: produce_request(topic, message_set)})
    assert results[broker_id].topics[0].partitions[0].error_code == 0
    found = yield client.send({broker_id: fetch_request(topic, 0)})
    got = found[broker_id].topics[0].partitions[0].message_set.messages
    assert [(position, as_bytes(one.key), as_bytes(one.value)) for position, one in got] == [
        (0, None, b"one"), (1, b"k", b"two")], got


@use("B11", real=True)
@gen.coroutine
def text_values_written_by_hand(world):
    topic = world.topic()
    client = yield by_hand(world, world.brokers)
    broker_id = client.cluster.get_leader(topic, 0)
    yield client.send({broker_id: produce_request(topic, messages.MessageSet([(-1, message(u"caf\xe9", u"k"))]))})
    assert world.log(topic) == [(b"k", u"caf\xe9".encode("utf-8"))]


@use("B11", real=True)
@gen.coroutine
def read_by_hand(world):
    topic = world.topic()
    world.put(topic, b"0", b"1", b"2", key=b"k")
    client = yield by_hand(world, world.brokers)
    broker_id = client.cluster.get_leader(topic, 0)
    results = yield client.send({broker_id: fetch_request(topic, 1)})
    part = results[broker_id].topics[0].partitions[0]
    assert (part.partition_id, part.error_code, part.highwater_mark_offset) == (0, 0, 3)
    assert [(position, as_bytes(one.value)) for position, one in part.message_set.messages if position >= 1] == [
        (1, b"1"), (2, b"2")]


@use("B11")
@gen.coroutine
def everything_on_a_broker_of_2016(world):
    broker = world.scripted(topics={"t": 1})
    client = yield by_hand(world, [broker.address])
    for message_set in (
        messages.MessageSet([(-1, message("one", "k"))]),
        messages.MessageSet.compressed(None, [message("two")]),
    ):
        results = yield client.send({1: produce_request("t", message_set)})
        assert results[1].topics[0].partitions[0].error_code == 0
    assert broker.logs["t"] == [[(b"k", b"one"), (None, b"two")]]
    results = yield client.send({1: fetch_request("t", 0)})
    found = results[1].topics[0].partitions[0].message_set.messages
    assert [as_bytes(one.value) for _, one in found] == [b"one", b"two"]


@use("B11", real=True)
@gen.coroutine
def commits_by_hand(world):
    topic, group = world.topic(), world.name("group")
    client = yield by_hand(world, world.brokers)
    broker_id = list(client.cluster)[0]
    request = offset_commit.OffsetCommitV0Request(group=group, topics=[
        offset_commit.TopicRequest(name=topic, partitions=[
            offset_commit.PartitionRequest(partition_id=0, offset=7, metadata="by hand")
        ])
    ])
    results = yield client.send({broker_id: request})
    assert results[broker_id].topics[0].partitions[0].error_code == 0
    assert world.committed(group, topic) == 7


@use("B11", real=True)
@gen.coroutine
def the_coordinator_by_hand(world):
    client = yield by_hand(world, world.brokers)
    broker_id = list(client.cluster)[0]
    answer = None
    for _ in range(100):
        results = yield client.send({broker_id: coordinator.GroupCoordinatorRequest(group="by-hand")})
        answer = results[broker_id]
        if answer.error_code == 0:
            break
        yield gen.sleep(0.1)
    assert answer.coordinator_id in client.cluster
    assert answer.coordinator_host and answer.coordinator_port


@use("B11", real=True)
@gen.coroutine
def metadata_by_hand(world):
    topic = world.topic(2)
    client = yield by_hand(world, world.brokers)
    broker_id = list(client.cluster)[0]
    results = yield client.send({broker_id: metadata.MetadataRequest(topics=[topic])})
    answer = results[broker_id]
    assert [broker.broker_id for broker in answer.brokers] == [broker_id]
    (found,) = answer.topics
    assert (found.name, found.error_code) == (topic, 0)
    assert sorted(part.partition_id for part in found.partitions) == [0, 1]
    assert all(part.leader == broker_id and list(part.isrs) == [broker_id] for part in found.partitions)


@use("B11")
@gen.coroutine
def straight_to_a_connection(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"0")
    consumer = yield connected(world, clients.SingleConsumer([broker.address]))
    response = yield consumer.cluster[1].send(offset_request("t", -1))
    assert list(response.topics[0].partitions[0].offsets) == [1]
    response = yield consumer.cluster[1].send(metadata.MetadataRequest(topics=[]))
    assert [topic.name for topic in response.topics] == ["t"]


@use("B11", real=True)
@gen.coroutine
def straight_to_a_real_connection(world):
    topic = world.topic()
    world.put(topic, b"0")
    consumer = yield connected(world, clients.SingleConsumer(world.brokers))
    broker_id = consumer.cluster.get_leader(topic, 0)
    response = yield consumer.cluster[broker_id].send(offset_request(topic, -1))
    assert list(response.topics[0].partitions[0].offsets) == [1]
    response = yield consumer.cluster[broker_id].send(produce_request(topic, messages.MessageSet([(-1, message("1"))])))
    assert response.topics[0].partitions[0].offset == 1
    assert len(world.log(topic)) == 2


@use("B11")
@gen.coroutine
def by_a_consumer_with_a_handler(world):
    class Counting(clients.SingleConsumer):
        ends = None

        @gen.coroutine
        def end_of(self, topic):
            leader = self.cluster.get_leader(topic, 0)
            self.ends = {}
            yield self.send({leader: offset_request(topic, self.END)})
            raise gen.Return(self.ends)

        def handle_offset_response(self, response):
            if self.ends is None:
                return super(Counting, self).handle_offset_response(response)
            for topic in response.topics:
                for partition in topic.partitions:
                    self.ends[topic.name, partition.partition_id] = partition.offsets[0]

    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"0", b"1")
    consumer = yield connected(world, Counting([broker.address]))
    assert (yield consumer.end_of("t")) == {("t", 0): 2}


@use("B11")
@gen.coroutine
def a_handler_of_offsets(world):
    class TenBack(clients.SingleConsumer):
        def handle_offset_response(self, response):
            for topic in response.topics:
                for partition in topic.partitions:
                    self.offsets[topic.name][partition.partition_id] = max(0, partition.offsets[0] - 10)

    broker = world.scripted(topics={"t": 1})
    broker.put("t", *[b"%d" % number for number in range(30)])
    consumer = yield connected(world, TenBack([broker.address], max_wait_time=100))
    found = []
    while len(found) < 10:
        found += yield consumer.consume("t")
    assert found == list(range(20, 30)), found


@use("B11")
@gen.coroutine
def an_answer_that_nobody_handles(world):
    class Deaf(Client):
        @gen.coroutine
        def wind_down(self):
            pass

    broker = world.scripted(topics={"t": 1})
    client = yield connected(world, Deaf([broker.address]))
    try:
        yield client.send({1: offset_request("t", -1)})
    except exc.UnhandledResponseError as error:
        assert error.api == "offset"
    else:
        assert False, "no error"


@use("B11")
@gen.coroutine
def what_send_gives(world):
    class Results(ByHand):
        @gen.coroutine
        def handle_offset_response(self, response):
            yield gen.sleep(0.001)
            raise gen.Return((True, "later"))

        def handle_metadata_response(self, response):
            return False

    broker = world.scripted(topics={"t": 1})
    client = yield by_hand(world, [broker.address], Results)
    assert (yield client.send({1: offset_request("t", -1)})) == {1: (True, "later")}
    assert (yield client.send({1: metadata.MetadataRequest(topics=[])})) == {1: False}


@use("B11")
@gen.coroutine
def a_broker_that_hangs_up(world):
    broker = world.scripted(topics={"t": 1})
    client = yield by_hand(world, [broker.address])
    broker.hooks["offset"] = lambda request: number_of_bytes(-1)
    results = {}
    try:
        results = yield gen.with_timeout(world_time() + 1, client.send({1: offset_request("t", -1)}))
    except Exception:
        pass  # 0.9 waits for ever where the end is seen by the reading side
    assert results == {}


def number_of_bytes(_):
    return "close"


def world_time():
    from tornado import ioloop
    return ioloop.IOLoop.current().time()


@use("B11")
@gen.coroutine
def healing_by_a_flag(world):
    class Healing(ByHand):
        def handle_offset_response(self, response):
            self.heal_cluster = True
            return True

    broker = world.scripted(topics={"t": 1})
    client = yield by_hand(world, [broker.address], Healing)
    before = broker.count("metadata")
    yield client.send({1: offset_request("t", -1)})
    assert broker.count("metadata") == before + 1
    assert client.heal_cluster is False
