"""D51, D52: sessions that expire, connections that are lost, and what a member may do meanwhile."""
from __future__ import absolute_import

import socket
import time

from kazoo.protocol import states
import pytest
from tornado import gen, testing

from kiel import allocation
from tests import loop

from .world import Member, kazoo, shared_out, topics
from tests.zookeeper.test_allocator import LOG


def test_d51_an_expired_session_is_followed_by_a_new_one(zk, group):
    @gen.coroutine
    def scenario():
        one, two = Member(zk, group, "host:1"), Member(zk, group, "host:2")
        yield one.allocator.start(topics(4))
        yield two.allocator.start(topics(4))
        yield shared_out([one, two], allocation.flatten(topics(4)))
        for member in (one, two):
            session_id, seen = member.allocator.conn.client_id, len(member.changes)
            had = member.allocator.allocation
            zk.expire(member.allocator.conn)
            yield loop.until(lambda: len(member.changes) > seen)
            assert member.changes[seen] == (had, {})
            yield shared_out([one, two], allocation.flatten(topics(4)))
            assert member.allocator.conn.client_id[0] != session_id[0]
            assert member.pauses[-2:] == [True, False]
            with kazoo(zk) as conn:
                assert len(conn.get_children("/kiel/groups/%s/members" % group)) == 2
        # the watches of the new session live
        yield one.allocator.stop()
        yield shared_out([two], allocation.flatten(topics(4)))
        yield two.allocator.stop()

    loop.run(scenario, 40)


def test_d51_a_member_znode_that_was_deleted_comes_back(zk, group):
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1", session_timeout=2.0)
        yield member.allocator.start(topics(2))
        with kazoo(zk) as conn:
            with testing.ExpectLog(LOG, ".*was deleted or belongs to another session"):
                conn.delete("/kiel/groups/%s/members/host:1" % group)
                yield loop.until(lambda: len(member.changes) >= 2, 5)
                yield shared_out([member], ["t:0", "t:1"])
            assert conn.get_children("/kiel/groups/%s/members" % group) == [member.name]
        yield member.allocator.stop()

    loop.run(scenario, 20)


def test_d52_suspended_pauses_and_the_same_session_goes_on(own_zk, group):
    @gen.coroutine
    def scenario():
        member = Member(own_zk, group, "host:1", session_timeout=20.0)
        yield member.allocator.start(topics(2))
        session_id = member.allocator.conn.client_id[0]
        assert not member.allocator.paused
        # cut the connection, and let the server be mute to the next one for a while
        own_zk.pause()
        member.allocator.conn._connection._socket.shutdown(socket.SHUT_RDWR)
        yield loop.until(lambda: member.allocator.paused, 5)
        yield gen.sleep(0.5)
        assert member.allocator.paused
        assert member.allocator.allocation == topics(2)
        assert not member.allocator.connected.is_set()
        own_zk.resume()
        yield loop.until(lambda: not member.allocator.paused, 10)
        assert member.allocator.conn.client_id[0] == session_id
        assert member.pauses == [True, False]
        assert member.changes == [({}, topics(2))]
        yield member.allocator.stop()

    loop.run(scenario, 40)


def test_d52_paused_while_the_server_is_down_and_back_with_it(own_zk, group):
    @gen.coroutine
    def scenario():
        member = Member(own_zk, group, "host:1", session_timeout=6.0)
        yield member.allocator.start(topics(2))
        own_zk.kill()
        yield loop.until(lambda: member.allocator.paused, 5)
        own_zk.start()
        # a connection to a server that still starts may be mute until kazoo's time-out; a new session will do
        yield loop.until(lambda: not member.allocator.paused and member.allocator.allocation == topics(2), 40)
        yield member.allocator.stop()

    loop.run(scenario, 60)


def test_d52_a_mute_server_pauses_before_the_session_can_expire(own_zk, group):
    @gen.coroutine
    def scenario():
        member = Member(own_zk, group, "host:1", session_timeout=3.0)
        yield member.allocator.start(topics(2))
        own_zk.pause()
        yield loop.until(lambda: member.allocator.paused, 3.0)
        own_zk.resume()
        yield loop.until(lambda: not member.allocator.paused and member.allocator.allocation == topics(2), 15)
        yield member.allocator.stop()

    loop.run(scenario, 40)


def test_d52_paused_by_the_clock_after_the_process_stood_still(zk, group):
    """Stopped for longer than the session: nobody told this member yet, it knows by its own clock."""
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1", session_timeout=2.0)
        yield member.allocator.start(topics(1))
        assert not member.allocator.paused
        time.sleep(1.8)
        assert member.allocator.paused
        yield loop.until(lambda: not member.allocator.paused)
        assert member.changes == [({}, topics(1))]
        yield member.allocator.stop()

    loop.run(scenario, 20)


@pytest.mark.parametrize("state", [states.KazooState.SUSPENDED, states.KazooState.LOST])
def test_connection_states_may_be_handed_in(zk, group, state):
    """0.9's method of that name is how tests play a lost connection."""
    @gen.coroutine
    def scenario():
        member = Member(zk, group, "host:1")
        yield member.allocator.start(topics(1))
        member.allocator.handle_connection_change(state)
        assert member.allocator.paused
        member.allocator.handle_connection_change(states.KazooState.CONNECTED)
        yield loop.until(lambda: not member.allocator.paused and member.allocator.allocation == topics(1), 6)
        yield member.allocator.stop()

    loop.run(scenario, 20)
