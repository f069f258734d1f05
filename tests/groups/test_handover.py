"""
The way from ZooKeeper to Kafka: members against a real ZooKeeper, with a Kafka group that only notes who joins.

With real Kafka it is in `tests/integration/test_handover.py`.
"""
from __future__ import absolute_import

import logging
import uuid

import pytest
from tornado import concurrent, gen

import kiel.testing
from kiel import allocation, events, exc
from kiel.groups import move
from kiel.groups.handover import (
    CARRYING, FOLLOWING, JOINING, MOVED, RELEASING, STOPPED, TRANSITIONS, WAITING, HandoverAllocator
)
from kiel.zookeeper.follower import Follower
from kiel.zookeeper.switch import CLOSING, OPEN

from tests import loop
from tests.zookeeper.world import Member, OldMember, kazoo, shared_out, topics

#: partitions of topic "t" in these tests
COUNT = 6


@pytest.fixture(scope="module")
def zk():
    with kiel.testing.ZooKeeper() as server:
        yield server


class Kafka(object):
    """The group in Kafka: who is in, and what was carried over; ``hold`` is a Future that carrying waits for."""

    def __init__(self):
        self.coordinator = self.cluster = self
        self.topics = topics(COUNT)
        self.unserved = False
        self.travellers = []
        self.joined = []
        self.carried = []
        self.hold = None
        self.errors = []  # that the next joins end with

    @gen.coroutine
    def join(self, obey, join):
        if self.errors:
            raise self.errors.pop(0)
        # the barrier: nobody holds anything in ZooKeeper when the first joins in Kafka, and the offsets are there
        for traveller in self.travellers:
            assert not traveller.dead and traveller.allocator.follower.allocation == {} or traveller.dead
        assert self.carried
        made = InKafka(self)
        obey(made)
        yield join()

    @gen.coroutine
    def check(self):
        if self.unserved:
            raise exc.UnsupportedVersionError("not served")


class InKafka(allocation.Allocator):
    """A member of the Kafka group; the first one has everything."""

    by_topic = True
    identity = ("member", 7)

    def __init__(self, kafka):
        self.kafka = kafka
        self.allocation = {}
        self.subscribed = []

    def start(self, partitions):
        self.partitions = partitions
        return gen.maybe_future(None)

    @gen.coroutine
    def subscribe(self, names):
        self.subscribed.extend(names)
        if self not in self.kafka.joined:
            self.kafka.joined.append(self)
            if len(self.kafka.joined) == 1:
                self.allocation = dict((name, self.partitions[name]) for name in names)
                yield self.changed({}, self.allocation)

    @gen.coroutine
    def stop(self):
        if self in self.kafka.joined:
            self.kafka.joined.remove(self)
        revoked, self.allocation = self.allocation, {}
        yield self.changed(revoked, {})


class View(object):
    """What the allocator needs of a `GroupView`."""

    def __init__(self, kafka):
        self.kafka = kafka

    def committed_offsets(self, keys):
        return gen.maybe_future(dict((key, key[1] or None) for key in keys))

    @gen.coroutine
    def commit(self, offsets, metadata):
        if self.kafka.hold is not None:
            yield self.kafka.hold
        self.kafka.carried.append(offsets)
        raise gen.Return(dict.fromkeys(offsets, True))


class Traveller(object):
    """A member that is able to move, and what it is told."""

    def __init__(self, zk, group, kafka, number, **options):
        self.kafka = kafka
        follower = Follower([zk.hosts], group, "host:%d" % number, allocation.naive_allocator, session_timeout=4.0,
                            **options)
        self.allocator = HandoverAllocator(kafka, follower, lambda: ["t"], lambda: View(kafka))
        self.allocator.move.grace = 0.3
        self.allocator.on_change = self.on_change
        self.allocator.on_pause = self.on_pause
        self.changes, self.pauses, self.states = [], [], []
        self.busy = None
        self.dead = False
        kafka.travellers.append(self)

    def on_change(self, revoked, assigned):
        self.changes.append((self.allocator.current, revoked, assigned))
        return self.busy if revoked else None

    def on_pause(self, paused):
        self.pauses.append(paused)

    def start(self):
        return self.allocator.start(topics(COUNT))

    @property
    def items(self):
        return allocation.flatten(self.allocator.allocation)

    @property
    def state(self):
        return self.allocator.state

    @gen.coroutine
    def die(self):
        """Is gone at once, with its session, as a killed process's is in the end."""
        self.dead = True
        self.allocator.move._run = self.allocator.follower.presence.run = None
        session = self.allocator.follower.session
        self.allocator.follower._lease.end()
        yield session.close(5)


def travel(test):
    """Runs the test, a generator function, with a ZooKeeper, a group's name and three members."""
    def run(zk, monkeypatch):
        group = "handover-" + uuid.uuid4().hex[:10]
        kafka = Kafka()
        monkeypatch.setattr(move, "PAUSE", 0.1)

        @gen.coroutine
        def body():
            members = [Traveller(zk, group, kafka, number) for number in range(3)]
            try:
                yield gen.coroutine(test)(zk, group, kafka, members)
            finally:
                yield [member.allocator.stop() for member in kafka.travellers if not member.dead]
                for member in kafka.travellers:
                    member.allocator.follower.conn.stop()
                    if member.allocator.follower.conn._connection.connection_stopped.is_set():
                        member.allocator.follower.conn.close()
        loop.run(body, 60)
    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@gen.coroutine
def all_in(state, members, seconds=20):
    yield loop.until(lambda: all(member.state == state for member in members), seconds)


@gen.coroutine
def start_all(members):
    """Have them start and share the partitions; the group moves from `may_move` on."""
    for member in members:
        member.allocator.move.grace = 60
        yield member.start()
    yield shared_out(members, allocation.flatten(topics(COUNT)))


def may_move(members):
    for member in members:
        member.allocator.move.grace = 0.3


def switch(zk, group):
    with kazoo(zk) as conn:
        path = "/kiel/groups/%s/switched" % group
        return conn.get(path)[0] if conn.exists(path) else None


# -- the table --

EVENTS = ("started", "switched", "released", "chosen", "opened", "undone", "carried", "failed", "joined")

WAY = {
    (STOPPED, "started"): FOLLOWING, (FOLLOWING, "switched"): RELEASING, (RELEASING, "released"): WAITING,
    (WAITING, "chosen"): CARRYING, (WAITING, "opened"): JOINING, (WAITING, "undone"): FOLLOWING,
    (CARRYING, "carried"): WAITING, (CARRYING, "failed"): WAITING, (JOINING, "joined"): MOVED,
}


@pytest.mark.parametrize("state", [STOPPED, FOLLOWING, RELEASING, WAITING, CARRYING, JOINING, MOVED])
@pytest.mark.parametrize("event", EVENTS)
def test_state_by_event(state, event):
    follower = Follower(["nowhere:1"], "g", "host:1", allocation.naive_allocator)
    member = HandoverAllocator(Kafka(), follower, list, None)
    member.move.stage = state
    if (state, event) in WAY:
        member.move._event(event)
        assert member.state == WAY[state, event]
    else:
        with pytest.raises(KeyError):
            member.move._event(event)
        assert member.state == state
    assert set(TRANSITIONS) == {STOPPED, FOLLOWING, RELEASING, WAITING, CARRYING, JOINING, MOVED}


# -- moving --

@travel
def test_all_move_once_the_last_that_can_not_is_gone(zk, group, kafka, members):
    plain = Member(zk, group, "host:9")
    yield plain.allocator.start(topics(COUNT))
    for member in members:
        yield member.start()
    yield shared_out(members + [plain], allocation.flatten(topics(COUNT)))
    yield gen.sleep(0.8)
    assert switch(zk, group) is None and not kafka.joined
    assert all(member.state == FOLLOWING and member.allocator.identity == ("", -1) for member in members)
    assert not any(member.allocator.by_topic for member in members)

    yield plain.allocator.stop()
    yield all_in(MOVED, members)
    assert switch(zk, group) == OPEN
    # one of them carried the offsets that there are, and did so before the first joined
    assert kafka.carried == [dict((("t", number), number) for number in range(1, COUNT))]
    assert len(kafka.joined) == 3 and all(each.subscribed == ["t"] for each in kafka.joined)
    assert sum([sorted(member.items) for member in members], []) == sorted(allocation.flatten(topics(COUNT)))
    for member in members:
        # given up in ZooKeeper before anything came from Kafka
        kinds = [current is member.allocator.follower for current, _, _ in member.changes]
        assert kinds == sorted(kinds, reverse=True)
        assert member.allocator.by_topic and member.allocator.identity == ("member", 7)
    with kazoo(zk) as conn:
        assert conn.get_children("/kiel/groups/%s/owners" % group) == []


@travel
def test_a_while_without_a_member_that_can_not_is_no_sign(zk, group, kafka, members):
    for member in members:
        member.allocator.move.grace = 3
    yield members[0].start()
    yield gen.sleep(1)
    plain = Member(zk, group, "host:9")
    yield plain.allocator.start(topics(COUNT))
    yield gen.sleep(2.5)
    assert switch(zk, group) is None
    yield plain.allocator.stop()
    yield all_in(MOVED, members[:1])


@travel
def test_who_comes_later_goes_to_kafka_at_once(zk, group, kafka, members):
    yield members[0].start()
    yield all_in(MOVED, members[:1])
    yield members[1].start()
    assert members[1].state == MOVED and len(kafka.joined) == 2
    assert all(current is not members[1].allocator.follower for current, _, _ in members[1].changes)
    # and one that only knows ZooKeeper is told so, soon
    plain = Member(zk, group, "host:9")
    error = yield loop.raises(exc.GroupMovedError, plain.allocator.start(topics(COUNT)), 3)
    assert "has moved to Kafka" in str(error) and "switched" in str(error)
    assert plain.allocator.allocation == {} and plain.changes == []
    with kazoo(zk) as conn:
        assert "host:9" not in conn.get_children("/kiel/groups/%s/members" % group)


@travel
def test_one_that_can_not_move_is_out_when_the_group_does(zk, group, kafka, members):
    """It came in the very moment in which the others decided."""
    plain = Member(zk, group, "host:9")
    yield plain.allocator.start(topics(COUNT))
    logging.getLogger("kiel.zookeeper.allocator").disabled = True  # it says so
    try:
        with kazoo(zk) as conn:
            conn.create("/kiel/groups/%s/switched" % group, CLOSING)
        yield loop.until(lambda: plain.allocator.error is not None and not plain.allocator.allocation, 5)
    finally:
        logging.getLogger("kiel.zookeeper.allocator").disabled = False
    assert isinstance(plain.allocator.error, exc.GroupMovedError)
    yield members[0].start()
    yield all_in(MOVED, members[:1])
    yield plain.allocator.stop()


@travel
def test_an_old_member_that_comes_while_the_others_give_up_has_them_come_back(zk, group, kafka, members):
    yield start_all(members)
    members[1].busy = concurrent.Future()
    may_move(members)
    yield all_in(WAITING, [members[0], members[2]])
    yield all_in(RELEASING, members[1:2])
    assert switch(zk, group) == CLOSING
    old = OldMember(zk, group, "host:9")
    yield events.run_blocking(loop.ioloop.IOLoop.current(), old.start, topics(COUNT))
    try:
        logging.getLogger("kiel.groups.move").disabled = True  # it says why the group stays
        members[1].busy.set_result(None)
        members[1].busy = None
        yield shared_out(members + [old], allocation.flatten(topics(COUNT)))
    finally:
        logging.getLogger("kiel.groups.move").disabled = False
    assert all(member.state == FOLLOWING for member in members) and not kafka.joined
    assert switch(zk, group) is None
    yield events.run_blocking(loop.ioloop.IOLoop.current(), old.stop)
    yield all_in(MOVED, members)
    assert len(kafka.carried) == 1


@travel
def test_an_old_member_that_comes_after_it_is_reported(zk, group, kafka, members):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("kiel.groups.move")
    yield members[0].start()
    yield all_in(MOVED, members[:1])
    old = OldMember(zk, group, "host:9")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield events.run_blocking(loop.ioloop.IOLoop.current(), old.start, topics(COUNT))
        yield loop.until(lambda: lines, 5)
        yield gen.sleep(0.3)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        yield events.run_blocking(loop.ioloop.IOLoop.current(), old.stop)
    assert len(lines) == 1 and "host:9 joins it in ZooKeeper" in lines[0]


@travel
def test_the_switch_of_a_group_that_lives_is_put_back(zk, group, kafka, members):
    yield members[0].start()
    yield all_in(MOVED, members[:1])
    logging.getLogger("kiel.groups.move").disabled = True  # it says so
    try:
        with kazoo(zk) as conn:
            conn.delete("/kiel/groups/%s/switched" % group)
        yield loop.until(lambda: switch(zk, group) == OPEN, 5)
    finally:
        logging.getLogger("kiel.groups.move").disabled = False
    assert members[0].state == MOVED
    yield members[1].start()
    assert members[1].state == MOVED


def test_zookeeper_may_go_once_the_group_has_moved(monkeypatch):
    @travel
    def check(zk, group, kafka, members):
        for member in members[:2]:
            yield member.start()
        yield all_in(MOVED, members[:2])
        before = [(list(member.pauses), member.items) for member in members[:2]]
        zk.kill()
        yield loop.until(lambda: members[0].allocator.follower.paused, 5)
        yield gen.sleep(0.2)
        assert [(member.pauses, member.items) for member in members[:2]] == before
        assert not any(member.allocator.paused for member in members[:2])
        yield loop.within(8, gen.multi([member.allocator.stop() for member in members[:2]]))
        assert not kafka.joined
    with kiel.testing.ZooKeeper() as server:
        check(server, monkeypatch)


# -- deaths, stops, failures --

@pytest.mark.parametrize("state", [FOLLOWING, RELEASING, WAITING, CARRYING])
def test_nobody_waits_for_the_dead(zk, monkeypatch, state):
    @travel
    def check(zk, group, kafka, members):
        yield start_all(members)
        # the first by name is the one that carries
        victim, others = members[0], members[1:]
        if state == CARRYING:
            kafka.hold = concurrent.Future()
        if state == RELEASING:
            victim.busy = concurrent.Future()
        if state == WAITING:
            others[0].busy = concurrent.Future()
        if state != FOLLOWING:
            may_move(members)
            yield loop.until(lambda: victim.state == state, 20)
            yield gen.sleep(0.2)
        yield victim.die()
        may_move(others)
        if state == WAITING:
            others[0].busy.set_result(None)
        if state == CARRYING:  # the next one carries them again
            kafka.hold = None
        yield all_in(MOVED, others)
        assert len(kafka.joined) == 2 and len(kafka.carried) == 1
    check(zk, monkeypatch)


@travel
def test_a_session_that_ends_on_the_way_is_made_good(zk, group, kafka, members):
    yield start_all(members)
    members[1].busy = concurrent.Future()
    may_move(members)
    yield all_in(WAITING, [members[0], members[2]])
    logging.getLogger("kiel.zookeeper.allocator").disabled = True  # it says that the session is lost
    try:
        before = members[2].allocator.follower.session
        yield events.run_blocking(loop.ioloop.IOLoop.current(), zk.expire, members[2].allocator.follower.conn)
        yield loop.until(lambda: members[2].allocator.follower.knows
                         and members[2].allocator.follower.session is not before, 10)
    finally:
        logging.getLogger("kiel.zookeeper.allocator").disabled = False
    assert members[2].state == WAITING and members[2].items == set()
    members[1].busy.set_result(None)
    yield all_in(MOVED, members)


@pytest.mark.parametrize("state", [FOLLOWING, RELEASING, WAITING, CARRYING, JOINING, MOVED])
def test_it_can_be_stopped_anywhere_and_started_again(zk, monkeypatch, state):
    @travel
    def check(zk, group, kafka, members):
        first = members[0]
        blocked = concurrent.Future()
        yield start_all(members[:2])
        if state == RELEASING:
            first.busy = blocked
        if state == WAITING:
            members[1].busy = blocked
        if state == CARRYING:
            kafka.hold = blocked
        if state == JOINING:
            join = kafka.join

            @gen.coroutine
            def slow(*args):
                yield blocked
                yield join(*args)
            monkeypatch.setattr(kafka, "join", slow)
        if state != FOLLOWING:
            may_move(members[:2])
        yield loop.until(lambda: first.state == state, 20)
        stopped = first.allocator.stop()
        blocked.set_result(None)
        first.busy = members[1].busy = kafka.hold = None
        yield loop.within(20, stopped)
        assert first.state == STOPPED and first.items == set() and first.allocator.move.joined is None
        may_move(members[:2])
        yield loop.within(20, first.start())
        yield all_in(MOVED, members[:2])
        assert len(kafka.joined) == 2
    check(zk, monkeypatch)


@travel
def test_a_group_that_does_not_take_the_member(zk, group, kafka, members):
    logging.getLogger("kiel.groups.move").disabled = True  # it says so
    try:
        kafka.errors = [exc.CoordinatorNotAvailableError("not yet")]
        yield members[0].start()
        yield all_in(MOVED, members[:1])
        assert members[0].allocator.error is None
        kafka.errors = [exc.GroupAuthorizationFailedError("no")]
        yield loop.raises(exc.GroupAuthorizationFailedError, members[1].start())
        assert isinstance(members[1].allocator.error, exc.GroupAuthorizationFailedError)
    finally:
        logging.getLogger("kiel.groups.move").disabled = False


@travel
def test_a_broker_without_the_protocol_is_noticed_before_anything_happens(zk, group, kafka, members):
    kafka.unserved = True
    yield loop.raises(exc.UnsupportedVersionError, members[0].start())
    with kazoo(zk) as conn:
        assert not conn.exists("/kiel/groups/%s" % group)
