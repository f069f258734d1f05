from __future__ import absolute_import

import json
import logging
import threading
import time

import pytest
from tornado import concurrent, gen, testing

from kiel import allocation, exc
from kiel.zookeeper import allocator
from kiel.zookeeper.shared_set import SharedSet
from tests import loop
from tests.raised import ERRORS, NAMES

from .world import Member, OldMember, kazoo, shared_out, stop_all, topics

LOG = logging.getLogger("kiel.zookeeper.allocator")


def test_attributes_before_the_start():
    member = Member("a:1,b:2", "g", "host:1").allocator
    assert (member.zk_hosts, member.group_name, member.consumer_name) == (["a:1,b:2"], "g", "host:1")
    assert (member.members, member.partitions, member.mapping) == (set(), set(), {})
    assert member.members_path == "/kiel/groups/g/members"
    assert member.partition_path == "/kiel/groups/g/partitions"
    assert member.allocator_fn is allocation.naive_allocator
    assert not member.connected.is_set()
    assert not member.members_collected.is_set()
    assert not member.partitions_collected.is_set()
    assert member.identity == ("", -1)
    assert member.paused is False


def test_d50_allocation_is_empty_before_the_first():
    assert Member("a:1", "g", "host:1").allocator.allocation == {}


class LateSet(SharedSet):
    """Its watch tells of a change half a second late."""

    def start(self):
        known, tell = [], self.on_change

        def late(items):
            if known:
                time.sleep(0.5)  # on a thread of kazoo's
            known.append(items)
            tell(items)
        self.on_change = late
        super(LateSet, self).start()


def test_a_start_brings_the_partitions_however_late_the_watch_is(zk, group, monkeypatch):
    @gen.coroutine
    def scenario():
        monkeypatch.setattr(allocator, "SharedSet", LateSet)
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(2))
        assert member.allocator.allocation == topics(2)
        yield gen.sleep(0.7)
        assert member.changes == [({}, topics(2))]
        yield member.allocator.stop()
    loop.run(scenario)


def test_one_member_gets_all_and_gives_it_back(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start({"t": [0, 1, 10], "u": [0]})
        assert member.allocator.allocation == {"t": [0, 1, 10], "u": [0]}
        assert member.changes == [({}, {"t": [0, 1, 10], "u": [0]})]
        assert member.rebalances[-1] == member.allocator.allocation
        assert member.allocator.connected.is_set()
        assert member.allocator.members == set(["host:1"])
        assert member.allocator.mapping["host:1"] == {"t": [0, 1, 10], "u": [0]}
        with kazoo(zk) as conn:
            base = "/kiel/groups/%s" % group
            data, stat = conn.get(base + "/members/host:1")
            assert (data, bool(stat.ephemeralOwner)) == (b"", True)
            data, stat = conn.get(base + "/partitions")
            assert set(json.loads(data.decode("ascii"))) == set(["t:0", "t:1", "t:10", "u:0"])
            assert not stat.ephemeralOwner
            data, stat = conn.get(base + "/owners/t:10")
            assert (data, bool(stat.ephemeralOwner)) == (b"host:1", True)
            yield member.allocator.stop()
            assert member.allocator.allocation == {}
            assert member.changes[1:] == [({"t": [0, 1, 10], "u": [0]}, {})]
            assert conn.get_children(base + "/members") == []
            assert conn.get_children(base + "/owners") == []
        assert member.threads == set([threading.current_thread()])

    loop.run(scenario, 20)


def test_members_come_and_go(zk, group):
    @gen.coroutine
    def scenario():
        members = [Member(zk, group, "host:%d" % number) for number in range(3)]
        everything = allocation.flatten(topics(7))
        for count in range(1, 4):
            yield members[count - 1].allocator.start(topics(7))
            yield shared_out(members[:count], everything)
            for member in members[:count]:
                mapping = allocation.naive_allocator([m.name for m in members[:count]], everything)
                assert member.items == allocation.flatten(mapping[member.name])
        yield members[0].allocator.stop()
        yield shared_out(members[1:], everything)
        yield stop_all(*members)

    loop.run(scenario, 30)


def test_second_start_only_adds_and_start_after_stop(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        first = member.allocator.start(topics(1))
        assert member.allocator.start(topics(1)) is first
        yield first
        yield member.allocator.start(topics(3))
        yield shared_out([member], ["t:0", "t:1", "t:2"])
        yield member.allocator.stop()
        yield member.allocator.stop()
        yield member.allocator.start(topics(3))
        assert member.allocator.allocation == topics(3)
        stopping = member.allocator.stop()
        yield member.allocator.start(topics(3))
        assert stopping.done()
        assert member.allocator.allocation == topics(3)
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_among_new_members_never_two_owners(zk, group):
    """The loser's hook takes its time; the winner gets the partition after it, not before."""
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1"), Member(zk, group, "host:2")
        yield one.allocator.start(topics(2))
        one.busy = concurrent.Future()
        yield two.allocator.start(topics(2))
        yield loop.until(lambda: len(one.changes) == 2)
        assert one.changes[1] == ({"t": [1]}, {})
        assert one.allocator.allocation == {"t": [0]}
        yield gen.sleep(0.5)
        assert two.allocator.allocation == {}
        with kazoo(zk) as conn:
            assert conn.get("/kiel/groups/%s/owners/t:1" % group)[0] == b"host:1"
            one.busy.set_result(None)
            yield shared_out([one, two], ["t:0", "t:1"])
            assert two.changes == [({}, {"t": [1]})]
            assert conn.get("/kiel/groups/%s/owners/t:1" % group)[0] == b"host:2"
        one.busy = None
        yield stop_all(one, two)

    loop.run(scenario, 20)


def test_a_hook_that_never_ends_keeps_a_partition_for_its_deadline_only(zk, group):
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1", release_timeout=0.5), Member(zk, group, "host:2")
        yield one.allocator.start(topics(2))
        one.busy = concurrent.Future()
        yield two.allocator.start(topics(2))
        with testing.ExpectLog(logging.getLogger("kiel.zookeeper.claims"), ".*on_rebalance did not finish within"):
            yield shared_out([one, two], ["t:0", "t:1"])
        one.busy = None
        yield stop_all(one, two)

    loop.run(scenario, 20)


def test_one_that_dies_frees_its_partitions(zk, group):
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1"), Member(zk, group, "host:2")
        yield [one.allocator.start(topics(4)), two.allocator.start(topics(4))]
        yield shared_out([one, two], allocation.flatten(topics(4)))
        # as a killed process: no farewell, the server ends the session
        session = two.allocator.session
        session_id = two.allocator.conn.client_id
        yield two.allocator.leave_session(session)
        two.allocator.presence.run = None
        yield session.close(5)
        zk.expire(session_id)
        yield shared_out([one], allocation.flatten(topics(4)))
        yield one.allocator.stop()

    loop.run(scenario, 20)


def test_beside_a_member_of_0_9(zk, group):
    @gen.coroutine
    def scenario():
        old = OldMember(zk, group, "host:2")
        old.start(topics(3))
        new, third = Member(zk, group, "host:1"), Member(zk, group, "host:3")
        everything = allocation.flatten(topics(5))
        yield new.allocator.start(topics(5))
        yield shared_out([old, new], everything)
        yield third.allocator.start(topics(5))
        yield shared_out([old, new, third], everything)
        assert new.allocator.mapping["host:2"] == {"t": [1, 4]}
        old.stop()
        yield shared_out([new, third], everything)
        old = OldMember(zk, group, "host:2")
        old.start(topics(6))
        yield shared_out([old, new, third], allocation.flatten(topics(6)))
        yield stop_all(new, third)
        yield shared_out([old], allocation.flatten(topics(6)))
        old.stop()

    loop.run(scenario, 30)


def test_d50_plain_dicts_that_leave_members_out(zk, group):
    def first_takes_all(members, partitions):
        assert members == sorted(members) and partitions == sorted(partitions)
        return {members[0]: allocation.group(partitions)} if members else {}

    @gen.coroutine
    def scenario():
        one = Member(zk, group, "host:1", first_takes_all)
        two = Member(zk, group, "host:2", first_takes_all)
        yield two.allocator.start(topics(2))
        assert two.allocator.allocation == topics(2)
        yield one.allocator.start(topics(2))
        yield shared_out([one], ["t:0", "t:1"])
        yield loop.until(lambda: two.allocator.allocation == {})
        yield one.allocator.stop()
        yield shared_out([two], ["t:0", "t:1"])
        yield two.allocator.stop()

    loop.run(scenario, 20)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_d50_an_allocator_that_raises_does_not_end_the_watch(zk, group, error):
    broken = []

    def breaks(members, partitions):
        if broken:
            raise broken[0]
        return allocation.naive_allocator(members, partitions)

    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1", breaks), Member(zk, group, "host:2")
        yield one.allocator.start(topics(4))
        yield shared_out([one], allocation.flatten(topics(4)))
        broken.append(error)
        with testing.ExpectLog(LOG, "The allocation function failed"):
            yield two.allocator.start(topics(4))
            yield gen.sleep(0.3)
        # it keeps what it has, and the other waits for it
        assert one.allocator.allocation == topics(4)
        assert two.allocator.allocation == {}
        broken.pop()
        yield two.allocator.stop()
        yield loop.until(lambda: one.allocator.members == set(["host:1"]))
        yield two.allocator.start(topics(4))
        yield shared_out([one, two], allocation.flatten(topics(4)))
        yield stop_all(one, two)

    loop.run(scenario, 20)


def test_d50_nonsense_from_an_allocator_is_an_error_in_the_log(zk, group):
    @gen.coroutine
    def scenario():
        for answer in (None, [1], {"host:1": [1]}, {"host:1": {"t": ["x"]}}):
            member = Member(zk, group, "host:1", lambda members, partitions: answer)
            with testing.ExpectLog(LOG, "The allocation function failed"):
                yield member.allocator.start(topics(1))
            assert member.allocator.allocation == {}
            yield member.allocator.stop()

    loop.run(scenario, 20)


def test_d54_state_changes_and_hooks_run_on_the_loop(zk, group):
    @gen.coroutine
    def scenario():
        seen = set()
        member = Member(zk, group, "host:1")
        for name in (
            "on_group_members_change", "on_partition_change", "handle_connection_change", "rebalance",
        ):
            method = getattr(member.allocator, name)
            setattr(member.allocator, name, _spied(method, seen))
        yield member.allocator.start(topics(2))
        other = OldMember(zk, group, "host:0")
        other.start(topics(3))
        yield shared_out([other, member], allocation.flatten(topics(3)))
        zk.expire(member.allocator.conn)
        yield loop.until(lambda: len(member.changes) > 2)
        yield shared_out([other, member], allocation.flatten(topics(3)))
        other.stop()
        yield shared_out([member], allocation.flatten(topics(3)))
        yield member.allocator.stop()
        assert seen == member.threads == set([threading.current_thread()])

    loop.run(scenario, 30)


def _spied(method, seen):
    def spy(*args):
        seen.add(threading.current_thread())
        return method(*args)
    return spy


def test_d55_equal_names_are_two_members(zk, group):
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1"), Member(zk, group, "host:1")
        yield one.allocator.start(topics(2))
        yield two.allocator.start(topics(2))
        yield shared_out([one, two], ["t:0", "t:1"])
        assert one.name == "host:1"
        host, number = two.name.split(":")
        assert host == "host" and number.isdigit() and number != "1"
        yield two.allocator.stop()
        yield shared_out([one], ["t:0", "t:1"])
        with kazoo(zk) as conn:
            assert conn.get_children("/kiel/groups/%s/members" % group) == ["host:1"]
        yield one.allocator.stop()

    loop.run(scenario, 20)


def test_the_life_of_a_group_is_in_the_log(zk, group):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("kiel")
    before = logger.level

    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(1))
        yield member.allocator.stop()

    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        loop.run(scenario, 20)
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    for part in ("connected to ZooKeeper at", "host:1 joins", "its members are host:1", "assigned t:0",
                 "host:1 leaves", "revoked t:0", "host:1 has left"):
        assert any("Group %s: " % group in line and part in line for line in lines), (part, lines)


def test_what_applications_of_0_9_look_at(zk, group):
    """The recipes are there before `start`; arguments have 0.9's names; what is not owned is an empty list."""
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1").allocator
        assert (member.party.path, member.party.member_name) == (member.members_path, "host:1")
        assert member.shared_set.path == member.partition_path
        yield member.start(topics(2))
        assert member.allocation["t"] == [0, 1] and member.allocation["nothing"] == []
        assert member.allocation == {"t": [0, 1]}
        member.on_group_members_change(new_members=["host:1"])
        member.on_partition_change(new_partitions={"t:0", "t:1"})
        yield member.remove_partitions(old_partitions={"t": [1]})
        yield loop.until(lambda: member.allocation == {"t": [0]})
        yield member.stop()
    loop.run(scenario, 20)


def test_hosts_with_a_chroot_and_one_that_is_down(zk, group):
    @gen.coroutine
    def scenario():
        hosts = "127.0.0.1:1,%s/apps/%s" % (zk.hosts, group)
        member = Member(hosts, group, "host:1", timeout=1.5)
        error = yield loop.raises(exc.ZooKeeperError, member.allocator.start(topics(1)))
        assert "there is no znode /apps/%s;" % group in str(error)
        with kazoo(zk) as conn:
            conn.ensure_path("/apps/%s" % group)
            yield member.allocator.start(topics(1))
            assert conn.get_children("/apps/%s/kiel/groups/%s/members" % (group, group)) == ["host:1"]
        assert member.allocator.allocation == topics(1)
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_a_failing_hook_is_logged(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        member.allocator.on_rebalance = lambda: 1 // 0
        with testing.ExpectLog(LOG, "on_rebalance failed"):
            yield member.allocator.start(topics(1))
        assert member.allocator.allocation == topics(1)
        yield member.allocator.stop()

    loop.run(scenario, 20)
