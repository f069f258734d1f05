"""
Groups that meet in Kafka by the classic protocol, on real brokers.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas. Each is put through what is its own;
`KIEL_LONG=1` puts each through everything.
"""
from __future__ import absolute_import

import logging
import os
import signal
import time
import uuid

import pytest
from tornado import gen

from kiel import exc, testing
from kiel.groups.classic.states import AWAY, FAILED, JOINING
from kiel.testing.releases import numbers

from tests import loop
from tests.integration import peer
from tests.integration.classic import (
    Child, Member, PATIENCE, SETTINGS, Source, all_arrive, counted, in_thread, run, session_of,
    shared_out
)
from tests.test_metrics import new_registry, samples, scrape, summed

#: all that were seen to pass: 0.9.0.1,0.10.2.2,1.1.1,2.4.1,3.9.1,4.4.0
RELEASES = peer.share("0.9.0.1", "2.4.1", "4.4.0") if not os.environ.get("KIEL_KAFKA") else peer.RELEASES
LONG = peer.LONG
MODES = ("range", "cooperative-sticky")

#: release -> the mode that it is tested in, where that is not cooperative, without `KIEL_LONG`
USUAL_MODES = {"0.9.0.1": "range"}


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    with testing.Kafka(request.param, settings=SETTINGS) as cluster:
        yield cluster


@pytest.fixture(params=MODES)
def mode(request, kafka):
    if not LONG and request.param != USUAL_MODES.get(kafka.version, MODES[1]):
        pytest.skip("with KIEL_LONG only")
    return request.param


@pytest.fixture
def ends(kafka):
    """For tests of which the oldest and the newest release are enough."""
    if not LONG and kafka.version not in (RELEASES[0], RELEASES[-1]):
        pytest.skip("with KIEL_LONG only")


@pytest.fixture
def newest(kafka):
    """For tests of which the newest release is enough."""
    if not LONG and kafka.version != RELEASES[-1]:
        pytest.skip("with KIEL_LONG only")


@pytest.fixture
def topic():
    return "classic-" + uuid.uuid4().hex[:8]


@pytest.fixture
def group():
    return "group-" + uuid.uuid4().hex[:8]


# -- each release --


def test_members_share_join_and_leave(kafka, topic, group, mode):
    """Planned rebalances with autocommit="processed": every message once."""
    kafka.create_topic(topic, partitions=4)

    from kiel.metrics.prometheus import PrometheusMetrics
    registry = new_registry()
    metrics = PrometheusMetrics(registry)

    def body():
        source = Source(kafka, topic, 4)
        # nobody dies here; Kafka 0.9 may drop a heartbeat, which is sent again after its time-out
        one, two = [Member(kafka, group, topic, mode, hooks=[metrics], client_id=name, session_timeout=15)
                    for name in ("one", "two")]
        yield source.put(40)
        yield one.start()
        yield all_arrive(source, one)
        assert one.told == [([], [0, 1, 2, 3])]
        yield two.start()
        yield shared_out(4, one, two)
        yield source.put(40)
        yield all_arrive(source, one, two)
        assert two.got
        if mode == "range":
            assert one.told[1] == ([0, 1, 2, 3], []), "all is given up before the group forms anew"
        else:
            assert one.told[1] == (two.owned, []), "only what goes is given up"
            assert len(one.told) == 2
        found = samples((yield scrape(registry))[1])
        for name, member in (("one", one), ("two", two)):
            changes = len(member.told)
            assert summed(found, "kiel_rebalances_total", client_id=name, group=group) == changes > 0
            assert summed(found, "kiel_rebalance_seconds_count", client_id=name) == changes
            assert summed(found, "kiel_consumed_records_total", client_id=name, topic=topic) == len(member.got)

        started = time.time()
        yield one.stop()
        assert time.time() - started < session_of(kafka)
        yield shared_out(4, two)
        assert time.time() - started < session_of(kafka), "who leaves says so"
        yield source.put(40)
        yield all_arrive(source, one, two)
        assert not one.losses and not two.losses

        yield one.start()  # the same one comes back
        yield shared_out(4, one, two)
        yield source.put(40)
        yield all_arrive(source, one, two)
        yield [one.stop(), two.stop()]

        three = Member(kafka, group, topic, mode)
        yield source.put(12)
        yield three.start()
        yield all_arrive(source, one, two, three)
        yield three.stop()
        yield source.stop()
    run(body)


def test_the_log_tells_of_a_members_life(kafka, topic, group, caplog):
    caplog.set_level(logging.INFO, "kiel")
    kafka.create_topic(topic, partitions=2)

    def body():
        source = Source(kafka, topic, 2)
        yield source.put(4)
        member = Member(kafka, group, topic)
        yield member.start()
        yield all_arrive(source, member)
        yield member.stop()
        yield source.stop()
    run(body)
    lines = [record.getMessage() for record in caplog.records]
    for part in (" joins", "generation 1 by", "assigned %s:0, %s:1" % (topic, topic),
                 "leaves", "revoked %s:0, %s:1" % (topic, topic), "has left"):
        assert any(line.startswith("Group %s: " % group) and part in line for line in lines), (part, lines)


def test_topics_are_subscribed_to_as_they_are_consumed_and_grow(kafka, ends, topic, group):
    """The leader follows a topic that grows, and shares out topics that only others subscribe to."""
    other = topic + "-other"
    kafka.create_topic(topic, partitions=2)
    kafka.create_topic(other, partitions=2)

    def body():
        one = Member(kafka, group, topic, metadata_max_age=1)
        two = Member(kafka, group, other)  # who does not lead need not look
        yield one.start()
        yield two.start()
        yield loop.until(lambda: one.owned == two.owned == [0, 1], PATIENCE)
        assert one.allocator.is_leader and not two.allocator.is_leader
        assert one.consumer.allocation == {topic: [0, 1]}

        yield in_thread(kafka.create_partitions, other, 4)
        source = Source(kafka, other, 4)
        yield source.put(20)
        yield loop.until(lambda: two.owned == [0, 1, 2, 3], PATIENCE)
        yield all_arrive(source, two)

        yield one.consumer.consume(other)  # as it goes

        def shared():
            return sorted(one.consumer.allocation.get(other, []) + two.owned) == [0, 1, 2, 3] and len(two.owned) == 2
        yield loop.until(shared, PATIENCE)
        assert one.owned == [0, 1]
        yield [one.stop(), two.stop()]
        yield source.stop()
    run(body)


def test_a_static_member_restarts_without_a_rebalance(kafka, topic, group):
    kafka.create_topic(topic, partitions=4)

    def body():
        one = Member(kafka, group, topic, group_instance_id="one", session_timeout=6)
        if numbers(kafka.version) < (2, 3):
            error = yield loop.raises(exc.UnsupportedVersionError, one.consumer.connect(), PATIENCE)
            assert "join_group" in str(error) or "group_instance_id" in str(error)
            yield one.stop()
            return
        two = Member(kafka, group, topic, group_instance_id="two", session_timeout=6)
        source = Source(kafka, topic, 4)
        yield one.start()
        yield two.start()
        yield shared_out(4, one, two)
        yield source.put(20)
        yield all_arrive(source, one, two)
        generation, had, told = two.generation, one.owned, list(two.told)
        yield one.stop()
        yield source.put(20)
        yield gen.sleep(1)
        again = Member(kafka, group, topic, group_instance_id="one", session_timeout=6)
        yield again.start()
        yield loop.until(lambda: again.owned, PATIENCE)
        yield source.put(20)
        yield all_arrive(source, one, two, again)
        assert again.owned == had
        assert again.generation == two.generation == generation
        assert two.told == told, "the other member noticed nothing"

        # somebody else by that name: whoever had it ends, and says why
        thief = Member(kafka, group, topic, group_instance_id="one", session_timeout=6)
        yield thief.start()
        yield loop.until(lambda: again.allocator.state == FAILED, PATIENCE)
        error = yield loop.raises(exc.FencedInstanceIdError, again.running, PATIENCE)
        assert "group_instance_id" in str(error)
        again.running = None
        yield [again.stop(), thief.stop(), two.stop()]
        yield source.stop()
    run(body)


def test_members_that_stand_still_or_are_killed(kafka, ends, topic, group, mode, tmpdir):
    """What they had goes to others; who stood still finds out before it hands anything out, and comes back."""
    kafka.create_topic(topic, partitions=4)
    child = Child(kafka, group, topic, mode, tmpdir.join("child"))

    def body():
        source = Source(kafka, topic, 4)
        one = Member(kafka, group, topic, mode)
        yield one.start()
        yield loop.until(lambda: len(one.owned) == child.owns == 2, PATIENCE)
        yield source.put(20)
        yield loop.until(lambda: len(child.handed()) + len(one.got) == 20, PATIENCE)

        os.kill(child.process.pid, signal.SIGSTOP)
        yield shared_out(4, one)
        yield source.put(20)
        yield loop.until(lambda: len(one.got) + len(child.handed()) == 40, PATIENCE)
        lines = len(child.lines)
        os.kill(child.process.pid, signal.SIGCONT)
        yield loop.until(lambda: len(one.owned) == child.owns == 2, PATIENCE)
        assert child.lines[lines] == ["lost", "2"], child.lines[lines:]
        yield source.put(20)
        yield loop.until(lambda: len(child.handed()) + len(one.got) == 60, PATIENCE)
        assert sorted(child.handed() + [int(value) for value in one.got]) == list(range(60))

        child.end()
        yield shared_out(4, one)
        yield source.put(20)
        yield loop.until(lambda: len(child.handed()) + len(one.got) == 80, PATIENCE)
        assert not one.losses
        yield one.stop()
        yield source.stop()
    try:
        run(body)
    finally:
        child.end()


def test_a_loop_that_is_blocked_keeps_its_membership_through_rebalances(kafka, newest, topic, group, mode, tmpdir):
    """JoinGroup v0, on 0.9, has no time for a rebalance but the session's: there the member is out, and comes back."""
    kafka.create_topic(topic, partitions=6)
    children = []

    def body():
        one = Member(kafka, group, topic, mode)
        yield one.start()
        yield shared_out(6, one)
        member_id = one.allocator.identity[0]

        # blocked from before the other joins till long after
        children.append(Child(kafka, group, topic, mode, tmpdir.join("two"), slow=1.2))
        time.sleep(2.5 * session_of(kafka))
        yield loop.until(lambda: len(one.owned) == 3 == children[0].owns, PATIENCE)
        if numbers(kafka.version) >= (0, 10, 1):
            assert not one.losses and one.allocator.identity[0] == member_id
        member_id = one.allocator.identity[0]
        assert one.allocator.is_leader or numbers(kafka.version) < (0, 10, 1)

        # blocked while it waits for who gives up slowly: the generation comes, and has to be taken part in, meanwhile
        children.append(Child(kafka, group, topic, mode, tmpdir.join("three")))
        yield loop.until(lambda: one.allocator.state == JOINING, PATIENCE)
        losses = len(one.losses)
        time.sleep(3 * session_of(kafka))
        yield loop.until(lambda: len(one.owned) == 2 == children[0].owns == children[1].owns, PATIENCE)
        if mode == "range" or numbers(kafka.version) >= (0, 10, 1):
            assert one.allocator.identity[0] == member_id and len(one.losses) == losses
        for child in children:
            child.end()
        yield shared_out(6, one)
        yield one.stop()
    try:
        run(body)
    finally:
        for child in children:
            child.end()


def test_a_member_without_progress_leaves_and_comes_back(kafka, newest, topic, group):
    kafka.create_topic(topic, partitions=4)

    def body():
        one = Member(kafka, group, topic, max_poll_interval=1.5)
        two = Member(kafka, group, topic)
        yield [one.start(), two.start()]
        yield shared_out(4, one, two)
        stuck = []
        source = Source(kafka, topic, 4)
        one.work = lambda messages: messages and (stuck.append(messages) or time.sleep(2.5))
        yield source.put(4)
        yield loop.until(lambda: one.losses, PATIENCE)
        one.work = lambda messages: None
        assert len(stuck) == 1
        yield shared_out(4, one, two)
        yield source.put(40)
        yield loop.until(lambda: len(counted(one, two)) == 44, PATIENCE)
        assert one.consumer.allocator.state != AWAY
        yield [one.stop(), two.stop()]
        yield source.stop()
    run(body)


def test_what_the_group_refuses_is_told(kafka, newest, topic, group):
    kafka.create_topic(topic)

    def body():
        one = Member(kafka, group, topic)
        yield one.start()
        other = Member(kafka, group, topic, "roundrobin")
        error = yield loop.raises(exc.InconsistentGroupProtocolError, other.consumer.connect(), PATIENCE)
        assert "assignors" in str(error)
        short = Member(kafka, group, topic, session_timeout=0.1)
        error = yield loop.raises(exc.InvalidSessionTimeoutError, short.consumer.connect(), PATIENCE)
        assert "group.min.session.timeout.ms" in str(error)
        yield [other.stop(), short.stop(), one.stop()]
    run(body)


# -- a cluster of its own --


@pytest.mark.parametrize("release", RELEASES if LONG else RELEASES[-1:])
@pytest.mark.parametrize("mode", MODES if LONG else MODES[1:])
def test_the_coordinator_is_killed(release, mode, topic, group):
    settings = dict(SETTINGS, **{"offsets.topic.replication.factor": 3, "offsets.topic.num.partitions": 1})
    with testing.Kafka(release, brokers=3, settings=settings) as kafka:
        kafka.create_topic(topic, partitions=4, replicas=3)

        def body():
            one, two = [Member(kafka, group, topic, mode, metadata_max_age=5, session_timeout=10) for _ in "12"]
            source = Source(kafka, topic, 4)
            yield [one.start(), two.start()]
            yield shared_out(4, one, two)
            yield source.put(20)
            yield loop.until(lambda: len(counted(one, two)) == 20, PATIENCE)
            for _ in range(2 if LONG else 1):
                number = one.consumer.coordinator_id
                broker = [broker for broker in kafka.brokers if broker.id == number][0]
                yield in_thread(broker.kill)
                yield source.put(20)
                yield loop.until(lambda: len(counted(one, two)) == len(source.sent), PATIENCE)
                yield shared_out(4, one, two)
                three = Member(kafka, group, topic, mode)  # the new coordinator takes members in
                yield three.start()
                yield shared_out(4, one, two, three)
                yield three.stop()
                yield shared_out(4, one, two)
                if LONG:
                    yield in_thread(broker.start)
            yield [one.stop(), two.stop()]
            yield source.stop()
        run(body, 4 * PATIENCE)
