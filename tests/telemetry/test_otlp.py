"""kiel's own writing of OpenTelemetry's protocol, read by the library that OpenTelemetry makes of its definitions."""
from __future__ import absolute_import

import struct
import sys

import pytest

from kiel.telemetry.otlp import CUMULATIVE, DELTA, Point, metrics_data

from tests.telemetry import reading

pytestmark = pytest.mark.skipif(sys.version_info < (3, 9), reason="opentelemetry-proto is tried on newer Pythons")


def test_sums_and_gauges_are_read_as_they_were_written():
    points = [
        Point("a.total", "bytes", ("topic",), (u"k\xf6ln",), 2 ** 53, 1600000000.25),
        Point("a.total", "bytes", ("topic",), ("x" * 300,), 0, 1600000000.25),
        Point("b", "", ("topic", "partition"), ("t", "0"), -0.5, None),
    ]
    for temporality in (DELTA, CUMULATIVE):
        data = reading.parsed(metrics_data(
            {"client_rack": "r1", "group_id": "g"}, ("kiel", "1.0"), points, 1700000000.000001, temporality))
        resource, = data.resource_metrics
        assert reading.attributes(resource.resource) == {"client_rack": "r1", "group_id": "g"}
        scoped, = resource.scope_metrics
        assert (scoped.scope.name, scoped.scope.version) == ("kiel", "1.0")
        total, gauge = scoped.metrics
        assert (total.name, total.unit, gauge.name, gauge.unit) == ("a.total", "bytes", "b", "")
        assert total.WhichOneof("data") == "sum" and gauge.WhichOneof("data") == "gauge"
        assert total.sum.is_monotonic and total.sum.aggregation_temporality == temporality
        first, second = total.sum.data_points
        assert first.as_double == 2 ** 53 and reading.attributes(first) == {"topic": u"k\xf6ln"}
        assert second.WhichOneof("value") == "as_double" and second.as_double == 0
        assert first.start_time_unix_nano == 1600000000250000000 and first.time_unix_nano == 1700000000000001000
        point, = gauge.gauge.data_points
        assert reading.attributes(point) == {"topic": "t", "partition": "0"} and point.as_double == -0.5
        assert point.start_time_unix_nano == 0 and point.time_unix_nano == 1700000000000001000


def test_bytes_are_those_of_the_library():
    """Fields in the order of their numbers but for attributes, which the library writes last, as kiel does."""
    points = [Point("n" * 200, "ms", (), (), 1.5, 2.0), Point("g", "", ("a",), ("b",), 3.0, None)]
    data = metrics_data({"k": "v"}, ("kiel", "1"), points, 3.0, CUMULATIVE)
    assert reading.parsed(data).SerializeToString(deterministic=True) == data
    assert struct.pack("<d", 1.5) in data


def test_without_numbers_there_is_who_counts():
    data = reading.parsed(metrics_data({}, ("kiel", "1"), [], 1.0, DELTA))
    assert not data.resource_metrics[0].scope_metrics[0].metrics
