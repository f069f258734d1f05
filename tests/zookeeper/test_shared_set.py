"""D56: the partitions that a group shares out, as topics come, grow and go."""
from __future__ import absolute_import

import json

from tornado import gen

from tests import loop

from .world import Member, kazoo, shared_out, stop_all, topics


def test_d56_partitions_and_topics_that_come_later(zk, group):
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1"), Member(zk, group, "host:2")
        yield [one.allocator.start(topics(2)), two.allocator.start(topics(2))]
        yield one.allocator.update({"t": [0, 1, 2, 3], "u": [0, 1]})
        yield shared_out([one, two], ["t:0", "t:1", "t:2", "t:3", "u:0", "u:1"])
        # older metadata of another member takes nothing away, nor does a topic without partitions or unnamed
        yield two.allocator.update({"t": [0, 1], "u": []})
        yield two.allocator.update({})
        yield gen.sleep(0.2)
        yield shared_out([one, two], ["t:0", "t:1", "t:2", "t:3", "u:0", "u:1"])
        # made again with fewer
        yield one.allocator.update({"t": [0, 1, 2]})
        yield shared_out([one, two], ["t:0", "t:1", "t:2", "u:0", "u:1"])
        # a deleted topic leaves the set
        yield two.allocator.update({"t": [0, 1, 2]}, gone=["u"])
        yield shared_out([one, two], ["t:0", "t:1", "t:2"])
        with kazoo(zk) as conn:
            data, _ = conn.get("/kiel/groups/%s/partitions" % group)
            assert json.loads(data.decode("ascii")) == ["t:0", "t:1", "t:2"]
        yield stop_all(one, two)

    loop.run(scenario, 30)


def test_d56_update_without_news_costs_nothing(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(2))
        rebalances = len(member.rebalances)
        with kazoo(zk) as conn:
            with conn.Lock("/kiel/groups/%s/partitions/lock" % group):
                for _ in range(3):
                    yield loop.within(0.5, member.allocator.update(topics(2)))
        assert len(member.rebalances) == rebalances
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_d56_remove_and_add_partitions(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start({"t": [0, 1, 2], "u": [0]})
        yield member.allocator.remove_partitions({"t": [1, 2], "u": [0]})
        yield shared_out([member], ["t:0"])
        yield member.allocator.add_partitions({"t": [1]})
        yield shared_out([member], ["t:0", "t:1"])
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_d56_what_is_removed_stays_out_over_a_new_session(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(3))
        yield member.allocator.remove_partitions({"t": [2]})
        yield shared_out([member], ["t:0", "t:1"])
        seen = len(member.changes)
        zk.expire(member.allocator.conn)
        yield loop.until(lambda: len(member.changes) > seen + 1, 6)
        assert member.items == set(["t:0", "t:1"])
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_d59_a_set_whose_znode_was_deleted_is_made_again(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(2))
        with kazoo(zk) as conn:
            conn.delete("/kiel/groups/%s/partitions" % group, recursive=True)
            path = "/kiel/groups/%s/partitions" % group
            yield loop.until(lambda: conn.exists(path) and conn.get(path)[0] != b"", 5, 0.05)
            assert json.loads(conn.get(path)[0].decode("ascii")) == ["t:0", "t:1"]
        yield shared_out([member], ["t:0", "t:1"])
        yield member.allocator.stop()

    loop.run(scenario, 20)
