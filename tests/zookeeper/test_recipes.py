"""The blocking recipes, one by one, on a real ZooKeeper."""
from __future__ import absolute_import

import json
import logging
import threading

from kazoo import exceptions
import pytest
from tornado import concurrent, gen, testing

import kiel.zookeeper
from kiel.zookeeper import allocator, owners, party, shared_set

from tests import loop

from .test_processes import wait
from .world import kazoo


@pytest.fixture
def conn(zk):
    with kazoo(zk) as started:
        yield started


@pytest.fixture
def other(zk):
    with kazoo(zk) as started:
        yield started


def test_names():
    assert kiel.zookeeper.Party is party.Party
    assert kiel.zookeeper.SharedSet is shared_set.SharedSet
    assert allocator.client.KazooClient is not None
    assert allocator.Party is party.Party and allocator.SharedSet is shared_set.SharedSet


def test_party(conn, other, group):
    seen, path = [], "/p/" + group
    one = party.Party(conn, "host:1", path, lambda names: seen.append(sorted(names)))
    one.start()
    assert seen == [[]]
    assert one.join() == "host:1"
    assert one.join() == "host:1"
    two = party.Party(other, "host:2", path, lambda names: None)
    two.join()
    wait(lambda: seen[-1] == ["host:1", "host:2"])
    data, stat = conn.get(path + "/host:1")
    assert data == b"" and stat.owner_session_id == conn.client_id[0]
    two.leave()
    two.leave()
    wait(lambda: seen[-1] == ["host:1"])


def test_d55_a_live_members_node_is_left_alone(conn, other, group):
    path = "/p/" + group
    one = party.Party(conn, "my-host:1", path, lambda names: None)
    two = party.Party(other, "my-host:1", path, lambda names: None)
    assert one.join() == "my-host:1"
    created = conn.exists(path + "/my-host:1").czxid
    name = two.join()
    assert two.member_name == name != "my-host:1"
    assert name.startswith("my-host:") and name.split(":")[1].isdigit()
    assert conn.exists(path + "/my-host:1").czxid == created
    two.leave()
    assert conn.get_children(path) == ["my-host:1"]


def test_shared_set(conn, other, group):
    seen, path = [], "/s/" + group
    one = shared_set.SharedSet(conn, path, seen.append)
    one.start()
    assert seen == [set()]
    assert one.lock_path == path + "/lock"
    assert one.add_items(set(["t:1", "t:0"])) == set(["t:0", "t:1"])
    wait(lambda: seen[-1] == set(["t:0", "t:1"]))
    version = conn.exists(path).version
    one.add_items(["t:1"])
    one.remove_items(["t:7"])
    assert conn.exists(path).version == version
    shared_set.SharedSet(other, path, None).remove_items(["t:0"])
    wait(lambda: seen[-1] == set(["t:1"]))
    conn.delete(path, recursive=True)
    wait(lambda: seen[-1] is None)
    one.add_items(["u:0"])
    wait(lambda: seen[-1] == set(["u:0"]))


def test_d40_the_set_is_bytes_as_0_9_wrote_them():
    one = shared_set.SharedSet(None, "/s", None)
    data = one.serialize(set(["t:0", "t:1"]))
    assert isinstance(data, bytes)
    assert data == b'["t:0", "t:1"]'
    assert one.deserialize(b'["t:1", "t:0", "t:2"]') == set(["t:0", "t:1", "t:2"])
    assert one.deserialize(b"") == one.deserialize(None) == set()
    assert one.deserialize(one.serialize(set())) == set()


def test_what_is_no_set_does_not_end_the_watch(conn, group):
    seen, path = [], "/s/" + group
    conn.create(path, b"{nonsense", makepath=True)
    one = shared_set.SharedSet(conn, path, seen.append)
    with testing.ExpectLog(logging.getLogger("kiel.zookeeper.shared_set"), ".*does not hold a JSON array"):
        one.start()
        assert seen == []
        conn.set(path, json.dumps(["t:0", "t", 7, "a/b:1", "t:x", "u:v:12"]).encode("ascii"))
        wait(lambda: seen == [set(["t:0", "u:v:12"])])
        conn.set(path, b"7")
        assert one.add_items(["t:3"]) == set(["t:3"])
    wait(lambda: seen[-1] == set(["t:3"]))


def test_many_members_add_at_once_and_nothing_is_lost(zk, conn, group):
    path = "/s/" + group
    conn.ensure_path(path)

    def add(number):
        with kazoo(zk) as started:
            one = shared_set.SharedSet(started, path, None)
            for step in range(4):
                one.add_items(["t:%d" % (number * 10 + step)])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = ["t:%d" % (number * 10 + step) for number in range(5) for step in range(4)]
    assert sorted(json.loads(conn.get(path)[0].decode("ascii"))) == sorted(expected)


def test_a_held_lock_is_waited_for_so_long_and_no_longer(conn, other, group):
    path = "/s/" + group
    conn.ensure_path(path)
    with other.Lock(path + "/lock"):
        with pytest.raises(exceptions.LockTimeout):
            shared_set.SharedSet(conn, path, None, lock_timeout=0.3).add_items(["t:0"])
        # the contender of the one who gave up is gone
        assert len(other.get_children(path + "/lock")) == 1


def test_a_write_in_between_is_not_lost(conn, other, group):
    """Somebody writes without the lock, or after losing it: the version tells, and the change is made again."""
    path = "/s/" + group
    conn.create(path, b'["t:0"]', makepath=True)
    meddling = []

    def change(items):
        if len(meddling) < 2:
            meddling.append(1)
            if len(meddling) == 2:
                other.set(path, b'["t:0", "t:5"]')
        return items | set(["t:1"])

    assert shared_set.SharedSet(conn, path, None).alter(change) == set(["t:0", "t:1", "t:5"])


def test_owners(conn, other, group):
    freed, path = [], "/o/" + group
    one = owners.Owners(conn, "host:1", path, None)
    two = owners.Owners(other, "host:2", path, freed.append)
    one.start()
    two.start()
    assert one.claim(["t:0", "t:1"]) == set(["t:0", "t:1"])
    assert one.claim(["t:0"]) == set(["t:0"])
    assert two.claim(["t:1", "t:2"]) == set(["t:2"])
    assert conn.get(path + "/t:2")[0] == b"host:2"
    # what another holds is not released
    two.release(["t:0", "t:1", "t:9"])
    assert sorted(conn.get_children(path)) == ["t:0", "t:1", "t:2"]
    assert freed == []
    one.release(["t:1"])
    wait(lambda: freed == ["t:1"])
    assert two.claim(["t:1"]) == set(["t:1"])


def test_create_attempter_as_in_0_9():
    @gen.coroutine
    def scenario():
        future, calls = concurrent.Future(), []
        attempt = allocator.create_attempter(future)
        attempt(calls.append, 1)
        attempt(lambda: 1 // 0)
        attempt(calls.append, 2)
        assert calls == [1]
        yield loop.raises(ZeroDivisionError, future)

    loop.run(scenario)
