"""When a member has made no progress for too long; with a clock that the test moves."""
from __future__ import absolute_import

import pytest

from kiel.groups.liveness import poll_timer
from kiel.groups.liveness.poll_timer import PollTimer
from kiel.groups.liveness.states import BEATING, IDLE, LEAVING, LEFT, Liveness


class Watchdog(object):
    blocked = 0.0


@pytest.fixture
def clock(monkeypatch):
    """What the time is, in a list."""
    now = [100.0]
    monkeypatch.setattr(poll_timer, "monotonic", lambda: now[0])
    return now


def made(interval=10, state=BEATING):
    liveness, watchdog = Liveness(3), Watchdog()
    liveness.state = state
    liveness.last_progress = 100.0
    return PollTimer(liveness, watchdog, interval), liveness, watchdog


def test_time_passes_while_the_application_has_messages(clock):
    timer, liveness, _ = made()
    liveness.working = True
    clock[0] = 109.0
    timer.check(0)
    assert (timer.stalled, timer.expired()) == (9.0, False)
    clock[0] = 110.0
    assert (timer.stalled, timer.expired()) == (10.0, True)
    liveness.last_progress = 109.5
    assert (timer.stalled, timer.expired()) == (0.5, False)


def test_nothing_is_asked_of_an_application_without_any(clock):
    timer, liveness, _ = made()
    clock[0] = 150.0
    timer.check(0)
    assert (timer.stalled, timer.expired()) == (0.0, False)
    liveness.working = True  # as of now: it counts from the last check
    clock[0] = 155.0
    assert timer.stalled == 5.0


def test_a_loop_that_is_blocked_makes_no_progress_either(clock):
    timer, _, watchdog = made()
    clock[0] = 120.0
    watchdog.blocked = 12.0
    assert (timer.stalled, timer.expired()) == (12.0, True)


@pytest.mark.parametrize("begin_anew", [lambda timer: timer.check(3.0), lambda timer: timer.restart()],
                         ids=["a thread that was late", "another start"])
def test_silence_proves_nothing_after(clock, begin_anew):
    timer, liveness, _ = made()
    liveness.working = True
    clock[0] = 130.0
    begin_anew(timer)
    assert (timer.stalled, timer.expired()) == (0.0, False)


@pytest.mark.parametrize("interval,state", [(None, BEATING), (10, IDLE), (10, LEAVING), (10, LEFT)])
def test_who_need_not_leave(clock, interval, state):
    timer, liveness, _ = made(interval, state)
    liveness.working = True
    clock[0] = 1000.0
    assert timer.expired() is False
