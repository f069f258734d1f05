"""Raises and lowers features of the whole cluster (KIP-584); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["UpdateFeaturesRequest", "UpdateFeaturesResponse", "Feature", "Result"]

api_name = "update_features"


class Feature(Part):
    """One feature; ``upgrade_type`` 1 upgrades only, 2 downgrades safely, 3 also unsafely."""

    parts = (
        ("feature", String),
        ("max_version_level", Int16),
        ("allow_downgrade", Boolean, when("0")),
        ("upgrade_type", Int8, when("1+", default=1)),
    )


class UpdateFeaturesRequest(Request):
    """Asks for levels of features; 0 takes a feature away."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("timeout", Int32, when(default=60000)),
        ("feature_updates", Array.of(Feature)),
        ("validate_only", Boolean, when("1+")),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait before it answers."""
        return self.timeout


class Result(Part):
    """What became of one feature."""

    parts = (
        ("feature", String),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
    )


class UpdateFeaturesResponse(Response):
    """What became of the features."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("results", Array.of(Result), when("0-1", ignorable=True)),
    )
