"""What serializers of all kinds have in common: which schema in the registry, and its name on each message."""
from __future__ import absolute_import

import six
from tornado import gen

from kiel.clients.producing.serializing import Serialized, Unserialized, waits
from kiel.events import outcome_of
from kiel.schemas import framing, schema as values, subjects
from kiel.schemas.errors import SchemaError, SerializationError, caused
from kiel.schemas.flights import Flights

#: what `Serializer` may do to find the schema in the registry, beside being given its id
REGISTER, EXISTING, LATEST = USES = ("register", "existing", "latest")

#: where ids may stand
IDS = ("prefix", "header")


class Serializer(object):
    """
    The base of serializers: ``Producer(brokers, serializer=...)`` takes one.

    The first message of each topic has the registry asked; that message and those behind it wait for that, in their
    order. All others are written at once. A message that does not fit its schema fails with a
    `kiel.schemas.SerializationError`, one whose schema can't be had with a `kiel.schemas.RegistryError`; both come out
    of ``produce()``.

    :param registry: the `kiel.schemas.Registry`
    :param schema: a `kiel.schemas.Schema`, or its text, or its JSON as a dict; None with ``use="latest"`` or an id
    :param subject: "topic", "record" or "topic-record", or a function ``(topic, record name, is_key)`` that returns one
    :param use: "register": the schema is registered unless it is there; "existing": it has to be there; "latest": what
        is the subject's latest version when the first message comes is written; or the id of a schema, a number
    :param normalize: whether the registry brings the schema into a form of its own before it looks for it
    :param ids: "prefix": the schema's id stands before the value; "header": its GUID, or its id where the registry has
        no GUIDs, is in a header
    :param is_key: whether it is for keys, which are made by `encode`
    :param to_dict: makes of a message what the schema describes; default: the message is that
    :raises ImportError: where the package is missing that the kind of schema needs; names the extra
    :raises TypeError: for a setting of a wrong type
    :raises ValueError: for settings that can't be
    """

    #: one of `kiel.schemas.schema.KINDS`
    kind = None
    #: whether messages have their schema with them
    brings_schema = False

    def __init__(self, registry, schema=None, subject="topic", use=REGISTER, normalize=False, ids="prefix",
                 is_key=False, to_dict=None):
        by_id = isinstance(use, six.integer_types) and not isinstance(use, bool)
        if not by_id and use not in USES:
            raise ValueError("use has to be one of %s, or the id of a schema, not %r" % (", ".join(USES), use))
        if ids not in IDS:
            raise ValueError("ids has to be one of %s, not %r" % (", ".join(IDS), ids))
        if schema is None and use in (REGISTER, EXISTING) and not self.brings_schema:
            raise ValueError("schema is needed, unless use=\"latest\" or the id of a schema")
        self.registry = registry
        self.schema = None if schema is None else values.of(schema, self.kind)
        if self.schema is not None and self.schema.kind != self.kind:
            raise ValueError("%s takes schemas of the kind %s, not %s" % (
                type(self).__name__, self.kind, self.schema.kind))
        self.use = use
        self.normalize = bool(normalize)
        self.ids = ids
        self.is_key = bool(is_key)
        self._subject = subjects.strategy(subject)
        self._to_dict = to_dict
        #: what decides on the schema of a message, such as its topic -> the `Writer`
        self._writers = {}
        self._flights = Flights()

    def __repr__(self):
        return "%s(%r, %r)" % (type(self).__name__, self.registry, self.schema)

    def __call__(self, message):
        """Return what the producer asks for the bytes once it has told the topic; None, a tombstone, stays None."""
        return None if message is None else Unserialized(self.serialize, message)

    def serialize(self, topic, message):
        """
        Return a message as bytes; as a `kiel.clients.producing.serializing.Serialized` with ``ids="header"``; or a
        Future of it, where the registry has to be asked first.
        """
        if message is None:
            return None
        key = self._key_of(topic, message)
        writer = self._writers.get(key)
        if writer is None:
            return self._later(key, topic, message)
        return self._write(writer, message)

    @gen.coroutine
    def encode(self, topic, message):
        """
        Return a message as bytes, such as the ``key=`` of `produce`.

        :raises ValueError: with ``ids="header"``, where the bytes are not all: see `serialize`
        """
        if self.ids == "header":
            raise ValueError("with ids=\"header\" the bytes are not all there is: use serialize(), whose result has "
                             "value and headers")
        result = self.serialize(topic, message)
        raise gen.Return((yield result) if waits(result) else result)

    def forget(self):
        """Ask the registry again for the schema of each topic, when its next message comes."""
        self._writers.clear()

    # -- for subclasses --

    def _key_of(self, topic, message):
        """Return what decides on the schema of a message."""
        return topic

    def record_name(self, message):
        """Return the name of a message's type in its schema, None where it has none."""
        raise NotImplementedError

    def _own_schema(self, topic, message):
        """Return a Future of the `Schema` to be looked for in the registry."""
        return outcome_of(self.schema)

    def _indexes(self, message):
        """Return the path of indexes that goes with the schema's id, None for none."""
        return None

    @gen.coroutine
    def _writing(self, schema, message):
        """Return a function that makes bytes of a message, by a schema as the registry has it."""
        raise NotImplementedError

    # -- the registry --

    @gen.coroutine
    def _later(self, key, topic, message):
        """Return a message as bytes, once its schema is known."""
        writer = yield self._flights.join(key, lambda: self._look_up(key, topic, message))
        raise gen.Return(self._write(writer, message))

    @gen.coroutine
    def _look_up(self, key, topic, message):
        """Find the schema of such messages in the registry; return their `Writer`."""
        found = yield self._find(topic, message)
        if found.schema.kind != self.kind:
            raise SchemaError("the schema with the id %s is of the kind %s; %s writes %s" % (
                found.id, found.schema.kind, type(self).__name__, self.kind))
        write = yield self._writing(found.schema, message)
        indexes = self._indexes(message)
        if self.ids == "prefix":
            prefix, headers = framing.of_id(found.id, indexes), None
        else:
            name = framing.of_id(found.id, indexes) if found.guid is None else framing.of_guid(found.guid, indexes)
            prefix, headers = b"", ((framing.KEY_HEADER if self.is_key else framing.VALUE_HEADER, name),)
        writer = self._writers[key] = Writer(found.id, prefix, headers, write)
        raise gen.Return(writer)

    @gen.coroutine
    def _find(self, topic, message):
        """Return the `kiel.schemas.schema.Registered` that is to be written."""
        if self.use not in USES:
            schema = yield self.registry.get(self.use)
            raise gen.Return(values.Registered(schema, self.use, None, None, None))
        subject = self._subject(topic, self.record_name(message), self.is_key)
        if self.use == LATEST:
            found = yield self.registry.get_version(subject)
            raise gen.Return(found)
        schema = yield self._own_schema(topic, message)
        ask = self.registry.register if self.use == REGISTER else self.registry.lookup
        found = yield ask(subject, schema, self.normalize)
        # what the registry makes of a schema, such as another notation, is for those who read it
        raise gen.Return(found._replace(schema=schema))

    def _write(self, writer, message):
        """Return the bytes of a message."""
        try:
            data = writer.write(message if self._to_dict is None else self._to_dict(message))
        except SchemaError:
            raise
        except Exception as error:
            raise caused(SerializationError("a message does not fit its schema, which has the id %s: %s: %s" % (
                writer.id, type(error).__name__, error)), error)
        if writer.headers is None:
            return writer.prefix + data
        return Serialized(data, writer.headers)


class Writer(object):
    """
    How messages of one schema are written.

    :param id: the schema's, as errors name it
    :param prefix: the bytes that stand before each
    :param headers: those of each, None for none
    :param write: makes bytes of a message
    """

    __slots__ = ("id", "prefix", "headers", "write")

    def __init__(self, id, prefix, headers, write):
        self.id = id
        self.prefix = prefix
        self.headers = headers
        self.write = write
