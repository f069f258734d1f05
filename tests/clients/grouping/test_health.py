from __future__ import absolute_import

import json

from tornado import gen

from kiel import exc
from kiel.retry import monotonic

from tests import loop
from tests.clients.grouping.members import Given, gather, make
from tests.fake import error, with_cluster


class Beating(object):
    """The attributes of a heartbeat."""

    def __init__(self):
        self.last_beat = monotonic() - 3
        self.last_progress = monotonic()
        self.working = False

    def progress(self):
        self.last_progress = monotonic()


def with_member(test):
    @with_cluster(topics={"t": 2})
    def run(cluster):
        consumer = make(cluster, autocommit=False)
        consumer.allocator = Given({"t": [0]})
        consumer.allocator.identity = ("me", 7)
        consumer.allocator.state = "stable"
        consumer.assignment.obey(consumer.allocator)
        yield consumer.connect()
        try:
            yield gen.coroutine(test)(cluster, consumer)
        finally:
            yield consumer.close()
    return run


@with_member
def test_health_tells_how_a_member_is(cluster, consumer):
    assert consumer.health()["lag"] == {"t": {0: None}}
    cluster.log("t").put(b"1", b"2", b"3")
    cluster.log("t").put(b"4", b"5")
    consumer.allocator.heartbeat = Beating()
    consumer.max_bytes = 1
    yield consumer.consume("t")
    health = consumer.health()
    assert health["state"] == "stable" and not health["paused"]
    assert (health["member_id"], health["generation"]) == ("me", 7)
    assert health["allocation"] == {"t": [0]}
    assert health["lag"] == {"t": {0: 5 - consumer.position("t", 0)}}
    assert 3 <= health["last_heartbeat"] < 6
    assert 0 <= health["last_progress"] < 3
    assert health["error"] is None
    json.dumps(health)
    yield gather(consumer, 5 - consumer.position("t", 0))
    assert consumer.health()["lag"] == {"t": {0: 0}}


@with_member
def test_health_without_a_heart_and_with_an_error(cluster, consumer):
    health = consumer.health()
    assert health["last_heartbeat"] is None and health["last_progress"] is None
    consumer.last_error = exc.NoBrokersError("none there")
    assert "none there" in consumer.health()["error"]
    consumer.allocator.error = exc.FencedInstanceIdError("twice")
    assert "twice" in consumer.health()["error"]
    consumer.allocator.doubt(True)
    assert consumer.health()["paused"] is True


@with_member
def test_a_member_without_partitions_has_no_lag(cluster, consumer):
    yield consumer.allocator.give()
    assert consumer.health()["lag"] == {} and consumer.health()["allocation"] == {}


@with_member
def test_an_error_of_reading_ends_with_the_first_answer_without_one(cluster, consumer):
    """As after a restart of the brokers, on a topic that nobody writes to."""
    cluster[1].on("fetch", error(6), times=3)
    yield consumer.consume("t")
    consumer.last_error = exc.NoBrokersError("none there")
    yield gen.sleep(0.05)
    health = consumer.health()
    assert "none there" in health["error"] and 0.04 < health["error_since"] < 5
    for _ in range(20):
        if consumer.health()["error"] is not None:
            yield consumer.consume("t")
    assert consumer.health()["error"] is None and consumer.health()["error_since"] is None


@with_member
def test_an_error_of_committing_ends_with_the_first_commit(cluster, consumer):
    cluster.log("t").put(b"1")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", error(30))
    yield loop.raises(exc.GroupAuthorizationFailedError, consumer.commit_offsets())
    cluster.log("t").put(b"2")
    yield gather(consumer, 1)
    assert "group_authorization_failed" in consumer.health()["error"]
    cluster[1].on("offset_commit", None)
    yield consumer.commit_offsets()
    assert consumer.health()["error"] is None
