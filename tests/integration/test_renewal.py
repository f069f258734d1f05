"""
Sessions that brokers end (KIP-368): nothing is lost, handed out twice or warned of, by every kind of client.

Two minutes of sessions of 10 s; five minutes of tokens that hold for a minute.
"""
from __future__ import absolute_import

import collections
import logging
import time

import pytest
from tornado import gen

from kiel import clients, sasl, testing

from tests import loop
from tests.integration import peer
from tests.tokens import Signer

#: release, mechanism
WAYS = [("2.8.2", "SCRAM-SHA-256"), ("4.4.0", "SCRAM-SHA-256"), ("4.4.0", "OAUTHBEARER")]

pytestmark = pytest.mark.skipif(not peer.LONG, reason="two to five minutes a way: KIEL_LONG=1")

#: seconds of a session, or for which a token holds
SESSION, LIFETIME = 10, 60

#: how each producer is set up
PRODUCERS = {
    "acks0": {"required_acks": 0, "idempotent": False},
    "acks1": {"required_acks": 1, "idempotent": False},
    "acksall": {"idempotent": False},
    "idempotent": {"idempotent": True},
    "transactional": {"transactional_id": "renewing"},
}


@pytest.fixture(params=[way for way in WAYS if peer.only(way[0])], ids=lambda way: "-".join(way))
def renewed(request, tmpdir):
    """A cluster, how to log in there, and the seconds of a run."""
    release, mechanism = request.param
    if mechanism == "OAUTHBEARER":
        signer = Signer(str(tmpdir))
        set_up = {"settings": signer.settings(), "jvm": signer.jvm()}
        login, run = sasl.OAuthBearer(lambda: signer.token(LIFETIME)), 5 * LIFETIME
    else:
        set_up = {"settings": {"connections.max.reauth.ms": SESSION * 1000}}
        login, run = sasl.Scram("alice", "alice-secret", mechanism), 12 * SESSION
    with testing.Kafka(release, sasl=[mechanism], **set_up) as cluster:
        yield cluster, login, run


def test_nothing_is_lost_and_nothing_is_warned_of(renewed, caplog):
    kafka, login, run = renewed
    for name in PRODUCERS:
        kafka.create_topic(name)
    sent = collections.Counter()
    found = dict((name, collections.Counter()) for name in PRODUCERS)
    in_group = collections.Counter()
    sockets = {}

    def started(cls, *args, **settings):
        return cls(kafka.bootstrap, *args, sasl=login, **settings)

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
        until = time.time() + run
        reading = [consume(name, consumer) for name, consumer in consumers.items()]
        reading += [consume_as_member("acks1", member), look(admin)]
        yield [produce(name, producer, until) for name, producer in producers.items()]
        sockets["until"] = time.time()
        yield reading
        lanes = [lane for client in made for lane in peer.connections_of(client)]
        assert lanes and not [str(lane.error) for lane in lanes if lane.closing]
        yield [client.close() for client in made]

    with caplog.at_level(logging.INFO, logger="kiel"):
        loop.run(gen.coroutine(body), timeout=run * 3 + 60)
    for name in PRODUCERS:
        assert sent[name] > 10
        lost = sent[name] - len(found[name])
        twice = [value for value, times in found[name].items() if times > 1]
        assert (lost, twice) == (0, []), name
    assert (len(in_group), max(in_group.values())) == (sent["acks1"], 1)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud
