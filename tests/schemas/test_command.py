"""``--schema-registry`` of the command: what it makes of values, and values of what it is given."""
from __future__ import absolute_import

import argparse
import datetime
import decimal
import json
import uuid

import pytest

from kiel.clients.consuming.record import Record
from kiel.commands import registered
from kiel.commands.showing import CommandError
from kiel.schemas import AvroSerializer, JSONSerializer, Schema, SchemaError, SchemaNotFoundError, framing

from tests import loop
from tests.schemas.registry import with_registry

POINT = {"type": "record", "name": "Point", "fields": [{"name": "n", "type": "int"}, {"name": "b", "type": "bytes"}]}
NAMED = {"type": "object", "title": "Named", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def of(value, offset=0):
    """A record with a value."""
    return Record("t", 1, offset, 0, None, value, ())


def given(server, **more):
    """The options of `kiel produce`, or `consume`."""
    return argparse.Namespace(**dict(dict(
        schema_registry=server.url, schema_id=None, subject=None, topic="t", timeout=5, found={}), **more))


@pytest.mark.usefixtures("fastavro", "jsonschema")
@with_registry()
def test_values_of_several_kinds_come_as_json(server, registry):
    points = AvroSerializer(registry, POINT)
    named = JSONSerializer(registry, Schema(NAMED, "JSON"), subject=lambda topic, record, is_key: "named")
    values = [(yield points.encode("t", {"n": 1, "b": b"\xff"})), None, (yield named.encode("t", {"name": u"\u20ac"}))]
    decoder = registered.Decoder(registered.registry(given(server)))
    found, error = yield decoder.decode([of(value) for value in values])
    assert error is None and [each.value and json.loads(each.value.decode("ascii")) for each in found] == [
        {"n": 1, "b": u"\xff"}, None, {"name": u"\u20ac"}]
    for wrong, words in ((b"plain", "begins with the byte 0x70"), (b"\0\0\0\0\x63x", "99"), (b"\0\0\0\0\x01", "read")):
        found, error = yield decoder.decode([of(values[0]), of(wrong, 7), of(values[0])])
        assert len(found) == 1 and isinstance(error, SchemaError)
        assert "t:1, offset 7: " in str(error) and words in str(error)


@pytest.mark.usefixtures("fastavro", "jsonschema")
@with_registry()
def test_json_is_written_by_a_schema(server, registry):
    first = yield registry.register("t-value", Schema({"type": "string"}))
    second = yield registry.register("named", Schema(NAMED, "JSON"))
    by_topic = yield registered.encoder(given(server))
    written = framing.of_id(first.id) + b"\x04ab"
    assert (yield by_topic.encode([b'"ab"', None, u"ab"])) == [written, None, written]
    for options in dict(schema_id=second.id), dict(subject="named"):
        encoder = yield registered.encoder(given(server, **options))
        value, = yield encoder.encode([b'{"name": "a"}'])
        assert value[:5] == framing.of_id(second.id) and json.loads(value[5:].decode("ascii")) == {"name": "a"}
        yield loop.raises(SchemaError, encoder.encode([b'{"nam": "a"}']))
        failed = yield loop.raises(ValueError, encoder.encode([b"name"]))
        assert "not JSON" in str(failed)
    yield loop.raises(SchemaNotFoundError, registered.encoder(given(server, subject="gone")))
    yield loop.raises(SchemaNotFoundError, registered.encoder(given(server, schema_id=99)))
    yield loop.raises(CommandError, registered.encoder(given(server, schema_id=1, subject="named")))
    yield loop.raises(CommandError, registered.encoder(given(server, schema_registry=None, schema_id=1)))


@with_registry()
def test_protobuf_is_not_written(server, registry):
    server.add("p-value", {"schema": 'syntax = "proto3"; message P {}', "schemaType": "PROTOBUF"})
    failed = yield loop.raises(CommandError, registered.encoder(given(server, topic="p")))
    assert "Protobuf" in str(failed)


def test_what_json_has_no_word_for():
    at = datetime.datetime(2026, 1, 31, 12)
    shown = {"at": at, "on": at.date(), "cost": decimal.Decimal("1.50"), "id": uuid.UUID(int=1), "raw": b"a"}
    assert json.loads(registered.text_of(shown).decode("ascii")) == {
        "at": "2026-01-31T12:00:00", "on": "2026-01-31", "cost": "1.50", "raw": "a",
        "id": "00000000-0000-0000-0000-000000000001"}


@pytest.mark.parametrize("url,found,words", [
    ("http://u:s3cret@localhost", {}, "would show its password"), ("-", {}, "schema.registry.url"),
])
def test_addresses_that_make_no_sense(url, found, words):
    with pytest.raises(CommandError) as failed:
        registered.registry(argparse.Namespace(schema_registry=url, found=found, timeout=5))
    assert words in str(failed.value) and "s3cret" not in str(failed.value)
    made = registered.registry(argparse.Namespace(
        schema_registry="-", timeout=5, found={"registry": "http://a:1,http://b:2", "registry_login": "u:s3cret"}))
    assert "http://b:2" in repr(made) and "s3cret" not in repr(made)
