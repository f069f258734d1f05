"""Responses: a `Part` that answers a request."""
from __future__ import absolute_import

import six

from kiel import exc
from kiel.protocol import lengths, part, primitives
from kiel.protocol.compiling import skip_tags

#: api name -> kiel's own response class, filled as the modules are imported
own = {}
#: the same, with what applications have entered besides or instead: see `class_for`
classes = {}

#: bytes of an answer from which on it takes milliseconds to read
LARGE = 64 * 1024


class ResponseType(part.PartType):
    """Enters each of kiel's own classes that names its api into `classes`; an application's take no one's place."""

    def __init__(cls, name, bases, namespace):
        super(ResponseType, cls).__init__(name, bases, namespace)
        # version -> what `Response.reader` returns
        cls.readers = {}
        if namespace.get("api") and primitives.is_own(cls):
            own[cls.api] = classes[cls.api] = cls


@six.add_metaclass(ResponseType)
class Response(part.Part):
    """What a broker answers; subclasses name their ``api``. ``correlation_id`` is set by the connection."""

    api = None
    correlation_id = None
    #: the version in which the answer came
    api_version = 0
    #: whether the header has tagged fields in the flexible versions; ApiVersions alone has none
    flexible_header = True
    #: whether its ``topics`` come with their ids alone in the newest versions: they get the names in ``topic_names`` of
    #: the request then, see `kiel.protocol.wire.complete`
    topics_by_id = False
    #: a method that fills in what else the request knows and the answer does not tell, once, after decoding; None where
    #: there is nothing
    answers = None

    @classmethod
    def deserialize(cls, raw_bytes, version=0, offset=0):
        """
        Read what follows the correlation id, which begins at ``offset``: return an instance.

        Raises `kiel.exc.ProtocolError` for bytes that make no sense. What stands behind the message
        is left alone.
        """
        raw = raw_bytes if raw_bytes.__class__ is bytes else lengths.as_bytes(raw_bytes)
        response = cls.decode(raw, cls._begin(raw, version, offset), version)[0]
        response.api_version = version
        return response

    @classmethod
    def reader(cls, version):
        """
        Return how to read what `deserialize` reads: ``(read, tagged)``; made on first use, then kept in ``readers``.

        ``read(raw, offset)`` returns the instance and where it ends; it begins behind the header, whose tagged fields
        are still to be stepped over where ``tagged`` is true; it is None where all is read, and ``api_version`` set, by
        a `deserialize` of the class's own. What it raises are the `kiel.protocol.part.BAD_BYTES`.
        """
        if cls.deserialize.__func__ is Response.deserialize.__func__ and primitives.is_own(cls):
            flexible = cls.is_flexible(version)
            made = cls.codec(version, flexible)[1], cls.flexible_header and flexible
        else:  # reads in a way of its own, header and all
            made = (lambda raw, offset: (cls.deserialize(raw, version, offset), len(raw))), None
        cls.readers[version] = made
        return made

    @classmethod
    def deserialize_walked(cls, raw, version, offset, name):
        """
        Return the same for an answer whose array ``name`` is read by whoever gets it: a generator of the items.

        Fields that stand behind it have their values when it has ended. See `kiel.protocol.part.Part.walk`.
        """
        items = cls.walk(name, raw, cls._begin(raw, version, offset), version)
        response = next(items)
        setattr(response, name, items)
        response.api_version = version
        return response

    @classmethod
    def _begin(cls, raw, version, offset):
        """Step over the rest of the header; return the offset of the body."""
        if cls.flexible_header and cls.is_flexible(version):
            try:
                return skip_tags(raw, offset)
            except part.BAD_BYTES as error:
                raise exc.ProtocolError("the header of a %s can't be read: %s" % (cls.__name__, error))
        return offset

    def serialize(self, version=0):
        """Return what `deserialize` reads, as a broker would write it."""
        tags = b"\0" if self.flexible_header and self.is_flexible(version) else b""
        return tags + self.encode(version)


def class_for(request):
    """
    Return the class of a request's answer.

    A class without ``versions``, as those of kiel 0.9 and of applications written for it, reads one version only: it
    gets the answers of requests that have none either, while kiel's own requests keep kiel's own class.
    """
    cls = classes[request.api]
    if cls.version_range is None and request.version_range is not None:
        return own.get(request.api, cls)
    return cls
