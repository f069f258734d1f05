"""Bytes that nobody wrote: each is a message or an error of `kiel.schemas`, and nothing else."""
from __future__ import absolute_import

import random

import pytest

from kiel import schemas
from kiel.schemas import (
    AvroDeserializer, AvroSerializer, JSONDeserializer, JSONSerializer, ProtobufDeserializer, ProtobufSerializer
)

from tests.schemas.registry import with_registry
from tests.schemas.test_avro import LATER
from tests.schemas.test_json_schema import POINT
from tests.schemas.test_protobuf import made, shape_of


def changed(chance, data):
    """Bytes with a change or two: others, fewer, or more."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(3)
        if kind == 0 and place < len(data):
            data[place] = chance.randrange(256)
        elif kind == 1:
            del data[place:]
        else:
            data[place:place] = bytes(bytearray(chance.randrange(256) for _ in range(chance.randint(1, 9))))
    return bytes(data)


@pytest.mark.usefixtures("fastavro", "jsonschema", "protobuf")
@with_registry()
def test_bytes_that_nobody_wrote(server, registry):
    chance = random.Random(5)
    kinds = [
        (AvroSerializer(registry, LATER), {"n": 5, "color": "red"}, AvroDeserializer(registry)),
        (JSONSerializer(registry, POINT), {"n": 5}, JSONDeserializer(registry)),
        (ProtobufSerializer(registry), shape_of(made()[1]), ProtobufDeserializer(registry)),
    ]
    read = failed = 0
    for number, (serializer, message, deserializer) in enumerate(kinds):
        data = yield serializer.encode("t%d" % number, message)
        yield deserializer.decode(data)
        for _ in range(120):
            value = changed(chance, data)
            try:
                yield deserializer.decode(value)
                read += 1
            except schemas.SchemaError as error:
                failed += 1
                assert not error.retriable and len(str(error)) < 1000
    assert read > 10 and failed > 100
