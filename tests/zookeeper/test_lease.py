from __future__ import absolute_import

import logging

import mock
import pytest
from tornado import gen, testing

from kiel.zookeeper import lease, seeds
from tests import loop


@pytest.fixture
def clock():
    with mock.patch.object(lease.retry, "monotonic") as patched:
        patched.return_value = 100.0
        yield patched


def test_d52_doubt_by_the_clock(clock):
    @gen.coroutine
    def scenario():
        doubts, gone, asked = [], [], []
        one = lease.Lease(10.0, doubts.append, lambda: gone.append(1))
        assert not one.doubtful and not one.stale
        one.begin(asked.append, 99.0)
        assert not one.doubtful
        clock.return_value = 106.9
        assert not one.doubtful
        clock.return_value = 107.1
        assert one.doubtful and doubts == []
        one._tick()
        assert doubts == [True] and len(asked) == 1
        # asked at 107.1, answered later: good for as long from the question
        clock.return_value = 112.0
        asked[0](True)
        assert doubts == [True, False] and not one.doubtful
        clock.return_value = 115.2
        assert one.doubtful
        one.end()
        assert not one.stale and not one.doubtful
        yield gen.moment

    loop.run(scenario)


def test_an_answer_too_late_ends_no_doubt(clock):
    @gen.coroutine
    def scenario():
        doubts, asked = [], []
        one = lease.Lease(10.0, doubts.append, None)
        one.begin(asked.append, 100.0)
        one.set(True)
        one.ask()
        clock.return_value = 109.0
        asked[0](True)
        assert doubts == [True] and one.doubtful
        one.end()
        yield gen.moment

    loop.run(scenario)


def test_answers_of_a_session_before_say_nothing(clock):
    @gen.coroutine
    def scenario():
        doubts, gone, asked = [], [], []
        one = lease.Lease(10.0, doubts.append, lambda: gone.append(1))
        one.ask()
        one.begin(asked.append, 100.0)
        one.ask()
        one.end()
        one.begin(lambda answered: None, 100.0)
        one.set(True)
        asked[0](True)
        asked[0](False)
        assert doubts == [True] and gone == []
        one.end()
        yield gen.moment

    loop.run(scenario)


def test_not_in_any_more_and_a_hook_that_fails(clock):
    @gen.coroutine
    def scenario():
        gone = []
        one = lease.Lease(10.0, lambda doubt: 1 // 0, lambda: gone.append(1))
        one.begin(lambda answered: answered(False), 100.0)
        one.ask()
        assert gone == [1]
        with testing.ExpectLog(logging.getLogger("kiel.zookeeper.lease"), "on_pause.*failed"):
            one.set(True)
        assert one.doubt
        one.end()
        yield gen.moment

    loop.run(scenario)


def test_d56_seeds_by_metadata():
    one = seeds.Seeds(None)
    one.note({"t": [0, 1, 2], "u": []})
    assert one.add == set(["t:0", "t:1", "t:2"]) and one.remove == set()
    one.note({"t": [0, 1]})
    assert one.add == set(["t:0", "t:1"]) and one.remove == set(["t:2"])
    # never seen by this member: left to those who have
    one.note({"v": [0]}, present=set(["v:0", "v:1"]))
    assert "v:1" not in one.remove
    one.note({}, gone=["v", "w"], present=set(["v:0", "v:1", "w:0", "t:0"]))
    assert one.remove == set(["t:2", "v:0", "v:1", "w:0"])
    one.forget({"t": [1]})
    assert one.add == set(["t:0"]) and "t:1" in one.remove
    one.again()
    assert one.add == set(["t:0"])


def test_d56_seeds_sync_what_is_missing_and_try_again():
    @gen.coroutine
    def scenario():
        tried, present, failing = [], set(["t:0"]), [IOError("no")]

        @gen.coroutine
        def alter(change):
            yield gen.moment
            tried.append(1)
            if failing:
                raise failing.pop()
            present.update(change(present))

        one = seeds.Seeds(alter)
        one.note({"t": [0]})
        yield one.sync(present)
        assert tried == []
        one.note({"t": [0, 1]})
        with testing.ExpectLog(logging.getLogger("kiel.zookeeper.seeds"), "Changing.*failed, will try again: no"):
            yield one.sync(present)
        first = one.sync(present)
        one.note({"u": [0]})
        assert one.sync(present) is first
        yield first
        assert present == set(["t:0", "t:1", "u:0"]) and len(tried) == 3
        yield one.sync(present)
        assert len(tried) == 3

    loop.run(scenario)
