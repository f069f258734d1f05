"""Every name of 0.9.3, every argument in its place under its name, every default; ``interface.json`` has them."""
from __future__ import absolute_import

import importlib
import inspect
import json
import os
import sys

import pytest
import six

from tests.faithful import pending

with open(os.path.join(os.path.dirname(__file__), "interface.json")) as source:
    OLD = json.load(source)

#: what is another on purpose -> why
DIFFERENT = {
    # values
    "kiel.constants.SUPPORTED_COMPRESSION": "lz4 and zstd besides",
    "kiel.compression.snappy.MAGIC_HEADER": "the bytes as bytes",
    "kiel.compression.snappy.raw_header": "the bytes as bytes",
    "kiel.compression.snappy.snappy_available": "whether the package is installed",
    "kiel.protocol.request.last_id": "another number in each process",
    "kiel.protocol.request.machine_bytes": "was part of it; md5 is not to be had on every machine",
    # steps that are taken otherwise
    "kiel.clients.producer.Producer.queue_retries": "what failed stays where it was; overriding it is refused",
    "kiel.connection.Connection.socket_error_handling": "errors end a connection in one place",
    "kiel.connection.Connection.read_message": "is called with what has come",
    # unusable as they were
    "kiel.protocol.heartbeat.HeartbeatRequest.parts": "were no pairs",
    "kiel.protocol.heartbeat.HeartbeatResponse.parts": "were no pairs",
    "kiel.protocol.join_group.GroupProtocol.parts": "lacked the length of what Kafka does not look into",
    "kiel.protocol.sync_group.MemberAssignment.parts": "lacked the length of what Kafka does not look into",
    "kiel.protocol.sync_group.SyncGroupResponse.parts": "a member gets its own assignment only",
    "kiel.protocol.describe_groups.MemberDescription.parts": "lacked the length of what Kafka does not look into",
    "kiel.protocol.offset_commit.OffsetCommitV1Request.parts": "have all versions in one table",
    "kiel.protocol.offset_commit.OffsetCommitV2Request.parts": "have all versions in one table",
    "kiel.protocol.offset_commit.PartitionV1Request.parts": "have all versions in one table",
    "kiel.protocol.offset_commit.TopicV1Request.parts": "have all versions in one table",
    "kiel.protocol.offset_commit.PartitionResponse.api": "is no response",
    # a subclass that writes what is made by hand in the version's format
    "kiel.protocol.produce.PartitionRequest.parts": "MessageSet is one that knows the version",
    # left over from a loop
    "kiel.protocol.errors.code": "", "kiel.protocol.errors.error": "",
}

#: modules from which a constant of another was visible, since they import it
BORROWED = set(["GZIP", "SNAPPY", "DEFAULT_KAFKA_PORT", "CONSUMER_REPLICA_ID", "SUPPORTED_COMPRESSION", "API_VERSION",
                "CLIENT_ID"])


def arguments(function):
    """Names without ``self``, defaults by name, and whether there are any others by ``*`` or ``**``."""
    function = inspect.unwrap(function) if hasattr(inspect, "unwrap") else getattr(function, "__wrapped__", function)
    found = inspect.getargspec(function) if six.PY2 else inspect.getfullargspec(function)
    names = list(found[0])
    defaults = dict(zip(names[len(names) - len(found[3] or ()):], found[3] or ()))
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    return names, defaults, bool(found[1] or found[2])


def compare(label, old, new, wrong):
    """Notes where a function can't be called as the old one was."""
    wanted, _, _, texts = old
    defaults = dict(zip(wanted[len(wanted) - len(texts):], texts))
    wanted = [name for name in wanted if name not in ("self", "cls")]
    names, values, others = arguments(new)
    if others and not names:
        return
    if names[:len(wanted)] != wanted:
        wrong.append("%s takes %s, not %s" % (label, names, wanted))
    for name in names[len(wanted):]:
        if name not in values:
            wrong.append("%s wants %s besides" % (label, name))
    for name in defaults:
        if name in names and repr(values.get(name, "nothing")) != defaults[name]:
            wrong.append("%s has %s=%r" % (label, name, values.get(name)))


def differences(module):
    """Sentences on what of an old module is not as it was."""
    wrong = []
    importlib.import_module(module)
    new = sys.modules[module]
    for label, old in OLD[module].items():
        path = "%s.%s" % (module, label)
        if path in DIFFERENT or label in BORROWED and module != "kiel.constants":
            continue
        if not hasattr(new, label):
            wrong.append("%s is not there" % path)
        elif isinstance(old, list):
            compare(path, old, getattr(new, label), wrong)
        elif isinstance(old, dict):
            compare_class(path, old, getattr(new, label), wrong)
        elif repr(getattr(new, label)) != old:
            wrong.append("%s is %r" % (path, getattr(new, label)))
    return wrong


def compare_class(label, old, new, wrong):
    """Notes what of a class is not as it was."""
    for name, what in old.items():
        path = "%s.%s" % (label, name)
        if path in DIFFERENT:
            continue
        if not hasattr(new, name):
            wrong.append("%s is not there" % path)
        elif name == "parts":
            lines = [[line[0], line[1].__name__] for line in new.parts if len(line) < 3 or line[2].versions[0] == 0]
            if lines != what:
                wrong.append("%s are %s" % (path, lines))
        elif isinstance(what, list) and callable(getattr(new, name)):
            compare(path, what, getattr(new, name), wrong)
        elif isinstance(what, str) and what != "property" and repr(getattr(new, name)) != what:
            if not (name == "size_primitive" and what == "None"):
                wrong.append("%s is %r" % (path, getattr(new, name)))


@pytest.mark.parametrize("module", sorted(OLD))
def test_nothing_of_it_is_gone(module):
    found = differences(module)
    assert bool(found) == (module in pending.MODULES), found
