"""Clients on a second IOLoop, and on both sides of a fork: each fork in a process of its own."""
from __future__ import absolute_import

import os
import subprocess
import sys

import pytest
from tornado import gen, ioloop

from kiel import clients, exc

from tests import loop
from tests.clients.grouping import members
from tests.fake import FakeCluster, with_cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

KINDS = {
    "producer": (lambda hosts: clients.Producer(hosts, serializer=bytes), lambda one: one.produce("t", b"x")),
    "single": (lambda hosts: clients.SingleConsumer(hosts, deserializer=bytes, max_wait_time=1000),
               lambda one: one.consume("t", start=clients.BEGINNING)),
    "admin": (clients.Admin, lambda one: one.beginning_offsets("t")),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_client_whose_loop_is_closed_starts_anew(kind):
    make, work = KINDS[kind]
    ports = []
    kept = []
    for _ in range(2):
        @gen.coroutine
        def body():
            cluster = FakeCluster(topics={"t": 1})
            if ports:
                cluster[1].port = ports[0]
            cluster.start()
            ports.append(cluster[1].port)
            cluster.log("t").put(b"a")
            if not kept:
                kept.append(make(cluster.bootstrap))
            kept[0].settings.cluster_id = None
            yield loop.within(3, kept[0].connect())
            yield loop.within(3, work(kept[0]))
            cluster.stop()
        own = ioloop.IOLoop(make_current=False)
        own.run_sync(body, timeout=8)
        loop.close(own)


@pytest.mark.parametrize("kind", sorted(KINDS) + ["grouped"])
def test_a_loop_that_is_not_closed_is_told_of(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        client = KINDS[kind][0](cluster.bootstrap) if kind in KINDS else clients.GroupedConsumer(cluster.bootstrap, "g")
        yield client.connect()
        own, client.io_loop = client.io_loop, ioloop.IOLoop(make_current=False)
        error = yield loop.raises(exc.ClosedError, client.connect())
        assert "made for another IOLoop" in str(error)
        loop.close(client.io_loop)
        client.io_loop = own
        yield client.close()
    check()


#: calls that make requests -> what is asked of an Admin that is not connected on this loop
ADMIN_CALLS = {
    "list_groups": lambda admin: admin.list_groups(),
    "describe_groups": lambda admin: admin.describe_groups(["g"]),
    "committed_offsets": lambda admin: admin.committed_offsets("g"),
    "beginning_offsets": lambda admin: admin.beginning_offsets("t"),
    "end_offsets": lambda admin: admin.end_offsets("t"),
}


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("call", sorted(ADMIN_CALLS))
def test_an_admin_says_that_it_is_used_on_another_loop(call, closed):
    first, second = ioloop.IOLoop(make_current=False), ioloop.IOLoop(make_current=False)
    kept = []

    @gen.coroutine
    def body():
        cluster = FakeCluster(topics={"t": 1}).start()
        kept.extend([clients.Admin(cluster.bootstrap), cluster])
        yield kept[0].connect()
        if closed:
            cluster.stop()

    @gen.coroutine
    def elsewhere():
        error = yield loop.raises(exc.ClosedError, loop.within(3, ADMIN_CALLS[call](kept[0])))
        assert "made for another IOLoop" in str(error)
        assert ("connect()" in str(error)) == closed

    @gen.coroutine
    def end():
        yield kept[0].close()
        kept[1].stop()

    first.run_sync(body, timeout=8)
    if closed:
        loop.close(first)
    second.run_sync(elsewhere, timeout=8)
    loop.close(second)
    if not closed:
        first.run_sync(end, timeout=8)
        loop.close(first)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_forked_client_dials_anew_and_leaves_the_parent_alone(kind):
    program = """
import os, threading
from tornado import gen, ioloop
from kiel import exc
from tests.clients.test_places import KINDS
from tests.fake import FakeCluster
make, work = KINDS[%r]
hosts, end = [], threading.Event()
def serve():
    own = ioloop.IOLoop(make_current=False)
    @gen.coroutine
    def body():
        cluster = FakeCluster(topics={"t": 1}).start()
        cluster.log("t").put(b"a")
        hosts.append(cluster.bootstrap)
        while True:
            yield gen.sleep(0.01)
    own.run_sync(body)
thread = threading.Thread(target=serve)
thread.daemon = True
thread.start()
while not hosts:
    end.wait(0.01)
client = make(hosts[0])
@gen.coroutine
def parent():
    yield client.connect()
    yield work(client)
@gen.coroutine
def forked():
    before = list(client.cluster.conns.values())
    try:
        yield work(client)
    except exc.ClosedError as error:
        assert "forked" in str(error)
    else:
        raise AssertionError("works in spite of the fork")
    yield client.connect()
    assert before and not set(before).intersection(client.cluster.conns.values())
    yield work(client)
    yield client.close()
    print("child done")
own = ioloop.IOLoop.current()
own.run_sync(parent, timeout=5)
child = os.fork()
if not child:
    try:
        ioloop.IOLoop.clear_current()
        if hasattr(ioloop.IOLoop, "clear_instance"):
            ioloop.IOLoop.clear_instance()
        ioloop.IOLoop(make_current=False).run_sync(forked, timeout=5)
        import sys; sys.stdout.flush()
    except BaseException:
        import traceback; traceback.print_exc()
    finally:
        os._exit(0)
os.waitpid(child, 0)
own.run_sync(lambda: work(client), timeout=5)
own.run_sync(client.close, timeout=5)
print("parent done")
""" % kind
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = process.communicate()[0].decode("utf-8")
    assert "child done" in text and "parent done" in text, text


@with_cluster(topics={"t": 1})
def test_a_member_leaves_the_parents_membership_alone(cluster):
    consumer = members.make(cluster)
    yield consumer.connect()
    own, consumer._pid = consumer._pid, -1  # as in a forked process
    yield loop.raises(exc.ClosedError, consumer.consume("t"))
    yield loop.raises(exc.ClosedError, consumer.connect())
    yield consumer.close()
    assert not consumer.allocator.stopped and not consumer.cluster[1].closing
    consumer._pid = own
    yield consumer.close()
    assert consumer.allocator.stopped
