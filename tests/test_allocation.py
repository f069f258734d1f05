from __future__ import absolute_import

import logging

from tornado import gen, testing

from kiel import allocation


def plain(mapping):
    return dict((member, dict(topics)) for member, topics in mapping.items() if topics)


def test_naive_deals_sorted_strings_to_sorted_members():
    partitions = ["t:0", "t:1", "t:10", "t:2", "u:0"]
    assert plain(allocation.naive_allocator(["a", "b"], partitions)) == {
        "a": {"t": [0, 10], "u": [0]},
        "b": {"t": [1, 2]},
    }


def test_naive_does_not_depend_on_the_order_given():
    partitions = ["t:%d" % number for number in range(12)]
    expected = allocation.naive_allocator(["a", "b", "c"], partitions)
    assert plain(allocation.naive_allocator(["c", "a", "b"], partitions[::-1])) == plain(expected)


def test_naive_gives_a_member_left_out_nothing():
    mapping = allocation.naive_allocator(["a", "b"], ["t:0"])
    assert dict(mapping["b"]) == {}
    assert mapping["b"]["t"] == []


def test_naive_without_members_or_partitions():
    assert plain(allocation.naive_allocator([], ["t:0"])) == {}
    assert plain(allocation.naive_allocator(["a"], [])) == {}


def test_topic_names_with_colons():
    assert plain(allocation.naive_allocator(["a"], ["a:b:3"])) == {"a": {"a:b": [3]}}


def test_range_gives_runs_and_the_first_get_more():
    partitions = sorted(["t:%d" % number for number in range(11)] + ["u:0"])
    assert allocation.range_allocator(["b", "a", "c"], partitions) == {
        "a": {"t": [0, 1, 2, 3], "u": [0]},
        "b": {"t": [4, 5, 6, 7]},
        "c": {"t": [8, 9, 10]},
    }


def test_range_without_members():
    assert allocation.range_allocator([], ["t:0"]) == {}


def test_both_give_each_partition_once():
    partitions = sorted("%s:%d" % (topic, number) for topic in "tuv" for number in range(7))
    for function in (allocation.naive_allocator, allocation.range_allocator):
        for count in range(1, 9):
            mapping = function(["m%d" % number for number in range(count)], partitions)
            given = []
            for topics in mapping.values():
                given.extend(allocation.flatten(topics))
            assert sorted(given) == partitions


def test_flatten_and_group_are_each_others_opposite():
    topics = {"t": [0, 2, 10], "u:v": [1]}
    assert allocation.flatten(topics) == set(["t:0", "t:2", "t:10", "u:v:1"])
    assert allocation.group(allocation.flatten(topics)) == topics
    assert allocation.flatten({"t": [], "u": None}) == set()


class ChangedTest(testing.AsyncTestCase):
    """The hook's caller."""

    @testing.gen_test
    def test_waits_for_the_future(self):
        allocator = allocation.Allocator()
        seen = []

        @gen.coroutine
        def on_change(revoked, assigned):
            yield gen.sleep(0.02)
            seen.append((revoked, assigned))

        allocator.on_change = on_change
        yield allocator.changed({"t": [1]}, {})
        assert seen == [({"t": [1]}, {})]

    @testing.gen_test
    def test_nothing_changed_calls_nobody_and_no_hook_is_fine(self):
        allocator = allocation.Allocator()
        yield allocator.changed({"t": [1]}, {})
        seen = []
        allocator.on_change = lambda *args: seen.append(args)
        yield allocator.changed({}, {})
        assert seen == []

    @testing.gen_test
    def test_a_hook_that_fails_is_logged(self):
        allocator = allocation.Allocator()
        allocator.on_change = lambda revoked, assigned: 1 // 0
        with testing.ExpectLog(logging.getLogger("kiel.allocation"), "on_change.*failed"):
            yield allocator.changed({"t": [1]}, {})
