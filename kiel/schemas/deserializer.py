"""What deserializers of all kinds have in common: which schema a message was written by."""
from __future__ import absolute_import

from tornado import gen

from kiel.clients.consuming.deserializing import waits
from kiel.schemas import framing, schema as values
from kiel.schemas.errors import DeserializationError, SchemaError, caused
from kiel.schemas.flights import Flights


class Deserializer(object):
    """
    The base of deserializers: consumers take one, ``deserializer=...``.

    The first message of each schema has the registry asked, and those behind it wait for that. Null values stay None.
    What is no message of a registry's, has an unknown schema or can't be read by it goes to the consumer's
    ``on_error``; where the registry does not answer or refuses the login, ``consume()`` raises a
    `kiel.schemas.RegistryError`, and the next call tries again from that message on.

    :param registry: the `kiel.schemas.Registry`
    :param schema: the reader's own: a `kiel.schemas.Schema`, its text, or its JSON as a dict; default: the schema that
        a message was written by
    :param from_dict: makes a message of what was read
    :param is_key: whether it is for keys, which are read by `decode`
    :raises ImportError: where the package is missing that the kind of schema needs; names the extra
    :raises TypeError: for a setting of a wrong type
    """

    #: one of `kiel.schemas.schema.KINDS`
    kind = None

    def __init__(self, registry, schema=None, from_dict=None, is_key=False):
        self.registry = registry
        self.schema = None if schema is None else values.of(schema, self.kind)
        if self.schema is not None and self.schema.kind != self.kind:
            raise ValueError("%s takes schemas of the kind %s, not %s" % (
                type(self).__name__, self.kind, self.schema.kind))
        self.is_key = bool(is_key)
        self._from_dict = from_dict
        self._header = framing.KEY_HEADER if is_key else framing.VALUE_HEADER
        #: id or GUID of a schema -> function ``(bytes, where the value begins, indexes)`` that returns what was written
        self._readers = {}
        self._flights = Flights()

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, self.registry)

    def of_record(self, record):
        """Return a record's value, deserialised; a Future of it if the registry has to be asked first."""
        value = record.value
        if value is None:
            return None
        return self._read(value, framing.in_headers(record.headers, self._header) if record.headers else None)

    def __call__(self, value):
        """Return what a value was made of, as `of_record` does, where no schema is named in headers."""
        return None if value is None else self._read(value, None)

    @gen.coroutine
    def decode(self, data, headers=()):
        """
        Return what bytes were made of, such as a record's key.

        :param headers: the record's, where the schema may be named there
        """
        result = None if data is None else self._read(data, framing.in_headers(headers, self._header))
        raise gen.Return((yield result) if waits(result) else result)

    # -- for subclasses --

    #: whether a path of indexes follows a schema's id
    indexed = False

    @gen.coroutine
    def _reading(self, name):
        """
        Return a function ``(bytes, where the value begins, indexes)`` that returns what was written by a schema.

        :param name: its id or GUID
        """
        raise NotImplementedError

    @gen.coroutine
    def _schema_of(self, name):
        """Return the `Schema` that messages were written by, of the right kind."""
        schema = yield self.registry.get(name)
        if schema.kind != self.kind:
            raise DeserializationError("the value's schema, %s, is of the kind %s; %s reads %s" % (
                name, schema.kind, type(self).__name__, self.kind))
        raise gen.Return(schema)

    # -- reading --

    def _read(self, value, header):
        """Return what a value was made of, or a Future of it."""
        named = value if header is None else header
        name, end = framing.parse(named)
        indexes = None
        if self.indexed:
            indexes, end = framing.parse_indexes(named, end)
        start = end if header is None else 0
        reader = self._readers.get(name)
        if reader is None:
            return self._later(name, value, start, indexes)
        return self._apply(reader, name, value, start, indexes)

    @gen.coroutine
    def _later(self, name, value, start, indexes):
        reader = yield self._flights.join(name, lambda: self._look_up(name))
        raise gen.Return(self._apply(reader, name, value, start, indexes))

    @gen.coroutine
    def _look_up(self, name):
        reader = self._readers[name] = yield self._reading(name)
        raise gen.Return(reader)

    def _apply(self, reader, name, value, start, indexes):
        try:
            found = reader(value, start, indexes)
            return found if self._from_dict is None else self._from_dict(found)
        except SchemaError:
            raise
        except Exception as error:
            raise caused(DeserializationError("the value can't be read by its schema, %s: %s: %s" % (
                name, type(error).__name__, error)), error)
