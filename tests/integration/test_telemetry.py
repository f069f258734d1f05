"""
What clients push, as a plugin of real brokers is handed it (KIP-714).

``KIEL_LONG=1 python -m pytest tests/integration/test_telemetry.py`` also asks Kafka 3.9.1, and compares names with
those that Java's own clients push.
"""
from __future__ import absolute_import

import shutil
import sys
import tempfile
import uuid

import pytest
from tornado import gen

from kiel import clients, compression, exc
from kiel.clients.administering.configs import Resource
from kiel.protocol.get_telemetry_subscriptions import GetTelemetrySubscriptionsRequest

from tests import loop
from tests.integration import peer
from tests.telemetry import plugin

pytestmark = pytest.mark.skipif(sys.version_info < (3, 9), reason="opentelemetry-proto is tried on newer Pythons")

#: milliseconds between two pushes: the least that Kafka takes
INTERVAL = 100

#: 3.9.1 has the same apis
RELEASES = ("3.9.1", "4.4.0") if peer.LONG else ("4.4.0",)


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    directory = tempfile.mkdtemp(prefix="kiel-telemetry-")
    try:
        cluster = peer.cluster_of(request.param, **plugin.settings_of(request.param, directory))
        cluster.told = directory
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(directory)


@gen.coroutine
def subscribe(kafka, name, metrics="*", **more):
    """Has the cluster subscribe to numbers, or change that."""
    admin = clients.Admin(kafka.bootstrap, enable_metrics_push=False)
    yield admin.connect()
    resource = Resource("client_metrics", name)
    configs = dict({"metrics": metrics, "interval.ms": str(INTERVAL)}, **more)
    outcome = yield admin.alter_configs({resource: configs})
    assert not isinstance(outcome[resource], exc.KielError), outcome
    wanted = [metrics] if metrics else []
    found = None
    while found != wanted:  # the broker hears of it a moment later, and who asks it before asks again in five minutes
        found = (yield admin.cluster[0].send(GetTelemetrySubscriptionsRequest())).requested_metrics
    yield admin.close()


@gen.coroutine
def told(kafka, client_id, count, seconds=20):
    """What a client has pushed, once it is so many times."""
    yield loop.until(lambda: len(plugin.pushed(kafka.told, client_id)) >= count, seconds, step=0.05)
    raise gen.Return(plugin.pushed(kafka.told, client_id))


def total(pushes, name, **labels):
    """The sum of what was told of a name: Kafka asks for what came since the last time."""
    found = [push.numbers.of(name, **labels) for push in pushes]
    return sum(value for value in found if value is not None)


def test_what_brokers_are_told_is_what_there_is(kafka):
    topic, mark = "t-" + uuid.uuid4().hex[:8], uuid.uuid4().hex[:8]
    kafka.create_topic(topic, partitions=2)

    @gen.coroutine
    def body():
        yield subscribe(kafka, "all")
        producer = clients.Producer(kafka.bootstrap, client_id="p" + mark, serializer=None, linger=0.005)
        member = clients.GroupedConsumer(
            kafka.bootstrap, "g" + mark, client_id="c" + mark, topics=[topic], autocommit=False, rack_id="r")
        yield [producer.connect(), member.connect()]
        first = yield told(kafka, "p" + mark, 1)
        for number in range(1000):
            delivery = yield producer.produce(topic, {"n": number}, partition=number % 2)
            if number == 500:  # messages and numbers get through nevertheless
                yield delivery
                for lane in list(producer.cluster[0].lanes.values()):
                    lane.abort(exc.BrokerConnectionError(lane.host, lane.port, 0, hint="cut"))
        yield producer.flush()
        ends = yield member.end_offsets(topic)
        assert sum(ends.values()) == 1000
        taken = 0
        while taken < 1000:
            taken += len((yield member.consume(topic, member.BEGINNING)))
        yield member.commit_offsets()
        count = len(first)
        yield [told(kafka, "p" + mark, count + 3), told(kafka, "c" + mark, 3)]
        opened = producer._settings.opened
        yield [producer.close(), member.close()]
        pushes = plugin.pushed(kafka.told, "p" + mark)
        assert [push.last for push in pushes] == [False] * (len(pushes) - 1) + [True]
        assert len(set(push.instance for push in pushes)) == 1 and pushes[0].content_type == "OTLP"
        assert total(pushes, "producer.record.send.total") == 1000
        assert total(pushes, "producer.topic.record.send.total", topic=topic) == 1000
        assert total(pushes, "producer.record.error.total") == 0
        assert total(pushes, "producer.connection.creation.total") == opened >= 4
        assert any(push.numbers.of("producer.node.request.latency.max", node_id="0") for push in pushes)
        pushes = plugin.pushed(kafka.told, "c" + mark)
        assert pushes[-1].last and total(pushes, "consumer.fetch.manager.records.consumed.total") == 1000
        assert total(pushes, "consumer.coordinator.commit.total") == 1
        # partitions come, and go
        assert total(pushes, "consumer.coordinator.rebalance.total") == 2
        assert max(push.numbers.of("consumer.coordinator.assigned.partitions") for push in pushes) == 2
        resource = [push for push in pushes if push.numbers.of("consumer.coordinator.assigned.partitions")][-1]
        resource = resource.numbers.resource
        assert resource["group_id"] == "g" + mark and resource["client_rack"] == "r" and resource["group_member_id"]
    loop.run(body, timeout=60)


def test_every_codec_and_a_change_of_mind(kafka):
    mark = uuid.uuid4().hex[:8]

    @gen.coroutine
    def body():
        yield subscribe(kafka, "all")
        made = {}
        for codec in [0] + sorted(compression.codecs):
            client = made[codec] = clients.Producer(kafka.bootstrap, client_id="z%d%s" % (codec, mark))
            client._telemetry._refused.update(set(compression.codecs) - {codec})
            yield client.connect()
        for codec in made:
            pushes = yield told(kafka, "z%d%s" % (codec, mark), 2)
            assert pushes[0].numbers.of("producer.connection.creation.total") >= 2
        used = dict((codec, client._telemetry._codec()) for codec, client in made.items())
        assert used == dict((codec, codec) for codec in made)
        yield subscribe(kafka, "all", metrics="org.apache.kafka.producer.connection.creation")
        names = {"org.apache.kafka.producer.connection.creation." + kind for kind in ("total", "rate")}
        yield loop.until(lambda: plugin.pushed(kafka.told, "z1" + mark)[-1].numbers.names == names, 20, step=0.05)
        yield subscribe(kafka, "all", metrics="")
        yield loop.until(lambda: all(client._settings.hooks is None for client in made.values()), 20)
        yield [client.close() for client in made.values()]
        assert not [push for codec in made for push in plugin.pushed(kafka.told, "z%d%s" % (codec, mark)) if push.last]
    loop.run(body, timeout=60)


@pytest.mark.skipif(not peer.LONG, reason="starts a client of Java's: with KIEL_LONG=1")
def test_names_are_those_of_javas_clients(kafka):
    if peer.release(kafka) < (4, 0):
        pytest.skip("its tools have other names")
    topic, mark = "t-" + uuid.uuid4().hex[:8], uuid.uuid4().hex[:8]
    kafka.create_topic(topic)

    @gen.coroutine
    def body():
        yield subscribe(kafka, "all")
        producer = clients.Producer(kafka.bootstrap, client_id="p" + mark)
        consumer = clients.GroupedConsumer(kafka.bootstrap, "g" + mark, client_id="c" + mark, topics=[topic])
        yield [producer.connect(), consumer.connect()]
        yield producer.produce(topic, "x")
        yield peer.gather(consumer, topic, 1, start=consumer.BEGINNING)
        yield [told(kafka, "p" + mark, 2), told(kafka, "c" + mark, 2)]
        yield [producer.close(), consumer.close()]
    loop.run(body, timeout=60)
    kafka.run_tool("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", kafka.bootstrap[0], "--topic", topic,
                   "--producer-property", "client.id=jp" + mark, stdin="y\n" * 10)
    kafka.run_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka.bootstrap[0],
                   "--topic", topic, "--from-beginning", "--max-messages", "5", "--consumer-property",
                   "client.id=jc" + mark)
    for ours, theirs in (("p", "jp"), ("c", "jc")):
        java = set(name for push in plugin.pushed(kafka.told, theirs + mark) for name in push.numbers.names)
        kiel = set(name for push in plugin.pushed(kafka.told, ours + mark) for name in push.numbers.names)
        assert java and not kiel - java, sorted(kiel - java)
