"""The conversation about a client's numbers, with brokers that say what a test wants."""
from __future__ import absolute_import

import gc
import logging

import pytest
from tornado import gen, ioloop

from kiel import clients, compression, exc
from kiel.metrics import Metrics
from kiel.telemetry import push

from tests import loop
from tests.clients.consuming import consumers
from tests.clients.grouping import members
from tests.clients.producing import producers
from tests.fake import CLOSE, MUTE, FakeCluster, error, with_cluster
from tests.telemetry.reading import parsed
from tests.telemetry.receiver import GIVEN, SERVED, Receiver, reads, with_receiver


@gen.coroutine
def next_push(receiver):
    """Waits for one that begins from now on."""
    count = len(receiver.pushes)
    yield loop.until(lambda: len(receiver.pushes) > count)
    raise gen.Return(receiver.pushes[-1])


@reads
@with_receiver(brokers=2)
def test_a_producer_tells_what_the_brokers_saw(cluster, receiver):
    producer = yield producers.connected(cluster, linger=0.005, client_id="p")
    cluster[1].on("produce", error(19), times=1)
    for number in range(100):
        yield producer.produce("t", b"x" * number, partition=number % 2)
    yield producer.flush()
    cluster[1].on("produce", error(29), times=1)
    lost = yield producer.produce("t", b"never", partition=0)
    yield loop.raises(exc.TopicAuthorizationFailedError, lost.future())
    yield next_push(receiver)
    numbers = (yield next_push(receiver)).numbers
    assert all(name.startswith("org.apache.kafka.producer.") for name in numbers.names)
    metrics = parsed(receiver.pushes[-1].data).resource_metrics[0].scope_metrics[0].metrics
    assert len(metrics) == len(numbers.names)  # each is told once
    assert numbers.of("producer.record.send.total") == 100 == numbers.of("producer.topic.record.send.total", topic="t")
    assert numbers.of("producer.record.error.total") == 1 == numbers.of("producer.topic.record.error.total", topic="t")
    assert numbers.of("producer.record.retry.total") >= 1
    stored = sum(len(entry[3]) for partition in (0, 1) for entry in cluster.log("t", partition).batches)
    assert numbers.of("producer.topic.byte.total", topic="t") == stored
    assert numbers.of("producer.connection.creation.total") == sum(b.accepted for b in cluster.brokers.values())
    assert numbers.of("producer.connection.creation.rate") == 0  # none since the last push
    first = receiver.pushes[0].numbers
    total = first.of("producer.connection.creation.total")
    begun, now = first.times["org.apache.kafka.producer.connection.creation.total", ()]
    assert first.of("producer.connection.creation.rate") > 0 and total >= 3 and now > begun
    assert numbers.temporality["org.apache.kafka.producer.record.send.total"] == 2
    assert numbers.temporality["org.apache.kafka.producer.connection.creation.rate"] is None
    latency = [push.numbers.of("producer.node.request.latency." + kind, node_id="1")
               for push in receiver.pushes for kind in ("avg", "max")]
    assert any(latency) and all(value is None or 0 < value < 3000 for value in latency)
    for part in ("queue.time", "throttle.time"):
        name = "producer.%s%s." % ("record." if part == "queue.time" else "produce.", part)
        found = [(push.numbers.of(name + "avg"), push.numbers.of(name + "max")) for push in receiver.pushes]
        found = [pair for pair in found if pair[0] is not None]
        assert found and all(0 <= average <= most for average, most in found)
    yield producer.close()


@reads
@with_receiver(subscription=dict(delta_temporality=True, requested_metrics=["*"]))
def test_what_a_push_does_not_bring_the_next_one_does(cluster, receiver):
    producer = yield producers.connected(cluster, linger=0.001)
    receiver.answers.extend([CLOSE, 89])  # the connection is lost; too early, says the broker
    sent = 0
    push.PAUSE, before = 0.01, push.PAUSE
    try:
        while len(receiver.pushes) < 4:
            yield producer.produce("t", b"x")
            sent += 1
            yield producer.flush()
            yield gen.sleep(0.005)
    finally:
        push.PAUSE = before
    yield producer.close()
    told = [push.numbers for push in receiver.pushes]
    assert sum(numbers.of("producer.record.send.total") for numbers in told) == sent
    assert receiver.pushes[-1].request.terminating and len(receiver.refused) == 2
    key = "org.apache.kafka.producer.record.send.total", ()
    for before, after in zip(told, told[1:]):
        assert after.temporality[key[0]] == 1
        assert abs(after.times[key][0] - before.times[key][1]) < 1e-5
    created = sum(numbers.of("producer.connection.creation.total") for numbers in told)
    assert created == cluster[1].accepted


@reads
@with_receiver(subscription=dict(requested_metrics=[
    "org.apache.kafka.consumer.coordinator", "org.apache.kafka.consumer.fetch.manager.records",
    "org.apache.kafka.consumer.poll", "org.apache.kafka.producer.record"]))
def test_a_member_tells_what_is_subscribed_to(cluster, receiver):
    member = members.make(cluster, autocommit=False, rack_id="r1", group_instance_id="i1")
    yield member.connect()
    cluster.log("t", 0).put(b"1", b"2")
    yield members.gather(member, 2, start=member.BEGINNING)
    yield member.commit_offsets()
    yield member.consume("t", max_wait_time=1)
    yield next_push(receiver)
    numbers = (yield next_push(receiver)).numbers
    assert numbers.resource == {"client_rack": "r1", "group_id": "g", "group_instance_id": "i1"}
    assert numbers.of("consumer.coordinator.assigned.partitions") == 2
    assert numbers.of("consumer.coordinator.rebalance.total") == 1 == numbers.of("consumer.coordinator.commit.total")
    assert numbers.of("consumer.coordinator.rebalance.latency.total") >= 0
    assert numbers.of("consumer.fetch.manager.records.consumed.total") == 2
    assert numbers.of("consumer.fetch.manager.records.lag", topic="t", partition="0") == 0
    assert numbers.of("consumer.fetch.manager.records.lag.max") == 0
    assert not [name for name in numbers.names if ".connection." in name or ".request." in name]
    told = [push.numbers.of("consumer." + name) for push in receiver.pushes for name in (
        "poll.idle.ratio.avg", "coordinator.commit.latency.avg", "coordinator.rebalance.latency.max")]
    assert len([value for value in told if value is not None]) >= 3
    assert all(0 <= push.numbers.of("consumer.poll.idle.ratio.avg") <= 1 for push in receiver.pushes
               if push.numbers.of("consumer.poll.idle.ratio.avg") is not None)
    yield member.close()
    assert receiver.pushes[-1].request.terminating


@with_receiver(brokers=3)
def test_one_id_over_all_connections(cluster, receiver):
    # on a busy machine, too, no broker but the one that is stopped is given up
    consumer = consumers.make(cluster, connect_timeout=10, request_timeout=10)
    yield consumer.connect()
    pushed = yield next_push(receiver)
    assert consumer._telemetry.instance_id == "MDEyMzQ1Njc4OWFiY2RlZg"
    push.PAUSE, before = 0.01, push.PAUSE
    try:
        cluster[pushed.broker_id].stop()
        yield loop.until(lambda: receiver.pushes[-1].broker_id != pushed.broker_id, seconds=10)
    finally:
        push.PAUSE = before
    assert receiver.asked == [b"\0" * 16] and set(
        (pushed.request.client_instance_id, pushed.request.subscription_id) for pushed in receiver.pushes
    ) == {(GIVEN, 7)}
    assert len(set(pushed.broker_id for pushed in receiver.pushes)) == 2  # one as long as it is there
    yield consumer.close()
    assert receiver.pushes[-1].request.terminating
    yield consumer.connect()  # another life, which has said nothing yet
    yield loop.until(lambda: receiver.asked == [b"\0" * 16] * 2)
    yield next_push(receiver)
    yield consumer.close()


@with_receiver(subscription=dict(requested_metrics=[]))
def test_nothing_is_counted_where_nobody_subscribes(cluster, receiver):
    producer = yield producers.connected(cluster)
    yield loop.until(lambda: len(receiver.asked) >= 2)  # it is asked again after the interval, with the id
    assert receiver.asked[1] == GIVEN
    assert producer._settings.hooks is None and producer._telemetry._counts is None
    assert all(lane.observer is None for lane in producer.cluster[1].lanes.values())
    assert not receiver.pushes
    receiver.subscription["requested_metrics"] = ["org.apache.kafka.producer."]
    yield producer.produce("t", b"x")
    yield next_push(receiver)
    receiver.subscription["requested_metrics"] = []
    receiver.answers.append(117)
    yield loop.until(lambda: producer._settings.hooks is None)
    yield producer.produce("t", b"x")
    yield producer.close()
    assert not receiver.pushes[-1].request.terminating


@with_cluster(brokers=1, topics={"t": 1})
def test_nobody_is_asked_who_does_not_take_numbers(cluster):
    producer = yield producers.connected(cluster)
    assert producer._settings.hooks is None
    yield producer.produce("t", b"x")
    yield producer.close()
    assert cluster.count("get_telemetry_subscriptions") == 0


@with_receiver()
def test_it_can_be_left_off(cluster, receiver):
    made = [producers.make(cluster, enable_metrics_push=False), consumers.make(cluster, enable_metrics_push=False),
            members.make(cluster, enable_metrics_push=False),
            clients.Admin(cluster.bootstrap, enable_metrics_push=False)]
    for client in made:
        yield client.connect()
        assert client._settings.hooks is None
        yield client.close()
    assert not receiver.asked
    for wrong in ("false", None, 1):
        with pytest.raises(TypeError) as raised:
            producers.make(cluster, enable_metrics_push=wrong)
        assert "enable_metrics_push has to be True or False" in str(raised.value)


@with_receiver(subscription=dict(push_interval=10))
def test_hooks_of_the_application_stay(cluster, receiver):
    numbers = Metrics()
    producer = yield producers.connected(cluster, hooks=[numbers])
    yield producer.produce("t", b"x")
    yield next_push(receiver)
    assert producer._settings.hooks.listeners == (numbers,)
    assert producer.metrics()["sent_records"] == {"t": 1}
    yield producer.close()
    assert producer._settings.hooks.listeners == (numbers,)
    other = yield producers.connected(cluster)  # without any: what is counted for the cluster is not the application's
    yield next_push(receiver)
    assert "sent_records" not in other.metrics()
    yield other.close()


@pytest.mark.parametrize("code,name", [
    (117, "unknown_subscription_id"), (89, "throttling_quota_exceeded"), (118, "telemetry_too_large"),
    (76, "unsupported_compression_type")])
def test_what_is_asked_anew_after_an_error(code, name):
    @with_receiver(subscription=dict(accepted_compression_types=[1]))
    def run(cluster, receiver):
        consumer = consumers.make(cluster)
        yield consumer.connect()
        yield next_push(receiver)
        receiver.answers.append(code)
        receiver.refusals.append(89)  # as Kafka 3.9 says to who asks at once
        receiver.subscription["subscription_id"] = 8
        yield loop.until(lambda: receiver.refused)
        pushed = yield next_push(receiver)
        assert receiver.asked == [b"\0" * 16, GIVEN, GIVEN] and pushed.request.subscription_id == 8
        assert pushed.request.compression_type == (0 if name == "unsupported_compression_type" else 1)
        if name == "telemetry_too_large":
            assert len(pushed.request.metrics) <= len(receiver.refused[0].request.metrics) // 2
        yield consumer.close()
    run()


@pytest.mark.parametrize("code", [87, 42, 35, 29])
def test_what_ends_the_pushing(code, caplog):
    @with_receiver()
    def run(cluster, receiver):
        producer = yield producers.connected(cluster)
        receiver.answers.append(code)
        yield loop.until(lambda: receiver.refused)
        yield loop.until(lambda: producer._settings.hooks is None)
        yield producer.cluster.heal()
        yield producer.produce("t", b"x")
        yield producer.close()
        assert not receiver.pushes and len(receiver.asked) == 1
    with caplog.at_level(logging.WARNING, "kiel"):
        run()
    assert ["no longer pushed" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("code", [42, 15])
def test_an_error_of_the_first_question(code, monkeypatch):
    monkeypatch.setattr(push, "INTERVAL", 0.02)

    @with_receiver(subscription=dict(error_code=code))
    def run(cluster, receiver):
        producer = yield producers.connected(cluster)
        if code == 42:
            yield loop.until(lambda: producer._telemetry._state == push.OVER)
            assert len(receiver.asked) == 1
        else:
            yield loop.until(lambda: len(receiver.asked) > 1)
            receiver.subscription["error_code"] = 0
            yield next_push(receiver)
        yield producer.close()
    run()


@reads
@with_receiver(subscription=dict(telemetry_max_bytes=700))
def test_what_has_no_room_is_left_out(cluster, receiver):
    producer = yield producers.connected(cluster)
    yield producer.produce("t", b"x")
    yield next_push(receiver)
    pushed = yield next_push(receiver)
    assert 350 < len(pushed.request.metrics) <= 700
    numbers = pushed.numbers
    assert numbers.of("producer.connection.creation.total") >= 2  # those that the KIP requires come first
    assert numbers.of("producer.topic.byte.total", topic="t") is None
    receiver.subscription["telemetry_max_bytes"] = 5
    receiver.answers.append(117)
    yield loop.until(lambda: receiver.pushes[-1].request.metrics == b"")
    yield producer.close()


@pytest.mark.parametrize("codec", [codec for codec in sorted(compression.codecs)])
def test_compressed_as_the_broker_takes_it(codec):
    @with_receiver(subscription=dict(accepted_compression_types=[99, codec, 0], requested_metrics=[""]))
    def run(cluster, receiver):
        producer = yield producers.connected(cluster)
        yield next_push(receiver)
        pushed = yield next_push(receiver)
        assert pushed.request.compression_type == (codec if compression.codecs[codec].available else 0)
        assert b"org.apache.kafka.producer.connection.creation.total" in pushed.data
        yield producer.close()
    run()


@with_receiver(subscription=dict(push_interval=60000))
def test_a_short_life_is_told_of_at_its_end(cluster, receiver):
    producer = yield producers.connected(cluster)
    yield producer.produce("t", b"x")
    yield loop.until(lambda: producer._telemetry._subscription is not None)
    yield producer.close()
    assert [pushed.request.terminating for pushed in receiver.pushes] == [True]
    assert producer._settings.hooks is None


@with_receiver(subscription=dict(push_interval=60000))
def test_a_broker_that_does_not_answer_holds_no_close_up(cluster, receiver):
    consumer = consumers.make(cluster, request_timeout=30)
    yield consumer.connect()
    yield loop.until(lambda: consumer._telemetry._subscription is not None)
    cluster[1].on("push_telemetry", MUTE)
    begun = ioloop.IOLoop.current().time()
    yield consumer.close()
    assert push.LAST <= ioloop.IOLoop.current().time() - begun < push.LAST + 2
    other = consumers.make(cluster, request_timeout=30)
    cluster[1].on("get_telemetry_subscriptions", MUTE)
    yield other.connect()
    yield loop.until(lambda: cluster[1].count("get_telemetry_subscriptions") == 2)
    yield other.close()  # with no answer yet there is nothing to say


@with_receiver()
def test_what_goes_wrong_within_does_the_client_no_harm(cluster, receiver):
    producer = yield producers.connected(cluster)
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    push.log.addHandler(handler)
    push.log.propagate = False
    try:
        producer._gauges = lambda: {}["broken"]
        yield loop.until(lambda: lines)
    finally:
        push.log.removeHandler(handler)
        push.log.propagate = True
    assert lines == ["Metrics are no longer pushed; the client carries on"]
    yield producer.produce("t", b"x")
    assert producer._settings.hooks is None and not receiver.pushes
    yield producer.close()


def test_on_another_loop_it_begins_anew():
    cluster = FakeCluster(versions=SERVED, topics={"t": 1})
    receiver = Receiver(cluster)
    made = []

    @gen.coroutine
    def first():
        cluster.start()
        made.append((yield producers.connected(cluster)))
        yield next_push(receiver)
        cluster.stop()
        yield gen.sleep(0.01)

    @gen.coroutine
    def second():
        cluster.start()
        producer, = made
        yield producer.produce("t", b"x")
        yield next_push(receiver)
        assert receiver.asked == [b"\0" * 16] * 2
        yield producer.close()
        assert receiver.pushes[-1].request.terminating and producer._settings.hooks is None
        cluster.stop()
        yield gen.sleep(0.01)

    loop.run(first)
    loop.run(second)


@with_receiver()
def test_a_dropped_client_is_not_kept(cluster, receiver):
    producer = yield producers.connected(cluster)
    yield next_push(receiver)
    telemetry = producer._telemetry
    del producer
    yield loop.until(lambda: gc.collect() is not None and telemetry._client() is None)
    count = len(receiver.pushes)
    yield gen.sleep(0.1)
    assert len(receiver.pushes) <= count + 1
