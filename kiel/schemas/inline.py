"""Avro schemas that refer to others: the types that they name put where they are first used."""
from __future__ import absolute_import

import six

#: Avro's own types
PRIMITIVES = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))
NAMED = frozenset(("record", "error", "enum", "fixed"))


def full_name(name, namespace):
    """Return a name with its namespace."""
    return name if "." in name or not namespace else "%s.%s" % (namespace, name)


def name_of(schema):
    """Return the full name of a schema that is a record, an enum or a fixed; None for any other."""
    if isinstance(schema, dict) and schema.get("type") in NAMED and "name" in schema:
        return str(full_name(schema["name"], schema.get("namespace")))
    return None


class Inliner(object):
    """
    Makes one schema of several: each type is defined where it is first used, and named after that.

    :param references: the name by which a type is referred to -> its schema, as JSON
    """

    def __init__(self, references):
        self._references = dict(references)
        for schema in references.values():
            name = name_of(schema)
            if name is not None:
                self._references.setdefault(name, schema)
        self._defined = set()

    def inline(self, schema, namespace=None):
        """Return a schema with the definitions of all names that it refers to included."""
        if isinstance(schema, six.string_types):
            return self._named(schema, namespace)
        if isinstance(schema, list):
            return [self.inline(one, namespace) for one in schema]
        if not isinstance(schema, dict):
            return schema
        kind = schema.get("type")
        made = dict(schema)
        if isinstance(kind, six.string_types) and kind in NAMED:
            name = full_name(schema.get("name", ""), schema.get("namespace", namespace))
            self._defined.add(name)
            namespace = name.rpartition(".")[0]
            if "fields" in schema:
                made["fields"] = [self._field(field, namespace) for field in schema["fields"]]
            return made
        for word in ("items", "values"):
            if word in schema:
                made[word] = self.inline(schema[word], namespace)
        if isinstance(kind, six.string_types) and (kind in PRIMITIVES or kind in ("array", "map")):
            return made
        # another type's name or definition within a dict, which fastavro does not take everywhere
        return self.inline(kind, namespace)

    def _field(self, field, namespace):
        if not isinstance(field, dict) or "type" not in field:
            return field
        return dict(field, type=self.inline(field["type"], namespace))

    def _named(self, name, namespace):
        """Return a type by its name, or its definition where it has none yet."""
        full = full_name(name, namespace)
        if name in PRIMITIVES or full in self._defined:
            return name
        for wanted in (full, name):
            schema = self._references.get(wanted)
            if schema is not None and wanted not in self._defined:
                if wanted == name_of(schema) or name_of(schema) not in self._defined:
                    # its names are its own, whatever stands around it
                    return self.inline(self._rooted(schema), None)
                return name_of(schema)
        return name

    @staticmethod
    def _rooted(schema):
        """Return a definition that does not take over the namespace of what it is put into."""
        name = name_of(schema)
        if name is None or "namespace" in schema or "." in schema["name"]:
            return schema
        return dict(schema, namespace="")
