"""Avro serializers and deserializers: in a producer and a consumer, evolution, references, ids, poison."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen

from kiel import schemas
from kiel.clients.consuming.record import Record
from kiel.clients.producing.serializing import Serialized
from kiel.clients.single import SingleConsumer
from kiel.schemas import AvroDeserializer, AvroSerializer, Schema, framing, packages

from tests import loop
from tests.clients.consuming import consumers
from tests.clients.producing import producers
from tests.fake import with_cluster
from tests.schemas.registry import IMPATIENT, Fault, Server, with_registry

pytestmark = pytest.mark.usefixtures("fastavro")

POINT = {"type": "record", "name": "Point", "namespace": "x", "fields": [{"name": "n", "type": "int"}]}
#: what became of it: a field more, and one of another name
LATER = {"type": "record", "name": "Point", "namespace": "x", "fields": [
    {"name": "n", "type": "long"}, {"name": "color", "type": "string", "default": "red"}]}

#: Point(n=5), by Avro's rules
FIVE = b"\x0a"


def of(value, headers=()):
    """A record with a value."""
    return Record("t", 0, 0, 0, None, value, headers)


@with_registry()
def test_bytes_as_every_client_of_a_registry_writes_them(server, registry):
    serializer = AvroSerializer(registry, POINT)
    assert (yield serializer.encode("t", {"n": 5})) == b"\x00\x00\x00\x00\x01" + FIVE
    assert list(server.subjects) == ["t-value"]
    assert serializer.serialize("t", {"n": 5}) == b"\x00\x00\x00\x00\x01" + FIVE  # at once from now on
    deserializer = AvroDeserializer(registry)
    assert (yield deserializer.decode(b"\x00\x00\x00\x00\x01" + FIVE)) == {"n": 5}
    assert deserializer(b"\x00\x00\x00\x00\x01" + FIVE) == deserializer.of_record(of(b"\0\0\0\0\1" + FIVE)) == {"n": 5}
    assert serializer(None) is None and deserializer(None) is None and deserializer.of_record(of(None)) is None


def test_a_producer_and_a_consumer():
    @with_cluster(topics={"t": 1, "u": 1})
    def run(cluster):
        @with_registry_here
        def check(server, registry):
            producer = yield producers.connected(cluster, serializer=AvroSerializer(registry, POINT), linger=0.001)
            server.gate = concurrent.Future()
            taken = [producer.produce("t", {"n": n}) for n in range(3)] + [producer.produce("t", None)]
            taken += [producer.produce("u", {"n": 9})]
            bad = producer.produce("t", {"n": "nine"})
            yield loop.until(lambda: server.requests)
            assert not any(future.done() for future in taken)
            server.gate.set_result(None)
            server.gate = None
            for future in taken:
                yield loop.within(5, future)
            error = yield loop.raises(schemas.SerializationError, bad)
            assert "id 1" in str(error)
            yield producer.produce_many("t", [{"n": 3}, {"n": None}, {"n": 4}])
            yield loop.raises(schemas.SerializationError, producer.produce("t", {}))
            yield producer.close()
            assert len(server.requests) == 2  # one for each topic
            assert [value and value[5:] for value in producers.values(cluster)] == [
                b"\x00", b"\x02", b"\x04", None, b"\x06", b"\x08"]

            seen = []
            cluster.log("t").put(b"{}", b"\0\0\0\0\x63\x02", b"\0\0\0\0\x01", b"\0\0\0\0\x01\x0a")
            consumer = consumers.make(
                cluster, deserializer=AvroDeserializer(registry),
                on_error=lambda record, error: seen.append((record.offset, type(error))))
            yield consumer.connect()
            found = yield consumers.gather(consumer, 7)
            assert found == [{"n": 0}, {"n": 1}, {"n": 2}, None, {"n": 3}, {"n": 4}, {"n": 5}]
            assert seen == [(6, schemas.WireFormatError), (7, schemas.SchemaNotFoundError),
                            (8, schemas.DeserializationError)]
            yield consumer.close()
        yield check()
    run()


def with_registry_here(test):
    """As `with_registry`, within a loop that runs."""
    @gen.coroutine
    def run():
        server = Server()
        try:
            yield gen.coroutine(test)(server, schemas.Registry(server.url, retry=IMPATIENT))
        finally:
            server.stop()
    return run


def test_a_registry_that_is_away_loses_no_message():
    @with_cluster(topics={"t": 1})
    def run(cluster):
        @with_registry_here
        def check(server, registry):
            server.add("t-value", Schema(POINT).to_json())
            cluster.log("t").put(b"\0\0\0\0\1" + FIVE, b"\0\0\0\0\1" + FIVE)
            seen = []
            consumer = consumers.make(cluster, deserializer=AvroDeserializer(registry),
                                      on_error=lambda *args: seen.append(args))
            yield consumer.connect()
            # it does not answer; refuses the login; or it is something else that answers
            for status, kind in ((503, schemas.RegistryUnavailableError), (401, schemas.RegistryAccessError),
                                 (404, schemas.RegistryError)):
                server.faults = [Fault(status, times=10 ** 6)]
                error = yield loop.raises(schemas.RegistryError, consumer.consume("t", SingleConsumer.BEGINNING))
                assert type(error) is kind
            server.faults = []
            assert (yield consumers.gather(consumer, 2)) == [{"n": 5}] * 2 and not seen
            yield consumer.close()

            producer = yield producers.connected(cluster, serializer=AvroSerializer(registry, POINT))
            server.faults.append(Fault(503, times=10 ** 6))
            yield loop.raises(schemas.RegistryUnavailableError, producer.produce("t", {"n": 6}))
            server.faults = []
            yield producer.produce("t", {"n": 7})
            assert producers.values(cluster)[2:] == [b"\0\0\0\0\1\x0e"]
            yield producer.close()
        yield check()
    run()


@with_registry()
def test_readers_with_a_schema_of_their_own(server, registry):
    old, new = AvroSerializer(registry, POINT), AvroSerializer(registry, LATER)
    written = [(yield old.encode("t", {"n": 5})), (yield new.encode("t", {"n": 6, "color": "blue"}))]
    assert server.subjects["t-value"] == [[1, False], [2, False]]
    as_written, by_new = AvroDeserializer(registry), AvroDeserializer(registry, LATER)
    by_old = AvroDeserializer(registry, POINT)
    found = []
    for deserializer in (as_written, by_new):
        for value in written:
            found.append((yield deserializer.decode(value)))
    assert found == [{"n": 5}, {"n": 6, "color": "blue"}, {"n": 5, "color": "red"}, {"n": 6, "color": "blue"}]
    assert (yield by_old.decode(written[0])) == {"n": 5}
    yield loop.raises(schemas.DeserializationError, by_old.decode(written[1]))  # no int of a long


@with_registry()
def test_which_schema_is_written(server, registry):
    missing = AvroSerializer(registry, POINT, use="existing").encode("t", {"n": 1})
    yield loop.raises(schemas.SchemaNotFoundError, missing)
    yield registry.register("t-value", POINT)
    yield registry.register("t-value", LATER)
    latest = AvroSerializer(registry, use="latest")
    fields = {"n": 1, "color": "red"}
    assert (yield latest.encode("t", fields))[:5] == b"\0\0\0\0\2"
    assert (yield AvroSerializer(registry, POINT, use="existing").encode("t", fields))[:5] == b"\0\0\0\0\1"
    assert (yield AvroSerializer(registry, use=1).encode("t", fields))[:5] == b"\0\0\0\0\1"
    yield registry.register("t-value", '"int"')
    assert latest.serialize("t", fields)[:5] == b"\0\0\0\0\2"  # until it is told to look again
    latest.forget()
    assert (yield latest.encode("t", 4)) == b"\0\0\0\0\3\x08"
    assert server.subjects["t-value"] == [[1, False], [2, False], [3, False]]
    server.add("j-value", {"schema": "{}", "schemaType": "JSON"})
    error = yield loop.raises(schemas.SchemaError, AvroSerializer(registry, use="latest").encode("j", fields))
    assert "JSON" in str(error)
    error = yield loop.raises(schemas.DeserializationError, AvroDeserializer(registry).decode(b"\0\0\0\0\4\x02"))
    assert "JSON" in str(error)


@pytest.mark.parametrize("subject,expected", [
    ("topic", "t-value"), ("record", "x.Point"), ("topic-record", "t-x.Point"),
    (lambda topic, record, is_key: "%s/%s/%s" % (topic, record, is_key), "t/x.Point/False"),
], ids=["topic", "record", "topic-record", "function"])
def test_subjects(subject, expected):
    @with_registry()
    def check(server, registry):
        yield AvroSerializer(registry, POINT, subject=subject, normalize=True).encode("t", {"n": 1})
        assert list(server.subjects) == [expected] and server.requests[0][2] == {"normalize": "true"}
    check()


@with_registry()
def test_a_subject_by_record_of_what_is_no_record(server, registry):
    error = yield loop.raises(schemas.SchemaError, AvroSerializer(registry, '"int"', subject="record").encode("t", 1))
    assert "names no record" in str(error)


@with_registry()
def test_keys(server, registry):
    keys = AvroSerializer(registry, '"string"', is_key=True)
    key = yield keys.encode("t", u"red")
    assert key == b"\0\0\0\0\1\x06red" and list(server.subjects) == ["t-key"]
    assert (yield AvroDeserializer(registry, is_key=True).decode(key)) == u"red"


@pytest.mark.parametrize("guids", [True, False])
def test_ids_in_headers(guids):
    @with_registry(server=dict(guids=guids))
    def check(server, registry):
        serializer = AvroSerializer(registry, POINT, ids="header")
        made = yield serializer.serialize("t", {"n": 5})
        assert isinstance(made, Serialized) and made.value == FIVE
        (name, header), = made.headers
        assert name == "__value_schema_id"
        if guids:
            assert header[:1] == b"\x01" and len(header) == 17
            assert framing.parse(header) == (server.schemas[1][0], 17)
        else:
            assert header == b"\0\0\0\0\1"
        record = of(FIVE, [(u"other", b"x"), (u"__value_schema_id", header)])
        deserializer = AvroDeserializer(registry)
        assert (yield deserializer.of_record(record)) == {"n": 5}
        assert deserializer.of_record(record) == {"n": 5}
        assert (yield deserializer.decode(header + FIVE)) == {"n": 5}  # before the value it would do, too
        yield loop.raises(ValueError, serializer.encode("t", {"n": 5}))
        keys = AvroSerializer(registry, POINT, ids="header", is_key=True)
        assert (yield keys.serialize("t", {"n": 5})).headers[0][0] == "__key_schema_id"
        assert (yield AvroDeserializer(registry, is_key=True).decode(FIVE, [("__key_schema_id", header)])) == {"n": 5}
    check()


@with_registry()
def test_objects_of_the_applications_own(server, registry):
    class Point(object):
        def __init__(self, n):
            self.n = n

    data = yield AvroSerializer(registry, POINT, to_dict=lambda point: {"n": point.n}).encode("t", Point(5))
    point = yield AvroDeserializer(registry, from_dict=lambda found: Point(**found)).decode(data)
    assert isinstance(point, Point) and point.n == 5
    error = yield loop.raises(schemas.SerializationError, AvroSerializer(
        registry, POINT, to_dict=lambda point: {"n": point.n}).encode("t", 5))
    assert "AttributeError" in str(error)


# -- references --

COLOR = {"type": "enum", "name": "Color", "namespace": "y", "symbols": ["red", "blue"]}
SHAPE = {"type": "record", "name": "Shape", "namespace": "x", "fields": [
    {"name": "color", "type": "y.Color"}, {"name": "at", "type": ["null", "Point"], "default": None}]}
PAGE = {"type": "record", "name": "Page", "fields": [
    {"name": "shapes", "type": {"type": "array", "items": "x.Shape"}},
    {"name": "points", "type": {"type": "map", "values": "x.Point"}},
    {"name": "color", "type": {"type": "y.Color"}}]}


@with_registry()
def test_schemas_that_refer_to_others(server, registry):
    yield registry.register("color", COLOR)
    yield registry.register("point", POINT)
    yield registry.register("shape", Schema(SHAPE, references=[("y.Color", "color", 1), ("x.Point", "point", 1)]))
    page = Schema(PAGE, references=[("x.Shape", "shape", 1), ("x.Point", "point", 1), ("y.Color", "color", 1)])
    message = {"shapes": [{"color": "blue", "at": {"n": 1}}, {"color": "red", "at": None}], "points": {"p": {"n": 2}},
               "color": "red"}
    data = yield AvroSerializer(registry, page).encode("t", message)
    assert (yield AvroDeserializer(registry).decode(data)) == message
    assert (yield AvroDeserializer(registry, page).decode(data)) == message
    missing = Schema(PAGE, references=[("x.Shape", "shape", 9)])
    yield loop.raises(schemas.SchemaNotFoundError, AvroSerializer(registry, missing).encode("u", message))


# -- what can't be --

@with_registry()
def test_wrong_settings(server, registry):
    for wrong in (dict(use="new"), dict(use=True), dict(ids="body"), dict(subject="name"), dict(schema=None)):
        with pytest.raises(ValueError):
            AvroSerializer(registry, **dict(dict(schema=POINT), **wrong))
    with pytest.raises(TypeError):
        AvroSerializer(registry, 5)
    for cls in (AvroSerializer, AvroDeserializer):
        with pytest.raises(ValueError):
            cls(registry, Schema("{}", "JSON"))
        for text in ("{", '{"type": "record"}', '{"type": "nothing"}'):
            with pytest.raises(schemas.InvalidSchemaError):
                cls(registry, text)
    yield gen.moment


@pytest.mark.parametrize("value", [b"", b"{}", b"\x00", b"\x00\x01\x02\x03", b"\x01" * 16, b"\x02" * 40])
def test_what_no_serializer_of_a_registry_wrote(value):
    with pytest.raises(schemas.WireFormatError):
        framing.parse(value)


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(ImportError) as caught:
        packages.needed("no_such_package", "avro")
    assert 'pip install "kiel[avro]"' in str(caught.value)
