"""
The numbers of clients for Prometheus: ``pip install kiel[prometheus]``.

    metrics = kiel.metrics.prometheus.PrometheusMetrics()
    producer = clients.Producer(brokers, client_id="painter", hooks=[metrics])
    application = tornado.web.Application([("/metrics", kiel.metrics.prometheus.MetricsHandler)])

Names are those of `kiel.metrics.TABLE` with ``kiel_`` before them, and ``_total`` after counters; labels are
``client_id``, ``group`` (empty where there is none) and those of the table. Clients of one ``client_id`` and group are
told of together, so a service that has several gives them names.
"""
from __future__ import absolute_import

import collections

import prometheus_client
from prometheus_client import core, exposition
from tornado import web

from kiel.metrics import COUNTER, GAUGE, HISTOGRAM, TABLE, Histogram, Metrics

#: labels that all metrics have
COMMON = ("client_id", "group")


class PrometheusMetrics(Metrics):
    """
    A `kiel.metrics.Metrics` that Prometheus reads: one object for all clients of an application.

    Nothing is computed but what that counts, until somebody asks for ``/metrics``.

    :param registry: where to register; default: that of ``prometheus_client``. None: nowhere
    :param prefix: what names begin with
    """

    def __init__(self, registry=prometheus_client.REGISTRY, prefix="kiel_"):
        super(PrometheusMetrics, self).__init__()
        self._prefix = prefix
        if registry is not None:
            registry.register(self)

    def describe(self):
        """Return what `collect_all` may yield; a registry asks so that nobody else takes the names."""
        return [self._family(name) for name in TABLE]

    def collect(self, client=None):
        """
        Yield the families of metrics, as a registry asks for them.

        :param client: return the numbers of this one, as `kiel.metrics.Metrics.collect` does
        """
        return self._families() if client is None else super(PrometheusMetrics, self).collect(client)

    def _families(self):
        merged = collections.OrderedDict((name, {}) for name in TABLE)
        for client in self.clients:
            common = client._settings.client_id, str(getattr(client, "group_name", None) or "")
            for name, values in super(PrometheusMetrics, self).collect(client).items():
                for labels, value in values.items():
                    _merge(merged[name], common + tuple(str(label) for label in labels), value, TABLE[name][0])
        for name, values in merged.items():
            if values:
                family = self._family(name)
                for labels in sorted(values):
                    _fill(family, labels, values[labels])
                yield family

    def _family(self, name):
        """Return the empty family of a metric."""
        kind, _, labels, meaning, _ = TABLE[name]
        cls = {COUNTER: core.CounterMetricFamily, HISTOGRAM: core.HistogramMetricFamily}.get(
            kind, core.GaugeMetricFamily)
        return cls(self._prefix + name, meaning.replace("``", "").capitalize(), labels=COMMON + labels)


def _merge(values, labels, value, kind):
    """Add one client's number to those of others of the same name."""
    if isinstance(value, Histogram):
        if labels not in values:
            values[labels] = Histogram(value.bounds)
        values[labels].include(value)
    elif kind in (COUNTER, GAUGE):
        values[labels] = values.get(labels, 0) + value
    else:
        values[labels] = max(values.get(labels, value), value)


def _fill(family, labels, value):
    """Add one sample, or a histogram's."""
    if isinstance(value, Histogram):
        family.add_metric(labels, [(core_bound(bound), count) for bound, count in value.cumulative], value.sum)
    else:
        family.add_metric(labels, value)


def core_bound(bound):
    """Return a bound as Prometheus writes it."""
    return "+Inf" if bound == float("inf") else repr(float(bound))


class MetricsHandler(web.RequestHandler):
    """
    Answers Prometheus: ``("/metrics", MetricsHandler)`` in an application of Tornado's.

    :param registry: of ``prometheus_client``; default: its own
    """

    def __init__(self, application, request, registry=prometheus_client.REGISTRY):
        super(MetricsHandler, self).__init__(application, request)
        self.request = request
        self.registry = registry

    def get(self):
        """Answer in the form that is asked for: the text that all know, or OpenMetrics."""
        encode, content_type = exposition.choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encode(self.registry))
