from kiel.schemas.avro import AvroDeserializer as AvroDeserializer, AvroSerializer as AvroSerializer
from kiel.schemas.errors import (
    DeserializationError as DeserializationError,
    IncompatibleSchemaError as IncompatibleSchemaError,
    InvalidSchemaError as InvalidSchemaError,
    RegistryAccessError as RegistryAccessError,
    RegistryError as RegistryError,
    RegistryUnavailableError as RegistryUnavailableError,
    SchemaError as SchemaError,
    SchemaNotFoundError as SchemaNotFoundError,
    SerializationError as SerializationError,
    WireFormatError as WireFormatError,
)
from kiel.schemas.json_schema import JSONDeserializer as JSONDeserializer, JSONSerializer as JSONSerializer
from kiel.schemas.protobuf import ProtobufDeserializer as ProtobufDeserializer, ProtobufSerializer as ProtobufSerializer
from kiel.schemas.registry import Registry as Registry
from kiel.schemas.schema import (
    Compatibility as Compatibility,
    Reference as Reference,
    Registered as Registered,
    Schema as Schema,
)

__all__ = [
    "AvroDeserializer", "AvroSerializer", "Compatibility", "DeserializationError", "IncompatibleSchemaError",
    "InvalidSchemaError", "JSONDeserializer", "JSONSerializer", "ProtobufDeserializer", "ProtobufSerializer",
    "Reference", "Registered", "Registry", "RegistryAccessError", "RegistryError", "RegistryUnavailableError", "Schema",
    "SchemaError", "SchemaNotFoundError", "SerializationError", "WireFormatError"
]
