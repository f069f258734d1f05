"""Avro, by the package ``fastavro``."""
from __future__ import absolute_import

import io
import json

from tornado import gen

from kiel.schemas import schema as values
from kiel.schemas.deserializer import Deserializer
from kiel.schemas.errors import InvalidSchemaError, caused
from kiel.schemas.inline import Inliner, name_of
from kiel.schemas.packages import needed
from kiel.schemas.serializer import Serializer


class AvroSerializer(Serializer):
    """
    Writes dicts, or whatever the schema describes, as Avro: needs ``pip install kiel[avro]``.

    Parameters are those of `kiel.schemas.serializer.Serializer`.

    :raises kiel.schemas.InvalidSchemaError: if it is not an Avro schema
    """

    kind = values.AVRO

    def __init__(self, registry, schema=None, **settings):
        self._fastavro = needed("fastavro", "avro")
        super(AvroSerializer, self).__init__(registry, schema, **settings)
        self._name = None if self.schema is None else name_of(loaded(self.schema))
        if self.schema is not None and not self.schema.references:
            parsed(self._fastavro, loaded(self.schema))  # what is wrong with it is said now

    def record_name(self, message):
        """Return the full name of the schema's record; None for a schema that is none."""
        return self._name

    @gen.coroutine
    def _writing(self, schema, message):
        made = yield resolved(self._fastavro, self.registry, schema)
        write = self._fastavro.schemaless_writer

        def writer(message):
            """Return a message as bytes."""
            target = io.BytesIO()
            write(target, made, message)
            return target.getvalue()
        raise gen.Return(writer)


class AvroDeserializer(Deserializer):
    """
    Reads Avro: needs ``pip install kiel[avro]``.

    With a ``schema`` of one's own, messages come as that describes them, whatever version they were written by: fields
    that it does not have are dropped, those that the message does not have get their default. Messages that do not go
    with it by Avro's rules go to ``on_error``.

    Parameters are those of `kiel.schemas.deserializer.Deserializer`.

    :raises kiel.schemas.InvalidSchemaError: if it is not an Avro schema
    """

    kind = values.AVRO

    def __init__(self, registry, schema=None, **settings):
        self._fastavro = needed("fastavro", "avro")
        super(AvroDeserializer, self).__init__(registry, schema, **settings)
        self._own = None  # the reader's own schema, parsed, once it was needed
        if self.schema is not None and not self.schema.references:
            self._own = parsed(self._fastavro, loaded(self.schema))

    @gen.coroutine
    def _reading(self, name):
        schema = yield self._schema_of(name)
        written = yield resolved(self._fastavro, self.registry, schema)
        if self.schema is not None and self._own is None:
            self._own = yield resolved(self._fastavro, self.registry, self.schema)
        own, read = self._own, self._fastavro.schemaless_reader

        def reader(data, start, indexes):
            """Return what bytes were made of."""
            source = io.BytesIO(data)
            source.seek(start)
            return read(source, written, own)
        raise gen.Return(reader)


def loaded(schema):
    """Return the JSON of an Avro `kiel.schemas.Schema`; a bare word will do for one of Avro's own types."""
    try:
        return json.loads(schema.text)
    except ValueError as error:
        if schema.text.strip().isalpha():
            return schema.text.strip()
        raise caused(InvalidSchemaError("an Avro schema has to be JSON: %s" % error), error)


def parsed(fastavro, found):
    """Return a schema as fastavro takes it, of its JSON."""
    try:
        return fastavro.parse_schema(found)
    except Exception as error:  # of several kinds, with the releases
        raise caused(InvalidSchemaError("not an Avro schema: %s: %s" % (type(error).__name__, error)), error)


@gen.coroutine
def resolved(fastavro, registry, schema):
    """Return a schema as fastavro takes it, with what it refers to within."""
    references = yield registry.resolve(schema)
    found = loaded(schema)
    if references:
        found = Inliner(dict((name, loaded(needed.schema)) for name, needed in references)).inline(found)
    raise gen.Return(parsed(fastavro, found))
