"""One request to the fake, and the bytes of its answer."""
from __future__ import absolute_import

import struct

from kiel import constants
from kiel.protocol import registry, request, response
from kiel.testing.fake import faults
from kiel.testing.fake.parts import build

assert registry.MODULES  # imported for the classes of all apis

_HEAD = struct.Struct(">hhi")
_NAMES = dict((key, name) for name, key in constants.API_KEYS.items())


class Call(object):
    """
    A request: ``api``, ``version``, ``request`` (decoded), ``client_id``.

    :param cluster: the `kiel.testing.fake.cluster.Cluster`
    :param broker_id: whom it came to
    :param stream: what it came by
    :param payload: its bytes
    """

    def __init__(self, cluster, broker_id, stream, payload):
        self.cluster = cluster
        self.broker_id = broker_id
        self.stream = stream
        self.payload = payload
        key, self.version, self.correlation_id = _HEAD.unpack_from(payload)
        self.api = _NAMES.get(key, "api %d" % key)
        self.request = None
        self.client_id = None
        self.fault = None
        #: whether the fault was told to the client
        self.hit = False

    def decode(self):
        """Read the request; `kiel.exc.ProtocolError` where it makes no sense."""
        self.request = request.deserialize(self.payload)
        self.client_id = self.request.client_id or ""

    def meet(self, fault):
        """Note an `kiel.testing.fake.faults.ERROR` that is due here, or None."""
        assert fault is None or fault.kind == faults.ERROR
        self.fault = fault

    def code(self, topic=None, partition=None):
        """Return the error code that a test asked for there, or 0."""
        if self.fault is None or not self.fault.hits(topic, partition):
            return 0
        self.hit = True
        return self.fault.value

    def frame(self, fields):
        """Return the bytes of an answer; None when none is due."""
        if self.api == "produce" and self.request.required_acks == 0:
            return None
        answer = build(response.own[self.api], fields).serialize(self.version)
        return struct.pack(">ii", 4 + len(answer), self.correlation_id) + answer

    def refusal(self, low, high):
        """Return the bytes by which a broker refuses a version of ApiVersions: in version 0 (KIP-511)."""
        entry = dict(api_key=constants.API_KEYS[self.api], min_version=low, max_version=high)
        answer = build(response.own[self.api], dict(error_code=35, api_keys=[entry])).serialize(0)
        return struct.pack(">ii", 4 + len(answer), self.correlation_id) + answer
