"""Describes settings (KIP-133); any broker answers, the broker itself about a broker."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "DescribeConfigsRequest", "DescribeConfigsResponse", "ResourceRequest", "Synonym", "Config",
    "ResourceResponse",
]

api_name = "describe_configs"


class ResourceRequest(Part):
    """A resource: its type is 2 for a topic, 4 for a broker; see KIP-133 and later ones."""

    parts = (
        ("resource_type", Int8),
        ("resource_name", String),
        ("configuration_keys", Array.of(String), when(nullable=True)),
    )


class DescribeConfigsRequest(Request):
    """Asks for the settings of resources; ``configuration_keys`` null is all of them."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("resources", Array.of(ResourceRequest)),
        ("include_synonyms", Boolean, when("1+")),
        ("include_documentation", Boolean, when("3+")),
    )


class Synonym(Part):
    """One of the values that a setting has in several places, the one that counts first."""

    parts = (
        ("name", String, when("1+")),
        ("value", String, when("1+", nullable=True)),
        ("source", Int8, when("1+")),
    )


class Config(Part):
    """One setting, and where its value comes from."""

    parts = (
        ("name", String),
        ("value", String, when(nullable=True)),
        ("read_only", Boolean),
        ("is_default", Boolean, when("0")),
        ("config_source", Int8, when("1+", default=-1, ignorable=True)),
        ("is_sensitive", Boolean),
        ("synonyms", Array.of(Synonym), when("1+", ignorable=True)),
        ("config_type", Int8, when("3+", ignorable=True)),
        ("documentation", String, when("3+", nullable=True, ignorable=True)),
    )


class ResourceResponse(Part):
    """The settings of one resource."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("resource_type", Int8),
        ("resource_name", String),
        ("configs", Array.of(Config)),
    )


class DescribeConfigsResponse(Response):
    """The settings, by resource."""

    api, versions, flexible = api_name, "0-4", "4+"
    parts = (
        ("throttle_time", Int32),
        ("results", Array.of(ResourceResponse)),
    )
