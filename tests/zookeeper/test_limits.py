"""D53, D58: nothing waits for ZooKeeper, or for another member, for longer than it may."""
from __future__ import absolute_import

import logging

from tornado import gen, testing

from kiel import exc
from tests import loop

from .world import Member, Ticker, kazoo, shared_out, stop_all, topics

#: seconds that the loop may stand still on a busy machine; what would block it here takes a second and more
LONGEST = 0.5


def test_d53_start_fails_in_time_without_zookeeper_and_the_loop_goes_on(own_zk, group):
    own_zk.kill()

    @gen.coroutine
    def scenario():
        member = Member(own_zk, group, "host:1", timeout=1.0)
        with Ticker() as ticker:
            error = yield loop.raises(exc.ZooKeeperError, member.allocator.start(topics(1)), 4)
            yield member.allocator.stop()
        assert "is it running" in str(error) and own_zk.hosts in str(error)
        assert ticker.longest < LONGEST
        assert member.allocator.allocation == {}
        assert member.allocator.paused is False
        own_zk.start()
        member.allocator.timeout = 15.0  # a server that has just come up on a busy machine takes its time
        yield member.allocator.start(topics(1))
        assert member.allocator.allocation == topics(1)
        yield member.allocator.stop()

    loop.run(scenario, 40)


def test_d53_a_mute_server(own_zk, group):
    @gen.coroutine
    def scenario():
        member = Member(own_zk, group, "host:1", timeout=1.0)
        own_zk.pause()
        try:
            with Ticker() as ticker:
                yield loop.raises(exc.ZooKeeperError, member.allocator.start(topics(1)), 5)
                yield loop.within(5, member.allocator.stop())
            assert ticker.longest < LONGEST
        finally:
            own_zk.resume()

    loop.run(scenario, 40)


def test_d53_stop_ends_in_time_when_zookeeper_went(own_zk, group):
    @gen.coroutine
    def scenario():
        for end in (own_zk.kill, own_zk.pause):
            # a group of its own: the member before could not say farewell
            member = Member(own_zk, group + end.__name__, "host:1")
            yield member.allocator.start(topics(1))
            member.allocator.timeout = 2.0
            end()
            with Ticker() as ticker:
                yield loop.within(6, member.allocator.stop())
            assert ticker.longest < LONGEST
            assert member.changes[-1] == (topics(1), {})
            assert member.allocator.allocation == {}
            if end == own_zk.kill:
                own_zk.start()
        own_zk.resume()

    loop.run(scenario, 60)


def test_d53_the_lock_held_by_another_blocks_nobody(zk, group):
    @gen.coroutine
    def scenario():
        with kazoo(zk) as conn:
            lock = conn.Lock("/kiel/groups/%s/partitions/lock" % group)
            lock.acquire()
            member = Member(zk, group, "host:1", lock_timeout=5.0)
            with Ticker() as ticker:
                starting = member.allocator.start(topics(2))
                yield gen.sleep(1)
                assert not starting.done()
                lock.release()
                yield loop.within(4, starting)
                yield member.allocator.stop()
            assert ticker.longest < LONGEST
            assert member.changes[0] == ({}, topics(2))

    loop.run(scenario, 20)


def test_d53_a_lock_never_let_go_is_an_error_and_stop_during_start_ends_it(zk, group):
    @gen.coroutine
    def scenario():
        with kazoo(zk) as conn:
            lock = conn.Lock("/kiel/groups/%s/partitions/lock" % group)
            lock.acquire()
            member = Member(zk, group, "host:1", timeout=3, lock_timeout=0.7)
            error = yield loop.raises(exc.ZooKeeperError, member.allocator.start(topics(2)), 6)
            assert "lock" in str(error).lower()
            member = Member(zk, group, "host:1")
            with Ticker() as ticker:
                starting = member.allocator.start(topics(2))
                yield gen.sleep(0.5)
                yield loop.within(5, member.allocator.stop())
                yield loop.raises(exc.ZooKeeperError, starting, 5)
            assert ticker.longest < LONGEST
            assert conn.get_children("/kiel/groups/%s/members" % group) == []
            lock.release()

    loop.run(scenario, 30)


def test_nothing_to_add_needs_no_lock(zk, group):
    @gen.coroutine
    def scenario():
        one = Member(zk, group, "host:1")
        yield one.allocator.start(topics(2))
        with kazoo(zk) as conn:
            with conn.Lock("/kiel/groups/%s/partitions/lock" % group):
                two = Member(zk, group, "host:2")
                yield loop.within(3, two.allocator.start(topics(2)))
                yield shared_out([one, two], ["t:0", "t:1"])
                yield stop_all(one, two)

    loop.run(scenario, 20)


def test_d58_kazoo_is_closed_even_if_leaving_fails(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(1))
        conn, party = member.allocator.conn, member.allocator.party

        def leave():
            raise RuntimeError("stays")

        party.leave = leave
        with testing.ExpectLog(logging.getLogger("kiel.zookeeper.presence"), "Group .* leaving failed.*stays"):
            yield member.allocator.stop()
        assert not conn.connected
        assert conn._connection._write_sock is None
        with kazoo(zk) as other:
            assert other.get_children("/kiel/groups/%s/members" % group) == []

    loop.run(scenario, 20)
