"""
A running group that meets in ZooKeeper is rolled to one that meets in Kafka, member by member, while a producer writes.

`KIEL_KAFKA` (releases with commas between) leaves out the Kafkas that it does not name.
"""
from __future__ import absolute_import

import uuid

import pytest
from tornado import gen, ioloop

from kiel import clients, exc, testing
from kiel.clients.offsets import END

from tests import loop
from tests.integration import members, peer
from tests.integration.old_member import OldConsumer
from tests.integration.zookeeper_groups import (
    Member, PATIENCE, Source, hosts_of, nothing_stays_open, open_clients, shared_out
)

#: partitions of the topic
COUNT = 6

#: members of the next generation hear of a change with a heartbeat, by default each five seconds
BRISK = {"group.consumer.min.heartbeat.interval.ms": 500, "group.consumer.heartbeat.interval.ms": 500}

#: no kazoo client stays open here either
__all__ = ["nothing_stays_open"]


class Mover(members.Reader):
    """A member that moves with its group, or, without hosts, one that meets it in Kafka from the first."""

    def __init__(self, kafka, group, hosts, topic, protocol, **settings):
        settings.setdefault("metadata_max_age", 1)
        super(Mover, self).__init__(clients.GroupedConsumer(
            kafka.bootstrap, group, hosts, deserializer=bytes, autocommit="processed", max_wait_time=200,
            group_protocol=protocol, heartbeat_interval=0.5, **settings
        ), topic)
        if hosts:
            self.consumer.allocator.move.grace = 1.0
            follower = self.consumer.allocator.follower
            open_clients.append(lambda: follower.conn)

    @property
    def state(self):
        return self.consumer.health()["state"]

    @property
    def in_kafka(self):
        return bool(self.consumer.allocator.identity[0])


class Owners(object):
    """Looks all the time whether two members own the same partition; ``twice`` is what it saw."""

    def __init__(self, topic):
        self.topic, self.members, self.twice, self.looks = topic, [], [], 0
        self.timer = ioloop.PeriodicCallback(self.look, 5)
        self.timer.start()

    def look(self):
        self.looks += 1
        owned = [item for member in self.members for item in member.owned]
        if len(owned) != len(set(owned)):
            self.twice.append([(member.owned, member.consumer.health()["state"]) for member in self.members])


class Always(object):
    """Writes without a pause until told to stop."""

    def __init__(self, source):
        self.source, self.stopping = source, False
        self.running = self.run()

    @gen.coroutine
    def run(self):
        while not self.stopping:
            yield self.source.put(COUNT)
            yield gen.sleep(0.02)

    def stop(self):
        self.stopping = True
        return self.running


@pytest.fixture(scope="module")
def started():
    """A function that gives the cluster of a release, started when first asked for."""
    running = {}

    def give(version):
        if version not in running:
            running[version] = peer.cluster_of(version, settings=BRISK if version[0] == "4" else {})
        return running[version]
    yield give
    for cluster in running.values():
        cluster.stop()


@pytest.fixture(scope="module")
def zookeeper():
    with testing.ZooKeeper() as server:
        yield server


@pytest.mark.parametrize("version,protocol,beside_old", [case for case in (
    ("2.4.1", "classic", False), ("2.4.1", "classic", True), ("4.4.0", "classic", False), ("4.4.0", "consumer", False),
) if case[0] in peer.share("2.4.1", "4.4.0")])
def test_a_group_is_rolled_from_zookeeper_to_kafka(started, zookeeper, version, protocol, beside_old):
    kafka = started(version)
    topic, group = ["handover-" + uuid.uuid4().hex[:8] for _ in range(2)]
    kafka.create_topic(topic, COUNT)
    hosts = hosts_of(kafka, zookeeper)

    @gen.coroutine
    def body():
        owners = Owners(topic)
        before = [Member(kafka, group, hosts, topic, autocommit="processed") for _ in "123"[beside_old:]]
        old = [OldConsumer(kafka, group, topic)] if beside_old else []
        for member in before + old:
            yield member.start()
        if not old:
            owners.members.extend(before)
        source = Source(kafka, topic, COUNT)
        always = Always(source)
        yield shared_out(COUNT, *(before + old))
        yield loop.until(lambda: all(member.got for member in before), PATIENCE)

        # -- one after the other goes, and comes back able to move
        movers = []
        for member in old + before:
            yield member.stop()
            if member in owners.members:
                owners.members.remove(member)
            movers.append(Mover(kafka, group, hosts, topic, protocol))
            owners.members.append(movers[-1])
            yield movers[-1].start()
            yield gen.sleep(0.3)
            if member is not before[-1]:
                assert not any(mover.in_kafka for mover in movers)
        yield loop.until(lambda: all(mover.in_kafka for mover in movers), PATIENCE)
        yield shared_out(COUNT, *movers)

        # -- one that knows ZooKeeper only is not let in; one that moves is, at once
        plain = Member(kafka, group, hosts, topic)
        yield loop.raises(exc.GroupMovedError, plain.start())
        yield plain.stop()
        late = Mover(kafka, group, hosts, topic, protocol)
        yield late.start()
        owners.members.append(late)
        yield shared_out(COUNT, *(movers + [late]))

        # -- and again: now without ZooKeeper
        last = []
        for member in movers + [late]:
            yield member.stop()
            owners.members.remove(member)
            last.append(Mover(kafka, group, None, topic, protocol))
            owners.members.append(last[-1])
            yield last[-1].start()
        yield shared_out(COUNT, *last)
        yield always.stop()

        everybody = old + before + movers + [late] + last
        got = lambda: sum([member.got for member in everybody], [])  # noqa: E731
        yield loop.until(lambda: set(got()) == set(source.sent), PATIENCE)
        yield gen.sleep(0.3)
        assert len(source.sent) > 100 and all(member.got for member in before + movers)
        if not old:  # beside 0.9, what it read and had not committed comes again, as it always did
            assert len(got()) == len(source.sent)
        assert owners.looks > 100 and not owners.twice, owners.twice[:3]
        yield [member.stop() for member in last]
        yield source.stop()

        admin = clients.Admin(kafka.bootstrap)
        yield admin.connect()
        ends = yield admin.end_offsets(topic)
        assert (yield admin.committed_offsets(group)) == dict(((topic, number), end) for number, end in ends.items())
        assert (yield admin.reset_offsets(group, END, dry_run=True))
        yield admin.close()
        owners.timer.stop()
    loop.run(body, 100)
