"""Which apis a broker serves, and in which versions (KIP-35, KIP-511)."""
from __future__ import absolute_import

import kiel
from kiel import constants, exc
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int16, Int32, Int64, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["ApiVersionsRequest", "ApiVersionsResponse", "ApiVersion", "SupportedFeature", "FinalizedFeature"]

api_name = "api_versions"


class ApiVersionsRequest(Request):
    """Asks what a broker serves; the first request on a connection."""

    api, versions, flexible = api_name, "0-5", "3+"
    parts = (
        ("client_software_name", String, when("3+", ignorable=True)),
        ("client_software_version", String, when("3+", ignorable=True)),
        ("cluster_id", String, when("5+", default=None, nullable="5+", ignorable=True)),
        ("node_id", Int32, when("5+", default=-1, ignorable=True)),
    )

    def for_version(self, version):
        """Name kiel and its release from version 3 on: the broker refuses an empty name."""
        if version < 3 or self.client_software_name:
            return self
        return self.copy(client_software_name=constants.CLIENT_ID, client_software_version=kiel.__version__)


class ApiVersion(Part):
    """The versions of one api that a broker serves."""

    parts = (
        ("api_key", Int16),
        ("min_version", Int16),
        ("max_version", Int16),
    )


class SupportedFeature(Part):
    """A feature the broker could work with, and its levels (KIP-584)."""

    parts = (
        ("name", String),
        ("min_version", Int16),
        ("max_version", Int16),
    )


class FinalizedFeature(Part):
    """A feature the whole cluster works with, and its levels (KIP-584)."""

    parts = (
        ("name", String),
        ("max_version_level", Int16),
        ("min_version_level", Int16),
    )


class ApiVersionsResponse(Response):
    """
    What a broker serves.

    To a version it does not know, a broker answers in version 0 with error 35 and the range it serves.
    """

    api, versions, flexible = api_name, "0-5", "3+"
    flexible_header = False
    parts = (
        ("error_code", Int16),
        ("api_keys", Array.of(ApiVersion)),
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("supported_features", Array.of(SupportedFeature), when("3+", tag=0, ignorable=True)),
        ("finalized_features_epoch", Int64, when("3+", default=-1, tag=1, ignorable=True)),
        ("finalized_features", Array.of(FinalizedFeature), when("3+", tag=2, ignorable=True)),
        ("zk_migration_ready", Boolean, when("3+", tag=3, ignorable=True)),
    )

    @classmethod
    def deserialize(cls, raw, version=0, offset=0):
        """
        Read an answer; that of a broker which does not know the version asked for is in version 0
        (KIP-511).

        Lookalikes, such as librdkafka's mock cluster, write the rest of a refusal in a version of their own liking. It
        is a refusal all the same: without a range, version 0 is what is asked next.
        """
        if raw[offset:offset + 2] != b"\x00\x23":
            return super(ApiVersionsResponse, cls).deserialize(raw, version, offset)
        try:
            return super(ApiVersionsResponse, cls).deserialize(raw, 0, offset)
        except exc.ProtocolError:
            return cls(error_code=35)
