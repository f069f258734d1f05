"""The life of a cursor, state by event."""
from __future__ import absolute_import

import collections

import pytest

from kiel.clients.consuming.cursor import (
    AHEAD, BUFFERED, CHECKING, IN_FLIGHT, LOST, MOST_PUT_BACKS, READY, REVOKED, SOUGHT, TRANSITIONS, UNSET, Cursor,
    Offset
)

Batch = collections.namedtuple("Batch", "next_offset size leader_epoch codec")

#: event -> what brings it about
EVENTS = {
    "position_known": lambda cursor: cursor.locate(7),
    "fetch_sent": lambda cursor: cursor.send("ticket"),
    "check_sent": lambda cursor: cursor.check("ticket"),
    "confirmed": lambda cursor: cursor.confirmed(3),
    "fetched": lambda cursor: cursor.fetched([Batch(9, 10, 2, 0)]),
    "nothing": lambda cursor: cursor.nothing(),
    "failed": lambda cursor: cursor.failed(),
    "taken": lambda cursor: cursor.take(1000),
    "reset": lambda cursor: cursor.reset(),
    "sought": lambda cursor: cursor.seek(-2),
    "lost": lambda cursor: cursor.lose(-1),
    "revoked": lambda cursor: cursor.revoke(),
}

#: state -> the events that lead there from the beginning
WAYS = {
    UNSET: (),
    SOUGHT: ("sought",),
    LOST: ("position_known", "fetch_sent", "lost"),
    READY: ("position_known",),
    IN_FLIGHT: ("position_known", "fetch_sent"),
    CHECKING: ("position_known", "check_sent"),
    BUFFERED: ("position_known", "fetch_sent", "fetched"),
    AHEAD: ("position_known", "fetch_sent", "fetched", "fetch_sent"),
    REVOKED: ("revoked",),
}


def cursor_in(state):
    cursor = Cursor("t", 0)
    for event in WAYS[state]:
        EVENTS[event](cursor)
    assert cursor.state == state
    return cursor


def test_the_table_is_whole():
    assert set(TRANSITIONS) == set(WAYS)
    assert set(event for events in TRANSITIONS.values() for event in events) == set(EVENTS)


@pytest.mark.parametrize("event", sorted(EVENTS))
@pytest.mark.parametrize("state", sorted(WAYS))
def test_each_event_in_each_state(state, event):
    cursor = cursor_in(state)
    after = TRANSITIONS[state].get(event)
    if after is not None:
        EVENTS[event](cursor)
        assert cursor.state == after
    else:
        with pytest.raises(KeyError):
            EVENTS[event](cursor)
        assert cursor.state == state


@pytest.mark.parametrize("state", [IN_FLIGHT, AHEAD, CHECKING])
def test_only_the_answer_asked_for_is_awaited(state):
    cursor = cursor_in(state)
    assert cursor.awaits("ticket") and not cursor.awaits(object())
    cursor.failed()
    assert not cursor.awaits("ticket") and cursor.not_before


def test_what_was_taken_before_others_were_put_back_continues():
    cursor = Cursor("t", 0)
    cursor.locate(0)
    first = cursor.generation
    cursor.put_back(3)
    second = cursor.generation
    assert cursor.continues(first, 2) and not cursor.continues(first, 3) and cursor.continues(second, 3)
    cursor.put_back(5)
    assert cursor.continues(first, 2) and not cursor.continues(first, 4)  # those are handed out since
    assert cursor.continues(second, 4) and not cursor.continues(second, 5)
    cursor.put_back(1)
    assert not cursor.continues(first, 2) and not cursor.continues(second, 4) and cursor.continues(second, 0)
    for offset in range(2, 3 * MOST_PUT_BACKS):
        cursor.put_back(offset)
    assert len(cursor.put_backs) == MOST_PUT_BACKS and cursor.continues(first, 0)
    last = cursor.generation
    cursor.move(0)
    assert not any(cursor.continues(generation, 0) for generation in (first, second, last))
    assert cursor.continues(cursor.generation, 0)


def test_epochs_follow_what_was_fetched_and_what_was_handed_out():
    cursor = Cursor("t", 0)
    cursor.locate(Offset(7, 1))
    assert (cursor.position, cursor.epoch, cursor.checked) == (7, 1, -1) and cursor.handed.epoch == 1
    cursor.check("ticket")
    cursor.confirmed(3)
    assert cursor.checked == 3
    cursor.send("ticket")
    cursor.fetched([Batch(8, 10, 1, 0), Batch(9, 10, 2, 0)])
    assert (cursor.position, cursor.epoch) == (9, 2) and cursor.handed == 7
    cursor.reset()
    assert (cursor.position, cursor.epoch, cursor.checked, cursor.handed) == (None, -1, -1, None)
    cursor.locate(3)
    assert cursor.epoch == -1
    cursor.send("ticket")
    cursor.fetched([Batch(4, 10, -1, 0)])  # a format that knows no epochs
    assert cursor.epoch == -1
