"""Sets all settings of a resource at once (KIP-133); the controller answers, the broker itself about a broker."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["AlterConfigsRequest", "AlterConfigsResponse", "Config", "ResourceRequest", "ResourceResponse"]

api_name = "alter_configs"


class Config(Part):
    """One setting; null is not allowed."""

    parts = (
        ("name", String),
        ("value", String, when(nullable=True)),
    )


class ResourceRequest(Part):
    """A resource, and all settings that it is to have."""

    parts = (
        ("resource_type", Int8),
        ("resource_name", String),
        ("configs", Array.of(Config)),
    )


class AlterConfigsRequest(Request):
    """Replaces the settings of resources: what is not named goes back to its default."""

    api, versions, flexible = api_name, "0-2", "2+"
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


class AlterConfigsResponse(Response):
    """What became of each resource."""

    api, versions, flexible = api_name, "0-2", "2+"
    parts = (
        ("throttle_time", Int32),
        ("responses", Array.of(ResourceResponse)),
    )
