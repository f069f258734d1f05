"""Kafka's own definitions of its messages, read from a kafka-clients jar, and random content made after them."""
from __future__ import absolute_import

import base64
import json
import os
import re
import zipfile

from kiel import testing
from kiel.protocol.part import parse_range

CLIENTS = "org.apache.kafka:kafka-clients:%s"
JACKSON = "com.fasterxml.jackson.core:jackson-databind:2.17.2"

#: the last release that knows the old versions, and the newest
RELEASES = ("3.9.1", "4.4.0")

JAVA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "java")


def class_path(release):
    """The jars of a release's client, and what its JSON converters need."""
    return testing.jars(CLIENTS % release, JACKSON)


def load(release):
    """All definitions of a release by name: {"FetchRequest": {...}}."""
    jar = [path for path in class_path(release) if os.path.basename(path) == "kafka-clients-%s.jar" % release][0]
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith("common/message/") and name.endswith(".json"):
                text = archive.read(name).decode("utf-8")
                definition = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
                for field in _fields(definition):
                    field["structs"] = dict(
                        (struct["name"], struct["fields"]) for struct in definition.get("commonStructs", ()))
                found[definition["name"]] = definition
    return found


def _fields(definition):
    stack = list(definition.get("fields", ()))
    for struct in definition.get("commonStructs", ()):
        stack.extend(struct["fields"])
    while stack:
        field = stack.pop()
        yield field
        stack.extend(field.get("fields", ()))


def within(version, text):
    """Whether a version is in a range as Kafka writes it; "none" and None hold nothing."""
    if text in (None, "none"):
        return False
    low, high = parse_range(text)
    return low <= version <= high


def item_type(field):
    """The type of a field without the brackets of an array."""
    return field["type"][2:] if field["type"].startswith("[]") else field["type"]


def children(field):
    """The fields of the structure that a field holds, or None."""
    return field.get("fields") or field["structs"].get(item_type(field))


def snake(name):
    """``leaderEpoch`` -> ``leader_epoch``."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return name[0].lower() + name[1:].lower()


def default(field):
    """What a field is when nobody sets it, as a Python value."""
    text = field.get("default")
    if text == "null":
        return None
    kind = field["type"]
    if kind.startswith("[]"):
        return []
    if kind == "bool":
        return str(text).lower() == "true"
    if kind.startswith("int") or kind.startswith("uint"):
        return int(str(text), 0) if text not in (None, "") else 0
    if kind == "float64":
        return float(text or 0)
    if kind == "string":
        return text or u""
    if kind == "bytes":
        return b""
    if kind == "uuid":
        return b"\0" * 16
    return None


BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


class Maker(object):
    """
    Makes random messages after a definition, as JSON for Kafka's converters.

    :param plain: make everything as small and empty as it can be
    """

    def __init__(self, chance, plain=False):
        self.chance = chance
        self.plain = plain
        self.serial = 0

    def structure(self, fields, version):
        """The JSON of a structure: each field that this version has."""
        return dict((self.key(field), self.field(field, version)) for field in fields
                    if self.wanted(field, version))

    @staticmethod
    def key(field):
        """A field's name in JSON."""
        return field["name"][0].lower() + field["name"][1:]

    def wanted(self, field, version):
        """Whether the field is to be there."""
        if not within(version, field["versions"]):
            return False
        return not within(version, field.get("taggedVersions")) or self.chance.random() < 0.5

    def field(self, field, version):
        """The JSON of one field."""
        if within(version, field.get("nullableVersions")):
            if self.chance.random() < (0.9 if self.plain else 0.2):
                return None
        if not field["type"].startswith("[]"):
            return self.value(field, version)
        if self.plain:
            return []
        # now and then more than a one-byte compact length can tell
        many = children(field) is None and self.chance.random() < 0.05
        return [self.value(field, version) for _ in range(150 if many else self.chance.randrange(4))]

    def value(self, field, version):
        """The JSON of one value."""
        kind = item_type(field)
        chance = self.chance
        if children(field) is not None:
            return self.structure(children(field), version)
        if kind in BITS:
            top = 1 << BITS[kind] - 1
            return chance.choice((0, 1, -1, top - 1, -top, chance.randrange(-top, top)))
        if kind == "uint16":
            return chance.choice((0, 1, 65535, chance.randrange(65536)))
        if kind == "float64":
            return chance.choice((0.0, -1.5, 1e300, 2.0 ** -40, float(chance.randrange(-2 ** 40, 2 ** 40))))
        if kind == "bool":
            return chance.random() < 0.5
        if kind == "uuid":
            raw = base64.urlsafe_b64encode(bytes(bytearray(chance.randrange(256) for _ in range(16))))
            return raw.decode("ascii").rstrip("=")
        if kind == "string":
            return self.text()
        if kind in ("bytes", "records"):
            size = 0 if self.plain else chance.choice((0, 1, 3, 130, chance.randrange(2000)))
            raw = bytes(bytearray(chance.randrange(256) for _ in range(size)))
            return base64.b64encode(raw).decode("ascii")
        raise ValueError("no values for type %s" % kind)

    def text(self):
        """A text; never the same twice, since some are keys of a map."""
        self.serial += 1
        if self.plain:
            return u"%x" % self.serial
        return u"%s%x" % (self.chance.choice((u"", u"a", u"t\u00f6pic", u"\u20ac\u65e5\U0001f600", u"x" * 130)),
                          self.serial)


def from_json(field, value, version):
    """The Python value that a JSON value stands for: what kiel should read."""
    if value is None:
        return None
    if field["type"].startswith("[]"):
        single = dict(field, type=item_type(field))
        return [from_json(single, item, version) for item in value]
    if children(field) is not None:
        return value
    if field["type"] in ("bytes", "records"):
        return base64.b64decode(value)
    if field["type"] == "uuid":
        return base64.urlsafe_b64decode(str(value + "=="))
    return value
