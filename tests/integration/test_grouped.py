"""
Groups that meet in ZooKeeper, on real brokers: every message once, whoever comes, goes, dies or is not heard of.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas; "3.9.1-zk" is 3.9.1 with ZooKeeper.
"""
from __future__ import absolute_import

import os
import subprocess
import sys
import uuid

import pytest
from tornado import gen

from kiel import testing
from kiel.clients.client import Client
from kiel.protocol import offset_fetch

from tests import loop
from tests.integration import peer
from tests.integration.old_member import OldConsumer
from tests.integration.zookeeper_groups import (
    Member, PATIENCE, Source, all_arrive, hosts_of, in_thread, nothing_stays_open, run,
    shared_out, sorted_numbers
)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASES = peer.RELEASES

#: no kazoo client stays open
__all__ = ["nothing_stays_open"]


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    return peer.shared(request.param)


@pytest.fixture(scope="module")
def zookeeper():
    with testing.ZooKeeper() as server:
        yield server


@pytest.fixture(scope="module")
def newest():
    return peer.shared("4.4.0")


@pytest.fixture
def topic():
    return "grouped-" + uuid.uuid4().hex[:8]


def text_of(path):
    with open(path) as source:
        return source.read()


@pytest.fixture
def group():
    return "group-" + uuid.uuid4().hex[:8]


# -- each release --


@pytest.mark.parametrize("autocommit", [True, "processed", False])
def test_members_share_join_and_leave(kafka, zookeeper, topic, group, autocommit):
    kafka.create_topic(topic, partitions=4)
    hosts = hosts_of(kafka, zookeeper)

    def body():
        source = Source(kafka, topic, 4)
        commit = autocommit is False
        one, two = [Member(kafka, group, hosts, topic, commit, autocommit=autocommit) for _ in "12"]
        yield source.put(40)
        yield one.start()
        yield all_arrive(source, one)
        yield two.start()
        yield shared_out(4, one, two)
        yield source.put(40)
        yield all_arrive(source, one, two)
        assert len(one.got) > 40 and two.got

        if autocommit is True:  # new partitions are found, read from their beginning and shared
            yield in_thread(kafka.create_partitions, topic, 6)
            source.partitions = 6
            yield source.put(30)
            yield shared_out(6, one, two)
            yield all_arrive(source, one, two)

        yield one.stop()
        yield source.put(40)
        yield all_arrive(source, one, two)
        yield two.stop()

        three = Member(kafka, group, hosts, topic, commit, autocommit=autocommit)
        yield three.start()
        yield source.put(12)
        if autocommit == "processed":
            # the last messages of those before were committed, since they asked for more before they went
            yield all_arrive(source, one, two, three)
        yield all_arrive(source, one, two, three)
        yield three.stop()
        yield source.stop()
    run(body)


CHILD = """
import sys, time
from tornado import gen, ioloop
from tests.integration.zookeeper_groups import make

brokers, hosts, group, topic, mode = sys.argv[1:]
consumer = make(brokers, group, [hosts], autocommit={"True": True, "False": False}.get(mode, mode))

def say(word, numbers):
    print(" ".join([word] + [str(number) for number in numbers]))
    sys.stdout.flush()

@gen.coroutine
def main():
    yield consumer.connect()
    while True:
        numbers = [int(value) for value in (yield consumer.consume(topic))]
        if not numbers:
            continue
        say("handed", numbers)
        if max(numbers) >= 20:
            say("stuck", [])
            time.sleep(1000)
        say("done", numbers)
        if mode == "False":
            yield consumer.commit_offsets()

ioloop.IOLoop.current().run_sync(main)
"""


def numbers_after(word, path):
    with open(path) as lines:
        return [int(number) for line in lines if line.startswith(word) for number in line.split()[1:]]


def test_d48_what_a_crash_does(kafka, zookeeper, topic, tmpdir):
    """At most once, or at least once: members are killed between taking messages and processing them."""
    hosts = hosts_of(kafka, zookeeper)
    modes = ["True", "processed", "False"]
    kafka.create_topic(topic, partitions=2)
    children, out = {}, {}
    for mode in modes:
        out[mode] = str(tmpdir.join(mode))
        with open(out[mode], "w") as target:
            children[mode] = subprocess.Popen(
                [sys.executable, "-c", CHILD, ",".join(kafka.bootstrap), hosts[0], topic + mode, topic, mode],
                stdout=target, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1"),
            )

    def body():
        source = Source(kafka, topic, 2)
        yield source.put(20)
        yield loop.until(lambda: all(len(numbers_after("done", path)) == 20 for path in out.values()), PATIENCE)
        yield gen.sleep(0.1)
        yield source.put(10)

        def stuck():
            return all("stuck" in text_of(path) for path in out.values())

        yield loop.until(stuck, PATIENCE)
        for child in children.values():
            child.kill()
            child.wait()
        members = dict((mode, Member(kafka, topic + mode, hosts, topic)) for mode in modes)
        yield [member.start() for member in members.values()]
        yield source.put(10)
        yield loop.until(lambda: all({38, 39} <= set(sorted_numbers(m.got)) for m in members.values()), PATIENCE)
        yield gen.sleep(0.3)
        yield [member.stop() for member in members.values()]
        yield source.stop()

        for mode in modes:
            handed, done = [set(numbers_after(word, out[mode])) for word in ("handed", "done")]
            again = sorted_numbers(members[mode].got)
            assert len(again) == len(set(again)), mode
            if mode == "True":  # nothing twice; what was not processed is lost
                assert sorted(list(handed) + again) == list(range(40))
                assert handed - done
            else:  # nothing lost; what was not processed comes again
                assert sorted(list(done) + again) == list(range(40))
                assert handed - done <= set(again)

    try:
        run(body)
    finally:
        for child in children.values():
            if child.poll() is None:
                child.kill()
                child.wait()


@gen.coroutine
def positions(kafka, group, topic, count):
    """The committed offsets in both stores: [(ZooKeeper's, Kafka's)], -1 for none."""
    client = Client(kafka.bootstrap)
    yield client.connect()
    broker = client.cluster[list(client.cluster)[0]]
    stores = []
    for narrow in ((0, 0), (1, 10)):
        request = offset_fetch.OffsetFetchRequest(group_name=group, topics=[
            offset_fetch.TopicRequest(name=topic, partitions=list(range(count)),
                                      topic_id=client.cluster.topic_ids.get(topic, b"\0" * 16))
        ])
        request.narrow = narrow
        response = yield broker.send(request)
        found = dict((part.partition_id, part.offset) for part in response.topics[0].partitions)
        stores.append([found[number] for number in range(count)])
    client.cluster.stop()
    raise gen.Return(list(zip(*stores)))


def test_old_and_new_members_trade_partitions(kafka, topic, group):
    if kafka.zk_hosts is None:
        pytest.skip("0.9 keeps its offsets in the brokers' ZooKeeper; these have none")
    kafka.create_topic(topic, partitions=4)
    best = [-1] * 4

    @gen.coroutine
    def check_positions():
        """Neither store's position has ever gone back; ZooKeeper's, which 0.9 reads, is never behind."""
        for number, stores in enumerate((yield positions(kafka, group, topic, 4))):
            assert stores[0] >= best[number], "a 0.9 member would go back"
            best[number] = max(stores)

    def body():
        source = Source(kafka, topic, 4)
        old = OldConsumer(kafka, group, topic)
        yield source.put(20)
        yield old.start()  # a group of 0.9
        yield all_arrive(source, old)
        yield check_positions()
        new = Member(kafka, group, kafka.zk_hosts, topic)
        yield new.start()  # rolls forward
        yield shared_out(4, old, new)
        yield source.put(20)
        yield all_arrive(source, old, new)
        yield check_positions()
        yield old.stop()
        yield shared_out(4, new)
        yield source.put(20)
        yield all_arrive(source, old, new)
        yield check_positions()
        again = OldConsumer(kafka, group, topic)
        yield again.start()  # and back
        yield shared_out(4, again, new)
        yield source.put(20)
        yield all_arrive(source, old, new, again)
        yield new.stop()
        yield shared_out(4, again)
        yield source.put(20)
        yield all_arrive(source, old, new, again)
        yield check_positions()
        last = Member(kafka, group, kafka.zk_hosts, topic)
        yield again.stop()
        yield last.start()  # whose own store is behind by what 0.9 alone did
        yield source.put(20)
        yield all_arrive(source, old, new, again, last)
        yield check_positions()
        assert best == [30] * 4
        yield last.stop()
        yield source.stop()
    run(body)


@pytest.mark.skipif("KIEL_KAFKA" in os.environ and "3.9.1" not in RELEASES, reason="3.9.1 is not asked for")
def test_kraft_3_9_refuses_the_old_store(zookeeper, topic, group):
    with testing.Kafka("3.9.1") as kafka:
        kafka.create_topic(topic, partitions=2)

        def body():
            source = Source(kafka, topic, 2)
            member = Member(kafka, group, [zookeeper.hosts], topic)
            yield source.put(10)
            yield member.start()
            yield all_arrive(source, member)
            yield member.stop()
            other = Member(kafka, group, [zookeeper.hosts], topic)
            yield other.start()
            yield source.put(10)
            yield all_arrive(source, member, other)
            yield other.stop()
            yield source.stop()
        run(body)


# -- faults --


def test_d45_the_coordinator_is_killed(topic, group):
    settings = {"zookeeper.session.timeout.ms": 2000}
    with testing.Kafka("2.8.2", brokers=3, settings=settings) as kafka:
        kafka.create_topic(topic, partitions=3, replicas=3)

        def body():
            source = Source(kafka, topic, 3)
            one, two = [Member(kafka, group, kafka.zk_hosts, topic) for _ in "12"]
            yield source.put(12)
            yield one.start()
            yield two.start()
            yield all_arrive(source, one, two)
            first = one.consumer.coordinator_id
            kafka.brokers[first].kill()
            yield source.put(12)
            yield all_arrive(source, one, two)
            yield loop.until(lambda: one.consumer.coordinator_id not in (None, first), PATIENCE)
            yield source.put(12)
            yield all_arrive(source, one, two)
            yield one.stop()
            yield two.stop()
            three = Member(kafka, group, kafka.zk_hosts, topic)
            yield three.start()
            yield source.put(12)
            yield all_arrive(source, one, two, three)
            yield three.stop()
            yield source.stop()
        run(body)


def test_d51_the_session_expires(newest, zookeeper, topic, group):
    newest.create_topic(topic, partitions=4)

    def body():
        source = Source(newest, topic, 4)
        one, two = [Member(newest, group, [zookeeper.hosts], topic) for _ in "12"]
        yield one.start()
        yield two.start()
        yield shared_out(4, one, two)
        yield source.put(20)
        yield all_arrive(source, one, two)
        before = one.consumer.allocator.conn
        yield in_thread(zookeeper.expire, before)
        yield source.put(20)
        yield loop.until(lambda: one.consumer.allocator.conn is not before, PATIENCE)
        yield shared_out(4, one, two)
        yield source.put(20)
        yield all_arrive(source, one, two)
        yield one.stop()
        yield two.stop()
        yield source.stop()
    run(body)


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_d52_zookeeper_goes_and_comes_back(newest, topic, group, how):
    newest.create_topic(topic, partitions=4)

    def body():
        with testing.ZooKeeper() as server:
            source = Source(newest, topic, 4)
            one, two = [Member(newest, group, [server.hosts], topic) for _ in "12"]
            yield one.start()
            yield two.start()
            yield shared_out(4, one, two)
            yield source.put(20)
            yield all_arrive(source, one, two)
            server.kill() if how == "killed" else server.pause()
            yield loop.until(
                lambda: one.consumer.allocator.paused and two.consumer.allocator.paused, PATIENCE
            )
            yield source.put(20)
            yield gen.sleep(0.5)
            assert len(one.got) + len(two.got) == 20  # nobody can be sure to own anything
            yield in_thread(server.start if how == "killed" else server.resume)
            yield all_arrive(source, one, two)
            yield shared_out(4, one, two)
            yield one.stop()
            yield two.stop()
            yield source.stop()
    run(body)
