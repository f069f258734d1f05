"""Describes brokers and controllers (KIP-700); any broker answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DescribeClusterRequest", "DescribeClusterResponse", "Broker"]

api_name = "describe_cluster"


class DescribeClusterRequest(Request):
    """Asks for the brokers (``endpoint_type`` 1) or the controllers (2) of the cluster."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("include_cluster_authorized_operations", Boolean),
        ("endpoint_type", Int8, when("1+", default=1)),
        ("include_fenced_brokers", Boolean, when("2+")),
    )


class Broker(Part):
    """One broker, or controller."""

    parts = (
        ("broker_id", Int32),
        ("host", String),
        ("port", Int32),
        ("rack", String, when(default=None, nullable=True)),
        ("is_fenced", Boolean, when("2+")),
    )


class DescribeClusterResponse(Response):
    """The cluster, and who is in it."""

    api, versions, flexible = api_name, "0-2", "0+"
    parts = (
        ("throttle_time", Int32),
        ("error_code", Int16),
        ("error_message", String, when(default=None, nullable=True)),
        ("endpoint_type", Int8, when("1+", default=1)),
        ("cluster_id", String),
        ("controller_id", Int32, when(default=-1)),
        ("brokers", Array.of(Broker)),
        ("cluster_authorized_operations", Int32, when(default=-2147483648)),
    )
