"""The life of a member of a classic group: state by event, with a heartbeat whose answers the test gives."""
from __future__ import absolute_import

import collections
import functools
import logging
import os

import pytest
from tornado import concurrent, gen, testing

from kiel import exc
from kiel.groups import assignors, refusals
from kiel.groups.classic import (
    coordinator_client, leader as leading, requests as classic_requests, session
)
from kiel.groups.classic.leader import from_assignment, to_assignment
from kiel.groups.classic.member import ClassicAllocator
from kiel.groups.classic.states import (
    AWAY, FAILED, JOINING, LEAVING, OUT, REVOKING, STABLE, SYNCING, TRANSITIONS
)
from kiel.groups.membership import Membership
from kiel.protocol.consumer_protocol import Subscription
from kiel.protocol.heartbeat import HeartbeatRequest, HeartbeatResponse
from kiel.protocol.join_group import JoinGroupResponse, Member
from kiel.protocol.leave_group import LeaveGroupRequest, LeaveGroupResponse
from kiel.protocol.metadata import MetadataResponse
from kiel.protocol.sync_group import SyncGroupResponse
from kiel.retry import monotonic
from kiel.settings import Settings

from tests import loop
from tests.raised import ERRORS, NAMES

RANGE, COOPERATIVE = assignors.by_name["range"], assignors.by_name["cooperative-sticky"]

UNKNOWN, ILLEGAL, REBALANCE, FENCED, FORBIDDEN, MOVED, NEEDS_ID = 25, 22, 27, 82, 30, 16, 79


def done(result=None):
    future = concurrent.Future()
    future.set_result(result)
    return future


class Heartbeat(object):
    """Keeps what is to be sent till the test answers it."""

    def __init__(self, settings, io_loop, group, interval, slow_callback, max_poll_interval):
        self.left = False
        self.last_beat = None
        self.starts = []
        self.said = []
        self.upcoming = None
        self.stopped = False
        world.heartbeat = self

    def start(self, address, others, first, follow, leave):
        self.left = False
        self.starts.append(address)
        self.said.append(first)
        self.upcoming, self.follow, self.leave = first, follow, leave

    def say(self, request):
        assert not self.stopped and self.starts
        self.said.append(request)
        self.upcoming = request

    def stop(self):
        self.stopped = True
        return done()

    def answer(self, response):
        """Answers what was said last, as `kiel.groups.liveness.heartbeat_thread.HeartbeatThread` does."""
        request = self.upcoming
        assert request is not None and not callable(request), "nothing is said to the coordinator"
        failed = isinstance(response, exc.KielError)
        error = response if failed else exc.for_code(response.error_code)
        if error is None or getattr(error, "code", None) == REBALANCE:
            self.last_beat = monotonic()
        if error is None or not (failed or error.retriable):
            self.upcoming = self.follow(request, response)
        self.on_answer(request, response)

    def beat(self, code=0):
        """A beat of the present generation is answered."""
        self.upcoming = world.allocator._requests.beat(*world.allocator.identity)
        self.answer(HeartbeatResponse(error_code=code))


class Broker(object):
    host, port = "nowhere", 9092

    def __init__(self, versions=9):
        self.versions = versions
        self.requests = []
        self.answers = []

    def reaches(self, api, version):
        return version <= self.versions

    def send(self, request):
        self.requests.append(request)
        return done(self.answers.pop(0) if self.answers else LeaveGroupResponse())


class Cluster(object):
    def __init__(self, topics):
        self.topics = dict(topics)
        self.conns = {1: Broker()}
        self.asked = []
        self.elsewhere = {}
        self.heals = 0

    def __getitem__(self, broker_id):
        return self.conns[broker_id]

    def get_metadata(self, topics, create=True):
        self.asked.append((topics, create))
        return done(MetadataResponse(topics=[(name, self.elsewhere[name]) for name in topics]))

    def process_topics(self, topics, asked):
        self.topics.update(topics)

    def warn(self, text, *args):
        logging.getLogger("kiel.cluster").warning(text, *args)

    def heal(self):
        self.heals += 1
        return done()


class Coordinator(object):
    """What an allocator needs of the group's `kiel.clients.grouping.coordinator.GroupCoordinator`."""
    key = "g"

    def __init__(self, topics):
        self.cluster = Cluster(topics)
        #: broker ids or errors that the next look-ups end with; broker 1 is the coordinator else
        self.found = []
        self.lost = 0

    @property
    def known(self):
        return self.cluster.conns.get(1)

    @gen.coroutine
    def broker(self):
        found = self.found.pop(0) if self.found else 1
        if isinstance(found, Exception):
            raise found
        raise gen.Return(self.cluster.conns[found])

    def lose(self):
        self.lost += 1

    def tell_trouble(self, logger, text, *args):
        logger.info(text, *args)

    def trouble_over(self):
        pass


#: the `World` of the test that runs
world = None


class World(object):
    """A member, what it was told to do, and what it told."""

    def __init__(self, assignor=RANGE, topics=(("t", [0, 1, 2, 3]),), **settings):
        global world
        world = self
        self.heartbeat = None
        self.coordinator = Coordinator(topics)
        self.cluster = self.coordinator.cluster
        settings.setdefault("session_timeout", 5)
        settings.setdefault("rebalance_timeout", 5)
        self.allocator = ClassicAllocator(
            self.coordinator, Membership(assignors=(assignor,), **settings), Settings(request_timeout=0.2)
        )
        self.assignor = assignor
        self.told = []
        #: what `on_change` waits for
        self.gate = None
        self.pauses = []
        self.allocator.on_change = self.changed
        self.allocator.on_lost = lambda lost: self.told.append(("lost", lost))
        self.allocator.on_pause = self.pauses.append
        self.generation = 0

    def changed(self, revoked, assigned):
        self.told.append((revoked, assigned))
        if revoked:
            assert not any(set(ids) & set(self.allocator.allocation.get(t, ())) for t, ids in revoked.items())
            return self.gate

    @property
    def state(self):
        return self.allocator.state

    @property
    def said(self):
        """What the coordinator was asked last."""
        return self.heartbeat.said[-1]

    @property
    def leaves(self):
        return [request for request in self.cluster[1].requests if request.api == "leave_group"]

    @gen.coroutine
    def until(self, api):
        """Waits until the coordinator is asked for that."""
        yield loop.until(lambda: (
            self.heartbeat is not None and self.heartbeat.upcoming is self.said and self.said.api == api
        ))

    @gen.coroutine
    def joined(self, leader=False, members=None, member_id="m", **fields):
        """Answers JoinGroup."""
        yield self.until("join_group")
        self.generation += 1
        fields.setdefault("generation_id", self.generation)
        if members is None:
            members = {member_id: ["t"]} if leader else {}
        self.heartbeat.answer(JoinGroupResponse(
            member_id=member_id, leader_id=member_id if leader else "other", protocol=self.assignor.name,
            members=[
                Member(member_id=name, metadata=self.assignor.metadata(topics).encode())
                for name, topics in sorted(members.items())
            ], **fields
        ))

    @gen.coroutine
    def synced(self, share=None, **topics):
        """Answers SyncGroup."""
        yield self.until("sync_group")
        self.heartbeat.answer(SyncGroupResponse(assignment=to_assignment(share or topics).encode()))
        yield loop.until(lambda: self.state != SYNCING)

    @gen.coroutine
    def stable(self, leader=False, **topics):
        """Goes through a rebalance."""
        yield self.joined(leader)
        yield self.synced(topics or {"t": [0, 1]})
        yield loop.until(lambda: self.state == STABLE)

    @gen.coroutine
    def refused(self, code, api):
        """Answers what is asked with an error."""
        yield self.until(api)
        cls = {"join_group": JoinGroupResponse, "sync_group": SyncGroupResponse}[api]
        self.heartbeat.answer(cls(error_code=code))


def with_world(**settings):
    """Runs the test, a generator function of a `World`; afterwards the member stops and nothing is left waiting."""
    def decorate(test):
        def run(monkeypatch):
            monkeypatch.setattr(coordinator_client, "Heartbeat", Heartbeat)
            monkeypatch.setattr(session, "CHECK_PERIOD", 0.02)

            @gen.coroutine
            def body():
                this = World(**settings)
                yield gen.coroutine(test)(this)
                yield loop.within(3, this.allocator.stop())
                assert this.state == OUT and not this.allocator._subscription._waiters._waiting
                driver = this.allocator._rejoining.driver
                yield loop.until(lambda: driver is None or driver.done())
            loop.run(body)
        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run
    return decorate


# -- the table --

@gen.coroutine
def bring(this, state):
    """Brings the member into a state; the Future of its subscription, if any, is not waited for."""
    if state == OUT:
        this.allocator.start({})
        return
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield this.until("join_group")
    if state == JOINING:
        return
    if state == SYNCING:
        yield this.joined()
        yield this.until("sync_group")
        return
    yield this.stable()
    if state == REVOKING:
        this.gate = concurrent.Future()
        this.heartbeat.beat(REBALANCE)
    elif state == AWAY:
        this.heartbeat.left = True
        this.heartbeat.on_left()
    elif state == FAILED:
        this.heartbeat.beat(FORBIDDEN)
    elif state == LEAVING:
        this.gate = concurrent.Future()
        this.allocator.stop()
        yield loop.until(lambda: len(this.told) == 2)
    yield loop.until(lambda: this.state == state)


def subscribe(this):
    this.allocator.subscribe(["t"])


def open_gate(this):
    this.gate.set_result(None)


def refuse(code, api):
    return lambda this: this.refused(code, api)


def leave_by_itself(this):
    this.heartbeat.left = True
    this.heartbeat.on_left()


def stop(this):
    this.gate = concurrent.Future()
    this.allocator.stop()


#: (state, event) -> what makes it happen
CAUSES = {
    (OUT, "join"): subscribe,
    (AWAY, "join"): subscribe,
    (FAILED, "retry"): subscribe,
    (REVOKING, "join"): open_gate,
    (REVOKING, "lost"): lambda this: this.heartbeat.beat(UNKNOWN),
    (REVOKING, "fatal"): lambda this: this.heartbeat.beat(FENCED),
    (JOINING, "joined"): lambda this: this.joined(),
    (JOINING, "join"): refuse(REBALANCE, "join_group"),
    (JOINING, "lost"): refuse(UNKNOWN, "join_group"),
    (JOINING, "fatal"): refuse(23, "join_group"),
    (SYNCING, "synced"): lambda this: this.synced(t=[3]),
    (SYNCING, "join"): refuse(REBALANCE, "sync_group"),
    (SYNCING, "lost"): refuse(ILLEGAL, "sync_group"),
    (SYNCING, "fatal"): refuse(FENCED, "sync_group"),
    (STABLE, "rebalance"): lambda this: this.heartbeat.beat(REBALANCE),
    (STABLE, "lost"): lambda this: this.heartbeat.beat(UNKNOWN),
    (STABLE, "fatal"): lambda this: this.heartbeat.beat(FORBIDDEN),
    (LEAVING, "left"): open_gate,
}
for state in (REVOKING, JOINING, SYNCING, STABLE):
    CAUSES[state, "away"] = leave_by_itself
for state in TRANSITIONS:
    CAUSES.setdefault((state, "leave"), stop)
ROWS = sorted((state, event) for state in TRANSITIONS for event in TRANSITIONS[state])


def test_the_table_is_closed():
    states = {OUT, REVOKING, JOINING, SYNCING, STABLE, AWAY, FAILED, LEAVING}
    assert set(TRANSITIONS) == states
    assert set(after for row in TRANSITIONS.values() for after in row.values()) == states


@pytest.mark.parametrize("state,event", ROWS)
def test_each_event_in_each_state(state, event, monkeypatch):
    @with_world()
    def test(this):
        yield bring(this, state)
        assert this.state == state
        seen = []
        change = this.allocator._event

        def noted(name):
            seen.append((this.state, name))
            change(name)
        this.allocator._event = noted
        caused = CAUSES[state, event](this)
        if caused is not None:
            yield caused
        yield loop.until(lambda: (state, event) in seen)
        assert seen[0] == (state, event)
        if this.gate is not None and not this.gate.done():
            this.gate.set_result(None)
    test(monkeypatch)


@pytest.mark.parametrize("state", [OUT, JOINING, SYNCING, AWAY, FAILED, LEAVING])
@pytest.mark.parametrize("code", [0, UNKNOWN, ILLEGAL, REBALANCE, FORBIDDEN])
def test_beats_of_another_time_change_nothing(state, code, monkeypatch):
    @with_world()
    def test(this):
        yield bring(this, state)
        if this.heartbeat is not None:
            identity, told = this.allocator.identity, list(this.told)
            for request in (HeartbeatRequest(member_id="m", generation_id=1),
                            HeartbeatRequest(member_id=identity[0], generation_id=identity[1])):
                this.heartbeat.on_answer(request, HeartbeatResponse(error_code=code))
            yield gen.sleep(0.02)
            assert (this.state, this.allocator.identity, this.told) == (state, identity, told)
        if this.gate is not None:
            this.gate.set_result(None)
    test(monkeypatch)


@with_world()
def test_beats_of_an_older_generation_change_nothing(this):
    yield bring(this, STABLE)
    this.heartbeat.beat(REBALANCE)
    yield this.stable(t=[2])
    for code in (UNKNOWN, ILLEGAL, REBALANCE, FENCED):
        this.heartbeat.on_answer(HeartbeatRequest(member_id="m", generation_id=1), HeartbeatResponse(error_code=code))
    yield gen.sleep(0.02)
    assert this.state == STABLE and this.allocator.allocation == {"t": [2]}


# -- giving up and taking --

@with_world()
def test_eager_members_give_everything_up_before_they_join(this):
    yield bring(this, STABLE)
    assert this.told == [({}, {"t": [0, 1]})] and this.allocator.identity == ("m", 1)
    this.gate = concurrent.Future()
    this.heartbeat.beat(REBALANCE)
    yield loop.until(lambda: this.state == REVOKING)
    assert this.told[1:] == [({"t": [0, 1]}, {})]
    assert this.allocator.allocation == {} and this.allocator.identity == ("m", 1)
    said = len(this.heartbeat.said)
    this.heartbeat.beat(REBALANCE)
    yield gen.sleep(0.05)
    assert len(this.heartbeat.said) == said, "nothing is asked before all is given up"
    this.gate.set_result(None)
    yield this.until("join_group")
    assert Subscription.unpack(this.said.group_protocols[0].metadata).owned_partitions == []
    assert this.said.member_id == "m"
    yield this.stable(t=[1])
    assert this.told[2:] == [({}, {"t": [1]})]


@with_world(assignor=COOPERATIVE)
def test_cooperative_members_give_up_what_goes_and_join_again(this):
    yield bring(this, STABLE)
    this.heartbeat.beat(REBALANCE)
    yield this.until("join_group")
    assert this.allocator.allocation == {"t": [0, 1]} and len(this.told) == 1
    owned = Subscription.unpack(this.said.group_protocols[0].metadata)
    assert [(each.name, each.partitions) for each in owned.owned_partitions] == [("t", [0, 1])]
    assert owned.generation_id == 1
    this.gate = concurrent.Future()
    yield this.joined()
    yield this.synced(t=[1])
    assert this.told[1:] == [({"t": [0]}, {})]
    assert this.allocator.allocation == {"t": [1]} and this.allocator.identity == ("m", 2)
    this.heartbeat.beat(REBALANCE)  # one that comes while another is not over
    yield gen.sleep(0.05)
    assert this.state == STABLE and this.said.api == "sync_group"
    this.gate.set_result(None)
    yield this.stable(t=[1, 2])
    assert this.told[2:] == [({}, {"t": [2]})]
    yield gen.sleep(0.05)
    assert this.state == STABLE, "nothing more to be done"


@with_world(rebalance_timeout=0.2 - classic_requests.MARGIN / 2.0)
def test_what_is_not_given_up_in_time_is_lost(this):
    yield bring(this, STABLE)
    this.gate = concurrent.Future()
    this.heartbeat.beat(REBALANCE)
    yield loop.until(lambda: ("lost", {"t": [0, 1]}) in this.told)
    yield this.stable(t=[0])
    assert this.allocator.allocation == {"t": [0]}
    this.gate.set_result(None)


@with_world(session_timeout=1, heartbeat_interval=0.4)
def test_without_a_rebalance_timeout_the_session_is_the_limit(this):
    """JoinGroup v0."""
    this.cluster[1].versions = 0
    yield bring(this, STABLE)
    this.gate = concurrent.Future()
    this.heartbeat.beat(REBALANCE)
    begun = monotonic()
    yield this.until("join_group")
    assert 0.4 < monotonic() - begun < 1
    this.gate.set_result(None)


@with_world()
def test_members_that_are_put_out_lose_what_they_have(this):
    yield bring(this, REVOKING)
    this.heartbeat.beat(UNKNOWN)
    assert this.told[-1] == ("lost", {"t": [0, 1]}) and this.allocator.identity == ("", -1)
    this.gate.set_result(None)
    yield this.until("join_group")
    assert this.said.member_id == ""
    yield this.stable()
    yield gen.sleep(0.05)
    assert this.state == STABLE, "that was one reason to join, not two"
    this.heartbeat.beat(ILLEGAL)
    assert this.told[-1] == ("lost", {"t": [0, 1]}) and this.allocator.allocation == {}
    yield this.until("join_group")
    assert this.said.member_id == "m", "only the generation was wrong"
    this.allocator.on_lost = None
    yield this.stable()
    this.heartbeat.beat(UNKNOWN)
    assert this.told[-1] == ({"t": [0, 1]}, {}), "who has no on_lost is told by on_change"
    yield this.stable()


@with_world(assignor=COOPERATIVE)
def test_what_was_kept_is_lost_when_the_group_does_not_know_the_member(this):
    yield bring(this, STABLE)
    this.heartbeat.beat(REBALANCE)
    yield this.refused(UNKNOWN, "join_group")
    yield loop.until(lambda: this.told[-1] == ("lost", {"t": [0, 1]}))
    yield this.joined()
    assert Subscription.unpack(this.heartbeat.said[-1].group_protocols[0].metadata).owned_partitions == [] \
        if this.heartbeat.said[-1].api == "join_group" else True
    yield this.synced(t=[0])


@with_world()
def test_hooks_that_raise_stop_nothing(this):
    def broken(*args):
        raise ValueError("broken")
    this.allocator.on_change = this.allocator.on_lost = broken
    logging.disable(logging.CRITICAL)
    try:
        yield bring(this, STABLE)
        this.heartbeat.beat(REBALANCE)
        yield this.stable()
        this.heartbeat.beat(UNKNOWN)
        yield this.stable()
    finally:
        logging.disable(logging.NOTSET)


# -- subscriptions --

@with_world()
def test_a_member_joins_when_there_is_something_to_join_for(this):
    yield loop.within(1, this.allocator.start({}))
    yield gen.sleep(0.02)
    assert this.state == OUT and this.heartbeat is None
    first = this.allocator.subscribe(["t"])
    yield this.until("join_group")
    assert this.said.reason == "subscribes to t" and this.said.group_id == "g"
    assert (this.said.session_timeout, this.said.rebalance_timeout) == (5000, 15000)
    second = this.allocator.subscribe(["u"])  # too late for this one
    yield this.joined()
    yield this.synced(t=[0])
    yield loop.within(1, first)
    assert not second.done()
    yield this.until("join_group")
    assert Subscription.unpack(this.said.group_protocols[0].metadata).topics == ["t", "u"]
    yield this.joined()
    yield this.synced(t=[0], u=[0])
    yield loop.within(1, second)
    assert this.allocator.subscribe(["t", "u"]).done()
    yield gen.sleep(0.03)
    assert this.state == STABLE


@with_world()
def test_topics_from_before_the_start(this):
    future = this.allocator.subscribe(["t"])
    yield gen.sleep(0.02)
    assert this.heartbeat is None
    started = this.allocator.start({})
    yield this.stable()
    yield loop.within(1, [future, started])


@with_world()
def test_nobody_waits_for_ever(this):
    this.allocator.start({})
    refused = this.allocator.subscribe(["t"])
    yield this.refused(FORBIDDEN, "join_group")
    error = yield loop.raises(exc.GroupAuthorizationFailedError, refused)
    assert this.allocator.error is error
    assert this.state == FAILED and not this.allocator.allocation and not this.allocator.is_in
    again = this.allocator.subscribe(["u"])
    yield this.refused(FENCED, "join_group")
    yield loop.raises(exc.FencedInstanceIdError, again)
    yield loop.raises(exc.FencedInstanceIdError, this.allocator.subscribe(["u"]))
    assert this.state == FAILED and this.allocator.is_in, "that does not pass"
    yield this.allocator.stop()

    yield loop.within(1, this.allocator.start({}))
    assert this.allocator.error is None
    left = this.allocator.subscribe(["t"])
    yield loop.until(lambda: this.heartbeat is not None and not this.heartbeat.stopped)
    yield this.until("join_group")
    this.allocator.stop()
    yield loop.raises(exc.ClosedError, left)


# -- joining --

@with_world()
def test_a_member_without_an_id_is_given_one(this):
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield this.until("join_group")
    this.heartbeat.answer(JoinGroupResponse(error_code=NEEDS_ID, member_id="given"))
    yield this.until("join_group")
    assert this.said.member_id == "given"
    yield this.joined(member_id="given")
    yield this.synced(t=[0])
    assert this.allocator.identity == ("given", 1)
    assert this.heartbeat.starts == [("nowhere", 9092)]


@with_world()
def test_what_passes_is_tried_by_the_heart_and_then_with_another_coordinator(this):
    moved, coordinator_client.PATIENCE = coordinator_client.PATIENCE, 0.1
    try:
        this.coordinator.found = [exc.for_code(15), 1]
        this.allocator.start({})
        this.allocator.subscribe(["t"])
        yield this.until("join_group")
        assert this.coordinator.lost == 1 and this.cluster.heals == 1
        for _ in range(3):
            this.heartbeat.answer(JoinGroupResponse(error_code=14))
        assert len(this.heartbeat.starts) == 1 and this.state == JOINING
        yield gen.sleep(0.15)
        this.heartbeat.answer(exc.BrokerConnectionError("nowhere", 9092))
        yield loop.until(lambda: len(this.heartbeat.starts) == 2)
        yield this.stable()

        this.heartbeat.beat(MOVED)  # the heart sees to it
        assert this.state == STABLE and len(this.heartbeat.starts) == 2
        yield gen.sleep(0.15)
        this.heartbeat.beat(MOVED)  # not for ever
        yield loop.until(lambda: len(this.heartbeat.starts) == 3)
        assert this.said.api == "heartbeat" and this.state == STABLE
        assert this.allocator.allocation == {"t": [0, 1]}
    finally:
        coordinator_client.PATIENCE = moved


@with_world()
def test_failures_do_not_make_it_spin(this):
    this.coordinator.found = [exc.for_code(15)] * 100
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield gen.sleep(0.5)
    assert 2 <= this.coordinator.lost <= 5
    this.coordinator.found = []
    yield this.until("join_group")
    for _ in range(3):
        yield this.refused(UNKNOWN, "join_group")
    yield gen.sleep(0.3)
    assert len(this.heartbeat.said) <= 6


@with_world()
def test_a_refused_commit_is_looked_into(this):
    yield bring(this, STABLE)
    this.allocator.rejoin(exc.for_code(ILLEGAL))
    assert this.said.api == "heartbeat" and this.state == STABLE
    this.heartbeat.answer(HeartbeatResponse())  # it was an old one's
    yield gen.sleep(0.02)
    assert this.state == STABLE and this.allocator.allocation
    this.allocator.rejoin(exc.for_code(UNKNOWN))
    this.heartbeat.answer(HeartbeatResponse(error_code=UNKNOWN))
    yield this.until("join_group")
    this.allocator.rejoin(exc.for_code(REBALANCE))
    assert this.said.api == "join_group"
    yield this.stable()


@with_world()
def test_a_group_that_shares_out_otherwise_is_refused(this):
    this.allocator.start({})
    future = this.allocator.subscribe(["t"])
    yield this.until("join_group")
    this.heartbeat.answer(JoinGroupResponse(member_id="m", leader_id="x", protocol="strange", generation_id=1))
    yield loop.raises(exc.InconsistentGroupProtocolError, future)
    yield loop.until(lambda: this.heartbeat.stopped)
    assert [request.member_id for request in this.leaves] == ["m"]


# -- the leader --

def shares_of(request):
    return dict((each.member_id, from_assignment(each.assignment.encode())) for each in request.assignments)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_an_assignor_that_raises_ends_the_membership_with_that(monkeypatch, error):
    class Own(assignors.Assignor):
        name = "own"

        def assign(self, members, partitions):
            raise error

    @with_world(assignor=Own())
    def check(this):
        this.allocator.start({})
        subscribed = this.allocator.subscribe(["t"])
        with testing.ExpectLog("kiel.groups.classic.member", "Group g: "):
            yield this.joined(leader=True)
            failed = yield loop.raises(exc.KielError, subscribed)
        assert failed is this.allocator.error and type(error).__name__ in str(failed)
    check(monkeypatch)


@with_world()
def test_the_leader_shares_out_what_all_subscribe_to(this):
    this.cluster.elsewhere["foreign"] = [0, 1]
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield this.joined(leader=True, members={"m": ["t"], "n": ["t", "foreign"]})
    yield this.until("sync_group")
    assert shares_of(this.said) == {"m": {"t": [0, 1]}, "n": {"t": [2, 3], "foreign": [0, 1]}}
    assert this.cluster.asked == [(["foreign"], False)]
    assert (this.said.protocol_type, this.said.protocol_name, this.said.generation_id) == ("consumer", "range", 1)
    yield this.synced(t=[0, 1])
    assert this.allocator.is_leader

    this.allocator.update({})  # nothing has changed
    this.cluster.topics.pop("foreign")
    this.allocator.update({})  # it may be there still
    yield gen.sleep(0.03)
    assert this.state == STABLE
    this.cluster.topics["t"] = [0, 1, 2, 3, 4]
    this.allocator.update({})
    yield this.joined(leader=True, members={"m": ["t"], "n": ["t"]})
    yield this.until("sync_group")
    assert shares_of(this.said) == {"m": {"t": [0, 1, 2]}, "n": {"t": [3, 4]}}
    yield this.synced(t=[0, 1, 2])
    del this.cluster.topics["t"]
    this.allocator.update({}, gone={"t"})
    yield this.joined(leader=True, members={"m": ["t"]})
    this.cluster.elsewhere["t"] = []
    yield this.synced({})
    this.allocator.update({}, gone={"t"})
    yield gen.sleep(0.03)
    assert this.state == STABLE and this.allocator.allocation == {}


@with_world()
def test_a_topic_that_grows_while_the_group_forms(this):
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield this.joined(leader=True)
    yield this.until("sync_group")
    this.cluster.topics["t"] = [0, 1, 2, 3, 4, 5]
    this.allocator.update({})
    yield this.synced(t=[0, 1, 2, 3])
    yield this.joined(leader=True)
    yield this.until("sync_group")
    assert shares_of(this.said) == {"m": {"t": [0, 1, 2, 3, 4, 5]}}
    yield this.synced(t=[0, 1, 2, 3, 4, 5])


@with_world()
def test_who_does_not_lead_does_not_care(this):
    yield bring(this, STABLE)
    this.cluster.topics["t"] = list(range(9))
    this.allocator.update({})
    yield gen.sleep(0.03)
    assert this.state == STABLE


@with_world(instance_id="one")
def test_a_static_leader_that_is_back(this):
    """JoinGroup v9 lets it skip the work, but not the watch over the topics."""
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    yield this.joined(leader=True, skip_assignment=True)
    yield this.until("sync_group")
    assert this.said.assignments == [] and this.said.group_instance_id == "one"
    yield this.synced(t=[2, 3])
    this.cluster.topics["t"] = [0, 1, 2, 3, 4]
    this.allocator.update({})
    yield this.joined(leader=True)
    yield this.until("sync_group")
    assert shares_of(this.said) == {"m": {"t": [0, 1, 2, 3, 4]}}
    yield this.synced(t=[0, 1, 2, 3, 4])
    yield this.allocator.stop()
    assert this.leaves == [], "it is to come back"


def broken_function(members, partitions):
    raise ValueError("broken")


@with_world(assignor=assignors.from_function(broken_function))
def test_an_assignor_that_fails_is_told(this):
    logging.disable(logging.CRITICAL)
    try:
        this.allocator.start({})
        future = this.allocator.subscribe(["t"])
        yield this.joined(leader=True)
        error = yield loop.raises(exc.KielError, future)
        assert "broken" in str(error)
    finally:
        logging.disable(logging.NOTSET)


# -- no progress, and doubt --

@with_world(max_poll_interval=7)
def test_a_member_that_left_by_itself_comes_back_when_asked(this):
    yield bring(this, STABLE)
    assert this.heartbeat.leave().member_id == "m" and "7 s" in this.heartbeat.leave().reason
    this.heartbeat.left = True  # on the heart's thread
    assert this.allocator.paused
    this.heartbeat.on_left()
    assert this.told[-1] == ("lost", {"t": [0, 1]}) and this.allocator.allocation == {}
    assert not this.allocator.is_in
    yield gen.sleep(0.05)
    assert this.state == AWAY
    future = this.allocator.subscribe(["t"])
    yield this.stable()
    yield loop.within(1, future)
    assert this.allocator.is_in and len(this.heartbeat.starts) == 2 and not this.allocator.paused


@with_world()
def test_a_member_that_leaves_while_it_joins(this):
    yield bring(this, JOINING)
    this.heartbeat.left = True
    this.heartbeat.on_left()
    yield gen.sleep(0.05)
    assert this.state == AWAY and len(this.heartbeat.said) == 1
    this.allocator.subscribe(["t"])
    yield loop.until(lambda: len(this.heartbeat.said) == 2)
    yield this.stable()


@with_world(session_timeout=0.2)
def test_silence_puts_ownership_in_doubt(this):
    yield bring(this, STABLE)
    assert not this.allocator.paused
    yield loop.until(lambda: this.pauses == [True])
    assert this.allocator.paused
    this.heartbeat.beat()
    assert this.pauses == [True, False] and this.allocator.allocation == {"t": [0, 1]}


@with_world(assignor=COOPERATIVE, session_timeout=0.2)
def test_a_process_that_stood_still_while_the_group_formed_doubts_what_it_kept(this):
    yield bring(this, STABLE)
    this.heartbeat.beat(REBALANCE)
    yield this.until("join_group")
    yield gen.sleep(0.4)
    assert not this.allocator.paused, "the coordinator lets it wait"
    this.allocator._session._checked -= 1
    assert this.allocator.paused
    yield gen.sleep(0.1)
    assert this.allocator.paused
    yield this.stable()
    assert not this.allocator.paused


@with_world(assignor=COOPERATIVE, session_timeout=0.2)
def test_a_coordinator_that_is_gone_puts_in_doubt_what_was_kept(this):
    yield bring(this, STABLE)
    this.heartbeat.beat(REBALANCE)
    yield this.until("join_group")
    this.heartbeat.answer(exc.BrokerConnectionError("nowhere", 9092))
    assert not this.allocator.paused
    yield loop.until(lambda: this.pauses == [True])
    yield this.stable()
    assert this.pauses == [True, False]


# -- the end --

@with_world()
def test_leaving(this):
    yield bring(this, STABLE)
    yield loop.within(1, this.allocator.stop())
    assert this.told[-1] == ({"t": [0, 1]}, {})
    assert [(request.member_id, request.reason) for request in this.leaves] == [("m", "the consumer was closed")]
    assert this.heartbeat.stopped and this.allocator.heartbeat is None and this.allocator.identity == ("", -1)
    yield loop.within(1, this.allocator.stop())
    assert len(this.leaves) == 1


@with_world()
def test_leaving_is_tried_again_where_the_coordinator_has_moved(this):
    yield bring(this, STABLE)
    this.cluster[1].answers = [LeaveGroupResponse(error_code=MOVED)]
    yield loop.within(1, this.allocator.stop())
    assert len(this.leaves) == 2 and this.coordinator.lost == 1


@with_world()
def test_leaving_while_the_first_answer_is_on_its_way(this):
    """Before version 4 only the answer tells the id; the group must not wait for a member that is gone."""
    yield bring(this, JOINING)
    stopped = this.allocator.stop()
    yield gen.sleep(0.02)
    assert not stopped.done()
    this.heartbeat.answer(JoinGroupResponse(member_id="late", leader_id="x", protocol="range", generation_id=1))
    yield loop.within(1, stopped)
    assert [request.member_id for request in this.leaves] == ["late"] and this.told == []


@with_world()
def test_leaving_does_not_wait_for_ever(this):
    yield bring(this, JOINING)
    begun = monotonic()
    yield loop.within(2, this.allocator.stop())
    assert monotonic() - begun < 1 and this.heartbeat.stopped and not this.leaves
    yield bring(this, STABLE)
    this.gate = concurrent.Future()
    begun = monotonic()
    yield loop.within(2, this.allocator.stop())
    assert monotonic() - begun < 1 and len(this.leaves) == 1
    this.gate.set_result(None)
    this.gate = None


@with_world()
def test_starting_again(this):
    yield bring(this, STABLE)
    this.gate = concurrent.Future()
    stopped = this.allocator.stop()
    started = this.allocator.start({})
    future = this.allocator.subscribe(["t"])
    yield gen.sleep(0.03)
    assert this.state == LEAVING and not future.done()
    heartbeat = this.heartbeat
    this.gate.set_result(None)
    yield loop.within(1, [stopped, started])
    yield loop.until(lambda: this.heartbeat is not heartbeat)
    yield this.stable(t=[3])
    yield loop.within(1, future)
    assert this.allocator.allocation == {"t": [3]} and this.heartbeat.said[0].member_id == ""


@with_world()
def test_starting_and_stopping_in_haste(this):
    yield bring(this, STABLE)
    this.gate = concurrent.Future()
    ends = []
    for _ in range(3):
        ends.append(this.allocator.stop())
        ends.append(this.allocator.stop())
        this.allocator.start({})
        future = this.allocator.subscribe(["t"])
    assert this.state == LEAVING
    this.gate.set_result(None)
    this.gate = None
    yield loop.within(2, ends)
    heartbeat = this.heartbeat
    yield loop.until(lambda: this.heartbeat is not heartbeat or this.state == JOINING)
    yield this.stable()
    yield loop.within(1, future)
    assert len(this.leaves) == 1


@with_world()
def test_a_broker_that_never_gives_an_id_is_not_asked_in_haste(this):
    this.allocator.start({})
    this.allocator.subscribe(["t"])
    for _ in range(2):
        yield this.until("join_group")
        this.heartbeat.answer(JoinGroupResponse(error_code=NEEDS_ID, member_id="given"))
    yield gen.sleep(0.04)
    assert len(this.heartbeat.said) == 2
    yield this.stable()


@with_world()
def test_a_coordinator_that_can_not_be_found_is_looked_for_again(this):
    moved, coordinator_client.PATIENCE = coordinator_client.PATIENCE, 0.05
    try:
        yield bring(this, STABLE)
        this.coordinator.found = [exc.for_code(15)] * 2
        for _ in range(3):
            this.heartbeat.beat(MOVED)
            yield gen.sleep(0.1)
            this.heartbeat.beat(MOVED)
            yield gen.sleep(0.01)
        yield loop.until(lambda: len(this.heartbeat.starts) == 2)
        assert this.coordinator.lost == 3 and this.state == STABLE
    finally:
        coordinator_client.PATIENCE = moved


# -- what is said --

def joined_response(**fields):
    return JoinGroupResponse(member_id="m", generation_id=7, protocol="range", **fields)


def test_what_the_heart_goes_on_with():
    """Without the application's loop a member takes its share of a generation that came, and beats on."""
    requests = classic_requests.Requests("g", Membership(assignors=(RANGE,), instance_id="one"))
    join = requests.join("m", ["t"], lambda assignor: ({}, -1))
    other, own = joined_response(leader_id="other"), joined_response(leader_id="m", members=[
        Member(member_id=name, metadata=RANGE.metadata(["t"]).encode()) for name in "mn"
    ])
    sync = requests.follow(join, other)(join, other)
    assert (sync.api, sync.member_id, sync.generation_id, sync.assignments) == ("sync_group", "m", 7, [])
    assert sync.group_instance_id == "one"
    for lead in (lambda joined: None, lambda joined: 1 / 0):  # it does not know enough, or the assignor fails
        requests.lead = lead
        beat = requests.follow(join, own)(join, own)
        assert (beat.api, beat.member_id, beat.generation_id) == ("heartbeat", "m", 7)
    requests.lead = functools.partial(leading.lead, {"range": RANGE}, {"t": [0, 1, 2]})
    lead = requests.follow(join, own)(join, own)
    assert (lead.api, shares_of(lead)) == ("sync_group", {"m": {"t": [0, 1]}, "n": {"t": [2]}})
    assert leading.lead({"range": RANGE}, {}, own) is None and leading.lead({}, {"t": [0]}, own) is None
    for response in (SyncGroupResponse(), SyncGroupResponse(error_code=REBALANCE)):
        beat = requests.follow(sync, response)
        assert (beat.api, beat.member_id, beat.generation_id) == ("heartbeat", "m", 7)
    again = requests.follow(beat, HeartbeatResponse(error_code=REBALANCE))
    assert again == beat and again.correlation_id != beat.correlation_id
    assert requests.follow(None, None) is None
    for code in (UNKNOWN, ILLEGAL, FENCED, FORBIDDEN):
        assert requests.follow(beat, HeartbeatResponse(error_code=code)) is None
        assert requests.follow(sync, SyncGroupResponse(error_code=code)) is None
    for code in (UNKNOWN, NEEDS_ID, REBALANCE):
        assert requests.follow(join, JoinGroupResponse(error_code=code)) is None


def test_what_is_left_out_and_cut():
    requests = classic_requests.Requests("g", Membership(assignors=(RANGE,)))
    assert requests.leave("", "no id, no member") is None
    long = requests.leave("m", "x" * 1000)
    assert len(long.reason) == 255
    assert len(requests.join("", ["t"], lambda assignor: ({}, -1), "y" * 1000).reason) == 255
    new = LeaveGroupRequest.decode(long.for_version(5).encode(5), 0, 5)[0]
    assert [(member.member_id, member.reason) for member in new.members] == [("m", "x" * 255)]
    old = LeaveGroupRequest.decode(long.for_version(4).encode(4), 0, 4)[0]
    assert [(member.member_id, member.reason) for member in old.members] == [("m", None)]
    assert LeaveGroupRequest.decode(long.for_version(0).encode(0), 0, 0)[0].member_id == "m"
    static = classic_requests.Requests("g", Membership(assignors=(RANGE,), instance_id="one"))
    assert static.leave("m", "static members come back") is None


def test_each_assignor_is_told_what_it_can_use():
    """In an eager group "sticky" is told what the member had last, and cooperative ones that it has nothing."""
    sticky = assignors.by_name["sticky"]
    both = classic_requests.Requests("g", Membership(assignors=(sticky, COOPERATIVE, RANGE), rack_id="r"))
    asked = []

    def shares(assignor):
        asked.append(assignor.name)
        return ({}, 3) if assignor.cooperative else ({"t": [1]}, 3)

    request = both.join("m", ["t"], shares)
    assert asked == [protocol.name for protocol in request.group_protocols] == ["sticky", "cooperative-sticky", "range"]
    read = collections.OrderedDict(
        (assignor.name, assignor.member(Subscription.unpack(protocol.metadata)))
        for assignor, protocol in zip((sticky, COOPERATIVE, RANGE), request.group_protocols)
    )
    assert read["sticky"].owned == {"t": [1]}
    assert not read["cooperative-sticky"].owned and not read["range"].owned
    assert read["range"].rack == "r"


# -- refusals --

#: codes of every kind, and one that nobody knows; all of Kafka's with KIEL_LONG
CODES = [-1, 14, 15, 16, 22, 23, 24, 25, 26, 27, 29, 30, 35, 41, 42, 56, 81, 82, 87, 9999]
if os.environ.get("KIEL_LONG"):
    CODES = sorted(set(code for code in exc.by_code if code not in (0, NEEDS_ID)).union(CODES))


def outcome(this):
    """What became of the member: "goes on" or "lost it" without a word to the application, or its error."""
    error = this.allocator.error
    if error is not None:
        return ("refused" if this.allocator.refused else "ended", error.code)
    return "lost it" if any(entry[0] == "lost" for entry in this.told) else "goes on"


def expected(code, api):
    """What has to become of it."""
    error = exc.for_code(code)
    if code in refusals.FINAL:
        return "ended", code
    if code in refusals.REFUSED:
        return "refused", code
    if error.cure == "rejoin" and code != REBALANCE and api == "heartbeat":
        return "lost it"
    return "goes on"


@pytest.mark.parametrize("api", ["join_group", "sync_group", "heartbeat"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_in_every_answer(code, api, monkeypatch):
    """Once: a member goes on, is refused until it asks again, or has ended for good; never does it stand still."""
    @with_world()
    def test(this):
        this.allocator.start({})
        subscribed = this.allocator.subscribe(["t"])
        retriable = exc.for_code(code).retriable
        if api == "join_group":
            yield this.until(api)
            asked = this.said
            this.heartbeat.answer(JoinGroupResponse(error_code=code, member_id="given"))
        elif api == "sync_group":
            yield this.joined()
            yield this.until(api)
            asked = this.said
            yield this.refused(code, api)
        else:
            yield this.stable()
            asked = this.said
            this.heartbeat.beat(code)
        if retriable:  # the heartbeat thread sends it again
            yield gen.moment
            assert outcome(this) == "goes on" and this.said is asked
            return
        yield loop.until(lambda: this.allocator.error is not None or this.said is not asked)
        assert outcome(this) == expected(code, api)
        if expected(code, api)[0] == "ended":
            yield loop.raises(type(this.allocator.error), this.allocator.subscribe(["t"]))
            return
        if this.allocator.error is not None:
            this.heartbeat = None
            subscribed = this.allocator.subscribe(["t"])
        yield this.stable()
        yield subscribed
        assert this.allocator.error is None and this.allocator.allocation == {"t": [0, 1]}
    test(monkeypatch)


@with_world()
def test_a_code_that_nobody_expects_is_not_tried_for_ever(this):
    this.allocator.start({})
    subscribed = this.allocator.subscribe(["t"])
    begun = monotonic()
    for _ in range(refusals.ATTEMPTS + 1):
        yield this.until("join_group")
        this.heartbeat.answer(JoinGroupResponse(error_code=-1))
    yield loop.raises(exc.UnknownError, subscribed)
    assert monotonic() - begun > 1, "with pauses that grow"


@with_world()
def test_a_broker_that_asks_for_an_id_and_gives_none_is_asked_a_few_times_only(this):
    this.allocator.start({})
    subscribed = this.allocator.subscribe(["t"])
    for _ in range(refusals.ATTEMPTS + 1):
        yield this.until("join_group")
        this.heartbeat.answer(JoinGroupResponse(error_code=NEEDS_ID))
    yield loop.raises(exc.MemberIdRequiredError, subscribed)
    assert this.allocator.refused
