"""
The protocol of one connection without the connection: requests in, bytes out; bytes in, responses out.

A `Wire` knows which versions both sides speak and which requests wait for an answer. It never touches a socket.
"""
from __future__ import absolute_import

import collections
import itertools
import struct

from kiel import constants, exc
from kiel.protocol import part, request as requests
from kiel.protocol import response as responses
from kiel.protocol.compiling import skip_tags
from kiel.protocol.lengths import ZERO

#: the frame's size, and the correlation id at the beginning of each answer: signed 32 bits, big-endian
size_struct = struct.Struct(">i")
correlation_struct = struct.Struct(">i")

#: A frame larger than this is taken for bytes that are not Kafka's. Kafka itself bounds an answer by what was asked.
MAX_FRAME = 256 * 1024 * 1024

#: Bytes of a piece of a request that is written as it is.
LARGE = 64 * 1024

#: What brokers serve that don't know ApiVersions (0.9 and older), by kiel's name of the api: (lowest, highest).
#: From the sources of those releases; see KIP-35 for why they can't tell.
SERVED_BY_0_8 = {
    "produce": (0, 0), "fetch": (0, 0), "offset": (0, 0), "metadata": (0, 0), "offset_commit": (0, 1),
    "offset_fetch": (0, 1), "group_coordinator": (0, 0),
}
SERVED_BY_0_9 = dict(
    SERVED_BY_0_8, produce=(0, 1), fetch=(0, 1), offset_commit=(0, 2), join_group=(0, 0), heartbeat=(0, 0),
    leave_group=(0, 0), sync_group=(0, 0), describe_groups=(0, 0), list_groups=(0, 0)
)

#: api key -> kiel's name
API_NAMES = dict((key, name) for name, key in constants.API_KEYS.items())


class Wire(object):
    """
    One connection's side of the protocol: picks versions, makes frames, and matches answers with requests.

    ``versions`` maps an api's name to the range ``(lowest, highest)`` that the broker serves; it changes once, when
    the handshake has found out. ``pending`` holds the requests whose answers are still to come, oldest first.
    """

    def __init__(self, versions=None):
        # until the broker has said more, only what every broker understands; ApiVersions itself begins at its highest
        self.versions = dict(versions or {"metadata": (0, 0), "api_versions": (0, 5)})
        #: what the whole cluster works with: the name of a feature -> its level (KIP-584)
        self.features = {}
        self.pending = collections.OrderedDict()

    def learn(self, api_versions, features=()):
        """
        Take over what the broker serves.

        :param api_versions: the ``api_keys`` of an ApiVersions answer
        :param features: its ``finalized_features``
        """
        self.features = dict((feature.name, feature.max_version_level) for feature in features or ())
        versions = {}
        for served in api_versions:
            name = API_NAMES.get(served.api_key)
            if name is not None:
                versions[name] = (served.min_version, served.max_version)
        # From 4.0 on, brokers list Produce from 0 for librdkafka's sake but hang up on 0 to 2 (KAFKA-18659).
        lowest, highest = versions.get("produce", (0, 0))
        if highest >= 12:
            versions["produce"] = (max(lowest, 3), highest)
        self.versions = versions

    def version(self, request):
        """
        The version in which a request (an instance, or a class of them) would go out: the highest that both speak.

        :raises kiel.exc.UnsupportedVersionError: when there is none
        """
        if request.version_range is None:
            return self._only_version(request)
        if isinstance(request, type):
            lowest, highest = request.narrow or request.version_range
        else:
            lowest, highest = request.min_version, request.max_version
        theirs = self.versions.get(request.api)
        if theirs is not None:
            version = min(highest, theirs[1])
            if version >= max(lowest, theirs[0]):
                older = request.preferred
                return version if older is None or request.narrow is not None or older < theirs[0] else older
        raise exc.UnsupportedVersionError(api=request.api, ours=(lowest, highest), theirs=theirs)

    def _only_version(self, request):
        """The version of a request that names no ``versions``, as an application written for kiel 0.9 has them."""
        if request.api not in responses.classes:
            raise exc.ProtocolError("no class reads answers of '%s': enter one in kiel.connection.response_classes" %
                                    request.api)
        version = request.api_version
        theirs = self.versions.get(API_NAMES.get(constants.API_KEYS[request.api]))
        if theirs is not None and not theirs[0] <= version <= theirs[1]:
            raise exc.UnsupportedVersionError(api=request.api, ours=(version, version), theirs=theirs)
        return version

    def supports(self, api, version):
        """Return whether the broker serves that version of an api."""
        lowest, highest = self.versions.get(api, (0, -1))
        return lowest <= version <= highest

    def reaches(self, api, version):
        """
        Return whether the broker serves that version of an api or a later one: what came with it is there.

        Not the same as `supports`, since newer brokers have dropped old versions (KIP-896).
        """
        return self.versions.get(api, (0, -1))[1] >= version

    def highest(self, api):
        """Return the highest version of an api that the broker serves, -1 for none: for who asks about several."""
        return self.versions.get(api, (0, -1))[1]

    def send(self, request):
        """
        Return the bytes of a request, frame and all, and remember it when an answer is due.

        They are a list of pieces to be written one after the other: a large batch is not copied once more.

        :raises kiel.exc.UnsupportedVersionError: no common version, or a value that the version can't carry
        """
        version = self.version(request)
        if request.correlation_id in self.pending:  # the same object, sent twice
            request.correlation_id = requests.generate_correlation_id()
        pieces = request.pieces(version)
        if request.expects_response:
            self.pending[request.correlation_id] = (request, version)
        size = sum(map(len, pieces))
        pieces.insert(0, size_struct.pack(size))
        return [b"".join(pieces)] if size < LARGE else gathered(pieces)

    def measured(self, request, pieces):
        """Return a request's version and the bytes of what `send` gave for it, for who counts them."""
        pending = self.pending.get(request.correlation_id)
        return self.version(request) if pending is None else pending[1], sum(map(len, pieces))

    @staticmethod
    def frame_size(prefix):
        """
        Read the size that precedes a frame.

        :raises kiel.exc.ProtocolError: for a size that no broker sends
        """
        size, = size_struct.unpack(prefix)
        if not correlation_struct.size <= size <= MAX_FRAME:
            hint = ""
            if prefix[:1] in (b"\x15", b"\x16"):
                hint = "; it looks like TLS: does the port expect it? Then pass ssl="
            elif prefix == b"HTTP":
                hint = "; it is an HTTP server"
            raise exc.ProtocolError("a frame of %d bytes is not a Kafka response%s" % (size, hint))
        return size

    def receive(self, frame):
        """
        Read one frame, without its size, and return ``(request, response)``.

        Kafka answers in the order of the requests, so an id other than the oldest one's means that the stream is
        out of step and nothing on it can be trusted.

        :raises kiel.exc.ProtocolError: for a strange id or bytes that can't be read; the connection is to be ended
        """
        correlation_id, = correlation_struct.unpack_from(frame)
        if not self.pending:
            raise exc.ProtocolError("received a response with correlation id %d, but no request is outstanding"
                                    % correlation_id)
        expected = next(iter(self.pending))
        if correlation_id != expected:
            raise exc.ProtocolError(
                "received a response with correlation id %d, expected %d" % (correlation_id, expected)
            )
        request, version = self.pending.pop(correlation_id)
        cls = responses.classes[request.api]
        if cls.version_range is None:
            cls = responses.class_for(request)
        if request.walked is None or len(frame) < responses.LARGE:
            read, tagged = cls.readers.get(version) or cls.reader(version)
            offset = correlation_struct.size
            try:
                if tagged:
                    # seldom any: they are the last of the header
                    offset = offset + 1 if frame[offset] == ZERO else skip_tags(frame, offset)
                response, _ = read(frame, offset)
            except part.BAD_BYTES as error:
                raise exc.ProtocolError("%s of version %d can't be read: %s" % (cls.__name__, version, error))
            if tagged is not None:
                response.api_version = version
        else:
            response = cls.deserialize_walked(frame, version, correlation_struct.size, request.walked)
        response.correlation_id = correlation_id
        complete(response, request)
        return request, response


def complete(response, request):
    """
    Fill in what the request knows and the answer does not tell, so that every version reads alike: the names of topics
    that came with their ids alone, and what is the api's own (`kiel.protocol.response.Response.answers`).
    """
    if response.answers is not None:
        response.answers(request)
    if response.topics_by_id:
        names = None
        for topic in response.topics:
            if not topic.name:
                if names is None:
                    names = request.topic_names
                topic.name = names.get(topic.topic_id, "")


def gathered(pieces):
    """Join pieces that follow one another, but for large ones."""
    out = []
    for large, group in itertools.groupby(pieces, lambda piece: len(piece) >= LARGE):
        out.extend(group if large else (b"".join(group),))
    return out
