"""Clients on a second IOLoop, and on both sides of a fork: each fork in a process of its own."""
from __future__ import absolute_import

import contextlib
import gc
import os
import subprocess
import sys
import threading

import pytest
from tornado import gen, ioloop

from kiel import clients, exc
from kiel.retry import Backoff

from tests import fake, loop
from tests.clients.grouping import members
from tests.clients.producing.producers import values
from tests.fake import FakeCluster, with_cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

KINDS = {
    "producer": (lambda hosts: clients.Producer(hosts, serializer=bytes), lambda one: one.produce("t", b"x")),
    "single": (lambda hosts: clients.SingleConsumer(hosts, deserializer=bytes, max_wait_time=1000),
               lambda one: one.consume("t", start=clients.BEGINNING)),
    "admin": (clients.Admin, lambda one: one.beginning_offsets("t")),
}


def forget_the_closed():
    """Forget what waits on loops that are closed; Python 2 never collects generators that are in a cycle."""
    gc.collect()
    fake.living.clear()


def started_again(ports):
    """Return a cluster that has started, at the port of the one before; ``ports`` are those there were."""
    cluster = FakeCluster(topics={"t": 1})
    if ports:
        cluster[1].port = ports[0]
    cluster.start()
    ports.append(cluster[1].port)
    return cluster


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_client_whose_loop_is_closed_starts_anew(kind):
    make, work = KINDS[kind]
    ports = []
    kept = []
    for _ in range(2):
        @gen.coroutine
        def body():
            cluster = started_again(ports)
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
    forget_the_closed()


@pytest.mark.parametrize("kind", sorted(KINDS) + ["grouped"])
def test_a_loop_that_is_not_closed_is_told_of(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        client = KINDS[kind][0](cluster.bootstrap) if kind in KINDS else clients.GroupedConsumer(cluster.bootstrap, "g")
        yield client.connect()
        own, client.io_loop = client.io_loop, ioloop.IOLoop(make_current=False)
        error = yield loop.raises(exc.ClosedError, client.connect())
        assert "belongs to another IOLoop" in str(error)
        loop.close(client.io_loop)
        client.io_loop = own
        yield client.close()
    check()


GROUPED_CALLS = {
    "consume": lambda one: one.consume("t"),
    "consume_records": lambda one: one.consume_records("t"),
    "commit_offsets": lambda one: one.commit_offsets(),
    "committed_offsets": lambda one: one.committed_offsets([("t", 0)]),
    "end_offsets": lambda one: one.end_offsets("t"),
    "close": lambda one: one.close(),
}


@pytest.mark.parametrize("call", sorted(GROUPED_CALLS))
def test_a_member_says_that_it_is_used_on_another_loop(call):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        member = members.make(cluster)
        yield member.connect()
        own, member.io_loop = member.io_loop, ioloop.IOLoop(make_current=False)
        error = yield loop.raises(exc.ClosedError, GROUPED_CALLS[call](member), 3)
        assert "belongs to another IOLoop" in str(error)
        loop.close(member.io_loop)
        member.io_loop = own
        yield member.consume("t")
        yield member.close()
    check()


def producer(hosts, **settings):
    return clients.Producer(hosts, serializer=bytes, retry=Backoff(first=0.01, most=0.1), **settings)


def single(hosts):
    return clients.SingleConsumer(hosts, deserializer=bytes, max_wait_time=20)


#: kind.call -> how the client is made, the call, and what it gives where one message was written, the last one read
CALLS = {
    "producer.produce": (producer, lambda one: one.produce("t", b"x"), None),
    "producer.produce, lingering": (lambda hosts: producer(hosts, linger=0.01), lambda one: delivered(one), 2),
    "producer.produce_many": (producer, lambda one: one.produce_many("t", [b"x", b"y"]), None),
    "producer.flush": (producer, lambda one: one.flush(), None),
    "single.consume": (single, lambda one: one.consume("t", start=clients.BEGINNING), [b"b"]),
    "single.stream": (single, lambda one: one.stream("t", start=clients.BEGINNING).next(), b"b"),
    "single.consume, of several": (single, lambda one: one.consume(["t"], start=clients.BEGINNING), [b"b"]),
    "single.consume_records": (single, lambda one: one.consume_records("t", start=clients.BEGINNING), None),
    "single.end_offsets": (single, lambda one: one.end_offsets("t"), {0: 2}),
    "single.pause": (single, lambda one: gen.maybe_future(one.pause("t")), None),
    "single.seek": (single, lambda one: gen.maybe_future(one.seek("t", 0, 1)), None),
    "admin.committed_offsets": (clients.Admin, lambda one: one.committed_offsets("g"), {}),
    "admin.committed_offsets, topics": (clients.Admin, lambda one: one.committed_offsets("g", ["t"]), {("t", 0): None}),
    "admin.beginning_offsets": (clients.Admin, lambda one: one.beginning_offsets("t"), {0: 0}),
    "admin.end_offsets": (clients.Admin, lambda one: one.end_offsets("t"), {0: 2}),
}


@gen.coroutine
def delivered(one):
    """Produce, and wait until the message is written; return its offset."""
    delivery = yield one.produce("t", b"x")
    written = yield delivery
    raise gen.Return(written.offset)


@contextlib.contextmanager
def served():
    """A cluster on a loop and a thread of its own, with one message in its one topic; a list of it and its hosts."""
    own, found, ready = ioloop.IOLoop(make_current=False), [], threading.Event()

    @gen.coroutine
    def begin():
        cluster = FakeCluster(topics={"t": 1}).start()
        cluster.log("t").put(b"a")
        found.extend([cluster, cluster.bootstrap])
        ready.set()

    def serve():
        own.add_callback(begin)
        own.start()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait(10)
    try:
        yield found
    finally:
        own.add_callback(found[0].stop)
        own.add_callback(own.stop)
        thread.join(10)
        loop.close(own)
        forget_the_closed()


def run_on_a_loop_of_its_own(work, kept=None):
    own = ioloop.IOLoop(make_current=False)
    try:
        return own.run_sync(work, timeout=8)
    finally:
        if kept is None:
            loop.close(own)
        else:
            kept.append(own)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_call_on_another_loop_begins_anew_where_the_first_is_closed(call):
    make, ask, expected = CALLS[call]
    with served() as (cluster, hosts):
        client = make(hosts)

        @gen.coroutine
        def first():
            yield client.connect()
            yield ask(client)

        @gen.coroutine
        def second():
            found = yield loop.within(5, ask(client))
            if expected is not None:
                assert found == expected
            assert client.io_loop is ioloop.IOLoop.current()
            yield loop.within(5, client.close())

        run_on_a_loop_of_its_own(first)
        if not call.startswith("producer"):
            cluster.log("t").put(b"b")
        run_on_a_loop_of_its_own(second)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_call_on_another_loop_says_so_where_the_first_may_still_run(call):
    make, ask, _ = CALLS[call]
    with served() as (_, hosts):
        client, kept = make(hosts), []

        @gen.coroutine
        def asked():
            yield ask(client)

        @gen.coroutine
        def elsewhere():
            for work in (asked, client.close, client.connect):
                error = yield loop.raises(exc.ClosedError, work(), 3)
                assert "belongs to another IOLoop" in str(error)

        run_on_a_loop_of_its_own(client.connect, kept)
        run_on_a_loop_of_its_own(elsewhere)
        kept[0].run_sync(asked, timeout=5)
        kept[0].run_sync(client.close, timeout=5)
        loop.close(kept[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_client_is_closed_on_another_loop_where_the_first_is_closed(kind):
    make, work = KINDS[kind]
    with served() as (_, hosts):
        client = make(hosts)
        run_on_a_loop_of_its_own(client.connect)
        run_on_a_loop_of_its_own(lambda: loop.within(3, client.close()))
        run_on_a_loop_of_its_own(client.connect)
        run_on_a_loop_of_its_own(lambda: loop.within(3, work(client)))
        run_on_a_loop_of_its_own(lambda: loop.within(3, client.close()))


def test_a_consumer_that_was_closed_on_another_loop_gives_none():
    with served() as (_, hosts):
        one = single(hosts)
        run_on_a_loop_of_its_own(one.connect)
        run_on_a_loop_of_its_own(lambda: loop.within(3, one.close()))
        assert run_on_a_loop_of_its_own(lambda: loop.within(3, one.consume("t"))) is None


def test_a_result_that_a_closed_loop_leaves_behind_is_handed_out_again():
    untaken = []
    with served() as (_, hosts):
        one = single(hosts)

        @gen.coroutine
        def first():
            yield one.connect()
            untaken.append(one.consume("t", start=clients.BEGINNING))
            yield loop.until(untaken[0].done)

        @gen.coroutine
        def second():
            assert (yield loop.within(3, one.end_offsets("t"))) == {0: 1}
            del untaken[:]
            gc.collect()
            assert (yield loop.within(3, one.consume("t"))) == [b"a"]
            yield one.close()

        run_on_a_loop_of_its_own(first)
        run_on_a_loop_of_its_own(second)


@pytest.mark.skipif(sys.version_info < (3, 7), reason="needs asyncio.run")
def test_a_run_of_asyncio_each_time(monkeypatch):
    import asyncio
    unseen = []  # errors of what was collected with a closed loop
    monkeypatch.setattr(sys, "unraisablehook", lambda caught: unseen.append(repr(caught.exc_value)), raising=False)
    namespace = {"clients": clients, "asyncio": asyncio}
    exec("""
async def main(one, reader, number):
    if not number:
        await one.connect()
    asyncio.ensure_future(reader.consume("t", clients.BEGINNING) if reader.io_loop else reader.connect())  # cut off
    deliveries = [await one.produce("t", b"%d" % at) for at in range(100 * number, 100 * number + 100)]
    await one.flush()
    assert [await delivery for delivery in deliveries][-1].offset == 100 * number + 100

async def read(reader):
    found = []
    while len(found) < 501:
        found += await reader.consume("t", clients.BEGINNING, max_records=150)
    await reader.close()
    return found

async def close(one):
    await one.close()
""", namespace)
    with served() as (_, hosts):
        one, reader = producer(hosts, linger=0.002), single(hosts)
        for number in range(5):
            asyncio.run(asyncio.wait_for(namespace["main"](one, reader, number), 5))
        found = asyncio.run(asyncio.wait_for(namespace["read"](reader), 5))
        assert found == [b"a"] + [b"%d" % number for number in range(500)]
        asyncio.run(asyncio.wait_for(namespace["close"](one), 5))
        assert one.undelivered == {}
    gc.collect()
    assert not unseen


def test_what_was_not_delivered_on_the_closed_loop_is_told_once():
    with served() as (_, hosts):
        one = producer(hosts, linger=60, batch_size=10)

        @gen.coroutine
        def first():
            yield one.connect()
            yield [one.produce("t", b"x") for _ in range(3)]

        @gen.coroutine
        def second():
            error = yield loop.raises(exc.ClosedError, one.flush())
            assert "3 messages" in str(error)
            delivery = yield one.produce("t", b"y")
            yield one.flush()
            assert delivery.result().offset == 1
            yield one.close()
            assert one.undelivered == {}

        run_on_a_loop_of_its_own(first)
        run_on_a_loop_of_its_own(second)


def test_messages_keep_their_order_while_a_producer_begins_anew():
    with served() as (cluster, hosts):
        one = producer(hosts, linger=0.01)

        @gen.coroutine
        def first():
            yield one.connect()
            yield one.produce("t", b"0")
            yield one.flush()

        @gen.coroutine
        def second():
            yield [one.produce("t", b"%d" % number) for number in range(1, 50)]
            yield one.flush()
            yield one.close()

        @gen.coroutine
        def third():
            reader = single(hosts)
            yield reader.connect()
            found = []
            while len(found) < 51:
                found.extend((yield loop.within(5, reader.consume("t", clients.BEGINNING))))
            assert found[1:] == [b"%d" % number for number in range(50)]
            yield reader.close()

        run_on_a_loop_of_its_own(first)
        run_on_a_loop_of_its_own(second)
        run_on_a_loop_of_its_own(third)


def test_calls_at_the_same_time_begin_anew_once():
    with served() as (_, hosts):
        one = single(hosts)
        run_on_a_loop_of_its_own(one.connect)

        @gen.coroutine
        def second():
            found = yield [loop.within(5, one.consume("t", clients.BEGINNING)) for _ in range(3)]
            assert sorted(found) == [[], [], [b"a"]]
            yield one.close()
        run_on_a_loop_of_its_own(second)


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


def test_a_topic_that_was_being_looked_up_when_the_loop_was_closed_is_looked_up_again():
    ports, kept = [], []
    for number in range(2):
        @gen.coroutine
        def body():
            cluster = started_again(ports)
            if not kept:
                kept.append(clients.Producer(cluster.bootstrap, serializer=bytes))
                yield kept[0].connect()
                cluster[1].on("metadata", fake.MUTE)
                kept.append(kept[0].produce("colors", b"red"))
                yield loop.until(lambda: cluster.count("metadata") > 1)
                assert not kept[1].done()
            else:
                cluster.create("colors", 1)
                kept[0].settings.cluster_id = None
                yield loop.within(3, kept[0].produce("colors", b"blue"))
                yield loop.within(3, kept[0].close())
                assert values(cluster, "colors") == [b"blue"]
            cluster.stop()
        own = ioloop.IOLoop(make_current=False)
        own.run_sync(body, timeout=8)
        loop.close(own)
    assert isinstance(kept[1].exception(), exc.ClosedError)
    forget_the_closed()
