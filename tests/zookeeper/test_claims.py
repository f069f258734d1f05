"""The life of a claim, state by event, with a recipe whose answers the test gives."""
from __future__ import absolute_import

import logging

import pytest
from tornado import concurrent, gen, testing

from kiel.zookeeper import claims
from tests import loop

FREE, WINNING, WAITING, HELD, RELEASING = (
    claims.FREE, claims.WINNING, claims.WAITING, claims.HELD, claims.RELEASING
)


class World(object):
    """Stands for the session and for `Owners`; each call waits for an answer."""

    def __init__(self, **options):
        self.changes, self.told, self.calls = [], [], []
        self.claims = claims.Claims(self.changed, **options)
        self.claims.open(self, self)

    def changed(self, revoked, assigned):
        self.changes.append((revoked, assigned))
        future = concurrent.Future()
        if revoked:
            self.told.append(future)
        else:
            future.set_result(None)
        return future

    def run(self, timeout, fn, items):
        future = concurrent.Future()
        self.calls.append((fn.__name__, set(items), future))
        return future

    def claim(self, items):
        raise AssertionError("run by its name only")

    def release(self, items):
        raise AssertionError("run by its name only")

    @gen.coroutine
    def answer(self, result=None, error=None):
        """Answers the oldest call and lets the loop act on it; gives (name, items)."""
        name, items, future = self.calls.pop(0)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(items if result is None else set(result))
        yield [gen.moment] * 3
        yield gen.sleep(0.01)
        raise gen.Return((name, sorted(items)))

    @property
    def states(self):
        return self.claims.states


def test_the_table_leads_nowhere_else():
    for state, events in claims.TRANSITIONS.items():
        assert set(events.values()) <= set(claims.TRANSITIONS), state
        assert state == FREE or "lost" in events, state


def test_only_held_ones_are_held():
    world = World()
    for state in claims.TRANSITIONS:
        world.claims.states = {"t:0": state}
        assert world.claims.held == (set(["t:0"]) if state == HELD else set())


@pytest.mark.parametrize("state", sorted(claims.TRANSITIONS))
def test_an_event_that_is_not_in_the_table_is_an_error(state):
    events = set(event for row in claims.TRANSITIONS.values() for event in row)
    for event in events - set(claims.TRANSITIONS[state]):
        world = World()
        world.claims.states = {} if state == FREE else {"t:0": state}
        with pytest.raises(KeyError):
            world.claims._move(["t:0"], event)


def test_won_and_given_up():
    @gen.coroutine
    def scenario():
        world = World()
        tried = world.claims.want(["t:0", "t:1"])
        assert world.states == {"t:0": WINNING, "t:1": WINNING} and not tried.done()
        yield world.answer()
        yield loop.within(1, tried)
        assert world.claims.held == set(["t:0", "t:1"])
        assert world.changes == [({}, {"t": [0, 1]})]
        world.claims.want(["t:0"])
        # out of the allocation at once, the node later
        assert world.claims.held == set(["t:0"]) and world.states["t:1"] == RELEASING
        assert world.changes[1:] == [({"t": [1]}, {})] and world.calls == []
        world.told[0].set_result(None)
        yield gen.sleep(0.01)
        assert (yield world.answer()) == ("release", ["t:1"])
        assert world.states == {"t:0": HELD}

    loop.run(scenario)


def test_taken_by_another_and_freed():
    @gen.coroutine
    def scenario():
        world = World()
        world.claims.want(["t:0"])
        yield world.answer(result=())
        assert world.states == {"t:0": WAITING} and world.changes == [({}, {})]
        world.claims.freed("t:0")
        assert world.states == {"t:0": WINNING}
        yield world.answer()
        assert world.states == {"t:0": HELD}
        world.claims.freed("t:0")
        world.claims.freed("t:9")
        assert world.states == {"t:0": HELD} and world.calls == []

    loop.run(scenario)


def test_freed_before_the_answer_came():
    @gen.coroutine
    def scenario():
        world = World()
        world.claims.want(["t:0"])
        world.claims.freed("t:0")
        yield world.answer(result=())
        assert world.states == {"t:0": WINNING} and len(world.calls) == 1
        yield world.answer()
        assert world.states == {"t:0": HELD}

    loop.run(scenario)


def test_not_wanted_any_more():
    @gen.coroutine
    def scenario():
        world = World()
        world.claims.want(["t:0"])
        yield world.answer(result=())
        world.claims.want([])
        assert world.states == {}
        world.claims.want(["t:1"])
        world.claims.want([])
        assert world.states == {"t:1": WINNING}
        # won too late: the node goes again, and nobody is told of it
        assert (yield world.answer()) == ("claim", ["t:1"])
        assert world.states == {"t:1": RELEASING}
        assert (yield world.answer()) == ("release", ["t:1"])
        assert world.states == {}
        assert [change for change in world.changes if change != ({}, {})] == []

    loop.run(scenario)


def test_wanted_again_while_it_is_given_up():
    @gen.coroutine
    def scenario():
        world = World()
        world.claims.want(["t:0"])
        yield world.answer()
        world.claims.want([])
        world.claims.want(["t:0"])
        assert world.states == {"t:0": RELEASING} and world.calls == []
        world.told[0].set_result(None)
        yield gen.sleep(0.01)
        yield world.answer()
        assert world.states == {"t:0": WINNING}
        yield world.answer()
        assert world.claims.held == set(["t:0"])

    loop.run(scenario)


def test_no_answer_is_asked_for_again():
    @gen.coroutine
    def scenario():
        world = World()
        with testing.ExpectLog(logging.getLogger("kiel.zookeeper.claims"), ".*failed, will try again: no connection"):
            world.claims.want(["t:0"])
            yield world.answer(error=IOError("no connection"))
            yield loop.until(lambda: world.calls)
        assert world.states == {"t:0": WINNING}
        yield world.answer()
        assert world.states == {"t:0": HELD}

    loop.run(scenario)


@pytest.mark.parametrize("state", [WINNING, WAITING, HELD, RELEASING])
def test_d51_session_lost_in_each_state(state):
    @gen.coroutine
    def scenario():
        world = World()
        world.claims.want(["t:0"])
        if state == WAITING:
            yield world.answer(result=())
        elif state in (HELD, RELEASING):
            yield world.answer()
        if state == RELEASING:
            world.claims.want([])
        assert world.states == {"t:0": state}
        world.claims.lose()
        assert world.claims.held == set()
        assert world.states == ({"t:0": RELEASING} if state in (HELD, RELEASING) else {})
        assert len(world.told) == (1 if state in (HELD, RELEASING) else 0)
        if state == WINNING:
            # the old session's answer is nobody's any more
            yield world.answer()
            assert world.states == {}
        # a new session: what a user still winds down is not claimed before that is done
        again = World()
        world.claims.open(again, again)
        world.claims.want(["t:0"])
        if world.told:
            assert world.states == {"t:0": RELEASING} and again.calls == []
            world.told[0].set_result(None)
            yield gen.sleep(0.01)
            yield again.answer()
        assert world.states == {"t:0": WINNING}
        yield again.answer()
        assert world.states == {"t:0": HELD}

    loop.run(scenario)
