"""Applications whose classes wrap kiel's, mix others in, or put its parts together by themselves (S)."""
from __future__ import absolute_import

import json

from tornado import gen, ioloop

import kiel
from kiel import clients, constants, exc
from kiel.clients.client import Client
from kiel.clients.consumer import BaseConsumer
from kiel.cluster import Cluster
from kiel.connection import Connection
from kiel.protocol import metadata

from . import use
from .helpers import connected, grouped, producer, single, take


def written(broker, topic="t"):
    return sorted(value for log in broker.logs[topic] for _, value in log)


@use("S")
@gen.coroutine
def consume_is_wrapped(world):
    class Unwrapped(clients.SingleConsumer):
        @gen.coroutine
        def consume(self, topic, start=None):
            messages = yield super(Unwrapped, self).consume(topic, start)
            raise gen.Return([message["payload"] for message in messages])

    broker = world.scripted(topics={"t": 1})
    broker.put("t", b'{"payload": 1}', b'{"payload": 2}')
    consumer = yield single(world, broker, Unwrapped)
    assert (yield take(consumer, "t", 2, start=consumer.BEGINNING)) == [1, 2]


@use("S", real=True)
@gen.coroutine
def consume_of_a_group_is_wrapped(world):
    class Counted(clients.GroupedConsumer):
        calls = seen = 0

        @gen.coroutine
        def consume(self, topic):
            self.calls += 1
            messages = yield super(Counted, self).consume(topic)
            self.seen += len(messages)
            raise gen.Return(messages)

    broker, group = world.scripted(topics={"t": 1}), world.name("group")
    broker.put("t", b"1", b"2")
    broker.committed[group, "t", 0] = 0
    consumer = yield grouped(world, group, Counted, broker)
    yield take(consumer, "t", 2)
    assert consumer.seen == 2 and consumer.calls >= 1


@use("S")
@gen.coroutine
def connect_does_more(world):
    class Announcing(clients.SingleConsumer):
        @gen.coroutine
        def connect(self):
            yield super(Announcing, self).connect()
            self.known = sorted(self.cluster.topics)

    broker = world.scripted(topics={"t": 2, "u": 1})
    consumer = yield connected(world, Announcing([broker.address]))
    assert consumer.known == ["t", "u"]


@use("S")
@gen.coroutine
def close_does_more_and_returns_what_kiels_does(world):
    class Told(clients.Producer):
        told = False

        def close(self):
            self.told = True
            return super(Told, self).close()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Told)
    yield client.produce("t", 1)
    yield client.close()
    assert client.told and client.closing


@use("S")
@gen.coroutine
def winding_down_a_consumer(world):
    ended = []

    class Ending(clients.SingleConsumer):
        @gen.coroutine
        def wind_down(self):
            ended.append(self.closing)
            yield super(Ending, self).wind_down()

    broker = world.scripted(topics={"t": 1})
    consumer = yield single(world, broker, Ending)
    yield consumer.close()
    assert ended == [True]


@use("S")
@gen.coroutine
def a_class_is_mixed_in(world):
    class Named(object):
        def __init__(self, *args, **kwargs):
            self.title = kwargs.pop("title")
            super(Named, self).__init__(*args, **kwargs)

        @gen.coroutine
        def connect(self):
            self.steps = ["begun"]
            yield super(Named, self).connect()
            self.steps.append("done")

    class Mixed(Named, clients.SingleConsumer):
        pass

    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1")
    consumer = yield single(world, broker, Mixed, title="orders")
    assert (consumer.title, consumer.steps) == ("orders", ["begun", "done"])
    assert (yield take(consumer, "t", 1, start=consumer.BEGINNING)) == [1]


@use("S")
@gen.coroutine
def attributes_of_ones_own(world):
    class Service(clients.SingleConsumer):
        def __init__(self, brokers, settings):
            self.settings = settings
            self.progress = {}
            self.log = []
            super(Service, self).__init__(brokers, max_wait_time=settings["wait"])
            self.running = True
            self.positions = {}
            self.reader = None
            self.stats = self.metrics = {}

    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1")
    consumer = yield connected(world, Service([broker.address], {"wait": 100}))
    assert (yield take(consumer, "t", 1, start=consumer.BEGINNING)) == [1]
    assert consumer.settings == {"wait": 100} and consumer.positions == {} and consumer.reader is None


@use("S")
@gen.coroutine
def attributes_of_a_producers_own(world):
    class Service(clients.Producer):
        def __init__(self, *args, **kwargs):
            super(Service, self).__init__(*args, **kwargs)
            self.settings = "mine"
            self.identity = "service-7"
            self.buffered = []
            self.transaction = None

        def begin(self, name):
            return name.upper()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Service)
    yield client.produce("t", 1)
    assert written(broker) == [b"1"]
    assert (client.identity, client.buffered, client.transaction, client.begin("x")) == ("service-7", [], None, "X")


@use("S")
@gen.coroutine
def a_client_of_ones_own(world):
    class Looking(Client):
        def handle_metadata_response(self, response):
            return sorted(topic.name for topic in response.topics)

        @gen.coroutine
        def wind_down(self):
            self.ended = True

    broker = world.scripted(topics={"t": 1, "u": 1})
    client = yield connected(world, Looking([broker.address]))
    found = yield client.send({1: metadata.MetadataRequest(topics=[])})
    assert found == {1: ["t", "u"]}
    yield client.close()
    assert client.ended


@use("S")
@gen.coroutine
def a_cluster_by_itself(world):
    broker = world.scripted(topics={"t": 2})
    cluster = Cluster([broker.address])
    yield cluster.start()
    try:
        assert sorted(cluster.topics["t"]) == [0, 1]
        assert cluster.leaders["t"] == {0: 1, 1: 1}
        assert 1 in cluster and list(cluster) == [1]
        assert cluster[1].port == broker.port and cluster.get_leader("t", 1) == 1
    finally:
        cluster.stop()


@use("S")
@gen.coroutine
def a_connection_by_itself(world):
    broker = world.scripted(topics={"t": 1})
    conn = Connection("127.0.0.1", broker.port)
    yield conn.connect()
    assert not conn.closing
    response = yield conn.send(metadata.MetadataRequest(topics=["t"]))
    assert [topic.name for topic in response.topics] == ["t"]
    conn.close()
    assert conn.closing


@use("S")
@gen.coroutine
def brokers_as_a_tuple(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1")
    consumer = yield connected(world, clients.SingleConsumer((broker.address,), max_wait_time=100))
    assert (yield take(consumer, "t", 1, start=consumer.BEGINNING)) == [1]


@use("S")
@gen.coroutine
def several_topics_at_once(world):
    broker = world.scripted(topics={"t": 1, "u": 1})
    broker.put("t", b"1")
    broker.put("u", b"2")
    consumer = yield single(world, broker)
    found = yield [take(consumer, topic, 1, start=consumer.BEGINNING) for topic in "tu"]
    assert found == [[1], [2]]
    found = yield dict((topic, consumer.consume(topic)) for topic in "tu")
    assert found == {"t": [], "u": []}


@use("S")
@gen.coroutine
def by_a_callback_of_the_future(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1")
    consumer = yield single(world, broker)
    yield consumer.consume("t", start=consumer.BEGINNING)
    broker.put("t", b"2")
    seen = []
    loop = ioloop.IOLoop.current()
    for _ in range(20):
        future = consumer.consume("t")
        loop.add_future(future, lambda done: seen.extend(done.result()))
        yield future
        yield gen.moment
        if 2 in seen:
            break
    assert seen[-1] == 2


@use("S")
@gen.coroutine
def what_json_makes_of_messages(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker)
    sent = [{"a": [1, None, True]}, [], "text", 5, {"b": {"c": "d"}}]
    for message in sent:
        yield client.produce("t", message)
    assert [json.loads(value.decode("utf8")) for log in broker.logs["t"] for _, value in log] == sent
    consumer = yield single(world, broker)
    assert (yield take(consumer, "t", 5, start=consumer.BEGINNING)) == sent


@use("S")
@gen.coroutine
def keys_and_partitions_by_functions(world):
    asked = []

    def partitioner(key, partitions):
        asked.append((key, sorted(partitions)))
        return sorted(partitions)[len(key) % 2]

    broker = world.scripted(topics={"t": 2})
    client = yield producer(world, broker, key_maker=lambda message: message["user"], partitioner=partitioner)
    for name in ("ab", "c"):
        yield client.produce("t", {"user": name})
    assert asked == [("ab", [0, 1]), ("c", [0, 1])], asked
    assert [len(log) for log in broker.logs["t"]] == [1, 1]
    assert broker.logs["t"][0][0][0] == b"ab"


@use("S")
@gen.coroutine
def settings_of_a_producer_change_while_it_runs(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, batch_size=2)
    first = client.produce("t", 1)
    yield gen.moment  # it waits for the second, but not for long
    assert written(broker) == []
    yield client.produce("t", 2)
    yield first
    assert written(broker) == [b"1", b"2"]
    client.batch_size = 1
    client.serializer = lambda message: b"<%d>" % message if str is bytes else ("<%d>" % message).encode("ascii")
    yield client.produce("t", 3)
    assert written(broker) == [b"1", b"2", b"<3>"]


@use("S")
def what_kiel_says_of_itself(world):
    assert isinstance(kiel.version_info, tuple) and kiel.__version__.startswith("%d." % kiel.version_info[0])
    assert issubclass(clients.SingleConsumer, BaseConsumer) and issubclass(BaseConsumer, Client)
    assert issubclass(clients.GroupedConsumer, BaseConsumer) and issubclass(clients.Producer, Client)
    assert issubclass(exc.NoBrokersError, exc.KielError) and issubclass(exc.NoOffsetsError, exc.KielError)
    assert (constants.GZIP, constants.SNAPPY) == (1, 2)


@use("S")
@gen.coroutine
def offsets_as_numbers_of_a_page(world):
    broker = world.scripted(topics={"t": 2})
    broker.put("t", b"1", b"2", partition=0)
    broker.put("t", b"3", partition=1)
    consumer = yield single(world, broker)
    yield take(consumer, "t", 3, start=consumer.BEGINNING)
    page = dict(("%s-%d" % (topic, partition), offset)
                for topic, parts in consumer.offsets.items() for partition, offset in parts.items())
    assert page == {"t-0": 2, "t-1": 1}
    assert sum(consumer.offsets["t"].values()) == 3 and len(consumer.offsets) == 1


@use("S")
@gen.coroutine
def a_deserializer_is_changed(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1", b"2")
    consumer = yield single(world, broker, deserializer=lambda value: value * 2)
    assert (yield take(consumer, "t", 2, start=consumer.BEGINNING)) == [b"11", b"22"]
    consumer.deserializer = len
    broker.put("t", b"xyz")
    assert (yield take(consumer, "t", 1)) == [3]


@use("S")
@gen.coroutine
def a_deserializer_is_a_method(world):
    class Typed(clients.SingleConsumer):
        def __init__(self, *args, **kwargs):
            super(Typed, self).__init__(*args, deserializer=self.read, **kwargs)
            self.count = 0

        def read(self, value):
            self.count += 1
            return value.decode("ascii").upper()

    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"a", b"b")
    consumer = yield single(world, broker, Typed)
    assert (yield take(consumer, "t", 2, start=consumer.BEGINNING)) == ["A", "B"]
    assert consumer.count == 2


@use("S", real=True)
@gen.coroutine
def a_worker_that_writes_what_it_reads(world):
    source, target, group = world.topic(2), world.topic(), world.name("group")
    for partition in range(2):
        world.put(source, b"1", b"2", partition=partition)
        world.commit(group, source, 0, partition)
    consumer = yield grouped(world, group, autocommit=False)
    client = yield connected(world, clients.Producer(world.brokers, batch_size=1))
    count = 0
    while count < 4:
        for number in (yield consumer.consume(source)):
            yield client.produce(target, number * 10)
            count += 1
        yield consumer.commit_offsets()
    assert sorted(value for _, value in world.log(target)) == [b"10", b"10", b"20", b"20"]
    assert [world.committed(group, source, partition) for partition in range(2)] == [2, 2]


@use("S", real=True)
@gen.coroutine
def a_group_reads_on_where_another_object_stopped(world):
    topic, group = world.topic(), world.name("group")
    world.put(topic, *[b"%d" % n if str is bytes else ("%d" % n).encode("ascii") for n in range(4)])
    world.commit(group, topic, 0)
    consumer = yield grouped(world, group)
    assert (yield take(consumer, topic, 4)) == [0, 1, 2, 3]
    yield consumer.close()
    world.put(topic, b"4")
    consumer = yield grouped(world, group)
    assert (yield take(consumer, topic, 1)) == [4]
