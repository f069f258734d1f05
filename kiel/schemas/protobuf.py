"""Protobuf, by the package ``protobuf``."""
from __future__ import absolute_import

import base64

from tornado import gen

from kiel.schemas import descriptors, schema as values
from kiel.schemas.deserializer import Deserializer
from kiel.schemas.errors import DeserializationError, SerializationError
from kiel.schemas.packages import needed
from kiel.schemas.schema import Reference, Schema
from kiel.schemas.serializer import EXISTING, Serializer


class ProtobufSerializer(Serializer):
    """
    Writes messages of any types, whose classes ``protoc`` made: needs ``pip install kiel[protobuf]``.

    Their schema is the file that their type is of. Files that it imports are registered first, each under its own name
    as the subject; those of Google's and Confluent's own are known everywhere.

    Parameters are those of `kiel.schemas.serializer.Serializer`, but for ``schema`` and ``to_dict``.
    """

    kind = values.PROTOBUF
    brings_schema = True

    def __init__(self, registry, **settings):
        needed("google.protobuf", "protobuf")
        if settings.get("schema") is not None:
            raise TypeError("a Protobuf message brings its schema: leave schema= out")
        super(ProtobufSerializer, self).__init__(registry, **settings)

    def _key_of(self, topic, message):
        descriptor = getattr(message, "DESCRIPTOR", None)
        if descriptor is None:
            raise SerializationError("a message has to be of a Protobuf class, not %s" % type(message).__name__)
        return topic, descriptor.full_name

    def record_name(self, message):
        """Return the full name of the message's type."""
        return str(message.DESCRIPTOR.full_name)

    def _indexes(self, message):
        return descriptors.path_of(message.DESCRIPTOR)

    @gen.coroutine
    def _own_schema(self, topic, message):
        schema = yield self._schema_of_file(message.DESCRIPTOR.file)
        raise gen.Return(schema)

    @gen.coroutine
    def _schema_of_file(self, file):
        """Return the schema that a file is, once those that it imports are in the registry."""
        references = []
        for imported in file.dependencies:
            if descriptors.is_known(imported.name):
                continue
            schema = yield self._schema_of_file(imported)
            subject = str(imported.name)
            if self.use != EXISTING:
                yield self.registry.register(subject, schema, self.normalize)
            found = yield self.registry.lookup(subject, schema, self.normalize)  # which knows the version
            references.append(Reference(subject, subject, found.version))
        text = base64.b64encode(file.serialized_pb).decode("ascii")
        raise gen.Return(Schema(text, values.PROTOBUF, references))

    @gen.coroutine
    def _writing(self, schema, message):
        raise gen.Return(lambda message: message.SerializeToString())


class ProtobufDeserializer(Deserializer):
    """
    Reads Protobuf: needs ``pip install kiel[protobuf]``.

    Other parameters are those of `kiel.schemas.deserializer.Deserializer`, but for ``schema``.

    :param types: the class of the messages, made by ``protoc``: then the registry is not even asked. A list of classes:
        each message is of that of its name. None: classes are made of what the registry has, which has to be
        Confluent's, or have them as descriptors
    :param from_dict: called with each message
    """

    kind = values.PROTOBUF
    indexed = True

    def __init__(self, registry, types=None, **settings):
        needed("google.protobuf", "protobuf")
        if settings.get("schema") is not None:
            raise TypeError("the reader's own schema is a class: types=")
        super(ProtobufDeserializer, self).__init__(registry, **settings)
        self._type = types if hasattr(types, "DESCRIPTOR") else None
        self._types = None
        if types is not None and self._type is None:
            self._types = dict((one.DESCRIPTOR.full_name, one) for one in types)

    @gen.coroutine
    def _reading(self, name):
        if self._type is not None:
            raise gen.Return(lambda data, start, indexes: _parsed(self._type, data, start))
        schema = yield self._schema_of(name)
        file = yield descriptors.file_of(self.registry, schema, name)
        if self._types is None:
            references = yield self.registry.resolve(schema)
            files = []
            for reference, found in references:
                needed_file = yield descriptors.file_of(self.registry, found.schema, found.id)
                needed_file.name = reference
                files.append(needed_file)
            pool = descriptors.pool_of(file, files)
        classes = {}

        def reader(data, start, indexes):
            """Return the message that bytes were made of."""
            cls = classes.get(indexes)
            if cls is None:
                full_name = descriptors.name_at(file, indexes)
                cls = classes[indexes] = self._class_of(full_name) if self._types is not None else (
                    descriptors.class_of(pool, full_name))
            return _parsed(cls, data, start)
        raise gen.Return(reader)

    def _class_of(self, full_name):
        if full_name not in self._types:
            raise DeserializationError("the value is a %s; types= has %s" % (
                full_name, ", ".join(sorted(self._types))))
        return self._types[full_name]


def _parsed(cls, data, start):
    message = cls()
    descriptors.parse(message, data[start:])
    return message
