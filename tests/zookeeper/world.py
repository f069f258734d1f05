"""Members of groups for the tests: of the new kind, and of 0.9's kind with bare kazoo calls."""
from __future__ import absolute_import

import contextlib
import json
import threading

from kazoo import client, exceptions
from tornado import gen, ioloop

from kiel import allocation
from kiel.zookeeper import allocator
from tests import loop


def topics(count, name="t"):
    return {name: list(range(count))}


class Member(object):
    """A `PartitionAllocator` that notes what it is told, and in which thread."""

    def __init__(self, server, group, name, fn=allocation.naive_allocator, **options):
        self.changes, self.pauses, self.rebalances, self.threads = [], [], [], set()
        hosts = getattr(server, "hosts", server)
        options.setdefault("session_timeout", 4.0)
        self.allocator = allocator.PartitionAllocator(
            [hosts], group, name, fn, on_rebalance=self.on_rebalance, **options
        )
        self.allocator.on_change = self.on_change
        self.allocator.on_pause = self.on_pause
        self.busy = None  # a Future for on_change to give

    def on_change(self, revoked, assigned):
        self.threads.add(threading.current_thread())
        self.changes.append((revoked, assigned))
        return self.busy if revoked else None

    def on_pause(self, paused):
        self.threads.add(threading.current_thread())
        self.pauses.append(paused)

    def on_rebalance(self):
        self.threads.add(threading.current_thread())
        self.rebalances.append(self.allocator.allocation)

    @property
    def items(self):
        return allocation.flatten(self.allocator.allocation)

    @property
    def name(self):
        return self.allocator.consumer_name


class OldMember(object):
    """A member as kiel 0.9 is one, after interface-0.9.md section 10; blocks."""

    def __init__(self, server, group, name):
        self.name = name
        self.path = "/kiel/groups/%s" % group
        self.members, self.partitions = set(), set()
        self.conn = client.KazooClient(hosts=server.hosts, timeout=4.0)

    def start(self, seed):
        self.conn.start()
        self.conn.ensure_path(self.path + "/members")

        @self.conn.ChildrenWatch(self.path + "/members")
        def on_children(names):
            self.members = set(names)

        self.conn.ensure_path(self.path + "/partitions")

        @self.conn.DataWatch(self.path + "/partitions")
        def on_data(data, stat):
            self.partitions = set(json.loads(data.decode("ascii"))) if data else set()

        node = "%s/members/%s" % (self.path, self.name)
        stat = self.conn.exists(node)
        if stat is None:
            self.conn.create(node, ephemeral=True, makepath=True)
        elif stat.owner_session_id != self.conn.client_id[0]:
            transaction = self.conn.transaction()
            transaction.delete(node)
            transaction.create(node, ephemeral=True)
            transaction.commit()

        with self.conn.Lock(self.path + "/partitions/lock"):
            data, _ = self.conn.get(self.path + "/partitions")
            items = set(json.loads(data.decode("ascii"))) if data else set()
            added = items | set("%s:%s" % (topic, number) for topic in seed for number in seed[topic])
            if added != items:
                self.conn.set(self.path + "/partitions", json.dumps(list(added)).encode("ascii"))

    @property
    def items(self):
        """Round robin, written out a second time."""
        members = sorted(self.members)
        return set(
            item for number, item in enumerate(sorted(self.partitions))
            if members and members[number % len(members)] == self.name
        )

    def stop(self):
        try:
            self.conn.delete("%s/members/%s" % (self.path, self.name))
        except exceptions.NoNodeError:
            pass
        self.conn.stop()
        self.conn.close()


class Ticker(object):
    """Ticks on the loop and knows the longest time that it could not."""

    def __init__(self):
        self.longest = 0.0

    def __enter__(self):
        self.loop = ioloop.IOLoop.current()
        self.last = self.loop.time()
        self.callback = ioloop.PeriodicCallback(self.tick, 5)
        self.callback.start()
        return self

    def tick(self):
        now = self.loop.time()
        self.longest = max(self.longest, now - self.last)
        self.last = now

    def __exit__(self, *exc_info):
        self.callback.stop()
        self.tick()


@contextlib.contextmanager
def kazoo(server):
    conn = client.KazooClient(hosts=server.hosts, timeout=4.0)
    conn.start()
    try:
        yield conn
    finally:
        conn.stop()
        conn.close()


@gen.coroutine
def shared_out(members, items, seconds=20.0):
    """Waits until the members own the items among them, each one's share as its mapping says."""
    def done():
        owned = [item for member in members for item in member.items]
        return sorted(owned) == sorted(items) and all(member.items for member in members)

    yield loop.until(done, seconds, 0.01)


@gen.coroutine
def stop_all(*members):
    yield [member.allocator.stop() for member in members]
