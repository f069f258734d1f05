"""Protobuf's descriptors: files as a registry has them, the path to a message in one, classes that are made of them."""
from __future__ import absolute_import

import base64
import importlib
import re
import warnings

from tornado import gen

from kiel.schemas.errors import DeserializationError, RegistryError, WireFormatError, caused

#: files that every registry and every client knows
KNOWN = ("google/protobuf/", "google/type/", "confluent/")

_BASE64 = re.compile(r"^[A-Za-z0-9+/=\s]+$")


def is_known(name):
    """Return whether a file is one that everybody knows."""
    return name.startswith(KNOWN)


def path_of(descriptor):
    """Return the path of indexes to a message's type in its file: a list."""
    from google.protobuf import descriptor_pb2

    path = []
    while descriptor.containing_type is not None:
        outer = descriptor.containing_type
        path.insert(0, [one.name for one in outer.nested_types].index(descriptor.name))
        descriptor = outer
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.file.CopyToProto(file)
    return [[one.name for one in file.message_type].index(descriptor.name)] + path


def name_at(file, indexes):
    """
    Return the full name of the message at a path of indexes in a file.

    :raises kiel.schemas.WireFormatError: where there is none
    """
    names, within = [file.package] if file.package else [], file.message_type
    for index in indexes:
        if index >= len(within):
            raise WireFormatError("the value's schema has no message at the path %s" % (list(indexes),))
        names.append(within[index].name)
        within = within[index].nested_type
    return ".".join(names)


def decoded(text):
    """Return the file of a descriptor in base64; None for another text, such as that of a ``.proto`` file."""
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError

    if not _BASE64.match(text):
        return None
    file = descriptor_pb2.FileDescriptorProto()
    try:
        file.ParseFromString(base64.b64decode(text))
    except (DecodeError, TypeError, ValueError):
        return None
    return file


@gen.coroutine
def file_of(registry, schema, name):
    """
    Return the file that a schema is: as it was registered, or as the registry translates it.

    :param name: the schema's id or GUID
    :raises kiel.schemas.DeserializationError: where the registry has nothing but the text of a ``.proto`` file
    """
    file = decoded(schema.text)
    if file is not None:
        raise gen.Return(file)
    cause = None
    try:
        text = yield registry.serialized(name)
        file = decoded(text)
    except RegistryError as error:
        if error.retriable and error.status != 500:  # Apicurio's word for that it does not translate this one
            raise
        cause = error
    if file is None:
        raise caused(DeserializationError(
            "the registry has the schema %s as the text of a .proto file, and does not translate it: give its class, "
            "made by protoc, in types=" % name), cause)
    raise gen.Return(file)


def pool_of(file, references):
    """
    Return a pool of descriptors with a file, and with those that it imports.

    :param references: files, each before what needs it
    :raises kiel.schemas.DeserializationError: where one that is imported is neither among them nor installed
    """
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    added = set()
    for one in list(references) + [file]:
        for name in one.dependency:
            if name not in added and is_known(name):
                _add_known(pool, name, added)
        if not one.name or one.name in added:
            one.name = "kiel/%d.proto" % len(added)
        added.add(one.name)
        try:
            pool.AddSerializedFile(one.SerializeToString())
            pool.FindFileByName(one.name)  # which some releases put off till here
        except (TypeError, KeyError) as error:
            raise caused(DeserializationError("the schema's file %s can't be used: %s" % (one.name, error)), error)
    return pool


def _add_known(pool, name, added):
    """Add a file that is installed, with what it imports."""
    module = name[:-len(".proto")].replace("/", ".") + "_pb2"
    try:
        descriptor = importlib.import_module(module).DESCRIPTOR
    except ImportError as error:
        raise caused(DeserializationError("the schema imports %s, and %s is not installed" % (name, module)), error)
    for imported in descriptor.dependencies:
        if imported.name not in added:
            _add_known(pool, imported.name, added)
    added.add(name)
    pool.AddSerializedFile(descriptor.serialized_pb)


def parse(message, data):
    """Have a message be what bytes say, all of them."""
    if not only_warns():
        message.ParseFromString(data)
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        message.ParseFromString(data)
    if told:
        raise ValueError(str(told[0].message))


def only_warns():
    """Return whether this release leaves bytes unread that do not belong there, with no more than a warning."""
    from google import protobuf

    return protobuf.__version__.startswith("3.")


def class_of(pool, full_name):
    """Return a class of messages, by the name of their type."""
    from google.protobuf import message_factory

    descriptor = pool.FindMessageTypeByName(full_name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)
