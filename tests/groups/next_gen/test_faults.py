"""A next-generation member and its real heart before brokers that lose answers, move and change their minds."""
from __future__ import absolute_import

import functools
import time
import uuid

import pytest
from tornado import gen

from kiel.clients.client import Client
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.groups.membership import Membership
from kiel.groups.next_gen.member import ConsumerAllocator
from kiel.groups.next_gen.states import JOINING, OUT, STABLE
from kiel.protocol.consumer_group_heartbeat import Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions
from kiel.retry import Backoff

from tests import fake, loop
from tests.groups.brokers import VERSIONS_OF_GROUPS, Brokers

API = "consumer_group_heartbeat"


class Coordinator(object):
    """
    Kafka's rules for one member, as far as epochs go (GroupMetadataManager of 4.x): the epoch before is taken only from
    a member that names its partitions, and an assignment is told once, or to one that says everything.
    """

    def __init__(self, brokers, topic_ids):
        self.brokers = brokers
        self.topic_ids = topic_ids
        self.target = {}
        self.member_id = None
        self.epoch = self.before = 0
        self.owned = {}
        self.changed = False
        self.log = []
        self.lose = 0  # so many answers from now on
        self.refusals = []  # error codes of the next answers

    def assign(self, **target):
        """Wants the member to have these: topic -> partition ids."""
        self.target = dict((self.topic_ids[name], set(ids)) for name, ids in target.items())
        self.changed = True

    def __call__(self, call):
        request = call.request
        code = self.refusals.pop(0) if self.refusals else self.code(call)
        answer = ConsumerGroupHeartbeatResponse(error_code=code, heartbeat_interval=50)
        full = request.topic_partitions is not None and request.subscribed_topic_names is not None
        self.log.append((request.member_epoch, "full" if full else "brief", code, self.lose > 0))
        if not code and request.member_epoch >= 0:
            if request.topic_partitions is not None:
                self.owned = dict((part.topic_id, set(part.partitions)) for part in request.topic_partitions)
            if self.changed and request.member_epoch:
                self.before, self.epoch = self.epoch, self.epoch + 1
            answer.member_id, answer.member_epoch = self.member_id, self.epoch
            if self.changed or full:
                answer.assignment = Assignment(topic_partitions=[
                    TopicPartitions(topic_id=topic_id, partitions=sorted(ids)) for topic_id, ids in self.target.items()
                ])
            self.changed = False
        if self.lose:
            self.lose -= 1
            return fake.CLOSE
        return answer

    def code(self, call):
        request = call.request
        if request.member_epoch == 0:
            if request.topic_partitions != [] or not request.subscribed_topic_names:
                return 42
            if request.member_id != self.member_id or not self.epoch:
                self.member_id = request.member_id or uuid.uuid4().hex
                self.before, self.epoch = 0, 1
            return 0
        if request.member_id != self.member_id:
            return 25
        if request.member_epoch < 0:
            self.member_id = None
            return 0
        if request.member_epoch == self.epoch:
            return 0
        owned = request.topic_partitions
        if request.member_epoch != self.before or owned is None:
            return 110
        known = dict(self.owned)
        fits = all(set(part.partitions) <= self.target.get(part.topic_id, set()) | known.get(part.topic_id, set())
                   for part in owned)
        return 0 if fits else 110


class Bare(Client):
    def wind_down(self):
        return gen.moment


class World(object):
    """A member before such a coordinator."""

    def __init__(self, brokers):
        self.brokers = brokers
        self.coordinator = Coordinator(brokers, brokers.cluster.topic_ids)
        for broker in brokers.cluster.brokers.values():
            broker.on(API, self.coordinator)
        self.client = Bare(brokers.cluster.bootstrap, retry=Backoff(first=0.01, most=0.1, deadline=5))
        self.member = ConsumerAllocator(
            GroupCoordinator(self.client, "g"), Membership(heartbeat_interval=0.05, slow_callback=None),
            self.client.settings
        )
        self.changes = []
        self.losses = []
        self.member.on_change = lambda revoked, assigned: self.changes.append((revoked, assigned))
        self.member.on_lost = self.losses.append

    def at_broker(self, fn, *args, **kwargs):
        return self.brokers.call(functools.partial(fn, *args, **kwargs))

    @property
    def log(self):
        return self.at_broker(lambda: list(self.coordinator.log))

    @gen.coroutine
    def join(self):
        yield self.client.connect()
        yield self.member.start({})
        yield loop.within(5, self.member.subscribe(["a", "b"]))
        self.at_broker(self.coordinator.log.__delitem__, slice(None))

    @gen.coroutine
    def has(self, allocation):
        yield loop.until(lambda: self.member.allocation == allocation and self.member.state == STABLE)


def with_world(versions=(0, 1), brokers=1):
    def decorate(test):
        def run():
            versions_of = dict(VERSIONS_OF_GROUPS, consumer_group_heartbeat=versions)
            with Brokers(brokers=brokers, versions=versions_of, topics={"a": 4, "b": 4}) as cluster:
                @gen.coroutine
                def body():
                    world = World(cluster)
                    try:
                        yield gen.coroutine(test)(world)
                    finally:
                        yield loop.within(8, world.member.stop())
                        yield world.client.close()
                    assert world.member.state == OUT
                loop.run(body, 30)
        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run
    return decorate


@pytest.mark.parametrize("versions", [(0, 0), (0, 1)])
def test_every_first_answer_is_lost(versions):
    """To joining, to a sign of life that brings partitions, and to telling of them: nobody is fenced."""
    @with_world(versions)
    def body(world):
        world.coordinator.lose = 1
        world.coordinator.target = {world.coordinator.topic_ids["a"]: {0, 1}}
        yield world.join()
        yield world.has({"a": [0, 1]})
        for number, target in enumerate(({"a": [0]}, {"a": [0], "b": [2]}, {"b": [2, 3]})):
            def change():
                world.coordinator.lose = 2 + number
                world.coordinator.assign(**target)
            world.at_broker(change)
            yield world.has(target)
            # the coordinator, too, knows what the member has
            expected = dict((world.coordinator.topic_ids[name], set(ids)) for name, ids in target.items())
            yield loop.until(lambda: world.at_broker(lambda: dict(world.coordinator.owned)) == expected)
        log = world.log
        assert not [entry for entry in log if entry[2]] and not world.losses
        for before, after in zip(log, log[1:]):
            if before[3]:  # lost: said again, with the same epoch, and everything
                assert after[:2] == (before[0], "full"), log
    body()


@with_world()
def test_a_blocked_loop_loses_nothing_of_what_is_said_meanwhile(world):
    yield world.join()
    world.at_broker(world.coordinator.assign, a=[0, 1, 2])
    yield world.has({"a": [0, 1, 2]})
    epoch = world.member.identity[1]
    del world.changes[:]
    for target in ({"a": [0, 1, 2, 3]}, {"a": [0, 1, 3]}, {"a": [0, 1, 3], "b": [1]}):
        world.at_broker(world.coordinator.assign, **target)
        time.sleep(0.3)  # six beats
    beats = world.log
    assert [entry[0] for entry in beats].count(epoch + 3) >= 2  # it was followed while the loop stood still
    assert not [entry for entry in beats if entry[2]]
    yield world.has({"a": [0, 1, 3], "b": [1]})
    assert world.member.identity[1] == epoch + 3 and not world.losses
    assert sum([revoked.get("a", []) for revoked, _ in world.changes], []) == [2]
    yield loop.until(lambda: world.at_broker(lambda: len(world.coordinator.owned)) == 2)


@with_world(brokers=3)
def test_the_coordinator_moves(world):
    yield world.join()
    world.at_broker(world.coordinator.assign, a=[0])
    yield world.has({"a": [0]})

    def move():
        world.brokers.cluster.coordinator = 3
        for broker_id, broker in world.brokers.cluster.brokers.items():
            broker.on(API, world.coordinator if broker_id == 3 else (lambda call: ConsumerGroupHeartbeatResponse(
                error_code=16)))
        del world.coordinator.log[:]
    world.at_broker(move)
    yield loop.until(lambda: len(world.log) > 2)
    assert world.log[0][1:3] == ("full", 0) and world.log[1][1] == "brief"
    assert world.member.state == STABLE and not world.losses
    assert len(world.changes) == 1


@with_world()
def test_a_fenced_member_comes_back_by_itself(world):
    yield world.join()
    world.at_broker(world.coordinator.assign, a=[0])
    yield world.has({"a": [0]})
    world.at_broker(world.coordinator.refusals.extend, [110, 25, 110, 14])
    yield loop.until(lambda: world.losses)
    yield world.has({"a": [0]})
    assert world.losses == [{"a": [0]}]


@with_world()
def test_stopped_while_it_joins(world):
    yield world.client.connect()
    yield world.member.start({})
    world.at_broker(world.coordinator.refusals.extend, [14] * 3)
    world.member.subscribe(["a"])
    yield loop.until(lambda: world.log)
    assert world.member.state == JOINING
    yield loop.within(3, world.member.stop())
    assert world.log[-1][0] == -1
