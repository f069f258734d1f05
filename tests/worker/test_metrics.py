"""A worker's numbers among those of its consumer, for Prometheus and for OpenTelemetry."""
from __future__ import absolute_import

import gc
import sys

import pytest
from tornado import concurrent, gen

from kiel.metrics import Metrics
from kiel.retry import Backoff

from tests import loop
from tests.needs import needed
from tests.test_metrics import new_registry, samples, scrape, summed
from tests.worker.working import with_stage


class Work(object):
    """A handler whose first message waits; every other fails, once or for good."""

    def __init__(self):
        self.gate = concurrent.Future()
        self.seen = []

    @gen.coroutine
    def __call__(self, record):
        self.seen.append(record.value)
        if record.value == 0:
            yield self.gate
        if record.value == 2 and self.seen.count(2) == 1 or record.value == 3:
            raise ValueError("wrong")


@gen.coroutine
def worked(stage, watch, **member):
    """Runs a worker until one message is at work, two are done, and one was given up; returns its handler."""
    work = Work()
    stage.put(0, 1, 2, 3)
    stage.make(work, member, order=None, retry=Backoff(first=0.001, most=0.001, deadline=0.05),
               dead_letters=lambda record, error, attempts: None)
    watch(stage.worker)
    stage.running = stage.worker.run()
    yield loop.until(lambda: (stage.worker.numbers["done"], stage.worker.numbers["dead"]) == (2, 1))
    raise gen.Return(work)


@with_stage
def test_prometheus_reads_a_worker(stage):
    from kiel.metrics.prometheus import PrometheusMetrics
    registry = new_registry()
    metrics = PrometheusMetrics(registry)
    work = yield worked(stage, metrics.watch, hooks=[metrics], client_id="w")
    found = samples((yield scrape(registry))[1])
    labels = dict(client_id="w", group="g")
    assert summed(found, "kiel_worker_in_flight", **labels) == 1 and summed(found, "kiel_worker_waiting") == 0
    assert summed(found, "kiel_worker_done_total", **labels) == 2
    assert summed(found, "kiel_worker_retried_total", **labels) == len(work.seen) - 4 >= 2
    assert summed(found, "kiel_worker_dead_total", **labels) == 1
    assert summed(found, "kiel_worker_oldest_seconds", **labels) > 0
    assert stage.consumer.metrics()["worker_done"] == 2 and stage.consumer.metrics()["worker_given_back"] == 0
    work.gate.set_result(None)
    yield loop.until(lambda: stage.worker.numbers["done"] == 3)
    assert stage.consumer.metrics()["worker_done"] == 3 and stage.consumer.metrics()["worker_oldest_seconds"] == 0


@pytest.mark.skipif(sys.version_info < (3, 9), reason="OpenTelemetry's SDK is tried on newer Pythons")
@with_stage
def test_opentelemetry_measures_a_worker(stage):
    sdk = needed("opentelemetry.sdk.metrics", "pip install opentelemetry-sdk")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from kiel.metrics.opentelemetry import OpenTelemetryMetrics
    reader = InMemoryMetricReader()
    work = yield worked(stage, OpenTelemetryMetrics(sdk.MeterProvider([reader])).watch, client_id="w")
    found = {}
    for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            assert dict(point.attributes) == {
                "messaging.system": "kafka", "messaging.client.id": "w", "messaging.consumer.group.name": "g"}
            found[metric.name] = point.value
    assert (found["kiel.worker.in_flight"], found["kiel.worker.done"], found["kiel.worker.dead"]) == (1, 2, 1)
    assert found["kiel.worker.retried"] == len(work.seen) - 4 and found["kiel.worker.oldest"] > 0
    assert "kiel.worker.transactions" not in found
    work.gate.set_result(None)


@with_stage
def test_what_can_not_be_watched(stage):
    metrics = Metrics()
    stage.make(None, {"hooks": [Metrics()]})
    with pytest.raises(ValueError) as raised:
        metrics.watch(stage.worker)
    assert "among its hooks" in str(raised.value)
    for wrong in (stage.consumer, None, type(stage.worker)):
        with pytest.raises(TypeError):
            metrics.watch(wrong)
    yield gen.moment


@with_stage
def test_a_worker_that_is_dropped_leaves_nothing(stage):
    metrics = Metrics()
    worker = stage.make(None, {"hooks": [metrics]})
    assert metrics.watch(worker) is worker
    assert stage.consumer.metrics()["worker_done"] == 0
    stage.worker = worker = None
    gc.collect()
    assert "worker_done" not in stage.consumer.metrics() and not metrics._workers
    yield gen.moment
