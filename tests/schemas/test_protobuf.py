"""Protobuf: messages of several types and files, nested ones, classes that are made of what the registry has."""
from __future__ import absolute_import

import base64

import pytest
from tornado import gen

from kiel import schemas
from kiel.schemas import ProtobufDeserializer, ProtobufSerializer, Schema, framing

from tests import loop
from tests.schemas.registry import with_registry

pytestmark = pytest.mark.usefixtures("protobuf")


def made():
    """The classes Color, Shape and Shape.Side, of two files of which one imports the other and one of Google's."""
    from google.protobuf import descriptor_pb2, timestamp_pb2
    from kiel.schemas import descriptors

    color = descriptor_pb2.FileDescriptorProto(name="color.proto", package="x", syntax="proto3")
    color.message_type.add(name="Color").field.add(name="name", number=1, type=9, label=1)
    shape = descriptor_pb2.FileDescriptorProto(
        name="shape.proto", package="x", syntax="proto3",
        dependency=["color.proto", timestamp_pb2.DESCRIPTOR.name])
    shape.message_type.add(name="Other")
    message = shape.message_type.add(name="Shape")
    message.nested_type.add(name="Corner")
    message.nested_type.add(name="Side").field.add(name="length", number=1, type=5, label=1)
    message.field.add(name="color", number=1, type=11, label=1, type_name=".x.Color")
    message.field.add(name="made", number=2, type=11, label=1, type_name=".google.protobuf.Timestamp")
    message.field.add(name="sides", number=3, type=11, label=3, type_name=".x.Shape.Side")
    pool = descriptors.pool_of(shape, [color])
    return [descriptors.class_of(pool, name) for name in ("x.Color", "x.Shape", "x.Shape.Side")]


def shape_of(cls):
    shape = cls()
    shape.color.name = u"red"
    shape.made.seconds = 5
    shape.sides.add().length = 7
    return shape


@with_registry()
def test_messages_of_several_types(server, registry):
    color_class, shape_class, side_class = made()
    serializer = ProtobufSerializer(registry, subject="record")
    written = []
    for message in (color_class(name=u"red"), shape_of(shape_class), side_class(length=7)):
        written.append((yield serializer.encode("t", message)))
    assert written[0][:6] == b"\0\0\0\0\1\0"  # the first message of its file
    assert written[1][5:7] == b"\x02\x02"  # a path of one: the second
    assert written[2][5:8] == b"\x04\x02\x02"  # a path of two: the second in the second
    assert sorted(server.subjects) == ["color.proto", "x.Color", "x.Shape", "x.Shape.Side"]
    shape = server.schemas[2][1]
    assert shape["references"] == [{"name": "color.proto", "subject": "color.proto", "version": 1}]
    assert serializer.serialize("t", color_class(name=u"red")) == written[0]  # at once from now on

    asked = len(server.requests)
    only = ProtobufDeserializer(registry, types=shape_class)
    assert (yield only.decode(written[1])) == shape_of(shape_class) and len(server.requests) == asked

    several = ProtobufDeserializer(registry, types=[color_class, side_class])
    assert (yield several.decode(written[0])) == color_class(name=u"red")
    assert (yield several.decode(written[2])).length == 7
    error = yield loop.raises(schemas.DeserializationError, several.decode(written[1]))
    assert "x.Shape" in str(error) and "x.Color, x.Shape.Side" in str(error)

    dynamic = ProtobufDeserializer(registry)
    found = []
    for value in written:
        found.append((yield dynamic.decode(value)))
    assert [one.DESCRIPTOR.full_name for one in found] == ["x.Color", "x.Shape", "x.Shape.Side"]
    assert found[1].color.name == u"red" and found[1].made.seconds == 5 and found[1].sides[0].length == 7
    assert dynamic(written[1]).SerializeToString() == shape_of(shape_class).SerializeToString()


@with_registry()
def test_ids_in_headers(server, registry):
    _, _, side_class = made()
    serialized = yield ProtobufSerializer(registry, ids="header").serialize("t", side_class(length=7))
    (name, header), = serialized.headers
    assert serialized.value == b"\x08\x07" and header[17:] == b"\x04\x02\x02"
    dynamic = ProtobufDeserializer(registry)
    assert (yield dynamic.decode(serialized.value, [(name, header)])).length == 7


@pytest.mark.parametrize("use", ["existing", "latest"])
def test_what_is_in_the_registry(use):
    @with_registry()
    def check(server, registry):
        _, shape_class, _ = made()
        yield loop.raises(schemas.SchemaNotFoundError, ProtobufSerializer(
            registry, use=use).encode("t", shape_of(shape_class)))
        data = yield ProtobufSerializer(registry).encode("t", shape_of(shape_class))
        assert (yield ProtobufSerializer(registry, use=use).encode("t", shape_of(shape_class))) == data
    check()


#: a registry that keeps the text of .proto files, and translates it where it is asked to
TEXT = 'syntax = "proto3"; package x; message Color { string name = 1; }'


def descriptor():
    color_class = made()[0]
    return base64.b64encode(color_class.DESCRIPTOR.file.serialized_pb).decode("ascii")


def test_a_registry_that_has_the_text_of_proto_files():
    @with_registry()
    def check(server, registry):
        color_class = made()[0]
        server.add("t-value", Schema(TEXT, "PROTOBUF").to_json())
        value = framing.of_id(1, [0]) + color_class(name=u"red").SerializeToString()
        error = yield loop.raises(schemas.DeserializationError, ProtobufDeserializer(registry).decode(value))
        assert "types=" in str(error)
        server.serialized[TEXT] = descriptor()
        assert (yield ProtobufDeserializer(registry).decode(value)).name == u"red"
        assert (yield ProtobufDeserializer(registry, types=color_class).decode(value)).name == u"red"
    check()


@with_registry()
def test_what_can_not_be_read(server, registry):
    color_class, _, _ = made()
    data = yield ProtobufSerializer(registry).encode("t", color_class(name=u"red"))
    dynamic = ProtobufDeserializer(registry)
    for wrong in (data[:5] + b"\x02\x12" + data[6:], data[:5], data[:5] + b"\x01", data[:5] + b"\xff" * 9,
                  data[:5] + b"\xfe\x01" + b"\0" * 200):
        yield loop.raises(schemas.WireFormatError, dynamic.decode(wrong))
    yield loop.raises(schemas.DeserializationError, dynamic.decode(data[:6] + b"\x0a\xff"))
    yield loop.raises(schemas.DeserializationError, dynamic.decode(data + b"\x0c"))  # the end of a group
    with pytest.raises(schemas.SerializationError):
        ProtobufSerializer(registry).serialize("t", {"name": "red"})
    for cls in (ProtobufDeserializer, ProtobufSerializer):
        with pytest.raises(TypeError):
            cls(registry, schema="message")
    yield gen.moment
