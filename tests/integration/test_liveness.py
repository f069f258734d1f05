"""
Members whose handlers block the IOLoop for longer than a session, on real brokers.

The member that blocks is a process of its own (`blocked.py`); another, in the test's process, watches. Both protocols
at once, since most of the time is spent waiting. `KIEL_LONG` blocks for 30 s instead of 9.
"""
from __future__ import absolute_import

import json
import os
import subprocess
import sys
import uuid

import pytest
from tornado import gen

from kiel import clients

from tests import loop
from tests.integration import members, peer
from tests.integration.blocked import BLOCK

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONG = os.environ.get("KIEL_LONG")

#: seconds of a session, in both protocols
SESSION = 6
#: seconds that a handler blocks
BLOCKED = 30 if LONG else 9
#: seconds without progress after which a member leaves by itself, where it is to
MAX_POLL = 5
#: seconds that a step may take
PATIENCE = 40
PARTITIONS = 4

SETTINGS = {
    "group.consumer.session.timeout.ms": SESSION * 1000, "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.heartbeat.interval.ms": 1000, "group.consumer.min.heartbeat.interval.ms": 500,
    "offsets.topic.num.partitions": 4,
}
PROTOCOLS = ("classic", "consumer")


@pytest.fixture(scope="module")
def kafka():
    cluster = peer.cluster_of("4.4.0", settings=SETTINGS)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def old_kafka():
    """JoinGroup v0: the session's time is that of a rebalance, too."""
    cluster = peer.cluster_of("0.9.0.1")
    yield cluster
    cluster.stop()


def members_settings(protocol, **settings):
    return dict(dict(
        group_protocol=protocol, session_timeout=SESSION, heartbeat_interval=1, rebalance_timeout=BLOCKED + 20,
        max_poll_interval=300
    ), **settings)


class Watcher(members.Reader):
    """The other member, in this process."""

    def __init__(self, kafka, group, topic, **settings):
        self.told = []
        super(Watcher, self).__init__(clients.GroupedConsumer(
            kafka.bootstrap, group, deserializer=bytes, topics=[topic], autocommit="processed", max_wait_time=100,
            on_rebalance=lambda *change: self.told.append(change), slow_callback=None, **settings
        ), topic)

    def took(self, found):
        self.got.extend(int(value) for value in found if value != BLOCK)

    @property
    def owned(self):
        return sorted(super(Watcher, self).owned)

    @property
    def identity(self):
        return self.consumer.allocator.identity


class Blocked(object):
    """The member that blocks, in a process of its own."""

    def __init__(self, kafka, group, topic, handler, seconds, directory, **settings):
        self.stop_file = os.path.join(directory, "stop-" + group)
        self.out = os.path.join(directory, "out-" + group)
        given = dict(
            brokers=kafka.bootstrap, group=group, topic=topic, handler=handler, seconds=seconds, stop=self.stop_file,
            settings=settings
        )
        with open(self.out, "w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.blocked", json.dumps(given)], cwd=ROOT, stdout=out,
                stderr=subprocess.STDOUT
            )

    @property
    def lines(self):
        with open(self.out) as out:
            text = out.read()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def events(self, *names):
        return [line for line in self.lines if line["event"] in names]

    @property
    def got(self):
        return [value for line in self.events("got") for value in line["values"]]

    @property
    def health(self):
        """The last that it told."""
        found = [line["health"] for line in self.events("health", "blocks", "goes on")]
        return found[-1] if found else {"allocation": {}}

    @property
    def owned(self):
        return sorted(number for ids in self.health["allocation"].values() for number in ids)

    def warnings(self, name=""):
        return [line["text"] for line in self.events("log")
                if line["level"] in ("WARNING", "ERROR") and line["name"].startswith(name)]

    @gen.coroutine
    def stop(self):
        with open(self.stop_file, "w"):
            pass
        try:
            yield loop.until(lambda: self.process.poll() is not None, 10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        assert self.process.returncode == 0, self.lines


class Scene(object):
    """A topic, a member that will block, one that watches, and numbers that come all the time."""

    def __init__(self, kafka, protocol, handler, seconds, directory, **settings):
        self.kafka = kafka
        self.group = "live-" + uuid.uuid4().hex[:8]
        self.topic = self.group
        kafka.create_topic(self.topic, partitions=PARTITIONS)
        settings = members_settings(protocol, **settings)
        self.settings = dict(settings, max_poll_interval=None)
        self.watcher = Watcher(kafka, self.group, self.topic, **self.settings)
        self.blocked = Blocked(kafka, self.group, self.topic, handler, seconds, directory, **settings)
        self.producer = clients.Producer(kafka.bootstrap, serializer=bytes, linger=0.01)
        #: further members that watch
        self.others = []
        self.sent = 0
        self.sending = None

    @gen.coroutine
    def start(self):
        """Until the two share the topic, and both read."""
        yield [self.watcher.start(), self.producer.connect()]
        yield loop.until(self.is_shared, PATIENCE, 0.05)
        self.sending = self.send()
        yield loop.until(lambda: self.blocked.got and self.watcher.got, PATIENCE, 0.05)
        yield loop.until(self.is_shared, PATIENCE, 0.05)

    def is_shared(self):
        both = self.blocked.owned, self.watcher.owned
        return all(both) and sorted(both[0] + both[1]) == list(range(PARTITIONS))

    @gen.coroutine
    def send(self):
        while not self.producer.closing:
            delivery = yield self.producer.produce(self.topic, b"%d" % self.sent, partition=self.sent % PARTITIONS)
            yield delivery
            self.sent += 1
            yield gen.sleep(0.05)

    @gen.coroutine
    def block(self):
        """Has the other member's handler block; until it does."""
        yield self.producer.produce(self.topic, BLOCK, partition=self.blocked.owned[0])
        yield loop.until(lambda: self.blocked.events("blocks"), PATIENCE, 0.05)

    @gen.coroutine
    def all_arrive(self):
        """Ends the sending, and waits until all that was sent was read by somebody; gives what each read."""
        yield self.producer.close()
        try:
            yield self.sending
        except Exception:
            pass  # closed while it waited
        sent = set(range(self.sent))
        yield loop.until(lambda: sent <= set(self.got()), PATIENCE, 0.1)
        yield gen.sleep(0.3)  # for what should not come
        raise gen.Return(sorted(self.got()))

    def got(self):
        return sum([other.got for other in self.others], self.watcher.got + self.blocked.got)

    @gen.coroutine
    def stop(self):
        yield self.producer.close()
        yield [self.watcher.stop(), self.blocked.stop()]


@gen.coroutine
def play(scene, part):
    """Runs a part in a scene, and clears up."""
    try:
        yield scene.start()
        yield part(scene)
    finally:
        yield scene.stop()
    assert not [text for text in scene.blocked.lines if "Traceback" in str(text) and text["event"] != "log"]


def run(part, scenes):
    """Plays the part in all the scenes at once."""
    @gen.coroutine
    def body():
        yield [play(scene, gen.coroutine(part)) for scene in scenes]
    loop.run(body, timeout=4 * PATIENCE + 3 * BLOCKED)


def stays(scene):
    """The member still is one after its block, in the same generation or epoch; nothing came twice or not at all."""
    before = scene.watcher.identity, scene.watcher.owned, list(scene.watcher.told), scene.blocked.owned
    yield scene.block()
    begun = len(scene.watcher.got)
    yield loop.until(lambda: scene.blocked.events("goes on"), BLOCKED + PATIENCE, 0.1)
    assert scene.watcher.got[begun:]  # the other had its share all the while
    yield gen.sleep(1.5)
    after = scene.watcher.identity, scene.watcher.owned, list(scene.watcher.told), scene.blocked.owned
    assert after == before
    first, second = scene.blocked.events("blocks", "goes on")
    assert second["at"] - first["at"] >= BLOCKED - 0.5
    for name in ("member_id", "generation", "allocation", "state"):
        assert first["health"][name] == second["health"][name]
    assert second["health"]["last_heartbeat"] < 4, second  # while it was blocked
    assert second["health"]["error"] is None
    values = yield scene.all_arrive()
    assert values == list(range(scene.sent))
    named = scene.blocked.warnings()
    assert len(named) == 1, named
    head = named[0].split("\n")[0]
    assert "handler_that_" in head and "blocked.py" in head
    assert 'password="' not in named[0] and "pa55word" not in named[0]


@pytest.mark.parametrize("handler", ["sleep", "compute"])
def test_a_member_stays_one_while_its_handler_blocks_the_loop(kafka, tmpdir, handler):
    run(stays, [Scene(kafka, protocol, handler, BLOCKED, str(tmpdir)) for protocol in PROTOCOLS])


def test_so_it_does_in_a_group_of_the_oldest_kind(old_kafka, tmpdir):
    run(stays, [Scene(old_kafka, "classic", "sleep", BLOCKED, str(tmpdir))])


def joined(scene):
    """Another member comes while the handler blocks: the group waits for the blocked one, which stays a member."""
    member = scene.blocked.health["member_id"]
    yield scene.block()
    third = Watcher(scene.kafka, scene.group, scene.topic, **scene.settings)
    starting = third.start()

    def is_shared():
        owned = scene.blocked.owned, scene.watcher.owned, third.owned
        return all(owned) and sorted(sum(owned, [])) == list(range(PARTITIONS))

    try:
        yield loop.until(lambda: scene.blocked.events("goes on"), BLOCKED + PATIENCE, 0.1)
        yield loop.until(is_shared, PATIENCE, 0.05)
        yield starting
        assert not scene.blocked.events("lost")
        assert scene.blocked.health["member_id"] == member
        scene.others.append(third)
        values = yield scene.all_arrive()
        assert values == list(range(scene.sent))
    finally:
        yield third.stop()


def test_a_member_stays_one_through_a_rebalance_while_its_handler_blocks(kafka, tmpdir):
    run(joined, [Scene(kafka, protocol, "sleep", BLOCKED, str(tmpdir)) for protocol in PROTOCOLS])


def leaves(scene):
    """The member goes by itself, the other takes over, and the first comes back when its handler is through."""
    yield scene.block()
    yield loop.until(lambda: scene.watcher.owned == list(range(PARTITIONS)), PATIENCE, 0.05)
    assert not scene.blocked.events("goes on")
    assert len(scene.blocked.events("blocks")) == 1
    yield loop.until(lambda: scene.blocked.events("goes on"), 2 * BLOCKED + PATIENCE, 0.1)
    yield loop.until(scene.is_shared, PATIENCE, 0.05)
    after = scene.blocked.events("goes on")[0]["health"]
    assert after["paused"]  # before its loop turned once, it knew that nothing was its own any more
    blocked, watched = len(scene.blocked.got), len(scene.watcher.got)
    yield loop.until(lambda: len(scene.blocked.got) > blocked and len(scene.watcher.got) > watched, PATIENCE, 0.05)
    values = yield scene.all_arrive()
    assert set(values) == set(range(scene.sent))
    lost = scene.blocked.events("lost")
    assert len(lost) == 1
    warnings = [text for text in scene.blocked.warnings("kiel.groups.liveness.heartbeat_thread")]
    assert len(warnings) == 1 and "max_poll_interval is 5 s" in warnings[0] and "handler_that_" in warnings[0]


def test_a_member_without_progress_leaves_and_comes_back(kafka, tmpdir):
    run(leaves, [
        Scene(kafka, protocol, handler, BLOCKED + MAX_POLL, str(tmpdir), max_poll_interval=MAX_POLL)
        for protocol, handler in zip(PROTOCOLS, ("sleep", "compute"))
    ])
