from __future__ import absolute_import

import collections

from kiel import iterables


def test_d77_deque_from_the_left():
    items = collections.deque([1, 2, 3])
    assert list(iterables.drain(items)) == [1, 2, 3]
    assert not items


def test_d77_dict_gives_pairs():
    items = {"a": 1, "b": 2}
    assert sorted(iterables.drain(items)) == [("a", 1), ("b", 2)]
    assert not items


def test_d77_list_from_its_end():
    items = [1, 2, 3]
    assert list(iterables.drain(items)) == [3, 2, 1]
    assert not items


def test_d77_set():
    items = set([1, 2, 3])
    assert sorted(iterables.drain(items)) == [1, 2, 3]
    assert not items


def test_ends_at_once_when_empty_and_yields_what_comes_meanwhile():
    assert list(iterables.drain([])) == []
    items = collections.deque([1])
    seen = []
    for item in iterables.drain(items):
        seen.append(item)
        if item < 3:
            items.append(item + 1)
    assert seen == [1, 2, 3]


def test_keeps_what_was_not_reached():
    items = collections.deque([1, 2, 3])
    for item in iterables.drain(items):
        break
    assert list(items) == [2, 3]
