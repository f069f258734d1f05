"""What was pushed, read by the library that OpenTelemetry makes of its definitions."""
from __future__ import absolute_import

from tests.needs import needed


def parsed(data):
    """Return the ``MetricsData`` of some bytes."""
    protobuf = needed("opentelemetry.proto.metrics.v1.metrics_pb2", "pip install opentelemetry-proto")
    return protobuf.MetricsData.FromString(data)


def attributes(holder):
    """Return attributes as a dict."""
    return dict((pair.key, pair.value.string_value) for pair in holder.attributes)


class Numbers(object):
    """
    The numbers of one push.

    :param data: the bytes, decompressed
    """

    def __init__(self, data):
        self.resource = {}
        #: (name, attributes as sorted pairs) -> number
        self.values = {}
        #: name -> its ``AggregationTemporality``; None for a gauge
        self.temporality = {}
        #: (name, attributes) -> (start, time) in seconds
        self.times = {}
        for resource in parsed(data).resource_metrics:
            self.resource.update(attributes(resource.resource))
            for scoped in resource.scope_metrics:
                for metric in scoped.metrics:
                    self._add(metric)

    def _add(self, metric):
        counted = metric.WhichOneof("data") == "sum"
        self.temporality[metric.name] = metric.sum.aggregation_temporality if counted else None
        for point in (metric.sum if counted else metric.gauge).data_points:
            key = metric.name, tuple(sorted(attributes(point).items()))
            assert key not in self.values
            self.values[key] = point.as_double
            self.times[key] = point.start_time_unix_nano / 1e9, point.time_unix_nano / 1e9

    @property
    def names(self):
        return set(self.temporality)

    def of(self, name, **labels):
        """Return the number of a name, after ``org.apache.kafka.``, and of some attributes; None without one."""
        return self.values.get(("org.apache.kafka." + name, tuple(sorted(labels.items()))))
