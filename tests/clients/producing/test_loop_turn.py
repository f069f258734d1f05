"""What a producer looks at once in a turn of the loop: the time, and where it is."""
from __future__ import absolute_import

import os
import random

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients.producing import loop_turn
from kiel.clients.producing.loop_turn import LoopTurn
from kiel.fairness import Turn

from tests import loop


class Client(object):
    """What a turn asks of its producer, and how often that was to come to another loop, or was told of a fork."""

    def __init__(self, io_loop=None):
        self.io_loop = io_loop
        self.closing = False
        self._pid = os.getpid()
        self.moves = self.forks = 0
        self.refuses = False

    def _come_here(self):
        self.moves += 1
        if self.refuses:
            raise exc.ClosedError("that loop may still run")
        self.io_loop = ioloop.IOLoop.current()

    def on_fork(self):
        self.forks += 1


@pytest.fixture
def closed():
    """A loop that is closed."""
    io_loop = ioloop.IOLoop(make_current=False)
    io_loop.close()
    return io_loop


def test_the_time_is_noted_as_by_tick():
    rnd = random.Random(2)
    plain, turn = Turn(), LoopTurn(Client(), None)
    now = 1500000000.0
    for _ in range(1000):
        now += rnd.choice((0, 0.0001, 0.0009, 0.001, 5, -3))
        due = not turn.last <= now < turn.next
        turn.begin(now, due)
        if due:
            plain.tick(now)
        assert (turn.last, turn.next, turn.ms) == (plain.last, plain.next, plain.ms)


def test_it_looks_once_a_turn_or_a_millisecond(closed):
    @gen.coroutine
    def body():
        client = Client(closed)
        turn = LoopTurn(client, None)
        turn.begin(1.0, True)
        assert client.moves == 1 and turn.looked
        client.io_loop = closed
        turn.begin(1.0, False)
        assert client.moves == 1
        turn.begin(1.1, True)  # the loop may have ended between
        assert client.moves == 2
        yield gen.moment
        yield gen.moment
        assert not turn.looked
        client.io_loop = closed
        turn.begin(1.1, False)
        assert client.moves == 3
        turn.forget()
        assert not turn.looked
    loop.run(body)


def test_a_loop_that_may_still_run_is_asked_about_by_each_message(closed):
    @gen.coroutine
    def body():
        client = Client(closed)
        client.refuses = True
        turn = LoopTurn(client, None)
        for _ in range(2):
            with pytest.raises(exc.ClosedError):
                turn.begin(1.0, False)
        assert client.moves == 2
        yield gen.moment
    loop.run(body)


@pytest.mark.parametrize("change", [dict(io_loop=None), dict(closing=True), dict(_pid=-1)], ids=str)
def test_nothing_is_looked_for_before_connect_while_closing_and_in_a_fork(change, closed):
    client = Client(closed)
    vars(client).update(change)
    LoopTurn(client, None).settle_in()
    assert not client.moves


def test_a_run_ends_with_the_turn():
    @gen.coroutine
    def body():
        ended = []
        turn = LoopTurn(Client(ioloop.IOLoop.current()), lambda: ended.append(None))
        turn.run_began()
        turn.run_began()
        assert not ended
        yield gen.moment
        yield gen.moment
        assert len(ended) == 1
        turn.run_began()
        yield gen.moment
        yield gen.moment
        assert len(ended) == 2
    loop.run(body)


def test_a_fork_that_nobody_told_of_is_noticed(monkeypatch):
    monkeypatch.setattr(loop_turn, "FORKS_UNSEEN", True)
    client = Client()
    turn = LoopTurn(client, None)
    turn.begin(1.0, True)
    assert not client.forks
    client._pid = -1
    turn.begin(1.0, False)
    assert client.forks == 1


def test_who_follows_forks_is_told():
    client = Client()
    loop_turn.follow_forks(client)
    loop_turn._forked()
    assert client.forks == 1
