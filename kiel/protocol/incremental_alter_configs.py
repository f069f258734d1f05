"""Changes single settings (KIP-339); the controller answers, the broker itself about a broker."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "IncrementalAlterConfigsRequest", "IncrementalAlterConfigsResponse", "Config", "ResourceRequest",
    "ResourceResponse",
]

api_name = "incremental_alter_configs"


class Config(Part):
    """One change: 0 sets, 1 deletes, 2 appends to a list, 3 takes away from a list."""

    parts = (
        ("name", String),
        ("config_operation", Int8),
        ("value", String, when(nullable=True)),
    )


class ResourceRequest(Part):
    """A resource, and what is to change."""

    parts = (
        ("resource_type", Int8),
        ("resource_name", String),
        ("configs", Array.of(Config)),
    )


class IncrementalAlterConfigsRequest(Request):
    """Changes settings, and leaves alone all others."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("resources", Array.of(ResourceRequest)),
        ("validate_only", Boolean),
    )


class ResourceResponse(Part):
    """What became of one resource."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("resource_type", Int8),
        ("resource_name", String),
    )


class IncrementalAlterConfigsResponse(Response):
    """What became of each resource."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("throttle_time", Int32),
        ("responses", Array.of(ResourceResponse)),
    )
