"""Changes quotas of users, client ids and addresses (KIP-546); the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Float64, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = [
    "AlterClientQuotasRequest", "AlterClientQuotasResponse", "Entity", "Operation", "EntryRequest",
    "EntryResponse",
]

api_name = "alter_client_quotas"


class Entity(Part):
    """Part of an entity; the name null is the default's."""

    parts = (
        ("entity_type", String),
        ("entity_name", String, when(nullable=True)),
    )


class Operation(Part):
    """One quota that is to be set, or removed."""

    parts = (
        ("key", String),
        ("value", Float64),
        ("remove", Boolean),
    )


class EntryRequest(Part):
    """An entity, and what is to change."""

    parts = (
        ("entity", Array.of(Entity)),
        ("ops", Array.of(Operation)),
    )


class AlterClientQuotasRequest(Request):
    """Sets and removes quotas."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("entries", Array.of(EntryRequest)),
        ("validate_only", Boolean),
    )


class EntryResponse(Part):
    """What became of one entity."""

    parts = (
        ("error_code", Int16),
        ("error_message", String, when(nullable=True)),
        ("entity", Array.of(Entity)),
    )


class AlterClientQuotasResponse(Response):
    """What became of each entity."""

    api, versions, flexible = api_name, "0-1", "1+"
    parts = (
        ("throttle_time", Int32),
        ("entries", Array.of(EntryResponse)),
    )
