"""Sessions that brokers end (KIP-368): nothing is lost, handed out twice or warned of, by every kind of client."""
from __future__ import absolute_import

import collections
import logging
import time

import pytest
from tornado import gen

from kiel import clients, sasl, testing

from tests import loop
from tests.integration import peer

RELEASES = peer.share("2.8.2", "4.4.0")

pytestmark = pytest.mark.skipif(not peer.LONG, reason="two minutes a release: KIEL_LONG=1")

#: seconds of a session, and of the run
SESSION, RUN = 10, 120

#: how each producer is set up
PRODUCERS = {
    "acks0": {"required_acks": 0, "idempotent": False},
    "acks1": {"required_acks": 1, "idempotent": False},
    "acksall": {"idempotent": False},
    "idempotent": {"idempotent": True},
    "transactional": {"transactional_id": "renewing"},
}


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    with testing.Kafka(
        request.param, sasl=["SCRAM-SHA-256"], settings={"connections.max.reauth.ms": SESSION * 1000}
    ) as cluster:
        yield cluster


def test_nothing_is_lost_and_nothing_is_warned_of(kafka, caplog):
    for name in PRODUCERS:
        kafka.create_topic(name)
    sent = collections.Counter()
    found = dict((name, collections.Counter()) for name in PRODUCERS)
    in_group = collections.Counter()
    sockets = {}

    def started(cls, *args, **settings):
        return cls(kafka.bootstrap, *args, sasl=sasl.Scram("alice", "alice-secret"), **settings)

    @gen.coroutine
    def produce(name, producer, until):
        while time.time() < until:
            value = b"%d" % sent[name] if str is not bytes else str(sent[name])
            if name == "transactional":
                yield producer.begin()
                yield (yield producer.produce(name, value))
                yield producer.commit()
            else:
                yield (yield producer.produce(name, value))
            sent[name] += 1
            yield gen.sleep(0.01)

    @gen.coroutine
    def consume(name, consumer):
        quiet = 0
        while quiet < 3:
            messages = yield consumer.consume(name, start=consumer.BEGINNING)
            found[name].update(messages or ())
            finished = "until" in sockets and time.time() > sockets["until"]
            quiet = quiet + 1 if finished and not messages else 0

    @gen.coroutine
    def consume_as_member(name, member):
        quiet = 0
        while quiet < 3:
            messages = yield member.consume(name)
            in_group.update(messages or ())
            finished = "until" in sockets and time.time() > sockets["until"]
            quiet = quiet + 1 if finished and not messages else 0

    @gen.coroutine
    def look(admin):
        while "until" not in sockets:
            yield admin.end_offsets("acks1")
            yield gen.sleep(0.1)

    def body():
        producers = dict((name, started(clients.Producer, serializer=bytes, **settings))
                         for name, settings in PRODUCERS.items())
        consumers = dict((name, started(clients.SingleConsumer, deserializer=bytes, max_wait_time=300))
                         for name in PRODUCERS)
        member = started(clients.GroupedConsumer, "renewing", deserializer=bytes, max_wait_time=300)
        admin = started(clients.Admin)
        made = list(producers.values()) + list(consumers.values()) + [member, admin]
        yield [client.connect() for client in made]
        until = time.time() + RUN
        reading = [consume(name, consumer) for name, consumer in consumers.items()]
        reading += [consume_as_member("acks1", member), look(admin)]
        yield [produce(name, producer, until) for name, producer in producers.items()]
        sockets["until"] = time.time()
        yield reading
        lanes = [lane for client in made for lane in peer.connections_of(client)]
        assert lanes and not [str(lane.error) for lane in lanes if lane.closing]
        yield [client.close() for client in made]

    with caplog.at_level(logging.INFO, logger="kiel"):
        loop.run(gen.coroutine(body), timeout=RUN * 3 + 60)
    for name in PRODUCERS:
        assert sent[name] > 10
        lost = sent[name] - len(found[name])
        twice = [value for value, times in found[name].items() if times > 1]
        assert (lost, twice) == (0, []), name
    assert (len(in_group), max(in_group.values())) == (sent["acks1"], 1)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud
