"""Requests: a `Part` with the header before it."""
from __future__ import absolute_import

import functools
import itertools
import os
import socket
import struct
import zlib

import six
from six.moves import range

from kiel import constants, exc
from kiel.protocol import lengths, part, primitives
from kiel.protocol.compiling import skip_tags

#: api name -> its request class, filled as the modules are imported
classes = {}

#: the largest correlation id
LAST = 0x7fffffff

_header = struct.Struct(">hhi")


def ids_after(number):
    """Return a function that returns the correlation ids behind that one, one by one; behind `LAST` comes 0."""
    # in C, so that also of two threads no two get the same, and without keeping what was given
    rounds = itertools.cycle([(LAST,), range(LAST)])
    return functools.partial(next, itertools.chain.from_iterable(itertools.chain([range(number + 1, LAST)], rounds)))


# where the ids begin only has to differ between processes, so that a capture shows who is who
last_id = (zlib.crc32(socket.gethostname().encode("utf-8")) + os.getpid()) & 0xffffff

#: returns the next correlation id
next_id = ids_after(last_id)


def generate_correlation_id():
    """
    Return the next correlation id, and note it in ``last_id``, as kiel 0.9 did.

    Requests that are made for each batch, or fetch, take theirs from `next_id` without noting it.
    """
    global last_id
    last_id = next_id()
    return last_id


class RequestType(part.PartType):
    """Enters each of kiel's own classes that names its api into `classes`; an application's take no one's place."""

    def __init__(cls, name, bases, namespace):
        super(RequestType, cls).__init__(name, bases, namespace)
        if namespace.get("api") and primitives.is_own(cls):
            classes[cls.api] = cls


@six.add_metaclass(RequestType)
class Request(part.Part):
    """
    What a client asks a broker; subclasses name their ``api``.

    ``api_version`` is the version that `serialize` writes; it is 0, as in kiel 0.9, until somebody sets it.
    """

    api = None
    client_id = constants.CLIENT_ID
    #: the version written when none is given
    api_version = constants.API_VERSION
    #: (lowest, highest) version that may be used for this request, or None for all that kiel knows
    narrow = None
    #: the version to use where the broker serves it and ``narrow`` is None, instead of the highest
    preferred = None
    correlation_id = None
    #: whether the broker answers at all
    expects_response = True
    #: when it was asked for (`kiel.retry.monotonic`), where it has to wait before it can be sent
    asked = None
    #: called with the response in the turn in which it comes, before the Future of it is resolved; must not raise
    on_answer = None
    #: the array that is left unread in a large answer, see `kiel.protocol.response.Response.deserialize_walked`
    walked = None

    def __init__(self, **kwargs):
        super(Request, self).__init__(**kwargs)
        self.correlation_id = generate_correlation_id()

    @property
    def api_key(self):
        """Kafka's number of the api."""
        return constants.API_KEYS[self.api]

    @property
    def min_version(self):
        """The lowest version that can tell this request."""
        low = self.version_range[0]
        return low if self.narrow is None else max(low, self.narrow[0])

    @property
    def max_version(self):
        """The highest version that can tell this request."""
        high = self.version_range[1]
        return high if self.narrow is None else min(high, self.narrow[1])

    @property
    def wait_time(self):
        """Milliseconds that the request itself asks the broker to wait before it answers."""
        return 0

    def for_version(self, version):
        """
        This request in the shape of that version: itself, or a changed copy with the same
        correlation id.
        """
        return self

    def serialize(self, version=None):
        """
        Header and body as bytes, without the length before them.

        :param version: default: ``api_version``
        """
        return b"".join(self.pieces(version))

    def pieces(self, version=None):
        """Header and body as a list of pieces of the bytes that `serialize` gives."""
        if version is None:
            version = self.api_version
        shaped = self.for_version(version)
        out = [_header.pack(self.api_key, version, self.correlation_id)]
        flexible = self.is_flexible(version)
        # the client id keeps its two-byte length in every version
        _write_client_id(out.append, self.client_id)
        if flexible:
            out.append(b"\0")
        try:
            shaped.codec(version, flexible)[0](out.append, shaped)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("%s can't be written: %s" % (type(self).__name__, error))
        return out


_write_client_id, _read_client_id = primitives.String.codec(0, False, True)


def deserialize(raw):
    """
    Read a whole request, header and body, as a broker would: return an instance of the api's class.

    Its ``api_version``, ``correlation_id`` and ``client_id`` are those of the header. Raises
    `kiel.exc.ProtocolError` for bytes that make no sense, `kiel.exc.UnsupportedVersionError` for a
    version unknown.
    """
    raw = lengths.as_bytes(raw)
    try:
        key, version, correlation_id = _header.unpack_from(raw)
        client_id, offset = _read_client_id(raw, _header.size)
        cls = classes.get(_names.get(key))
        if cls is None:
            raise ValueError("api key %d is not known" % key)
        if cls.is_flexible(version):
            offset = skip_tags(raw, offset)
    except part.BAD_BYTES as error:
        raise exc.ProtocolError("a request that can't be read: %s" % error)
    request = cls.decode(raw, offset, version)[0]
    request.api_version = version
    request.correlation_id = correlation_id
    request.client_id = client_id
    return request


_names = dict((key, name) for name, key in constants.API_KEYS.items())
