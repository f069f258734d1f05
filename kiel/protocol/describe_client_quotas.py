"""Describes quotas of users, client ids and addresses (KIP-546); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Float64, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DescribeClientQuotasRequest", "DescribeClientQuotasResponse", "Component", "Entity", "Value", "Entry"]

api_name = "describe_client_quotas"


class Component(Part):
    """Part of an entity: ``match_type`` 0 is this name, 1 the default, 2 any name."""

    parts = (
        ("entity_type", String),
        ("match_type", Int8),
        ("match", String, when(nullable=True)),
    )


class DescribeClientQuotasRequest(Request):
    """Asks for the quotas of the entities that all components let through; ``strict``: no others."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("components", Array.of(Component)),
        ("strict", Boolean),
    )


class Entity(Part):
    """Part of an entity; the name null is the default's."""

    parts = (
        ("entity_type", String),
        ("entity_name", String, when(nullable=True)),
    )


class Value(Part):
    """One quota."""

    parts = (
        ("key", String),
        ("value", Float64),
    )


class Entry(Part):
    """The quotas of one entity."""

    parts = (
        ("entity", Array.of(Entity)),
        ("values", Array.of(Value)),
    )


class DescribeClientQuotasResponse(Response):
    """The quotas, by entity."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("entries", Array.of(Entry), when(nullable=True)),
    )
