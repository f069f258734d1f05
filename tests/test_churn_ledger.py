"""The checker of the churn's ledger finds what is wrong with broken histories, and nothing in sound ones."""
from __future__ import absolute_import

import pytest

from kiel.clients import Record

from tests.churn import ledger, run, work as workers

PATIENCE = 4.0


def entry(t, m, e, **more):
    return dict(more, t=float(t), m=m, e=e)


def work(t, m, first, last=None, p=0):
    """A member takes messages, and processes one each tenth of a second."""
    last = first if last is None else last
    found = [entry(t, m, "took", p=p, first=first, last=last)]
    return found + [entry(t + .1 * (o - first + 1), m, "done", p=p, o=o) for o in range(first, last + 1)]


def problems(history, ends):
    """What the checker says of entries and lists of entries."""
    flat = [one for item in history for one in (item if isinstance(item, list) else [item])]
    return ledger.Checker(sorted(flat, key=lambda one: one["t"]), ends, PATIENCE).problems


A, B = "a", "b"
BEGIN = [entry(0, A, "assigned", p=[0]), work(1, A, 0, 4)]

SOUND = {
    "one member": (BEGIN, 5),
    "handed on": (BEGIN + [entry(2, A, "revoked", p=[0]), entry(2.1, B, "assigned", p=[0]), work(3, B, 5)], 6),
    "left": (BEGIN + [entry(2, A, "closing"), entry(2.1, B, "assigned", p=[0]), work(3, B, 5)], 6),
    "killed": (BEGIN + [entry(2, A, "kill"), entry(9, B, "assigned", p=[0]), work(10, B, 3, 6)], 7),
    "paused for long": (BEGIN + [
        entry(1.25, A, "pause"), entry(8, B, "assigned", p=[0]), work(9, B, 2, 6), entry(12, A, "resume"),
        entry(12.2, A, "lost", p=[0])], 7),
    "paused for long, with messages at hand": (
        [entry(0, A, "assigned", p=[0]), entry(1, A, "took", p=0, first=0, last=1), entry(2, A, "pause"),
         entry(8, B, "assigned", p=[0]), work(9, B, 0, 1), entry(12, A, "resume"), entry(12.1, A, "done", p=0, o=0),
         entry(12.2, A, "lost", p=[0]), entry(14, A, "done", p=0, o=1)], 2),
    "stood still by itself": (BEGIN + [
        entry(8, B, "assigned", p=[0]), work(9, B, 4, 6), entry(12, A, "stall", since=2),
        entry(12.2, A, "lost", p=[0])], 7),
    "paused for a moment": (BEGIN + [entry(2, A, "pause"), entry(3, A, "resume"), work(4, A, 5)], 6),
    "came back": (BEGIN + [
        entry(2, A, "pause"), entry(12, A, "resume"), entry(12.2, A, "lost", p=[0]), entry(14, A, "assigned", p=[0]),
        work(15, A, 3, 5)], 6),
}

SOUND["lost before its last commit was through"] = (BEGIN + [
    entry(2, A, "revoked", p=[0]), entry(2.1, A, "pause"), entry(12, A, "resume"), entry(12.1, A, "lost", p=[0]),
    entry(12.5, B, "assigned", p=[0]), work(13, B, 0, 5)], 6)

BROKEN = {
    "lost what it never had": (BEGIN + [
        entry(2, A, "pause"), entry(12, A, "resume"), entry(12.1, A, "lost", p=[0, 1])], 5, "which it has not"),
    "a message lost": (BEGIN, 6, "1 of 6 messages lost, 5 the first"),
    "all lost": ([entry(0, A, "assigned", p=[0])], 1, "lost"),
    "processed, but not written": (BEGIN, 4, "not written"),
    "twice after a planned rebalance": (BEGIN + [
        entry(2, A, "revoked", p=[0]), entry(2.1, B, "assigned", p=[0]), work(3, B, 4, 5)], 6, "processed before"),
    "twice after a member left": (BEGIN + [
        entry(2, A, "closing"), entry(2.1, B, "assigned", p=[0]), work(3, B, 4, 5)], 6, "processed before"),
    "twice by one member": (BEGIN + [work(3, A, 4, 5)], 6, "was handed 4 of partition 0 after 4"),
    "twice for a pause too short": (BEGIN + [
        entry(2, A, "pause"), entry(4, A, "resume"), entry(5, A, "revoked", p=[0]), entry(6, B, "assigned", p=[0]),
        work(7, B, 4, 5)], 6, "processed before"),
    "twice, long committed before the kill": (BEGIN + [
        entry(50, A, "kill"), entry(60, B, "assigned", p=[0]), work(61, B, 4, 5)], 6, "processed before"),
    "twice, before the kill": (BEGIN + [
        entry(2, A, "revoked", p=[0]), entry(2.1, B, "assigned", p=[0]), work(3, B, 4, 5), entry(5, A, "kill")], 6,
        "processed before"),
    "a gap": (BEGIN + [work(3, A, 6)], 7, "was handed 6 of partition 0 after 4"),
    "two owners at work": (BEGIN + [entry(2, B, "assigned", p=[0]), work(3, B, 5)], 6, "took of a's partition 0"),
    "work for another": ([entry(0, A, "assigned", p=[0]), work(1, B, 0)], 1, "took of partition 0, which it has not"),
    "work after it was given away": (BEGIN + [entry(2, A, "revoked", p=[0]), work(3, A, 5)], 6, "which it has not"),
    "finished after it was given away": (
        [entry(0, A, "assigned", p=[0]), entry(1, A, "took", p=0, first=0, last=0), entry(2, A, "revoked", p=[0]),
         entry(3, A, "done", p=0, o=0)], 1, "done of partition 0, which it has not"),
    "a zombie takes more": (BEGIN + [
        entry(2, A, "pause"), entry(8, B, "assigned", p=[0]), work(9, B, 5), entry(12, A, "resume"), work(14, A, 6)], 7,
        "took of b's partition 0"),
    "lost without a reason": (BEGIN + [entry(2, A, "lost", p=[0])], 5, "without having stood still"),
    "lost after a moment's pause": (BEGIN + [
        entry(2, A, "pause"), entry(3, A, "resume"), entry(4, A, "lost", p=[0])], 5, "without having stood still"),
    "assigned twice": (BEGIN + [entry(2, A, "assigned", p=[0])], 5, "which it has"),
    "revoked twice": (BEGIN + [entry(2, A, "revoked", p=[0]), entry(3, A, "revoked", p=[0])], 5, "which it has not"),
    "processed without being handed": (BEGIN + [entry(2, A, "done", p=0, o=5)], 6, "was not handed"),
}


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_sound_history(name):
    history, written = SOUND[name]
    assert not problems(history, {0: written})


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_history(name):
    history, written, expected = BROKEN[name]
    found = problems(history, {0: written})
    assert found and expected in " / ".join(found)


def test_a_ledger_is_read_in_the_order_of_time(tmpdir):
    import os
    for name, times in (("a", (1, 3)), ("b", (2, 4))):
        fd = os.open(str(tmpdir.join(name)), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for time in times:
            ledger.append(fd, t=time, m=name, e="took", p=0, first=0, last=0)
        os.close(fd)
    found = ledger.load([str(tmpdir.join(name)) for name in ("b", "a")])
    assert [(one["t"], one["m"]) for one in found] == [(1, "a"), (2, "b"), (3, "a"), (4, "b")]


def test_a_seed_says_what_happens():
    for seed in range(50):
        events = run.schedule(seed, 60, 6, 1.5)
        assert events == run.schedule(seed, 60, 6, 1.5) == sorted(events)
        state = {}
        for second, slot, what in events:
            before = {"start": (None,), "leave": ("up",), "kill": ("up",), "pause": ("up",), "resume": ("still",)}
            assert state.get(slot) in before[what]
            state[slot] = {"start": "up", "pause": "still", "resume": "up"}.get(what)
            if second > 3:
                assert list(state.values()).count("up") >= 2
    assert set(what for _, _, what in run.schedule(1, 300, 8, 2)) == {"start", "leave", "kill", "pause", "resume"}
    assert run.schedule(1, 60, 6, 1.5) != run.schedule(2, 60, 6, 1.5)


# -- workers --

def written(*values):
    """What was written: (key, value), the offsets in order."""
    return [Record("t", 0, offset, key=key, value=value) for offset, (key, value) in enumerate(values)]


FINE, FAILS, POISON = b'{"how": "fine"}', b'{"how": "fails"}', b"{poison"
WRITTEN = written((b"a", FINE), (b"a", FINE), (b"b", FAILS), (b"b", POISON))


def call(t, m, offset, seconds=.1, e="done"):
    """A handler's call."""
    return [entry(t, m, "begin", p=0, o=offset), entry(t + seconds, m, e, p=0, o=offset)]


def letter(offset, value, key=b"b", kind=b"ValueError"):
    """A dead letter."""
    return Record("t.dead", 0, 0, key=key, value=value, headers=(
        ("kiel.error.partition", b"0"), ("kiel.error.offset", b"%d" % offset), ("kiel.error.type", kind)))


DEAD = [letter(2, FAILS), letter(3, POISON)]
WORKED = call(1, A, 0) + call(2, A, 1) + call(1, A, 2, e="failed") + call(3, A, 2, e="failed")

WORKERS = {
    "sound": (WORKED, DEAD, None),
    "killed, and done again": (
        WORKED + [entry(2.5, A, "kill")] + call(9, B, 1) + call(9, B, 2, e="failed"), DEAD + DEAD[:1], None),
    "killed at work": (
        call(1, A, 0) + [entry(2, A, "begin", p=0, o=1), entry(2.5, A, "kill")] + call(9, B, 1)
        + call(9, B, 2, e="failed"), DEAD, None),
    "lost": (call(1, A, 0) + call(1, A, 2, e="failed"), DEAD, "1 of 4 messages lost"),
    "twice without a kill": (WORKED + call(9, B, 1), DEAD, "was done by"),
    "two of one key at once": (WORKED[:2] + call(1.05, A, 1) + WORKED[4:], DEAD, "while"),
    "out of order": (call(2, A, 0) + call(1, A, 1) + WORKED[4:], DEAD, "was begun after"),
    "never ended": (WORKED + [entry(5, A, "begin", p=0, o=1)], DEAD, "never ended"),
    "no dead letter": (WORKED, DEAD[:1], "no dead letters"),
    "a dead letter that is none": (WORKED, DEAD + [letter(0, FINE, b"a")], "not meant to be"),
    "a dead letter of another value": (WORKED, [DEAD[0], letter(3, b"{")], "not what was written"),
    "dead twice without a kill": (WORKED, DEAD + DEAD[:1], "twice"),
    "dead of something else": (WORKED, [DEAD[0], letter(3, POISON, kind=b"KeyError")], "is dead of"),
}


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_the_ledgers_of_workers(name):
    entries, dead, word = WORKERS[name]
    check = workers.Check(WRITTEN, dead, sorted(entries, key=lambda one: one["t"]))
    if word is None:
        assert not check.problems
    else:
        assert any(word in problem for problem in check.problems), check.problems


def result(offset, key=b"a"):
    """What came of a message."""
    return Record("t.out", 0, 0, key=key, value=b'{"p": 0, "o": %d}' % offset)


@pytest.mark.parametrize("results,dead,word", [
    ([result(0), result(1)], DEAD, None),
    ([result(0)], DEAD, "without a result: [(0, 1)]"),
    ([result(0), result(1), result(4)], DEAD, "not written"),
    ([result(0), result(1), result(1, b"z")], DEAD, "several results"),
    ([result(0), result(1)], DEAD + DEAD[:1], "several results"),
    ([result(0), result(1), result(2)], DEAD, "several results"),
    ([result(1), result(0)], DEAD, "came after"),
])
def test_the_results_of_workers_that_work_exactly_once(results, dead, word):
    problems = workers.once(WRITTEN, results, dead)
    assert not problems if word is None else any(word in problem for problem in problems)


def test_a_plan_by_chance_is_the_same_for_the_same_seed():
    plan = workers.at_random(3, 100, 5, 2.0)
    assert plan == workers.at_random(3, 100, 5, 2.0) and set(step[1] for step in plan) == {
        "start", "leave", "kill", "restart"}
    assert "kill" not in set(step[1] for step in workers.at_random(3, 100, 5, 2.0, kills=False))
