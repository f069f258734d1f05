"""JSON Schema: what fits and what does not, references, readers of their own."""
from __future__ import absolute_import

import pytest

from kiel import schemas
from kiel.schemas import JSONDeserializer, JSONSerializer, Schema

from tests import loop
from tests.schemas.registry import with_registry

pytestmark = pytest.mark.usefixtures("jsonschema")

POINT = {"type": "object", "title": "Point", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@with_registry()
def test_there_and_back(server, registry):
    serializer = JSONSerializer(registry, POINT, subject="record")
    data = yield serializer.encode("t", {"n": 5})
    assert data == b'\0\0\0\0\1{"n":5}' and list(server.subjects) == ["Point"]
    assert server.schemas[1][1]["schemaType"] == "JSON"
    assert serializer.serialize("t", {"n": 6}) == b'\0\0\0\0\1{"n":6}'
    deserializer = JSONDeserializer(registry)
    assert (yield deserializer.decode(data)) == deserializer(data) == {"n": 5}


@with_registry()
def test_what_does_not_fit(server, registry):
    serializer = JSONSerializer(registry, {"type": "object", "properties": {"list": {"items": POINT}}})
    error = yield loop.raises(schemas.SerializationError, serializer.encode("t", {"list": [{"n": 5}, {"n": "five"}]}))
    assert "$.list[1].n" in str(error) and "integer" in str(error)
    long = yield loop.raises(schemas.SerializationError, serializer.encode("t", {"list": ["x" * 10000]}))
    assert len(str(long)) < 500
    yield loop.raises(schemas.SerializationError, serializer.encode("t", {"list": {1, 2}}))
    loose = JSONSerializer(registry, POINT, validate=False)
    data = yield loose.encode("t", {"n": "five"})
    error = yield loop.raises(schemas.DeserializationError, JSONDeserializer(registry).decode(data))
    assert "$.n" in str(error)
    assert (yield JSONDeserializer(registry, validate=False).decode(data)) == {"n": "five"}
    assert (yield JSONDeserializer(registry, {"type": "object"}).decode(data)) == {"n": "five"}
    yield loop.raises(schemas.DeserializationError, JSONDeserializer(registry).decode(b"\0\0\0\0\1{"))


@pytest.mark.parametrize("base", [None, "https://schemas.example/shape.json"])
def test_schemas_that_refer_to_others(base):
    @with_registry()
    def check(server, registry):
        yield registry.register("point", Schema(POINT, "JSON"))
        line = {"type": "object", "properties": {"from": {"$ref": "point.json"}}}
        yield registry.register("line", Schema(line, "JSON", [("point.json", "point", 1)]))
        shape = {"properties": {"line": {"$ref": "line.json"}, "at": {"$ref": "point.json"}}}
        if base is not None:
            shape["$id"] = base
        shape = Schema(shape, "JSON", [("line.json", "line", 1), ("point.json", "point", 1)])
        serializer = JSONSerializer(registry, shape)
        data = yield serializer.encode("t", {"line": {"from": {"n": 1}}, "at": {"n": 2}})
        assert (yield JSONDeserializer(registry).decode(data))["at"] == {"n": 2}
        yield loop.raises(schemas.SerializationError, serializer.encode("t", {"at": {"n": "x"}}))
        if base is None:
            yield loop.raises(schemas.SerializationError, serializer.encode("t", {"line": {"from": {"n": "x"}}}))
    check()


@with_registry()
def test_nothing_is_fetched_from_elsewhere(server, registry):
    elsewhere = {"properties": {"n": {"$ref": server.url + "/schemas/ids/1"}}}
    serializer = JSONSerializer(registry, elsewhere)
    error = yield loop.raises(schemas.SchemaError, serializer.encode("t", {"n": 1}))
    assert "/schemas/ids/1" in str(error) and server.asked() == ["/subjects/t-value/versions"]


@pytest.mark.parametrize("wrong", ["{", "5", '{"type": 5}', '{"$schema": "http://json-schema.org/draft-04/schema#", '
                                   '"required": true}'])
def test_what_is_no_schema(wrong):
    @with_registry()
    def check(server, registry):
        for cls in (JSONSerializer, JSONDeserializer):
            with pytest.raises(schemas.InvalidSchemaError):
                cls(registry, wrong)
        yield []
    check()


@with_registry()
def test_latest(server, registry):
    yield registry.register("t-value", Schema(POINT, "JSON"))
    assert (yield JSONSerializer(registry, use="latest").encode("t", {"n": 1}))[:5] == b"\0\0\0\0\1"
    yield loop.raises(schemas.SerializationError, JSONSerializer(registry, use="latest").encode("t", {}))
