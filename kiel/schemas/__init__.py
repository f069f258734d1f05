"""
Schemas in a registry: a client of it, and serializers and deserializers for Avro, JSON Schema and Protobuf.

    registry = schemas.Registry("http://localhost:8081")
    producer = clients.Producer(brokers, serializer=schemas.AvroSerializer(registry, schema))
    consumer = clients.SingleConsumer(brokers, deserializer=schemas.AvroDeserializer(registry))

The packages that the kinds of schemas need are extras: ``pip install kiel[avro]``, ``kiel[jsonschema]``,
``kiel[protobuf]``, or all of them: ``kiel[schemas]``. The registry's client needs none.
"""
from __future__ import absolute_import

from kiel.schemas.avro import AvroDeserializer, AvroSerializer
from kiel.schemas.errors import (
    DeserializationError, IncompatibleSchemaError, InvalidSchemaError, RegistryAccessError, RegistryError,
    RegistryUnavailableError, SchemaError, SchemaNotFoundError, SerializationError, WireFormatError
)
from kiel.schemas.json_schema import JSONDeserializer, JSONSerializer
from kiel.schemas.protobuf import ProtobufDeserializer, ProtobufSerializer
from kiel.schemas.registry import Registry
from kiel.schemas.schema import Compatibility, Reference, Registered, Schema

__all__ = [
    "AvroDeserializer", "AvroSerializer", "Compatibility", "DeserializationError", "IncompatibleSchemaError",
    "InvalidSchemaError", "JSONDeserializer", "JSONSerializer", "ProtobufDeserializer", "ProtobufSerializer",
    "Reference", "Registered", "Registry", "RegistryAccessError", "RegistryError", "RegistryUnavailableError", "Schema",
    "SchemaError", "SchemaNotFoundError", "SerializationError", "WireFormatError"
]
