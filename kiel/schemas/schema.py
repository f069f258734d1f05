"""Schemas as values: what a registry keeps, and under which names."""
from __future__ import absolute_import

import collections
import json

import six

from kiel import arguments

#: the kinds of schemas, as registries name them
AVRO, JSON, PROTOBUF = KINDS = ("AVRO", "JSON", "PROTOBUF")


class Reference(collections.namedtuple("Reference", "name subject version")):
    """
    What a schema takes from another one.

    :param name: how the schema calls it: an Avro type's full name, a ``$ref``, a Protobuf file
    :param subject: the subject under which the other schema is registered
    :param version: the number of its version there
    """

    __slots__ = ()


class Schema(object):
    """
    A schema; equal to another of the same text, kind and references.

    :param text: as the registry keeps it: JSON, or Protobuf's; a dict or list is written as JSON
    :param kind: "AVRO", "JSON" or "PROTOBUF"
    :param references: `Reference` objects, or ``(name, subject, version)``
    :raises TypeError: for a text or references that are none
    :raises ValueError: for an unknown kind
    """

    __slots__ = ("text", "kind", "references")

    def __init__(self, text, kind=AVRO, references=()):
        if isinstance(text, (dict, list)):
            text = json.dumps(text)
        self.text = arguments.text("schema", text)
        self.kind = arguments.one_of("kind", kind, KINDS)
        self.references = tuple(Reference(*one) for one in references)

    def __eq__(self, other):
        return isinstance(other, Schema) and self._identity() == other._identity()

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self._identity())

    def __repr__(self):
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return "Schema(%r, %r%s)" % (shown, self.kind, ", %r" % (self.references,) if self.references else "")

    def _identity(self):
        return self.text, self.kind, self.references

    def to_json(self):
        """Return the fields of a request that names this schema."""
        fields = {"schema": self.text}
        if self.kind != AVRO:  # registries of old know no other, and no such field
            fields["schemaType"] = self.kind
        if self.references:
            fields["references"] = [dict(one._asdict()) for one in self.references]
        return fields


class Registered(collections.namedtuple("Registered", "schema id subject version guid")):
    """
    A schema as a registry has it.

    ``subject`` is None for one that was asked for by its id, ``version`` and ``guid`` are where the registry does not
    tell them.
    """

    __slots__ = ()


class Compatibility(collections.namedtuple("Compatibility", "compatible messages")):
    """Whether a schema goes with earlier versions, and what the registry says is in the way. True where it does."""

    __slots__ = ()

    def __bool__(self):
        return self.compatible

    __nonzero__ = __bool__


def of(schema, kind=AVRO):
    """Return what is given for a schema as a `Schema`: that itself, text, or the dict or list that it is as JSON."""
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, (dict, list, bytes, six.text_type)):
        return Schema(schema, kind)
    raise TypeError("schema has to be text, a dict or a kiel.schemas.Schema, not %s" % type(schema).__name__)


def registered(answer, subject=None, schema=None):
    """Return the `Registered` of a registry's answer, a dict, with what was asked where it does not repeat that."""
    if "schema" in answer:
        schema = Schema(answer["schema"], answer.get("schemaType") or AVRO, [
            (one["name"], one["subject"], one["version"]) for one in answer.get("references") or ()])
    return Registered(schema, answer.get("id"), answer.get("subject", subject), answer.get("version"),
                      answer.get("guid"))
