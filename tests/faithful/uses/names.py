"""Names, keywords and building blocks that code of 2016 used (C12, C13, C14, C17)."""
from __future__ import absolute_import

import struct

from tornado import gen

from kiel import clients, constants, exc
from kiel.clients.grouped import naive_allocator
from kiel.connection import Connection
from kiel.iterables import drain
from kiel.protocol import errors, messages, metadata, offset, part, primitives, produce, request
from kiel.zookeeper.allocator import PartitionAllocator

from . import use
from .helpers import connected, single, take


# -- C12


@use("C12")
def the_name_of_an_error(world):
    error = exc.ConnectionError("h", 9092, broker_id=3)
    assert isinstance(error, exc.KielError)
    assert (error.host, error.port, error.broker_id) == ("h", 9092, 3)
    assert str(error) == "Error connecting to h:9092"


@use("C12")
@gen.coroutine
def catching_it(world):
    broker = world.scripted(topics={"t": 1})
    consumer = yield connected(world, clients.SingleConsumer([broker.address]))
    conn = consumer.cluster[1]
    conn.close()
    try:
        yield conn.send(metadata.MetadataRequest(topics=[]))
    except exc.ConnectionError as error:
        assert str(error) == "Error connecting to 127.0.0.1:%d" % broker.port, str(error)
    else:
        assert False, "no error"


@use("C12")
@gen.coroutine
def raising_it(world):
    class Flaky(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            raise exc.ConnectionError("database", 5432)

    broker = world.scripted(topics={"t": 1})
    consumer = yield single(world, broker, Flaky)
    try:
        yield consumer.consume("t")
    except exc.ConnectionError as error:
        assert error.host == "database"
    else:
        assert False, "no error"


@use("C12")
@gen.coroutine
def raising_it_once(world):
    class Flaky(clients.SingleConsumer):
        calls = 0

        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            self.calls += 1
            if self.calls == 1:
                raise exc.ConnectionError("database", 5432)
            yield super(Flaky, self).determine_offsets(topic, start)

    broker = world.scripted(topics={"t": 3})
    broker.put("t", b"0", b"1", b"2")
    consumer = yield single(world, broker, Flaky)
    try:
        yield consumer.consume("t", start=consumer.BEGINNING)
    except exc.ConnectionError:
        pass
    else:
        assert False, "no error"
    assert sorted((yield take(consumer, "t", 3, start=consumer.BEGINNING))) == [0, 1, 2]
    assert consumer.calls == 2, consumer.calls


@use("C12")
@gen.coroutine
def raising_what_consume_takes_for_no_offsets(world):
    class Unsure(clients.SingleConsumer):
        @gen.coroutine
        def determine_offsets(self, topic, start=None):
            raise exc.NoOffsetsError()

    consumer = yield single(world, world.scripted(topics={"t": 1}), Unsure)
    assert (yield consumer.consume("t")) == []


@use("C12")
@gen.coroutine
def no_brokers(world):
    broker = world.scripted(topics={"t": 1})
    broker.stop()
    for cls in clients.SingleConsumer, clients.Producer:
        try:
            yield cls([broker.address]).connect()
        except exc.NoBrokersError as error:
            assert isinstance(error, exc.KielError)
        else:
            assert False, "no error"


# -- C13


def two():
    return [messages.Message(magic=0, attributes=0, key=None, value=value) for value in (b"one", b"two")]


@use("C13")
def compression_of_a_set(world):
    assert len(messages.MessageSet.compressed(compression=None, msgs=two()).messages) == 2
    assert len(messages.MessageSet.compressed(compression=constants.GZIP, msgs=two()).messages) == 1


@use("C13")
def class_of_an_array(world):
    array = primitives.Array.of(part_class=primitives.Int32)
    assert array.__name__ == "ArrayOfInt32" and array.item_class is primitives.Int32


@use("C13")
@gen.coroutine
def topics_of_a_response(world):
    broker = world.scripted(topics={"t": 1})
    consumer = yield connected(world, clients.SingleConsumer([broker.address]))
    response = yield consumer.cluster[1].send(metadata.MetadataRequest(topics=[]))
    missing = consumer.cluster.process_topics(response_topics=response.topics)
    assert missing == set()
    assert (yield consumer.cluster.process_brokers(brokers=response.brokers)) == set()
    yield consumer.cluster.heal(response=response)
    response = yield consumer.cluster.get_metadata(topics=["t"])
    assert [topic.name for topic in response.topics] == ["t"]


@use("C13")
@gen.coroutine
def requests_by_broker(world):
    class Asking(clients.SingleConsumer):
        def handle_metadata_response(self, response):
            return len(response.topics)

    broker = world.scripted(topics={"t": 1})
    consumer = yield connected(world, Asking([broker.address]))
    results = yield consumer.send(request_by_broker={1: metadata.MetadataRequest(topics=[])})
    assert results == {1: 1}


@use("C13")
def arguments_by_name(world):
    clients.SingleConsumer(brokers=["a:1"], deserializer=None, max_wait_time=1, min_bytes=1, max_bytes=1)
    clients.Producer(brokers=["a:1"], serializer=None, key_maker=None, partitioner=None, batch_size=1,
                     compression=None, required_acks=1, ack_timeout=1)
    clients.GroupedConsumer(brokers=["a:1"], group="g", zk_hosts=["z:1"], deserializer=None, partition_allocator=None,
                            autocommit=True, max_wait_time=1, min_bytes=1, max_bytes=1)
    clients.GroupedConsumer(["a:1"], "g", ["z:1"], None, naive_allocator, False, 1, 1, 1)
    assert Connection(host="h", port="9").port == 9


@use("C13", real=True)
@gen.coroutine
def partitions_of_an_allocator(world):
    allocator = PartitionAllocator(
        zk_hosts=world.zk_hosts, group_name=world.name("group"), consumer_name="me", allocator_fn=naive_allocator,
        on_rebalance=None)
    yield allocator.start(seed_partitions={"t": [0, 1]})
    try:
        assert sorted(allocator.allocation["t"]) == [0, 1]
        answer = allocator.add_partitions(partitions={"u": [3]})
        yield gen.maybe_future(answer)
        for _ in range(300):
            if sorted(allocator.allocation.get("u", [])) == [3]:
                break
            yield gen.sleep(0.01)
        assert allocator.allocation["u"] == [3]
        assert allocator.partitions == set(["t:0", "t:1", "u:3"])
    finally:
        yield allocator.stop()


@use("C13")
def members_of_an_allocator(world):
    rebalances = []
    allocator = PartitionAllocator(["127.0.0.1:1"], "g", "b", naive_allocator, lambda: rebalances.append(1))
    allocator.mapping = {"b": {}}
    allocator.on_group_members_change(new_members=["a", "b"])
    assert allocator.members == set(["a", "b"])
    allocator.on_partition_change(new_partitions=set(["t:0", "t:1"]))
    assert allocator.partitions == set(["t:0", "t:1"])
    assert allocator.mapping["b"]["t"] == [1]
    assert len(rebalances) == 2


@use("C13")
def the_allocator_function(world):
    mapping = naive_allocator(members=["a", "b"], partitions=["t:0", "t:1", "t:2"])
    assert mapping["a"]["t"] == [0, 2] and mapping["b"]["t"] == [1] and mapping["c"]["t"] == []


# -- C14


@use("C14", real=True)
@gen.coroutine
def allocation_of_what_is_not_there(world):
    topic, group = world.topic(), world.name("group")
    consumer = yield connected(world, clients.GroupedConsumer(world.brokers, group, world.zk_hosts))
    assert consumer.allocation["none"] == []
    assert consumer.allocation[topic] == [0]
    assert topic in consumer.allocation
    assert dict(consumer.allocation)[topic] == [0]


# -- C17


@use("C17")
def a_part_is_rendered(world):
    entry = offset.PartitionRequest(partition_id=1, time=-1, max_offsets=2)
    form, data = entry.render()
    assert struct.pack("!" + form, *data) == struct.pack(">iqi", 1, -1, 2)
    form, data = entry.render((("time", primitives.Int64),))
    assert struct.pack("!" + form, *data) == struct.pack(">q", -1)


class Point(part.Part):
    parts = (("x", primitives.Int16), ("name", primitives.String), ("tags", primitives.Array.of(primitives.String)))


class Line(part.Part):
    parts = (("points", primitives.Array.of(Point)), ("weight", primitives.Int64))


@use("C17")
def a_part_of_ones_own(world):
    line = Line(points=[Point(x=1, name="a", tags=["p", "q"]), Point(x=-2, name=None, tags=[])], weight=7)
    form, data = line.render()
    raw = struct.pack("!" + form, *data)
    assert raw == (
        b"\0\0\0\2" b"\0\1" b"\0\1a" b"\0\0\0\2" b"\0\1p" b"\0\1q" b"\xff\xfe" b"\xff\xff" b"\0\0\0\0"
        b"\0\0\0\0\0\0\0\7"), raw
    again, end = Line.parse(raw, 0)
    assert end == len(raw)
    assert again == line and again.points[0].tags == ["p", "q"]
    assert Line.parse(b"xx" + raw, 2) == (line, len(raw) + 2)
    assert not line == Line(points=[], weight=7)
    try:
        Point(y=1)
    except ValueError:
        pass
    else:
        assert False, "an unknown part was taken"


@use("C17")
def a_part_that_renders_itself(world):
    # 0.9's way to a field that is not just its table: `render` overridden, as its Message did
    class Framed(part.Part):
        parts = (("size", primitives.Int32), ("body", primitives.Bytes))

        def render(self, parts=None):
            form, data = super(Framed, self).render(self.parts[1:])
            payload = struct.pack("!" + form, *data)
            return "i%ds" % len(payload), [len(payload), payload]

    form, data = Framed(body=b"xyz").render()
    assert struct.pack("!" + form, *data) == b"\0\0\0\7\0\0\0\3xyz"


@use("C17")
def numbers_are_rendered(world):
    for cls, form, value in (
        (primitives.Int8, "b", -3), (primitives.Int16, "h", 300), (primitives.Int32, "i", -70000),
        (primitives.Int64, "q", 1 << 40),
    ):
        assert cls(value).render() == (form, [value])
        raw = struct.pack("!" + form, value)
        assert cls.parse(raw, 0) == (value, len(raw))
        assert cls(value) == cls(value) and repr(cls(value)) == "%s(%s)" % (cls.__name__, value)
        assert cls.format == form


@use("C17")
def texts_are_rendered(world):
    for cls, form, size in (primitives.String, "h", 2), (primitives.Bytes, "i", 4):
        for value, raw in ((b"abc", b"abc"), (u"abc", b"abc"), (u"caf\xe9", u"caf\xe9".encode("utf-8")), (123, b"123")):
            rendered, data = cls(value).render()
            assert rendered == "%s%ds" % (form, len(raw)) and data == [len(raw), raw], (rendered, data)
            packed = struct.pack("!" + rendered, *data)
            back, end = cls.parse(packed, 0)
            assert (back if isinstance(back, bytes) else back.encode("utf-8")) == raw and end == size + len(raw)
        assert cls(None).render() == (form, [-1])
        assert cls.parse(struct.pack("!" + form, -1), 0) == (None, size)
    assert repr(primitives.String("a")) in ("'a'", "u'a'")


@use("C17")
def arrays_are_rendered(world):
    array = primitives.Array.of(primitives.Int32)
    assert array([1, 3, 6, 9]).render() == ("iiiii", [4, 1, 3, 6, 9])
    assert array(None).render() == ("i", [0])
    assert array.parse(struct.pack(">iii", 2, 5, 6), 0) == ([5, 6], 12)
    assert repr(array([1, 3, 6, 9])) == "[1, 3, 6, 9]"
    strings = primitives.Array.of(primitives.String)
    form, data = strings(["a", "bc"]).render()
    raw = struct.pack("!" + form, *data)
    assert raw == b"\0\0\0\2\0\1a\0\2bc"
    assert strings.parse(raw, 0) == (["a", "bc"], len(raw))
    points = primitives.Array.of(Point)
    form, data = points([Point(x=1, name="", tags=[])]).render()
    assert struct.pack("!" + form, *data) == b"\0\0\0\1\0\1\0\0\0\0\0\0"


@use("C17")
def a_primitive_of_ones_own(world):
    class Double(primitives.Primitive):
        format = "d"

    class Reading(part.Part):
        parts = (("sensor", primitives.Int16), ("value", Double))

    form, data = Reading(sensor=1, value=2.5).render()
    raw = struct.pack("!" + form, *data)
    assert raw == struct.pack(">hd", 1, 2.5)
    assert Reading.parse(raw, 0)[0].value == 2.5


@use("C17")
def messages_are_rendered(world):
    message = messages.Message(magic=0, attributes=0, key="k", value="v")
    form, data = message.render()
    raw = struct.pack("!" + form, *data)
    assert raw == b"\x1f\xec\xd7\n\0\0\0\0\0\1k\0\0\0\1v", raw
    again, end = messages.Message.parse(raw, 0)
    assert end == len(raw) and (again.magic, again.attributes) == (0, 0)
    assert repr(message) == "k => v"
    message_set = messages.MessageSet([(0, message)])
    form, data = message_set.render()
    raw_set = struct.pack("!" + form, *data)
    assert raw_set == b"\0\0\0\x1c" + b"\0" * 8 + b"\0\0\0\x10" + raw, raw_set
    parsed, end = messages.MessageSet.parse(raw_set, 0)
    assert end == len(raw_set) and [position for position, _ in parsed.messages] == [0]


@use("C17")
def requests_are_bytes(world):
    asked = produce.ProduceRequest(required_acks=-1, timeout=500, topics=[
        produce.TopicRequest(name="t", partitions=[
            produce.PartitionRequest(partition_id=2, message_set=messages.MessageSet([
                (-1, messages.Message(magic=0, attributes=0, key="k", value="v"))
            ]))
        ])
    ])
    asked.correlation_id = 1
    assert asked.serialize() == bytes(bytearray.fromhex(
        "00000000000000010004 6b69656c ffff 000001f4 00000001 0001 74 00000001 00000002 0000001c ffffffffffffffff"
        "00000010 1fecd70a 00 00 00000001 6b 00000001 76".replace(" ", "")))
    assert (asked.api_key, asked.api_version, asked.client_id) == (0, 0, "kiel")
    form, data = asked.render()
    assert asked.serialize().endswith(struct.pack("!" + form, *data))


@use("C17")
def ids_of_requests(world):
    first, second = metadata.MetadataRequest(topics=[]), metadata.MetadataRequest(topics=[])
    assert second.correlation_id == first.correlation_id + 1 == request.last_id
    assert first == second
    assert request.generate_correlation_id() == second.correlation_id + 1
    assert repr(metadata.MetadataRequest(topics=["a"])) in (
        "MetadataRequest(topics=[a])", "MetadataRequest(topics=['a'])")


@use("C17")
def responses_are_read(world):
    response = metadata.MetadataResponse.deserialize(
        b"\0\0\0\1" b"\0\0\0\1\0\1h\0\0\x23\x84" b"\0\0\0\1\0\0\0\1t\0\0\0\1" b"\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0")
    assert [(broker.broker_id, broker.host, broker.port) for broker in response.brokers] == [(1, "h", 9092)]
    assert response.topics[0].partitions[0].leader == 1
    assert response.api == "metadata"


@use("C17")
def an_allocator_before_it_starts(world):
    consumer = clients.GroupedConsumer(["a:1"], "g", ["z:1", "y:2"])
    allocator = consumer.allocator
    assert allocator.zk_hosts == ["z:1", "y:2"] and allocator.group_name == "g"
    assert allocator.consumer_name == consumer.name
    assert (allocator.members_path, allocator.partition_path) == ("/kiel/groups/g/members", "/kiel/groups/g/partitions")
    assert (allocator.members, allocator.partitions, allocator.mapping) == (set(), set(), {})
    assert (allocator.party.member_name, allocator.party.path) == (consumer.name, allocator.members_path)
    assert allocator.shared_set.path == allocator.partition_path
    assert allocator.shared_set.lock_path == allocator.partition_path + "/lock"
    assert not allocator.connected.is_set()


@use("C17")
def numbers_of_errors(world):
    assert errors.no_error == 0 and errors.offset_out_of_range == 1 and errors.unknown == -1
    assert errors.not_partition_leader in errors.retriable and errors.offset_out_of_range not in errors.retriable
    assert constants.ERROR_CODES[errors.request_timed_out] == "request_timed_out"


@use("C17")
def things_are_drained(world):
    assert sorted(drain({"a": 1, "b": 2})) == [("a", 1), ("b", 2)]
    assert sorted(drain(set([1, 2]))) == [1, 2] and list(drain([1, 2])) == [2, 1]
