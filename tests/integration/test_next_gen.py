"""
Next-generation groups (KIP-848) on a real broker: every message once, whoever comes, goes, dies, stands still or is put
out; beside Java's and librdkafka's members; and from a classic group, member by member.

`KIEL_KAFKA` (releases with commas between) says which Kafkas; by default 4.4.0 alone. 3.7 to 3.9 serve the protocol
only where it is switched on, and only the first version of it.
"""
from __future__ import absolute_import

import functools
import logging
import os
import signal
import sys
import time
import uuid

import pytest
from tornado import gen

from kiel import events, exc, testing
from kiel.protocol.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kiel.retry import Backoff

from tests import loop
from tests.integration import peer
from tests.integration.next_gen import (
    Child, Described, Member, PATIENCE, RELEASES, SESSION, Source, all_arrive, no_two_owners, run, shared_out, started
)

pytestmark = peer.on_python_3()


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    with started(request.param) as cluster:
        yield cluster


@pytest.fixture
def topic():
    return "next-gen-" + uuid.uuid4().hex[:8]


@pytest.fixture
def group():
    return "group-" + uuid.uuid4().hex[:8]


# -- members come and go --


def test_members_share_join_and_leave(kafka, topic, group):
    kafka.create_topic(topic, partitions=6)

    def body():
        source = Source(kafka, topic, 6)
        one, two, three = [Member(kafka, group, topic) for _ in range(3)]
        yield source.put(30)
        yield one.start()
        flow = source.flow()
        yield shared_out(6, one)
        yield two.start()
        yield shared_out(6, one, two)
        yield three.start()
        yield shared_out(6, one, two, three)
        yield gen.sleep(0.3)
        yield one.stop()
        yield shared_out(6, two, three)
        yield two.stop()
        yield shared_out(6, three)
        source.going = False
        yield flow
        yield all_arrive(source, one, two, three)
        no_two_owners(one, two, three)
        assert one.happened("revoked") and not one.happened("lost")
        yield three.stop()
        last = Member(kafka, group, topic)
        yield source.put(6)
        yield last.start()
        yield all_arrive(source, one, two, three, last)
        yield last.stop()
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
    for part in (" joins", "epoch ", "assigned %s:0, %s:1" % (topic, topic),
                 "leaves", "revoked %s:0, %s:1" % (topic, topic), "has left"):
        assert any(line.startswith("Group %s: " % group) and part in line for line in lines), (part, lines)


def test_topics_as_they_are_consumed_and_as_they_grow(kafka, topic, group):
    kafka.create_topic(topic, partitions=2)

    def body():
        source = Source(kafka, topic, 2)
        one, two = [Member(kafka, group, topic) for _ in "12"]
        yield source.put(10)
        yield one.start()
        yield two.start()
        yield shared_out(2, one, two)
        yield events.run_blocking(two.consumer.io_loop, kafka.create_partitions, topic, 5)
        yield shared_out(5, one, two)
        source.partitions = 5
        yield source.put(20)
        yield all_arrive(source, one, two)
        yield events.run_blocking(two.consumer.io_loop, kafka.create_topic, topic + "-late", 2)
        late = Source(kafka, topic + "-late", 2)
        yield late.put(4)
        got = []
        deadline = time.time() + PATIENCE
        while len(got) < 4 and time.time() < deadline:
            got.extend((yield one.consumer.consume(topic + "-late")))
        assert sorted(int(value) for value in got) == [0, 1, 2, 3]
        yield [one.stop(), two.stop(), source.stop(), late.stop()]
    run(body)


def test_static_members_restart_without_moves(kafka, topic, group):
    kafka.create_topic(topic, partitions=4)

    def body():
        source = Source(kafka, topic, 4)
        one, two = [Member(kafka, group, topic, group_instance_id=name) for name in ("one", "two")]
        yield source.put(8)
        yield one.start()
        yield two.start()
        yield shared_out(4, one, two)
        yield all_arrive(source, one, two)
        kept, before = list(two.ledger), two.owned
        had = one.owned
        epoch = two.consumer.allocator.identity[1]
        yield one.stop()
        again = Member(kafka, group, topic, group_instance_id="one")
        yield again.start()
        yield shared_out(4, again, two)
        assert again.owned == had and two.owned == before and two.ledger == kept
        assert two.consumer.allocator.identity[1] == epoch
        yield source.put(8)
        yield all_arrive(source, one, two, again)
        twin = Member(kafka, group, topic, group_instance_id="two", retry=Backoff(deadline=1.0))
        yield loop.raises(exc.UnreleasedInstanceIdError, twin.consumer.connect(), PATIENCE)
        yield twin.stop()
        assert two.ledger == kept
        yield [again.stop(), two.stop(), source.stop()]
    run(body)


# -- members that die, stand still, are put out --


def test_a_killed_member_is_replaced(kafka, topic, group):
    kafka.create_topic(topic, partitions=4)
    child = Child(kafka, group, topic)

    def body():
        source = Source(kafka, topic, 4)
        one = Member(kafka, group, topic)
        yield one.start()
        yield shared_out(4, one, child)
        yield source.put(40)
        yield all_arrive(source, one, child)
        flow = source.flow()
        yield loop.until(lambda: len(child.got) > 40, PATIENCE)
        child.kill()
        yield shared_out(4, one)
        source.going = False
        yield flow
        yield all_arrive(source, one, child, repeats=True)
        assert not one.happened("lost")
        yield [one.stop(), source.stop()]
    try:
        run(body)
    finally:
        child.end()


def test_a_member_that_stood_still_has_lost_its_partitions(kafka, topic, group):
    kafka.create_topic(topic, partitions=4)
    child = Child(kafka, group, topic, session_timeout=SESSION / 2)

    def body():
        source = Source(kafka, topic, 4)
        one = Member(kafka, group, topic)
        yield one.start()
        yield shared_out(4, one, child)
        yield source.put(40)
        yield all_arrive(source, one, child)
        had = child.owned
        child.kill(signal.SIGSTOP)
        yield shared_out(4, one)
        yield source.put(40)
        yield all_arrive(source, one, child)
        before = len(child.got)
        child.kill(signal.SIGCONT)
        yield loop.until(lambda: child.said("lost"), PATIENCE)
        assert child.said("lost") == [had] and len(child.got) == before
        yield shared_out(4, one, child)
        yield source.put(40)
        yield all_arrive(source, one, child)
        assert len(child.got) > before
        yield [one.stop(), source.stop()]
    try:
        run(body)
    finally:
        child.end()


def test_a_member_that_is_put_out_joins_again(kafka, topic, group):
    kafka.create_topic(topic, partitions=2)

    def body():
        source = Source(kafka, topic, 2)
        one = Member(kafka, group, topic)
        yield source.put(10)
        yield one.start()
        yield all_arrive(source, one)
        member_id, _ = one.consumer.allocator.identity
        broker = yield one.consumer.group_coordinator.broker()
        answer = yield broker.send(ConsumerGroupHeartbeatRequest(
            group_id=group, member_id=member_id, member_epoch=-1
        ))
        assert answer.error_code == 0
        yield loop.until(lambda: one.happened("lost"), PATIENCE)
        assert sorted(one.happened("lost")) == [0, 1]
        yield shared_out(2, one)
        yield source.put(10)
        yield all_arrive(source, one, repeats=True)
        yield one.stop()
        two = Member(kafka, group, topic)
        yield source.put(10)
        yield two.start()
        yield all_arrive(source, one, two, repeats=True)
        assert sorted(two.got) == list(range(20, 30))
        yield [two.stop(), source.stop()]
    run(body)


@pytest.mark.skipif(not os.environ.get("KIEL_LONG"), reason="a long one: KIEL_LONG=1 asks for it")
def test_the_coordinator_is_killed(topic, group):
    settings = {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}
    with started(RELEASES[0], brokers=3, settings=settings) as kafka:
        kafka.create_topic(topic, partitions=6, replicas=3)

        def body():
            source = Source(kafka, topic, 6)
            one, two = [Member(kafka, group, topic, request_timeout=5) for _ in "12"]
            yield one.start()
            yield two.start()
            yield shared_out(6, one, two)
            flow = source.flow()
            for _ in range(2):
                # the ledger is written by callbacks, a moment after the allocation
                yield loop.until(lambda: all(
                    sorted(member.owned_by_ledger()) == sorted(member.owned) for member in (one, two)
                ), PATIENCE)
                before, kept = one.consumer.coordinator_id, [list(one.ledger), list(two.ledger)]
                kafka.brokers[before].kill()
                yield gen.sleep(2 * SESSION)
                yield loop.until(lambda: one.consumer.coordinator_id not in (None, before), PATIENCE)
                yield loop.until(lambda: one.consumer.health()["last_heartbeat"] < 1, PATIENCE)
                yield shared_out(6, one, two)
                assert [one.ledger, two.ledger] == kept
                yield events.run_blocking(one.consumer.io_loop, kafka.brokers[before].start)
            source.going = False
            yield flow
            yield all_arrive(source, one, two, repeats=True)  # what a killed leader did not answer is written twice
            assert not one.happened("lost") and not two.happened("lost")
            yield [one.stop(), two.stop(), source.stop()]
        run(body)


# -- a loop that is blocked --


def test_a_blocked_loop_costs_no_membership_and_no_assignment(kafka, topic, group):
    """Longer than the session; meanwhile another member joins, and gets its share when the loop goes on."""
    kafka.create_topic(topic, partitions=4)
    child = Child(kafka, group, topic, pauses=[1.5 * SESSION], slow_callback=None)

    def body():
        source = Source(kafka, topic, 4)
        yield source.put(40)
        yield loop.until(lambda: child.said("blocks"), PATIENCE)
        one = Member(kafka, group, topic)
        yield one.start()
        yield gen.sleep(1.2 * SESSION)
        assert not one.owned and not child.said("goes on")
        yield shared_out(4, one, child)
        yield source.put(40)
        yield all_arrive(source, one, child)
        assert not child.said("lost")
        yield [one.stop(), source.stop()]
    try:
        run(body)
    finally:
        child.end()


def test_without_progress_the_member_leaves_and_comes_back(kafka, topic, group):
    kafka.create_topic(topic, partitions=4)
    child = Child(kafka, group, topic, pauses=[4.0], slow_callback=None, max_poll_interval=1.0)

    def body():
        source = Source(kafka, topic, 4)
        yield source.put(40)
        yield loop.until(lambda: child.said("blocks"), PATIENCE)
        one = Member(kafka, group, topic)
        yield one.start()
        yield shared_out(4, one)
        assert not child.said("goes on")
        yield all_arrive(source, one, child, repeats=True)
        yield shared_out(4, one, child)
        assert child.said("lost")
        yield source.put(40)
        yield all_arrive(source, one, child, repeats=True)
        yield [one.stop(), source.stop()]
    try:
        run(body)
    finally:
        child.end()


# -- from a classic group --


def test_a_classic_group_is_upgraded_member_by_member(kafka, topic, group):
    if kafka.version.startswith("3."):
        pytest.skip("upgrading while members are in came with 4.0")
    kafka.create_topic(topic, partitions=4)

    def body():
        source = Source(kafka, topic, 4)
        old = [Member(kafka, group, topic, group_protocol="classic") for _ in "12"]
        new = [Member(kafka, group, topic, group_protocol=None) for _ in "12"]
        yield source.put(20)
        for member in old:
            yield member.start()
        yield shared_out(4, *old)
        flow = source.flow()
        for number in range(2):
            yield new[number].start()
            yield shared_out(4, *(old[number:] + new[:number + 1]))
            yield gen.sleep(0.5)
            yield old[number].stop()
            yield shared_out(4, *(old[number + 1:] + new[:number + 1]))
        source.going = False
        yield flow
        yield all_arrive(source, *(old + new))
        assert not sum([member.happened("lost") for member in old + new], [])
        no_two_owners(*new)
        yield [member.stop() for member in new]
        yield source.stop()
    run(body)


@pytest.mark.skipif(sys.version_info < (3,), reason="librdkafka's client is for Python 3")
def test_a_group_of_kiel_java_and_librdkafka(kafka, topic, group):
    other = pytest.importorskip("confluent_kafka")
    if kafka.version.startswith("3."):
        pytest.skip("librdkafka needs version 1 of the heartbeat")
    kafka.create_topic(topic, partitions=9)
    option = "--command-property" if peer.release(kafka) >= (4, 2) else "--consumer-property"  # KIP-1147
    console = functools.partial(
        kafka.run_tool, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka.bootstrap[0],
        "--topic", topic, "--group", group, "--timeout-ms", 4000, "--from-beginning",
        option, "group.protocol=consumer", option, "client.id=java"
    )

    stop = []

    def body():
        source = Source(kafka, topic, 9)
        kiel = Member(kafka, group, topic, client_id="kiel")
        rd = other.Consumer({
            "bootstrap.servers": kafka.bootstrap[0], "group.id": group, "group.protocol": "consumer",
            "client.id": "librdkafka", "auto.offset.reset": "earliest",
        })
        rd_got = []

        def poll():
            rd.subscribe([topic])
            while not stop:
                message = rd.poll(0.1)
                if message is not None and message.error() is None:
                    rd_got.append(int(message.value()))
            rd.close()

        yield kiel.start()
        io_loop = kiel.consumer.io_loop
        described = Described(kafka, group, topic)
        yield source.put(18)
        yield described.settled(9, 1)
        polling = events.run_blocking(io_loop, poll)
        yield described.settled(9, 2)
        flow = source.flow()
        java = events.run_blocking(io_loop, console)
        yield described.settled(9, 3)
        assert sorted(described.shares) == ["java", "kiel", "librdkafka"]
        yield gen.sleep(1)
        source.going = False
        yield flow
        printed = yield loop.within(PATIENCE, java)
        java_got = [int(line) for line in printed.splitlines() if line.isdigit()]  # it logs there, too
        yield described.settled(9, 2)
        stop.append(True)
        yield loop.within(PATIENCE, polling)
        yield described.settled(9, 1)
        yield loop.until(
            lambda: set(kiel.got + rd_got + java_got) == set(range(source.sent)), PATIENCE
        )
        assert kiel.got and rd_got and java_got
        assert len(kiel.got) == len(set(kiel.got))
        yield [kiel.stop(), source.stop(), described.admin.close()]
    try:
        run(body)
    finally:
        stop.append(True)


# -- where the protocol is not --


def test_where_it_is_switched_off_the_group_is_a_classic_one(topic, group):
    if "4.4.0" not in RELEASES:
        pytest.skip("KIEL_KAFKA does not name 4.4.0")
    with testing.Kafka("4.4.0", settings={"group.coordinator.rebalance.protocols": "classic"}) as kafka:
        kafka.create_topic(topic, partitions=2)

        def body():
            source = Source(kafka, topic, 2)
            pinned = Member(kafka, group, topic)
            yield loop.raises(exc.UnsupportedVersionError, pinned.consumer.connect(), PATIENCE)
            yield pinned.stop()
            one = Member(kafka, group, topic, group_protocol=None)
            yield one.start()
            yield source.put(10)
            yield all_arrive(source, one)
            assert type(one.consumer.allocator).__name__ == "ClassicAllocator"
            yield [one.stop(), source.stop()]
        run(body)
