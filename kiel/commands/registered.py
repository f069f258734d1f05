"""``--schema-registry`` of ``kiel consume`` and ``kiel produce``: messages of a schema registry's, as JSON."""
from __future__ import absolute_import

import datetime
import decimal
import json
import uuid

import six
from six.moves.urllib.parse import urlsplit
from tornado import gen

from kiel.clients.consuming.deserializing import with_value, waits
from kiel.commands.showing import CommandError
from kiel.retry import Backoff


def add_option(command):
    """Add what both commands have."""
    command.add_argument("-r", "--schema-registry", metavar="URL",
                         help="values are encoded by schemas of this registry, and are JSON here; - means the "
                         "registry that the configuration names (schema.registry.url)")


def add_subject_options(command):
    """Add how `kiel produce` knows the schema."""
    command.add_argument("--schema-id", type=int, metavar="ID", help="write with the registry's schema of this id")
    command.add_argument("--subject", help="write with the latest schema of this subject (default: TOPIC-value)")


def registry(args):
    """
    Return the `kiel.schemas.Registry` that the options name; None where they name none.

    :raises CommandError: for a password that everybody would see, or no address
    """
    url, login = args.schema_registry, {}
    if url is None:
        return None
    if url == "-":
        url = args.found.get("registry")
        if not url:
            raise CommandError("--schema-registry - needs schema.registry.url in a file")
    elif urlsplit(url).password is not None:
        raise CommandError("--schema-registry would show its password to everybody on this machine; put the address "
                           "into a file as schema.registry.url, and give --schema-registry -")
    name, sign, password = args.found.get("registry_login", "").partition(":")
    if sign:
        login = dict(username=name, password=password)
    from kiel import schemas  # not above: it takes a moment, and few want it
    return schemas.Registry(
        url.split(","), timeout=min(10, args.timeout), retry=Backoff(deadline=args.timeout), **login)


class Decoder(object):
    """
    Makes JSON of values, whatever kind of schema each was written by.

    :param registry: the `kiel.schemas.Registry`
    """

    def __init__(self, registry):
        self.registry = registry
        #: what a value or its header names its schema by -> the deserializer
        self._deserializers = {}
        #: kind of schema -> the deserializer
        self._kinds = {}

    @gen.coroutine
    def decode(self, records):
        """
        Return ``(records, error)``: the records with their values as JSON, up to the first that can't be decoded.

        The error is that of this one, or None; records after it are left out.
        """
        from kiel.schemas import SchemaError
        found = []
        for record in records:
            try:
                value = record.value
                if value is not None:
                    reader = self._deserializer(record)
                    value = ((yield reader) if waits(reader) else reader).of_record(record)
                    value = text_of((yield value) if waits(value) else value)
            except (SchemaError, ImportError) as error:
                raise gen.Return((found, SchemaError("%s:%d, offset %d: %s" % (
                    record.topic, record.partition, record.offset, error))))
            found.append(with_value(record, value))
        raise gen.Return((found, None))

    def _deserializer(self, record):
        """Return the deserializer of a record; a Future of it where the registry has to be asked first."""
        from kiel.schemas import framing
        named = framing.in_headers(record.headers, framing.VALUE_HEADER) if record.headers else None
        name, _ = framing.parse(record.value if named is None else named)
        known = self._deserializers.get(name)
        return self._look_up(name) if known is None else known

    @gen.coroutine
    def _look_up(self, name):
        from kiel import schemas
        kind = (yield self.registry.get(name)).kind
        if kind not in self._kinds:
            cls = {"AVRO": schemas.AvroDeserializer, "JSON": schemas.JSONDeserializer,
                   "PROTOBUF": schemas.ProtobufDeserializer}[kind]
            self._kinds[kind] = cls(self.registry)
        self._deserializers[name] = self._kinds[kind]
        raise gen.Return(self._kinds[kind])


def text_of(value):
    """Return what was read as JSON, as bytes."""
    if hasattr(value, "DESCRIPTOR"):
        from google.protobuf import json_format
        value = json_format.MessageToDict(value, preserving_proto_field_name=True)
    more = {"encoding": "latin-1"} if six.PY2 else {}
    return json.dumps(value, sort_keys=True, default=_plain, **more).encode("ascii")


def _plain(value):
    """Return what JSON has no word for as Avro's own JSON has it, or as text."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError("%r has no form as JSON" % (value,))


class Encoder(object):
    """
    Makes values of JSON.

    :param serializer: a `kiel.schemas` serializer
    :param topic: where they go
    """

    def __init__(self, serializer, topic):
        self.serializer = serializer
        self.topic = topic

    @gen.coroutine
    def encode(self, values):
        """Return JSON values, which are text or what JSON is made of, as bytes; None stays."""
        found = []
        for value in values:
            if isinstance(value, bytes):
                try:
                    value = json.loads(value.decode("utf-8"))
                except ValueError:
                    raise ValueError("not JSON: %r" % value[:60])
            value = self.serializer.serialize(self.topic, value)
            found.append((yield value) if waits(value) else value)
        raise gen.Return(found)


@gen.coroutine
def encoder(args):
    """Return the `Encoder` that the options name, None where they name none."""
    found = registry(args)
    if found is None:
        if args.schema_id is not None or args.subject is not None:
            raise CommandError("--schema-id and --subject need --schema-registry")
        raise gen.Return(None)
    if args.schema_id is not None and args.subject is not None:
        raise CommandError("--schema-id or --subject, not both")
    from kiel import schemas
    if args.schema_id is not None:
        number, kind = args.schema_id, (yield found.get(args.schema_id)).kind
    else:
        latest = yield found.get_version(args.subject or "%s-value" % args.topic)
        number, kind = latest.id, latest.schema.kind
    if kind == "PROTOBUF":
        raise CommandError("the schema is Protobuf's, which kiel produce does not write; an application does")
    cls = {"AVRO": schemas.AvroSerializer, "JSON": schemas.JSONSerializer}[kind]
    raise gen.Return(Encoder(cls(found, use=number), args.topic))


__all__ = ["Decoder", "Encoder", "add_option", "add_subject_options", "encoder", "registry", "text_of"]
