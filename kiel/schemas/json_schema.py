"""JSON Schema, by the package ``jsonschema``."""
from __future__ import absolute_import

import json

import six
from six.moves.urllib.parse import urljoin
from tornado import gen

from kiel.schemas import schema as values
from kiel.schemas.deserializer import Deserializer
from kiel.schemas.errors import DeserializationError, InvalidSchemaError, SchemaError, SerializationError, caused
from kiel.schemas.packages import needed
from kiel.schemas.serializer import Serializer

#: characters of what is wrong with a message that an error tells: it may repeat the message
MOST_TOLD = 300

#: without blanks, and UTF-8 as it is; bytes of Python 2 that are none would be an error then
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=six.PY2, allow_nan=False).encode


class JSONSerializer(Serializer):
    """
    Writes whatever `json.dumps` takes, once it fits its JSON Schema: needs ``pip install kiel[jsonschema]``.

    Other parameters are those of `kiel.schemas.serializer.Serializer`.

    :param validate: whether messages are held against the schema; that takes several times as long as writing them
    :raises kiel.schemas.InvalidSchemaError: if it is not a JSON Schema
    """

    kind = values.JSON

    def __init__(self, registry, schema=None, validate=True, **settings):
        self._jsonschema = needed("jsonschema", "jsonschema")
        super(JSONSerializer, self).__init__(registry, schema, **settings)
        self.validate = bool(validate)
        self._name = None
        if self.schema is not None:
            found = checked(self._jsonschema, self.schema)
            self._name = found.get("title") if isinstance(found, dict) else None

    def record_name(self, message):
        """Return the schema's title."""
        return self._name

    @gen.coroutine
    def _writing(self, schema, message):
        validator = None
        if self.validate:
            validator = yield validator_of(self._jsonschema, self.registry, schema)

        def writer(message):
            """Return a message as bytes."""
            data = _encode(message).encode("utf-8")
            complaint = validator and complaint_of(self._jsonschema, validator, message)
            if complaint:
                raise SerializationError("a message does not fit its JSON Schema: " + complaint)
            return data
        raise gen.Return(writer)


class JSONDeserializer(Deserializer):
    """
    Reads JSON that was written with a schema: needs ``pip install kiel[jsonschema]``.

    Other parameters are those of `kiel.schemas.deserializer.Deserializer`.

    :param schema: what messages are held against; default: the schema that a message was written by
    :param validate: whether they are held against anything
    :raises kiel.schemas.InvalidSchemaError: if it is not a JSON Schema
    """

    kind = values.JSON

    def __init__(self, registry, schema=None, validate=True, **settings):
        self._jsonschema = needed("jsonschema", "jsonschema")
        super(JSONDeserializer, self).__init__(registry, schema, **settings)
        self.validate = bool(validate)
        if self.schema is not None:
            checked(self._jsonschema, self.schema)

    @gen.coroutine
    def _reading(self, name):
        validator = None
        if self.validate:
            schema = self.schema
            if schema is None:
                schema = yield self._schema_of(name)
            validator = yield validator_of(self._jsonschema, self.registry, schema)

        def reader(data, start, indexes):
            """Return what bytes were made of."""
            message = json.loads(data[start:].decode("utf-8"))
            complaint = validator and complaint_of(self._jsonschema, validator, message)
            if complaint:
                raise DeserializationError("the value does not fit its JSON Schema, %s: %s" % (name, complaint))
            return message
        raise gen.Return(reader)


def complaint_of(jsonschema, validator, message):
    """Return what is wrong with a message, None for nothing."""
    error = jsonschema.exceptions.best_match(validator.iter_errors(message))
    if error is None:
        return None
    place = "".join("[%r]" % word if isinstance(word, int) else ".%s" % word for word in error.absolute_path)
    return "%s: %s" % ("$" + place, error.message[:MOST_TOLD])


def loaded(schema):
    """Return the JSON of a `kiel.schemas.Schema`."""
    try:
        return json.loads(schema.text)
    except ValueError as error:
        raise caused(InvalidSchemaError("a JSON Schema has to be JSON: %s" % error), error)


def checked(jsonschema, schema):
    """Return the JSON of a schema that is one."""
    found = loaded(schema)
    if not isinstance(found, (dict, bool)):
        raise InvalidSchemaError("a JSON Schema is an object, not %s" % type(found).__name__)
    try:
        _draft(jsonschema, found).check_schema(found)
    except jsonschema.exceptions.SchemaError as error:
        raise caused(InvalidSchemaError("not a JSON Schema: %s" % error.message[:MOST_TOLD]), error)
    return found


def _draft(jsonschema, found):
    """Return the validator of the draft that a schema says it is of; Confluent's clients take draft 7 by default."""
    return jsonschema.validators.validator_for(found, default=jsonschema.Draft7Validator)


@gen.coroutine
def validator_of(jsonschema, registry, schema):
    """Return what validates messages. What the schema refers to is in the registry; nothing is fetched elsewhere."""
    references = yield registry.resolve(schema)
    found = checked(jsonschema, schema)
    base = found.get("$id", "") if isinstance(found, dict) else ""
    store = {}
    for name, one in references:
        content = loaded(one.schema)
        for where in (name, urljoin(base, name)):
            store[where] = content
    cls = _draft(jsonschema, found)
    try:
        from referencing import Registry, Resource, jsonschema as specifications
    except ImportError:  # jsonschema before 4.18
        raise gen.Return(cls(found, resolver=_no_network(jsonschema)(base, found, store)))
    resources = Registry().with_resources(
        (name, Resource.from_contents(content, default_specification=specifications.DRAFT7))
        for name, content in store.items())
    raise gen.Return(cls(found, registry=resources))


def _no_network(jsonschema):
    """Return a resolver that finds what it was given, and fetches nothing: that would block the loop."""
    class Resolver(jsonschema.RefResolver):
        """Refuses what it does not know."""

        def resolve_remote(self, uri):
            """Refuse what would be fetched."""
            raise SchemaError("the schema refers to %s, which is not among its references in the registry" % uri)
    return Resolver
