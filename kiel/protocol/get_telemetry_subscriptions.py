"""Asks which of a client's own numbers the cluster wants to be told (KIP-714); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["GetTelemetrySubscriptionsRequest", "GetTelemetrySubscriptionsResponse"]

api_name = "get_telemetry_subscriptions"


class GetTelemetrySubscriptionsRequest(Request):
    """Asks what is subscribed to; with an id of zeros, also for an id of this client."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("client_instance_id", Uuid),
    )


class GetTelemetrySubscriptionsResponse(Response):
    """What is subscribed to: beginnings of names, an empty one or "*" for all, none for nothing; times in ms."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("client_instance_id", Uuid),
        ("subscription_id", Int32),
        ("accepted_compression_types", Array.of(Int8)),
        ("push_interval", Int32),
        ("telemetry_max_bytes", Int32),
        ("delta_temporality", Boolean),
        ("requested_metrics", Array.of(String)),
    )
