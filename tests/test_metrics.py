"""The numbers of clients against an independent count: what the scripted brokers saw."""
from __future__ import absolute_import

import gc
import json
import os
import re
import sys

import pytest
from tornado import gen, httpclient, httpserver, netutil, web

from kiel import exc, metrics
from kiel.clients import SingleConsumer
from kiel.hooks import Event, Handed
from kiel.metrics import HISTOGRAM, TABLE, Histogram, Metrics
from kiel.metrics.partitions import Partitions

from tests import loop, syntax
from tests.clients.consuming import consumers
from tests.clients.grouping import members
from tests.clients.producing import producers
from tests.fake import CLOSE, error, with_cluster
from tests.needs import needed


def new_registry():
    """A registry of a test's own."""
    return needed("prometheus_client", "pip install prometheus_client").CollectorRegistry()


def requests_of(cluster, api, client_id):
    """What the brokers have seen of an api from a client: how many, and how many bytes."""
    sizes = [len(call.payload) + 4 for broker in cluster.brokers.values() for call in broker.requests
             if call.api == api and call.client_id == client_id]
    return len(sizes), sum(sizes)


@with_cluster(brokers=2, topics={"t": 4})
def test_numbers_of_a_producer_are_those_that_the_brokers_saw(cluster):
    producer = yield producers.connected(cluster, hooks=[Metrics()], linger=0.005, client_id="p", compression="gzip")
    cluster[1].on("produce", error(19), times=2)
    cluster[2].on("produce", CLOSE, times=1)
    deliveries = []
    for number in range(400):
        deliveries.append((yield producer.produce("t", b"x" * (100 + number), partition=number % 4)))
    yield producer.flush()
    cluster[1].on("produce", error(29), times=1)
    lost = yield producer.produce("t", b"never", partition=0)
    yield loop.raises(exc.TopicAuthorizationFailedError, lost.future())
    found = producer.metrics()
    json.dumps(found)
    written = [record for partition in range(4) for record in producers.records(cluster, partition=partition)]
    assert found["sent_records"] == {"t": len(written)} == {"t": 400}
    assert found["failed_records"] == {"t": 1} and found["errors"]["topic_authorization_failed"] == 1
    stored = [len(entry[3]) for partition in range(4) for entry in cluster.log("t", partition).batches]
    assert found["sent_compressed_bytes"] == {"t": sum(stored)} and found["sent_batches"] == {"t": len(stored)}
    assert sum(100 + number for number in range(400)) < found["sent_bytes"]["t"]
    assert found["retries"]["t"] >= 3 and found["errors"]["not_enough_replicas"] >= 2
    assert found["errors"]["BrokerConnectionError"] >= 1 and sum(found["connections_lost"].values()) == 1
    count, size = requests_of(cluster, "produce", "p")
    # what was behind the one that was hung up on, the broker never read
    unread = sum(apis.get("produce", 0) for apis in found["requests"].values()) - count
    assert 0 <= unread <= 5
    assert (sum(apis.get("produce", 0) for apis in found["request_bytes"].values()) == size) == (not unread)
    assert sum(apis.get("produce", 0) for apis in found["responses"].values()) == count - 1  # one was hung up on
    assert found["request_seconds"]["produce"]["count"] == count - 1
    assert found["batch_records"]["count"] == len(stored) and found["batch_records"]["sum"] == 400
    assert found["batch_fill"]["buckets"]["1"] == len(stored)
    assert found["delivery_seconds"]["count"] == len(stored)
    assert found["buffer_bytes"] == found["waiting_records"] == 0
    assert found["buffer_limit_bytes"] == 32 * 1024 * 1024
    assert found["connections"] >= 2 and found["metadata_refreshes"] >= 1 and found["outage_seconds"] == 0
    yield producer.close()
    assert producer.metrics()["connections"] == 0 and producer.metrics()["sent_records"] == {"t": 400}


@with_cluster(topics={"t": 2})
def test_numbers_of_a_member(cluster):
    numbers = Metrics()
    member = members.make(cluster, hooks=[numbers], autocommit=False, max_bytes=1)
    yield member.connect()
    for _ in range(3):
        cluster.log("t", 0).put(b"1", b"2")
    messages = yield members.gather(member, 2, start=member.BEGINNING)
    found = member.metrics()
    json.dumps(found)
    assert found["consumed_records"] == {"t": len(messages)}
    lag = 6 - member.position("t", 0)
    assert found["lag"]["t"] == {"0": lag, "1": 0} and lag > 0
    assert 0 < found["lag_seconds"]["t"]["0"] and found["at_work_seconds"] > 0
    assert found["assigned_partitions"] == 2 and found["rebalances"] == 1 and found["partitions_assigned"] == 2
    messages += yield members.gather(member, 6 - len(messages))
    yield member.commit_offsets()
    found = member.metrics()
    assert found["lag"]["t"] == {"0": 0, "1": 0} and found["lag_seconds"]["t"] == {"0": 0.0}
    assert found["at_work_seconds"] == 0 and found["commits"] == found["commit_seconds"]["count"] == 1
    fetched = sum(found["fetched_bytes"].values())
    assert fetched == sum(len(entry[3]) for entry in cluster.log("t", 0).batches)
    assert sum(apis.get("fetch", 0) for apis in found["requests"].values()) >= found["fetch_bytes"]["count"]
    yield member.allocator.give(t=[1])
    found = member.metrics()
    assert found["partitions_revoked"] == 1 and found["rebalances"] == 2 and found["lag"] == {"t": {"1": 0}}
    assert "members" not in found and "heartbeat_age_seconds" not in found
    member.allocator.member_count = 3
    assert member.metrics()["members"] == 3
    yield member.close()


@with_cluster(topics={"t": 1})
def test_without_a_counter_there_is_the_state(cluster):
    consumer = consumers.make(cluster)
    assert consumer.metrics()["connections"] == 0
    yield consumer.connect()
    cluster.log("t").put(b"1")
    yield consumers.gather(consumer, 1)
    found = consumer.metrics()
    assert found["lag"] == {"t": {"0": 0}} and found["connections"] >= 1 and "requests" not in found
    yield consumer.close()


def test_what_is_at_work_is_bounded():
    partitions = Partitions()
    for offset in range(5000):
        partitions.handed(("t", 0), Handed(offset, offset + 1, -1), True)
    assert len(partitions.at_work["t", 0]) == metrics.MOST_AT_WORK
    partitions.commit(("t", 0), 5000)
    assert not partitions.at_work["t", 0] and not partitions.newest
    partitions.handed(("t", 0), Handed(0, 5000, 7), True)  # committed before it was handed out
    assert not partitions.at_work["t", 0] and partitions.newest == {("t", 0): 7}
    partitions.forget({"t": [0]})
    assert not partitions.at_work and not partitions.committed and not partitions.newest


def test_a_client_that_is_dropped_leaves_nothing():
    numbers = Metrics()
    consumer = SingleConsumer(["nowhere:1"], hooks=[numbers])
    assert consumer.metrics()["connections"] == 0 and numbers.clients == [consumer]
    del consumer
    gc.collect()
    assert numbers.clients == []
    numbers.error(Event("error", None, dict(error=exc.KielError(), cure=None, retriable=False)))
    assert numbers.clients == []


def test_a_histogram_counts():
    histogram = Histogram((1, 10))
    for value in (0, 1, 2, 10, 11):
        histogram.add(value)
    assert histogram.plain() == {"count": 5, "sum": 24, "buckets": {"1": 2, "10": 4, "inf": 5}}
    histogram.include(histogram)
    assert histogram.cumulative == [(1, 4), (10, 8), (float("inf"), 10)] and histogram.sum == 48


# -- Prometheus --

@gen.coroutine
def scrape(registry, accept=""):
    """What a Tornado application answers to Prometheus: the text."""
    from kiel.metrics.prometheus import MetricsHandler
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server = httpserver.HTTPServer(web.Application([("/metrics", MetricsHandler, dict(registry=registry))]))
    server.add_sockets(sockets)
    client = httpclient.AsyncHTTPClient(force_instance=True)
    try:
        response = yield client.fetch(
            "http://127.0.0.1:%d/metrics" % sockets[0].getsockname()[1], headers={"Accept": accept} if accept else {})
    finally:
        server.stop()
        client.close()
    raise gen.Return((response.headers["Content-Type"], response.body.decode("utf-8")))


def samples(text):
    """{(name, labels): value} of what Prometheus' own parser reads."""
    from prometheus_client import parser
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample[0], tuple(sorted(sample[1].items()))] = sample[2]
    return found


def summed(found, name, **labels):
    """The sum of the samples of a name with these labels."""
    return sum(value for (sample, have), value in found.items()
               if sample == name and set(labels.items()) <= set(have))


@with_cluster(brokers=2, topics={"t": 2})
def test_prometheus_reads_what_the_brokers_saw(cluster):
    registry = new_registry()
    from kiel.metrics.prometheus import PrometheusMetrics
    numbers = PrometheusMetrics(registry)
    producer = yield producers.connected(cluster, hooks=[numbers], client_id="p")
    twin = yield producers.connected(cluster, hooks=[numbers], client_id="p")
    member = members.make(cluster, hooks=[numbers], client_id="c")
    yield member.connect()
    cluster[1].on("produce", error(19), times=1)
    cluster[2].on("fetch", error(6), times=1)
    for number in range(20):
        yield (producer if number % 2 else twin).produce("t", b"value", partition=number % 2)
    yield members.gather(member, 20, start=member.BEGINNING)
    yield loop.until(lambda: member.lag("t", 0) == member.lag("t", 1) == 0)
    kind, text = yield scrape(registry)
    assert kind.startswith("text/plain")
    found = samples(text)
    assert summed(found, "kiel_sent_records_total", topic="t", client_id="p", group="") == 20
    assert summed(found, "kiel_consumed_records_total", topic="t", client_id="c", group="g") == 20
    assert summed(found, "kiel_errors_total", error="not_enough_replicas") == 1
    assert summed(found, "kiel_errors_total", error="not_partition_leader") >= 1
    assert summed(found, "kiel_retries_total", topic="t") == 1
    count, size = requests_of(cluster, "produce", "p")
    assert count == 21
    assert summed(found, "kiel_requests_total", api="produce") == count
    assert summed(found, "kiel_request_bytes_total", api="produce") == size
    assert summed(found, "kiel_request_seconds_count", api="produce") == count
    assert summed(found, "kiel_request_seconds_bucket", api="produce", le="+Inf") == count
    stored = sum(len(entry[3]) for partition in (0, 1) for entry in cluster.log("t", partition).batches)
    assert summed(found, "kiel_sent_compressed_bytes_total") == stored
    assert summed(found, "kiel_fetched_bytes_total") == stored
    assert summed(found, "kiel_lag") == 0 and ("kiel_lag", (
        ("client_id", "c"), ("group", "g"), ("partition", "0"), ("topic", "t"))) in found
    assert summed(found, "kiel_rebalances_total", group="g") == 1
    assert summed(found, "kiel_commits_total", group="g") >= 1
    names = set(name for name, _ in found)
    assert not [name for name in names if not name.startswith("kiel_")]
    kind, text = yield scrape(registry, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text") and text.rstrip().endswith("# EOF")
    for client in (producer, twin, member):
        yield client.close()


def test_no_two_objects_take_the_same_names():
    registry = new_registry()
    from kiel.metrics.prometheus import PrometheusMetrics
    PrometheusMetrics(registry)
    with pytest.raises(ValueError):
        PrometheusMetrics(registry)
    PrometheusMetrics(registry, prefix="other_")
    assert PrometheusMetrics(None).clients == []


def test_the_dashboard_asks_for_what_there_is():
    path = os.path.join(syntax.ROOT, "examples", "grafana", "kiel.json")
    with open(path) as dashboard:
        board = json.load(dashboard)
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    endings = {metrics.COUNTER: ("_total",), HISTOGRAM: ("_bucket", "_sum", "_count")}
    there = set("kiel_" + name + ending for name, row in TABLE.items() for ending in endings.get(row[0], ("",)))
    used = set(re.findall(r"\bkiel_\w+", " ".join(asked)))
    assert len(asked) > 15 and not used - there
    assert set(panel["id"] for panel in board["panels"]) == set(range(1, len(board["panels"]) + 1))


# -- OpenTelemetry --

@pytest.mark.skipif(sys.version_info < (3, 9), reason="OpenTelemetry's SDK is tried on newer Pythons")
@with_cluster(topics={"t": 1})
def test_opentelemetry_is_told_by_its_conventions(cluster):
    sdk = needed("opentelemetry.sdk.metrics", "pip install opentelemetry-sdk")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from kiel.metrics.opentelemetry import BOUNDS, OpenTelemetryMetrics
    reader = InMemoryMetricReader()
    measured = OpenTelemetryMetrics(sdk.MeterProvider([reader]))
    producer = yield producers.connected(cluster, hooks=[measured], client_id="p")
    for _ in range(3):
        yield producer.produce("t", b"x")
    cluster[1].on("produce", error(29), times=1)
    yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", b"never"))
    member = members.make(cluster, hooks=[measured], client_id="c")
    yield member.connect()
    yield members.gather(member, 3, start=member.BEGINNING)
    found = {}
    for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            labels = dict(point.attributes)
            assert labels["messaging.system"] == "kafka"
            found[metric.name, labels["messaging.operation.name"], labels.get("error.type")] = point, labels
    sent, labels = found["messaging.client.sent.messages", "send", None]
    assert sent.value == 3
    assert labels == {
        "messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.client.id": "p", "messaging.destination.name": "t", "messaging.destination.partition.id": "0"}
    assert found["messaging.client.sent.messages", "send", "TOPIC_AUTHORIZATION_FAILED"][0].value == 1
    duration, _ = found["messaging.client.operation.duration", "send", None]
    assert duration.count == 3 and duration.explicit_bounds == BOUNDS and duration.sum > 0
    consumed, labels = found["messaging.client.consumed.messages", "receive", None]
    assert consumed.value == 3 and labels["messaging.consumer.group.name"] == "g"
    commit, labels = found["messaging.client.operation.duration", "commit", None]
    assert commit.count >= 1 and labels["messaging.operation.type"] == "settle"
    yield producer.close()
    yield member.close()
