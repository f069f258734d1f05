"""
How real brokers are fetched from: sessions, followers nearby, and logs that an unclean election has cut.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas; "3.9.1-zk" is 3.9.1 with ZooKeeper.
"""
from __future__ import absolute_import

import collections
import time
import uuid

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import SingleConsumer
from kiel.connection import Connection
from kiel.testing import Kafka

from tests import loop
from tests.integration import peer

pytestmark = peer.on_python_3()

BEGINNING = SingleConsumer.BEGINNING

RACKS = {
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}


@pytest.fixture
def topic():
    return "fetched-" + uuid.uuid4().hex[:8]


@pytest.fixture
def fetches(monkeypatch):
    """What is asked for: a list of ``(broker id, request)``."""
    found = []
    transmit = Connection.transmit

    def noting(connection, request):
        if request.api == "fetch":
            found.append((connection.broker_id, request))
        return transmit(connection, request)

    monkeypatch.setattr(Connection, "transmit", noting)
    return found


def run(kafka, body, **settings):
    settings.setdefault("deserializer", bytes)
    settings.setdefault("max_wait_time", 200)
    peer.with_clients(kafka, body, **settings)


# -- sessions --

@pytest.mark.parametrize("release", peer.only("1.1.1", "2.8.2", "4.4.0"))
def test_sessions_name_what_has_changed_and_live_through_a_restart(release, topic, fetches):
    cluster = Kafka(release)
    with cluster as kafka:
        other = topic + "-other"
        kafka.create_topic(topic, partitions=40)
        kafka.create_topic(other, partitions=10)

        def body(writer, start):
            consumer = yield start(SingleConsumer, request_timeout=5)
            yield consumer.consume(topic, BEGINNING)
            yield consumer.consume(topic)
            sent = []
            for number in range(30):
                value = ("%d" % number).encode("ascii")
                sent.append(value)
                yield writer.put(topic, number % 7, [value])
                assert (yield peer.gather(consumer, topic, 1)) == [value]
            begun = [request for _, request in fetches if request.session_epoch == 0]
            going = [request for _, request in fetches if request.session_epoch > 0]
            assert 1 <= len(begun) <= 2 and len(going) >= 30
            named = sum(len(part.partitions) for request in going for part in request.topics)
            assert named <= 40 + 2 * len(going), named
            # a second topic comes in, the first is paused: forgotten, and nothing of it is missed
            yield consumer.consume(other, BEGINNING)
            consumer.pause(topic)
            yield consumer.consume(other)
            yield writer.put(topic, 3, [b"while paused"])
            yield writer.put(other, 3, [b"x"])
            assert (yield peer.gather(consumer, other, 1)) == [b"x"]
            consumer.resume(topic)
            assert (yield peer.gather(consumer, topic, 1)) == [b"while paused"]
            # the broker forgets all sessions
            kafka.brokers[0].kill()
            kafka.brokers[0].start()
            kafka.brokers[0].wait_ready(60)
            yield writer.put(topic, 30, [b"after"])
            assert (yield peer.gather(consumer, topic, 1, seconds=40)) == [b"after"]
            came_back = len(fetches)
            while not any(request.session_epoch > 0 for _, request in fetches[came_back:]):
                yield consumer.consume(topic)
            assert sum(consumer.offsets[topic].values()) == 32
        run(kafka, body, timeout=120)


# -- followers --

def test_a_follower_in_the_same_rack_is_read_and_replaced_by_the_leader(topic, fetches):
    if not peer.only("4.4.0"):
        pytest.skip("KIEL_KAFKA does not name 4.4.0")
    kafka = Kafka("4.4.0", brokers=3, settings=RACKS)
    for broker in kafka.brokers:
        broker.settings["broker.rack"] = "rack-%d" % broker.id
    with kafka:
        kafka.create_topic(topic, assignment={0: [0, 1, 2]})

        def body(writer, start):
            consumer, plain, elsewhere = yield [
                start(SingleConsumer, rack_id="rack-1", request_timeout=5), start(SingleConsumer),
                start(SingleConsumer, rack_id="nowhere"),
            ]
            values = [("%d" % number).encode("ascii") for number in range(20)]
            for value in values[:10]:
                yield writer.put(topic, 0, [value])
            assert (yield peer.gather(consumer, topic, 10, start=BEGINNING)) == values[:10]
            asked = collections.Counter(broker for broker, _ in fetches)
            assert asked[1] >= 1 and asked[0] == 1 and not asked[2]
            for value in values[10:]:
                yield writer.put(topic, 0, [value])
            assert (yield peer.gather(consumer, topic, 10)) == values[10:]
            assert collections.Counter(broker for broker, _ in fetches)[0] == 1
            del fetches[:]
            for reader in (plain, elsewhere):
                assert (yield peer.gather(reader, topic, 20, start=BEGINNING)) == values
            assert set(broker for broker, _ in fetches if broker != 1) == {0}
            # the follower dies: the leader takes over
            kafka.brokers[1].kill()
            yield writer.put(topic, 0, [b"after"])
            # it may be there twice: the first attempt waits for the dead replica
            assert set((yield peer.gather(consumer, topic, 1, seconds=40))) == {b"after"}
        run(kafka, body, timeout=120)


# -- truncation --

def put(writer, topic, value):
    """Writes a message of now: retention deletes old ones after half a minute."""
    return writer.put(topic, 0, [value], [int(time.time() * 1000)])


@gen.coroutine
def lose_the_tail(kafka, topic, writer):
    """
    Five messages on both brokers, and at least five on the leader alone, after the other's death; gives how many in
    all, since the first of them may be written more than once while the dead replica counts.
    """
    for number in range(5):
        yield put(writer, topic, b"kept")
    kafka.brokers[1].kill()
    for number in range(5):
        last = yield put(writer, topic, b"lost")
    raise gen.Return(last + 1)


@pytest.mark.parametrize("release", peer.only("2.4.1", "2.8.2"))
def test_what_an_unclean_election_lost_is_told(release, topic):
    kafka = Kafka(release, brokers=2, settings={
        "unclean.leader.election.enable": "true", "min.insync.replicas": "1", "replica.lag.time.max.ms": "3000",
    })
    with kafka:
        kafka.create_topic(topic, assignment={0: [0, 1]}, config={"unclean.leader.election.enable": "true"})

        def body(writer, start):
            first, second = kafka.brokers
            count = yield lose_the_tail(kafka, topic, writer)
            consumer, strict, going_on = yield [
                start(SingleConsumer, request_timeout=5),
                start(SingleConsumer, request_timeout=5, offset_reset="error"),
                start(SingleConsumer, request_timeout=5, offset_reset="end"),
            ]
            for reader in (consumer, strict, going_on):
                assert len((yield peer.gather(reader, topic, count, start=BEGINNING))) == count
            first.kill()
            second.start()
            second.wait_ready(60)
            yield writer.cluster.heal()
            yield put(writer, topic, b"new")

            error = yield loop.raises(exc.LogTruncationError, peer.gather(consumer, topic, 1, seconds=40), 60)
            assert (error.topic, error.partition, error.offset, error.divergent_offset) == (topic, 0, count, 5)
            assert (yield peer.gather(consumer, topic, 1)) == [b"new"]
            for _ in range(2):
                yield loop.raises(exc.LogTruncationError, peer.gather(strict, topic, 1, seconds=40), 60)
            assert (yield peer.gather(going_on, topic, 1, seconds=40)) == [b"new"]
            # the old leader comes back and cuts its log, which changes nothing any more
            first.start()
            first.wait_ready(60)
            yield put(writer, topic, b"newer")
            for reader in (consumer, going_on):
                assert (yield peer.gather(reader, topic, 1, seconds=40)) == [b"newer"]
        run(kafka, body, timeout=200)


# -- quotas --

def test_a_quota_is_kept_without_an_error(topic):
    """A consumer over its quota waits as long as the broker says, and gets everything."""
    release, = peer.only("2.8.2") or [None]
    if release is None:
        pytest.skip("KIEL_KAFKA does not name 2.8.2")
    quota = {"quota.consumer.default": "100000", "quota.window.num": "2", "quota.window.size.seconds": "1"}
    with Kafka(release, settings=quota) as kafka:
        kafka.create_topic(topic)

        def body(writer, start):
            for _ in range(10):
                yield writer.put(topic, 0, [b"x" * 1000] * 40)
            consumer = yield start(SingleConsumer, request_timeout=2, max_bytes=100000)
            begun = consumer.io_loop.time()
            assert len((yield peer.gather(consumer, topic, 400, start=BEGINNING, seconds=40))) == 400
            took = consumer.io_loop.time() - begun
            throttled = sum(conn.throttled for conn in peer.connections_of(consumer))
            assert throttled > 0.5 and took > 0.5, (throttled, took)
            assert consumer.last_error is None
        run(kafka, body)
