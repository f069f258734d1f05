"""
`kiel.schemas` with a real registry, Apicurio's, and with confluent-kafka's own serializers and deserializers.

Where there is no Java for it, the tests' own registry is asked the same questions. Messages are bytes here: that they
come through Kafka as they are is what other tests are about.
"""
from __future__ import absolute_import

import json
import re
import sys

import pytest
from tornado import gen, ioloop

from kiel import schemas, testing
from kiel.schemas import (
    AvroDeserializer, AvroSerializer, JSONDeserializer, JSONSerializer, ProtobufDeserializer, ProtobufSerializer,
    Registry, Schema
)

from tests import loop
from tests.needs import needed
from tests.schemas.registry import Own
from tests.schemas.test_protobuf import made, shape_of

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 9), reason="this is about other software"),
    pytest.mark.timeout(300),
]

POINT = {"type": "record", "name": "Point", "namespace": "x", "fields": [{"name": "n", "type": "int"}]}
LINE = {"type": "record", "name": "Line", "namespace": "x", "fields": [
    {"name": "from", "type": "x.Point"}, {"name": "to", "type": "x.Point"}]}
#: what Point may become, and may not
MORE = dict(POINT, fields=POINT["fields"] + [{"name": "color", "type": "string", "default": "red"}])
LESS = dict(POINT, fields=[{"name": "n", "type": "string"}])
PERSON = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Person", "type": "object",
          "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.fixture(scope="module")
def real():
    """A real registry."""
    try:
        server = testing.SchemaRegistry().start()
    except testing.MissingToolError as error:
        pytest.skip("no Apicurio: %s" % error)
    with server:
        yield server


@pytest.fixture(scope="module")
def own():
    """The tests' own, which has GUIDs."""
    with Own() as server:
        yield server


@pytest.fixture
def topic(request):
    """A topic's name of this test's own."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture(params=["real", "own"])
def url(request):
    """The address of each registry."""
    return request.getfixturevalue(request.param).url


def on_loop(test):
    """Run a test's generator on a loop of its own."""
    coroutine = gen.coroutine(test)

    def run(url, topic):
        loop.run(lambda: coroutine(Registry(url), topic), timeout=120)
    run.__name__ = test.__name__
    return run


@on_loop
def test_what_a_registry_does(registry, topic):
    subject = topic + "-value"
    found = yield registry.register(subject, POINT)
    assert found.id and (yield registry.register(subject, POINT)).id == found.id
    assert subject in (yield registry.subjects()) and (yield registry.versions(subject)) == [1]
    assert json.loads((yield registry.get(found.id)).text) == POINT
    assert (yield registry.get_version(subject)).version == 1
    assert (yield registry.lookup(subject, POINT)).id == found.id
    yield registry.set_compatibility("BACKWARD", subject)
    assert (yield registry.compatibility(subject)) == "BACKWARD"
    assert (yield registry.check(subject, MORE))
    yield registry.register(subject, MORE)
    assert (yield registry.versions(subject)) == [1, 2]
    yield loop.raises(schemas.InvalidSchemaError, registry.register(topic + "-bad", "{nonsense"))
    yield loop.raises(schemas.SchemaNotFoundError, registry.get(99999))
    yield loop.raises(schemas.SchemaNotFoundError, registry.get_version(topic + "-nothing"))
    yield loop.raises(schemas.SchemaNotFoundError, registry.lookup(subject, LINE))
    assert (yield registry.delete(subject)) == [1, 2]


def test_what_only_a_real_registry_judges(real, topic):
    @gen.coroutine
    def body():
        registry = Registry(real.url)
        yield registry.register(topic, POINT)
        yield registry.set_compatibility("BACKWARD", topic)
        assert not (yield registry.check(topic, LESS))
        error = yield loop.raises(schemas.IncompatibleSchemaError, registry.register(topic, LESS))
        assert "STRING" in str(error)
    loop.run(body, timeout=60)


def confluent(url):
    """confluent-kafka's client, and what its serializers are told of a topic."""
    needed("confluent_kafka", "pip install confluent-kafka[avro,json,protobuf,schemaregistry]")
    registry = needed("confluent_kafka.schema_registry",
                      "pip install confluent-kafka[avro,json,protobuf,schemaregistry]")
    return registry.SchemaRegistryClient({"url": url})


def context(topic, headers=None):
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(topic, MessageField.VALUE, headers)


@gen.coroutine
def off_loop(function, *args):
    """Call what blocks, on a thread."""
    found = yield ioloop.IOLoop.current().run_in_executor(None, function, *args)
    raise gen.Return(found)


def both_ways(url, topic, ours, theirs, message):
    """What either writes, the other reads; and both write the same bytes."""
    (serializer, deserializer), (their_serializer, their_deserializer) = ours, theirs

    @gen.coroutine
    def body():
        data = yield serializer.encode(topic, message)
        theirs = yield off_loop(their_serializer, message, context(topic))
        assert theirs == data
        assert (yield deserializer.decode(theirs)) == message
        assert (yield off_loop(their_deserializer, data, context(topic))) == message
    loop.run(body, timeout=120)


def test_avro_with_confluents(url, topic):
    client = confluent(url)
    from confluent_kafka.schema_registry import avro

    registry = Registry(url)
    text = Schema(POINT).text
    both_ways(url, topic, (AvroSerializer(registry, text), AvroDeserializer(registry)),
              (avro.AvroSerializer(client, text), avro.AvroDeserializer(client)), {"n": 5})


def test_avro_references_with_confluents(url, topic):
    client = confluent(url)
    from confluent_kafka.schema_registry import Schema as Theirs, SchemaReference, avro

    registry = Registry(url)
    loop.run(lambda: registry.register(topic + "-point", POINT))
    line = Schema(LINE, references=[("x.Point", topic + "-point", 1)])
    theirs = Theirs(line.text, "AVRO", [SchemaReference("x.Point", topic + "-point", 1)])
    both_ways(url, topic, (AvroSerializer(registry, line), AvroDeserializer(registry)),
              (avro.AvroSerializer(client, theirs), avro.AvroDeserializer(client)),
              {"from": {"n": 1}, "to": {"n": 2}})


def test_json_with_confluents(url, topic):
    client = confluent(url)
    from confluent_kafka.schema_registry import json_schema

    registry = Registry(url)
    text = Schema(PERSON, "JSON").text
    both_ways(url, topic, (JSONSerializer(registry, text), JSONDeserializer(registry)),
              (json_schema.JSONSerializer(text, client),
               json_schema.JSONDeserializer(text, schema_registry_client=client)),
              {"name": u"K\u00e4fka"})


def test_protobuf_with_confluents(url, topic):
    client = confluent(url)
    from confluent_kafka.schema_registry import protobuf

    registry = Registry(url)
    color_class, shape_class, side_class = made()
    for number, message in enumerate((color_class(name="red"), shape_of(shape_class), side_class(length=7))):
        cls = type(message)
        both_ways(url, "%s-%d" % (topic, number),
                  (ProtobufSerializer(registry), ProtobufDeserializer(registry, types=[cls])),
                  (protobuf.ProtobufSerializer(cls, client), protobuf.ProtobufDeserializer(cls, {}, client)), message)


def test_ids_in_headers_with_confluents(own, topic):
    """Apicurio has no GUIDs, without which confluent-kafka writes no headers."""
    client = confluent(own.url)
    from confluent_kafka.schema_registry import avro, header_schema_id_serializer

    registry = Registry(own.url)
    text = Schema(MORE).text
    message = {"n": 5, "color": "vermilion"}  # confluent-kafka refuses values of five bytes, wherever the id is

    @gen.coroutine
    def body():
        serialized = yield AvroSerializer(registry, text, ids="header").serialize(topic, message)
        headers = []
        data = yield off_loop(avro.AvroSerializer(client, text, conf={
            "schema.id.serializer": header_schema_id_serializer}), message, context(topic, headers))
        assert (data, headers) == (serialized.value, list(serialized.headers))
        assert (yield AvroDeserializer(registry).decode(data, headers)) == message
        found = yield off_loop(avro.AvroDeserializer(client), serialized.value, context(
            topic, list(serialized.headers)))
        assert found == message
    loop.run(body, timeout=60)
