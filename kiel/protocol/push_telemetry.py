"""Tells the cluster a client's own numbers (KIP-714); any broker takes them."""
from __future__ import absolute_import

from kiel.protocol.primitives import Boolean, Bytes, Int8, Int16, Int32, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["PushTelemetryRequest", "PushTelemetryResponse"]

api_name = "push_telemetry"


class PushTelemetryRequest(Request):
    """Numbers, as MetricsData v1 of OpenTelemetry's protocol, compressed or not."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("client_instance_id", Uuid),
        ("subscription_id", Int32),
        ("terminating", Boolean),
        ("compression_type", Int8),
        ("metrics", Bytes),
    )


class PushTelemetryResponse(Response):
    """Whether they were taken."""

    api, versions, flexible = api_name, "0", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
    )
