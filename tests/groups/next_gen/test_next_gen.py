"""The life of a next-generation member: state by event, with a heartbeat whose answers the test gives."""
from __future__ import absolute_import

import logging

import pytest
from tornado import concurrent, gen

from kiel import exc
from kiel.groups import refusals
from kiel.groups.membership import Membership
from kiel.groups.next_gen import coordinator_client, heartbeats, member as next_gen
from kiel.groups.next_gen.member import ConsumerAllocator
from kiel.groups.next_gen.states import (
    ALIVE, FAILED, FENCED, INSIDE, JOINING, LEAVING, LEFT, OUT, RECONCILING, STABLE, TELLING, TRANSITIONS
)
from kiel.protocol.consumer_group_heartbeat import Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions
from kiel.retry import Backoff, monotonic
from kiel.settings import Settings

from tests import loop

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def done(result=None):
    future = concurrent.Future()
    future.set_result(result)
    return future


class Heartbeat(object):
    """Keeps what is to be sent till the test answers it, as the heartbeat thread does."""

    def __init__(self, settings, io_loop, group, interval, slow_callback, max_poll_interval):
        self.io_loop = io_loop
        self.interval = interval
        self.left = False
        self.last_beat = None
        self.starts = []
        self.upcoming = None
        self.planned = 0
        self.last = (None, None)
        self.stops = 0

    def start(self, address, others, first, follow, leave):
        self.left = False
        self.last = (None, None)
        self.starts.append((address, others, first))
        self.upcoming, self.follow, self.leave = first, follow, leave

    def say(self, request):
        self.upcoming = request

    def beat(self, request, follow, leave):
        self.upcoming, self.follow, self.leave = request, follow, leave
        self.planned += 1

    def stop(self):
        self.stops += 1
        self.upcoming = None
        return done()

    def request(self):
        """What goes out now."""
        if callable(self.upcoming):
            self.upcoming = self.upcoming(*self.last)
        return self.upcoming

    def answer(self, response):
        """Answers what goes out now; gives the request."""
        request = self.request()
        assert request is not None, "nothing is said to the coordinator"
        error = response if isinstance(response, exc.KielError) else exc.for_code(response.error_code)
        if error is not response:
            self.last = (request, response)
        if error is None:
            self.last_beat = monotonic()
        if error is None or not error.retriable:
            self.upcoming = self.follow(request, response)
        self.on_answer(request, response)
        return request


class Broker(object):
    """A coordinator, as far as it is asked by others than the heart."""
    host, port = "coordinator", 9092

    def __init__(self):
        self.refusal = None
        self.code = 25
        self.asked = []

    def version(self, request):
        if self.refusal is not None:
            raise self.refusal
        return 1

    def send(self, request):
        self.asked.append(request)
        return done(ConsumerGroupHeartbeatResponse(error_code=self.code))


class Coordinator(object):
    """What an allocator needs of the group's `kiel.clients.grouping.coordinator.GroupCoordinator`."""
    key = "g"

    def __init__(self):
        self.coordinating = Broker()
        self.cluster = self
        self.conns = {7: self.coordinating}
        self.topic_ids = {"a": A, "b": B}
        self.hidden = {}
        self.failures = []
        self.heals = 0

    @gen.coroutine
    def broker(self):
        if self.failures:
            raise self.failures.pop(0)
        raise gen.Return(self.coordinating)

    def lose(self):
        pass

    def tell_trouble(self, logger, text, *args):
        logger.info(text, *args)

    def trouble_over(self):
        pass

    def heal(self):
        self.heals += 1
        self.topic_ids.update(self.hidden)
        return done()

    @gen.coroutine
    def ask(self, round):
        broker = yield self.broker()
        answer = yield round(broker)
        if isinstance(answer, exc.KielError):
            raise answer
        raise gen.Return(answer)


def response(assignment=None, epoch=1, **fields):
    """An answer; ``assignment`` is topic id -> partition ids."""
    if assignment is not None:
        fields["assignment"] = Assignment(topic_partitions=[
            TopicPartitions(topic_id=topic_id, partitions=ids) for topic_id, ids in assignment.items()
        ])
    fields.setdefault("heartbeat_interval", 5000)
    return ConsumerGroupHeartbeatResponse(member_epoch=epoch, **fields)


class World(object):
    """An allocator, its heart, and what it told; ``hold`` makes its hooks wait until `let_go`."""

    def __init__(self, **membership):
        self.coordinator = Coordinator()
        membership.setdefault("rebalance_timeout", 5)
        retry = Backoff(first=0.001, most=0.001, deadline=0.1)
        settings = Settings(request_timeout=0.2, retry=retry)
        self.member = ConsumerAllocator(self.coordinator, Membership(**membership), settings)
        self.member.on_change = self.changed
        self.member.on_lost = self.lost
        self.told = []
        self.held = []
        self.hold = False

    def changed(self, revoked, assigned):
        self.told.append(("changed", revoked, assigned, dict(self.member.allocation)))
        return self.hook()

    def lost(self, lost):
        self.told.append(("lost", lost, dict(self.member.allocation), self.member.identity))
        return self.hook()

    def hook(self):
        if not self.hold:
            return None
        self.held.append(concurrent.Future())
        return self.held[-1]

    @gen.coroutine
    def let_go(self):
        self.hold = False
        while self.held:
            self.held.pop(0).set_result(None)
        yield self.turn()

    @gen.coroutine
    def turn(self):
        for _ in range(5):
            yield gen.moment
        yield gen.sleep(0.003)

    @property
    def heartbeat(self):
        return self.member.heartbeat

    @property
    def said(self):
        """The partitions that the member says it has, by topic id."""
        return dict((topic.topic_id, topic.partitions) for topic in self.heartbeat.request().topic_partitions)

    @gen.coroutine
    def subscribe(self, *topics):
        self.waiting = self.member.subscribe(topics)
        yield self.turn()
        raise gen.Return(self.waiting)

    @gen.coroutine
    def answer(self, assignment=None, epoch=1, **fields):
        request = self.heartbeat.answer(response(assignment, epoch, **fields))
        yield self.turn()
        raise gen.Return(request)

    @gen.coroutine
    def refuse(self, code):
        request = self.heartbeat.answer(ConsumerGroupHeartbeatResponse(error_code=code, error_message="no"))
        yield self.turn()
        raise gen.Return(request)

    @gen.coroutine
    def own(self, assignment, epoch=1):
        """Joins and takes partitions over."""
        yield self.member.start({})
        yield self.subscribe("a", "b")
        yield self.answer(assignment, epoch)
        if assignment:
            yield self.answer(epoch=epoch)
        assert self.member.state == STABLE
        del self.told[:]


def with_world(**membership):
    def decorate(test):
        def run(monkeypatch):
            monkeypatch.setattr(coordinator_client, "Heartbeat", Heartbeat)

            @gen.coroutine
            def body():
                world = World(**membership)
                yield gen.coroutine(test)(world)
                yield world.let_go()
            loop.run(body, 5)
        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run
    return decorate


# -- state by event --

@gen.coroutine
def bring_to(world, state):
    """Brings a member into a state, by what happens to it alone."""
    member = world.member
    yield member.start({})
    if state == OUT:
        return
    yield world.subscribe("a")
    if state == JOINING:
        return
    if state == FAILED:
        yield world.refuse(30)
        return
    yield world.answer({A: [0]})
    yield world.answer()
    assert member.state == STABLE
    if state == TELLING:
        world.late = world.heartbeat.request()  # on its way already
        yield world.subscribe("b")
    elif state == RECONCILING:
        world.hold = True
        yield world.answer({A: [0, 1]}, epoch=2)
    elif state == FENCED:
        world.hold = True
        yield world.refuse(110)
    elif state == LEFT:
        world.heartbeat.left = True
        world.heartbeat.on_left()
    elif state == LEAVING:
        world.stopping = member.stop()
        yield world.turn()


@gen.coroutine
def let_happen(world, event):
    """Makes an event happen, the way it does."""
    member = world.member
    if event == "subscribed":
        yield world.subscribe("a")
    elif event == "told":
        yield world.subscribe("c")
    elif event == "answered":
        late = world.heartbeat.request()  # on its way already
        if member.state != RECONCILING:
            yield world.subscribe("c")
        else:
            member.subscribe(["c"])
        member._on_answer(late, response(epoch=1))
    elif event == "heard":
        world.heartbeat.answer(response(epoch=1))
    elif event == "assigned":
        if member.state == TELLING:
            member._on_answer(world.late, response({A: [0, 1, 2]}, epoch=3))
        else:
            world.heartbeat.answer(response({A: [0, 1, 2]}, epoch=3))
    elif event == "reconciled":
        yield world.let_go()
    elif event == "settled":
        yield world.let_go()
        yield world.answer(epoch=2)
        world.heartbeat.answer(response({A: [0]}, epoch=3))  # and at once it is not to go after all
        world.heartbeat.answer(response({A: [0, 1]}, epoch=4))
        assert member.state == RECONCILING
        yield world.turn()
    elif event == "fenced":
        world.hold = True
        world.heartbeat.answer(ConsumerGroupHeartbeatResponse(error_code=25))
    elif event == "went":
        world.heartbeat.left = True
        world.heartbeat.on_left()
    elif event == "failed":
        world.heartbeat.answer(ConsumerGroupHeartbeatResponse(error_code=30))
    elif event == "stopped":
        world.stopping = member.stop()
    elif event == "rejoined":
        yield world.let_go()
    elif event == "gone":
        yield world.answer()
    else:
        raise AssertionError(event)


ROWS = sorted((state, event, after) for state, row in TRANSITIONS.items() for event, after in row.items())


@pytest.mark.parametrize("state,event,after", ROWS, ids=["%s-%s" % row[:2] for row in ROWS])
def test_state_by_event(monkeypatch, state, event, after):
    monkeypatch.setattr(coordinator_client, "Heartbeat", Heartbeat)

    @gen.coroutine
    def body():
        world = World()
        events = []
        yield bring_to(world, state)
        assert world.member.state == state
        on = world.member.event

        def watched(name):
            before = world.member.state
            on(name)
            events.append((before, name, world.member.state))
        monkeypatch.setattr(world.member, "event", watched)
        yield let_happen(world, event)
        assert (state, event, after) in events
        if world.member.state == RECONCILING:
            yield world.let_go()
    loop.run(body, 5)


def test_the_table_leads_nowhere_else():
    for state, row in TRANSITIONS.items():
        assert set(row.values()) <= set(TRANSITIONS), state
    assert set(ALIVE) - set(INSIDE) == {JOINING}
    for state in ALIVE:
        assert set(TRANSITIONS[state]) >= {"fenced", "went", "failed", "stopped"}


@pytest.mark.parametrize("state", sorted(TRANSITIONS))
def test_an_event_that_is_not_in_the_table_is_an_error(state):
    member = World().member
    for event in set(event for row in TRANSITIONS.values() for event in row) - set(TRANSITIONS[state]):
        member.state = state
        with pytest.raises(KeyError):
            member.event(event)


# -- partitions --

@with_world()
def test_what_is_assigned_is_taken_and_acknowledged(world):
    yield world.member.start({})
    subscribed = yield world.subscribe("a")
    joined = yield world.answer({A: [1, 0]}, epoch=3)
    assert (joined.member_epoch, joined.subscribed_topic_names, joined.topic_partitions) == (0, ["a"], [])
    assert joined.rebalance_timeout == 5000
    assert world.member.identity == (joined.member_id, 3)
    assert world.told == [("changed", {}, {"a": [0, 1]}, {"a": [0, 1]})]
    assert not subscribed.done()
    acknowledged = yield world.answer(epoch=3)
    assert [(part.topic_id, part.partitions) for part in acknowledged.topic_partitions] == [(A, [0, 1])]
    assert acknowledged.member_epoch == 3 and not acknowledged.brief
    assert subscribed.done() and world.member.state == STABLE
    kept = yield world.answer(epoch=4)
    assert kept.brief and kept.member_epoch == 3
    assert world.member.identity == (joined.member_id, 4)


@with_world()
def test_what_is_revoked_is_let_go_before_it_is_acknowledged(world):
    yield world.own({A: [0, 1], B: [0]})
    world.hold = True
    yield world.answer({A: [0], B: [1]}, epoch=2)
    assert world.told == [("changed", {"a": [1], "b": [0]}, {}, {"a": [0]})]
    assert world.member.allocation == {"a": [0]}
    assert world.heartbeat.request().brief  # nothing but signs of life until the last commit is through
    yield world.let_go()
    assert world.said == {A: [0], B: [1]}
    assert world.told[1:] == [("changed", {}, {"b": [1]}, {"a": [0], "b": [1]})]
    yield world.answer(epoch=2)
    assert world.member.state == STABLE and world.member.allocation == {"a": [0], "b": [1]}


@with_world()
def test_what_is_new_waits_for_what_goes(world):
    """First the coordinator hears of what is free."""
    yield world.own({A: [0]})
    said = []
    world.heartbeat.say = lambda request: said.append(request)
    yield world.answer({B: [0]}, epoch=2)
    owned = [[(part.topic_id, part.partitions) for part in make(None, None).topic_partitions] for make in said]
    assert owned == [[], [(B, [0])]]


@with_world()
def test_assignments_that_come_meanwhile_are_not_lost(world):
    yield world.own({A: [0, 1]})
    world.hold = True
    yield world.answer({A: [0]}, epoch=2)
    yield world.answer({A: [0], B: [2]}, epoch=2)
    yield world.answer({A: [0], B: [2, 3]}, epoch=3)
    assert world.member.allocation == {"a": [0]}
    yield world.let_go()
    yield world.answer(epoch=3)
    assert world.member.allocation == {"a": [0], "b": [2, 3]}
    assert world.member.state == STABLE


@with_world()
def test_a_partition_that_comes_back_while_it_goes(world):
    """It goes and comes, so that nothing of the time before is left."""
    yield world.own({A: [0, 1]})
    world.hold = True
    yield world.answer({A: [0]}, epoch=2)
    yield world.answer({A: [0, 1]}, epoch=3)
    yield world.let_go()
    assert [entry[1:3] for entry in world.told] == [({"a": [1]}, {}), ({}, {"a": [1]})]
    assert world.member.allocation == {"a": [0, 1]}


@with_world(rebalance_timeout=0.05)
def test_a_hook_that_takes_too_long_is_not_waited_for(world):
    yield world.own({A: [0, 1]})
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    next_gen.log.addHandler(handler)
    world.hold = True
    try:
        yield world.answer({A: [0]}, epoch=2)
        assert world.heartbeat.request().brief
        yield gen.sleep(0.1)
    finally:
        next_gen.log.removeHandler(handler)
    assert [line for line in lines if "on_change did not finish within 0.05 s" in line]
    assert world.said == {A: [0]}


@with_world()
def test_a_topic_without_a_name_is_asked_for_and_waited_for(world):
    yield world.own({A: [0]})
    yield world.answer({A: [0], C: [5]}, epoch=2)
    assert world.member.allocation == {"a": [0]}
    heals = world.coordinator.heals
    assert heals
    yield world.answer(epoch=2)  # signs of life go on, and repeat no assignment
    world.coordinator.hidden = {"c": C}
    yield loop.until(lambda: world.member.allocation == {"a": [0], "c": [5]})
    assert world.coordinator.heals > heals
    assert world.said == {A: [0], C: [5]}
    world.coordinator.heals = 0
    yield gen.sleep(0.3)
    assert not world.coordinator.heals


@with_world()
def test_a_topic_made_anew_is_another(world):
    yield world.own({A: [0]})
    world.coordinator.topic_ids["a"] = C
    yield world.answer({C: [0]}, epoch=2)
    assert [entry[1:3] for entry in world.told] == [({"a": [0]}, {}), ({}, {"a": [0]})]
    assert world.said == {C: [0]}


# -- fencing --

@pytest.mark.parametrize("code", [110, 25, 69])
def test_a_fenced_member_loses_all_and_joins_anew(monkeypatch, code):
    @with_world()
    def body(world):
        yield world.own({A: [0], B: [1]}, epoch=5)
        member_id = world.member.identity[0]
        world.hold = True
        yield world.refuse(code)
        assert world.told == [("lost", {"a": [0], "b": [1]}, {}, ("", -1))]
        assert world.member.state == FENCED and len(world.heartbeat.starts) == 1
        yield world.let_go()
        assert world.member.state == JOINING and len(world.heartbeat.starts) == 2
        first = world.heartbeat.starts[1][2]
        assert (first.member_id, first.member_epoch, first.topic_partitions) == (member_id, 0, [])
        assert first.subscribed_topic_names == ["a", "b"] and not first.brief
        yield world.answer({A: [0]}, epoch=9)
        assert world.member.allocation == {"a": [0]} and world.member.identity == (member_id, 9)
    body(monkeypatch)


@with_world()
def test_fenced_while_partitions_are_being_given_up(world):
    yield world.own({A: [0, 1]})
    world.hold = True
    yield world.answer({A: [0]}, epoch=2)
    going, = world.held
    yield world.refuse(110)
    assert world.told[1] == ("lost", {"a": [0, 1]}, {}, ("", -1))
    world.held.remove(going)
    yield world.let_go()
    yield world.answer({A: [1]}, epoch=7)  # in again, while the hook of the time before is still at work
    assert world.member.allocation == {}
    going.set_result(None)
    yield world.turn()
    assert world.member.allocation == {"a": [1]} and world.said == {A: [1]}


@with_world()
def test_fenced_again_and_again_waits(world):
    yield world.own({A: [0]})
    yield world.refuse(110)
    assert world.member.state == JOINING
    yield world.refuse(25)
    assert world.member.state == FENCED
    yield loop.until(lambda: world.member.state == JOINING)


@with_world()
def test_errors_of_a_moment_change_nothing(world):
    yield world.own({A: [0]})
    for code in (14, 15, 16):
        yield world.refuse(code)
    world.heartbeat.answer(exc.BrokerConnectionError("h", 1))
    assert world.member.state == STABLE and world.member.allocation == {"a": [0]} and not world.told
    assert len(world.heartbeat.starts) == 1


@pytest.mark.parametrize("code,error", [
    (30, exc.GroupAuthorizationFailedError), (42, exc.InvalidRequestError), (81, exc.GroupMaxSizeReachedError),
    (112, exc.UnsupportedAssignorError), (35, exc.UnsupportedVersionError), (69, exc.UnsupportedVersionError),
])
def test_what_no_trying_mends_is_raised(monkeypatch, code, error):
    @with_world()
    def body(world):
        yield world.member.start({})
        subscribed = yield world.subscribe("a")
        yield world.refuse(code)
        yield loop.raises(error, subscribed)
        assert world.member.state == FAILED and isinstance(world.member.error, error)
        assert world.heartbeat.stops == 1 and "no" in str(world.member.error)
        again = yield world.subscribe("a")
        if code not in (30, 81):
            yield loop.raises(error, again)
            return
        assert world.member.error is None  # it may pass, and is tried again after a pause
        yield loop.until(lambda: len(world.heartbeat.starts) == 2)
        yield world.answer()
        yield again
    body(monkeypatch)


@with_world()
def test_a_code_that_nobody_expects_is_tried_again_a_few_times(world):
    yield world.own({A: [0]})
    yield world.refuse(-1)
    assert world.member.state in INSIDE and not world.told
    yield loop.until(lambda: world.heartbeat.request() is not None)
    assert world.heartbeat.request().member_epoch == 1
    yield world.answer()
    assert world.member.state == STABLE and world.member.allocation == {"a": [0]}
    for _ in range(refusals.ATTEMPTS + 1):
        yield loop.until(lambda: world.heartbeat.request() is not None)
        yield world.refuse(-1)
    assert world.member.state == FAILED and world.member.refused


@with_world()
def test_a_member_that_ended_with_an_error_leaves(world):
    yield world.own({A: [0]})
    yield world.refuse(30)
    assert world.member.state == FAILED
    left = yield world.answer(epoch=-1)
    assert left.member_epoch == -1 and left.member_id == world.member._coordinator_client.member_id
    yield loop.until(lambda: world.heartbeat.stops)


@with_world()
def test_a_coordinator_that_has_moved_is_asked_again_to_let_the_member_go(world):
    yield world.own({A: [0]})
    stopped = world.member.stop()
    yield world.turn()
    assert (yield world.refuse(16)).member_epoch == -1
    assert not stopped.done()
    world.heartbeat.say(world.heartbeat.leave())  # the thread sends it again
    yield world.answer(epoch=-1)
    yield loop.within(1, stopped)
    assert len(world.coordinator.coordinating.asked) == 1  # by `start`


@pytest.mark.parametrize("instance_id,epoch", [(None, -1), ("one", -2)])
@pytest.mark.parametrize("answered", [True, False])
def test_a_member_that_ended_with_an_error_and_was_not_let_go_leaves_when_it_is_closed(
        monkeypatch, instance_id, epoch, answered):
    @with_world(instance_id=instance_id)
    def body(world):
        yield world.own({A: [0]})
        yield world.refuse(30)
        if answered:
            assert (yield world.refuse(30)).member_epoch == epoch
        del world.coordinator.coordinating.asked[:]
        yield loop.within(2, world.member.stop())
        left, = world.coordinator.coordinating.asked
        assert (left.member_epoch, left.instance_id) == (epoch, instance_id)
        assert left.member_id == world.member._coordinator_client.member_id
        yield loop.within(1, world.member.stop())
        assert len(world.coordinator.coordinating.asked) == 1 and world.member.state == OUT
    body(monkeypatch)


@with_world()
def test_a_member_that_may_have_got_in_leaves(world):
    yield world.member.start({})
    yield world.subscribe("a")
    for _ in range(refusals.ATTEMPTS + 1):
        yield loop.until(lambda: world.heartbeat.request() is not None)
        yield world.refuse(-1)
    assert world.member.state == FAILED
    assert (yield world.answer(epoch=-1)).member_epoch == -1


@with_world()
def test_refused_for_good_while_in(world):
    yield world.own({A: [0]})
    yield world.refuse(30)
    assert world.told == [("lost", {"a": [0]}, {}, ("", -1))] and world.member.state == FAILED


@with_world()
def test_a_broker_without_the_api_is_told_at_once(world):
    world.coordinator.coordinating.refusal = exc.UnsupportedVersionError(api="x", ours=(0, 1))
    yield loop.raises(exc.UnsupportedVersionError, world.member.start({}))
    subscribed = yield world.subscribe("a")
    yield loop.raises(exc.UnsupportedVersionError, subscribed)


@pytest.mark.parametrize("code,error", [(35, exc.UnsupportedVersionError), (30, exc.GroupAuthorizationFailedError)])
def test_starting_asks_whether_the_protocol_is_on(monkeypatch, code, error):
    @with_world()
    def body(world):
        world.coordinator.coordinating.code = code
        yield loop.raises(error, world.member.start({}))
    body(monkeypatch)


@with_world(instance_id="one")
def test_starting_puts_nobody_out(world):
    yield world.member.start({})
    asked, = world.coordinator.coordinating.asked
    assert asked.member_epoch == -1 and asked.instance_id is None


@with_world()
def test_no_coordinator_is_waited_for(world):
    yield world.member.start({})
    world.coordinator.failures = [exc.CoordinatorNotAvailableError(), exc.NoBrokersError("none")]
    yield world.subscribe("a")
    yield loop.until(lambda: world.heartbeat.starts)
    other = World()
    yield other.member.start({})
    other.coordinator.failures = [exc.GroupAuthorizationFailedError()]
    yield loop.raises(exc.GroupAuthorizationFailedError, other.member.subscribe(["a"]))


# -- what the member does by itself --

@with_world()
def test_topics_are_added_at_once(world):
    yield world.own({A: [0]})
    assert (yield world.subscribe("a")).done()
    more = yield world.subscribe("z")
    assert world.heartbeat.request().subscribed_topic_names == ["a", "b", "z"] and not more.done()
    yield world.answer(epoch=2)
    assert more.done()


@with_world()
def test_topics_added_while_joining(world):
    yield world.member.start({})
    one = yield world.subscribe("a")
    first = world.heartbeat.request()
    two = yield world.subscribe("b")
    later = world.heartbeat.upcoming
    world.heartbeat.upcoming = first  # it was on its way already
    yield world.answer()
    assert world.member.state == TELLING and not one.done() and not two.done()
    world.heartbeat.upcoming = later
    told = yield world.answer()
    assert told.subscribed_topic_names == ["a", "b"] and told.member_epoch == 1
    assert one.done() and two.done()


@with_world()
def test_a_member_that_left_comes_back_with_its_topics(world):
    yield world.own({A: [0]})
    world.heartbeat.left = True
    assert world.member.paused
    world.heartbeat.on_left()
    yield world.turn()
    assert world.told == [("lost", {"a": [0]}, {}, ("", -1))] and not world.member.is_in
    back = yield world.subscribe("b")
    assert world.heartbeat.starts[1][2].subscribed_topic_names == ["a", "b"]
    assert world.member.is_in and not world.member.paused
    yield world.answer()
    assert back.done()


@with_world()
def test_a_refused_commit_has_the_coordinator_asked(world):
    yield world.own({A: [0]})
    world.member.rejoin(exc.StaleMemberEpochError())
    assert world.said == {A: [0]} and not world.heartbeat.request().brief
    yield world.answer(epoch=2)
    assert world.member.state == STABLE and not world.told
    yield world.refuse(110)
    starts = len(world.heartbeat.starts)
    world.member.rejoin(exc.UnknownMemberIdError())
    assert world.member.state == JOINING and len(world.heartbeat.starts) == starts


@with_world(session_timeout=0.05)
def test_silence_makes_ownership_doubtful(world):
    pauses = []
    world.member.on_pause = pauses.append
    yield world.own({A: [0]})
    yield gen.sleep(0.06)
    assert not world.member.paused  # the broker wants to hear from it every 5 s only
    yield world.answer(heartbeat_interval=10)
    assert not world.member.paused
    yield gen.sleep(0.06)
    assert world.member.paused
    del pauses[:]
    yield world.answer(heartbeat_interval=10)
    assert not world.member.paused and pauses == [False]
    yield world.answer(heartbeat_interval=10)
    assert pauses == [False]


@with_world()
def test_the_broker_says_how_often_the_heart_beats(world):
    yield world.own({A: [0]})
    assert world.heartbeat.interval == 5 and world.heartbeat.planned == 1
    yield world.answer(heartbeat_interval=700)
    assert world.heartbeat.interval == 0.7 and world.heartbeat.planned == 2
    assert world.heartbeat.request().brief and world.heartbeat.request().member_epoch == 1


@with_world()
def test_leaving_gives_all_up_first(world):
    yield world.own({A: [0]})
    waiting = yield world.subscribe("z")
    world.hold = True
    stopped = world.member.stop()
    assert world.member.stop() is stopped
    yield world.turn()
    assert world.told == [("changed", {"a": [0]}, {}, {})]
    assert world.heartbeat.request().member_epoch >= 0  # not gone before that is through
    yield world.let_go()
    yield loop.raises(exc.ClosedError, waiting)
    left = yield world.answer(epoch=-1)
    assert (left.member_epoch, left.instance_id) == (-1, None)
    yield loop.within(1, stopped)
    assert (world.member.state, world.member.identity, world.heartbeat.stops) == (OUT, ("", -1), 1)
    yield world.own({B: [0]}, epoch=4)  # and in again
    assert world.member.allocation == {"b": [0]}
    assert world.heartbeat.starts[-1][2].subscribed_topic_names == ["a", "b"]


@with_world()
def test_topics_asked_for_while_leaving(world):
    yield world.own({A: [0]})
    stopped = world.member.stop()
    late = world.member.subscribe(["c"])
    yield loop.raises(exc.ClosedError, late)
    assert stopped.done() or (yield loop.within(1, stopped)) is None


@with_world()
def test_leaving_waits_for_no_answer_too_long(world):
    yield world.own({A: [0]})
    yield loop.within(1, world.member.stop())
    assert world.member.state == OUT


@with_world()
def test_leaving_before_the_first_join(world):
    yield loop.within(1, world.member.stop())
    yield world.member.start({})
    yield loop.within(1, world.member.stop())
    assert world.heartbeat.stops == 1


@with_world(instance_id="one")
def test_a_static_member_says_that_it_will_be_back(world):
    yield world.own({A: [0]})
    assert world.member.instance_id == "one"
    assert world.heartbeat.starts[0][2].instance_id == "one"
    assert world.heartbeat.leave().member_epoch == -2
    stopped = world.member.stop()
    yield world.turn()
    left = yield world.answer()
    assert (left.member_epoch, left.instance_id) == (-2, "one")
    yield loop.within(1, stopped)


@with_world(instance_id="one")
def test_a_name_that_is_taken_is_waited_for(world):
    """The one that was killed has it until its session is over."""
    yield world.member.start({})
    subscribed = yield world.subscribe("a")
    world.member.settings.retry.deadline = 10
    for number in (2, 3):
        yield world.refuse(111)
        yield loop.until(lambda: len(world.heartbeat.starts) == number)
    yield world.answer()
    assert subscribed.done() and world.member.state == STABLE


@with_world(instance_id="one")
def test_a_name_that_stays_taken_is_an_error(world):
    yield world.member.start({})
    subscribed = yield world.subscribe("a")
    yield world.refuse(111)
    yield gen.sleep(0.15)
    yield loop.until(lambda: len(world.heartbeat.starts) == 2)
    yield world.refuse(111)
    yield loop.raises(exc.UnreleasedInstanceIdError, subscribed)


# -- heartbeats --

def full(**fields):
    beat = heartbeats.MemberHeartbeat(
        group_id="g", member_id="m", member_epoch=0, instance_id="i", rack_id="r", rebalance_timeout=9,
        subscribed_topic_names=["a"], server_assignor="uniform", topic_partitions=[]
    )
    for name, value in fields.items():
        setattr(beat, name, value)
    return beat


def read(beat, version):
    return heartbeats.ConsumerGroupHeartbeatRequest.decode(beat.for_version(version).encode(version), 0, version)[0]


@pytest.mark.parametrize("version", [0, 1])
def test_a_brief_beat_sent_again_says_everything(version):
    beat = full().after(response(epoch=4), brief=True)
    first, second = read(beat, version), read(beat, version)
    assert (first.member_id, first.member_epoch, first.instance_id) == ("m", 4, "i")
    assert first.subscribed_topic_names is first.topic_partitions is first.rack_id is first.server_assignor is None
    assert first.rebalance_timeout == -1
    assert (second.member_epoch, second.subscribed_topic_names, second.topic_partitions) == (4, ["a"], [])
    assert (second.rebalance_timeout, second.server_assignor, second.rack_id) == (9, "uniform", "r")


def test_members_make_their_ids_from_version_1_on():
    assert read(full(own_id=True), 1).member_id == "m"
    assert read(full(own_id=True), 0).member_id == ""
    given = heartbeats.follow(full(own_id=True), response(epoch=1, member_id="given"))
    assert read(given, 0).member_id == "given"
    ids = set(heartbeats.make_member_id() for _ in range(200))
    assert len(ids) == 200 and all(len(one) == 22 and not one.startswith("-") for one in ids)


def test_what_follows_an_answer():
    request = full()
    after = heartbeats.follow(request, response(epoch=3))
    assert (after.member_epoch, after.brief, after.sendings) == (3, True, 0)
    assert after.correlation_id != request.correlation_id
    assert heartbeats.follow(after, ConsumerGroupHeartbeatResponse(error_code=110)) is None
    assert heartbeats.follow(heartbeats.make_leave(request, -1)(), response(epoch=-1)) is None
    assert heartbeats.follow(request, None) is request


def test_what_is_said_has_the_epoch_of_its_turn():
    said = full(serial=7)
    make = heartbeats.make_next(said)
    assert make(None, None) is said
    made = make(full(), response(epoch=6))
    assert (made.member_epoch, made.serial, made.brief) == (6, 7, False)
    busy = make(full(member_epoch=5, member_id="x"), ConsumerGroupHeartbeatResponse(error_code=16))
    assert (busy.member_epoch, busy.member_id, busy.serial) == (5, "x", 7)
    assert make(full(member_epoch=5), ConsumerGroupHeartbeatResponse(error_code=110)) is None


def test_the_id_that_leaves_is_the_one_the_member_has_by_then():
    make = heartbeats.make_leave(full(), -2)
    assert (make().member_id, make().member_epoch, make().instance_id) == ("m", -2, "i")
    assert make(full(member_id="x"), response()).member_id == "x"
    assert make(full(), response(member_id="y")).member_id == "y"
