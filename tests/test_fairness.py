"""The loop gets its turn between answers that are ready."""
from __future__ import absolute_import

from tornado import gen, ioloop

from kiel.fairness import Turn
from tests import loop


def test_over_only_after_the_limit_without_a_turn_of_the_loop():
    @gen.coroutine
    def body():
        turn = Turn(limit=0.005)
        assert not turn.over(100.0)
        assert not turn.over(100.004)
        assert turn.over(100.006)
        yield gen.sleep(0.001)
        assert not turn.over(100.1)
    loop.run(body)


def test_a_clock_set_back_counts_as_over():
    @gen.coroutine
    def body():
        turn = Turn(limit=0.005)
        turn.over(100.0)
        assert turn.over(50.0)
        yield gen.moment
    loop.run(body)


def test_later_resolves_after_the_loop_turned():
    @gen.coroutine
    def body():
        turn = Turn()
        turn.over(1.0)
        ran = []
        ioloop.IOLoop.current().add_callback(ran.append, 1)
        future = turn.later("value")
        assert not future.done()
        assert (yield future) == "value"
        assert ran
    loop.run(body)


def test_tick_gives_milliseconds():
    turn = Turn()
    turn.tick(12.3456)
    assert turn.ms == 12345
    assert turn.last <= 12.3459 < turn.next
