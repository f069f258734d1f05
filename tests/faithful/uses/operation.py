"""What an operator of 2016 saw (C15, D18 to D21)."""
from __future__ import absolute_import

import collections
import os
import signal
import socket
import subprocess
import sys

from kazoo.client import KazooClient
from tornado import gen

from kiel import clients, exc

from . import use
from .helpers import connected, grouped, take
from .world import Lines


# -- C15


@use("C15")
@gen.coroutine
def consuming_before_connecting(world):
    broker = world.scripted(topics={"t": 1})
    broker.put("t", b"1")
    consumer = world.closing(clients.SingleConsumer([broker.address], max_wait_time=100))
    try:
        found = yield consumer.consume("t", start=consumer.BEGINNING)
    except (AttributeError, TypeError, KeyError) as error:
        raise AssertionError("%s says nothing to the reader" % error)
    except Exception:
        found = []
    yield consumer.connect()
    consumer.synced_offsets.clear()
    if not found:
        found = yield take(consumer, "t", 1, start=consumer.BEGINNING)
    assert found == [1], found


@use("C15")
@gen.coroutine
def connecting_twice(world):
    broker = world.scripted(topics={"t": 1})
    client = yield connected(world, clients.Producer([broker.address]))
    yield client.connect()
    yield client.produce("t", 1)
    yield client.connect()
    yield client.produce("t", 2)
    assert [value for _, value in broker.logs["t"][0]] == [b"1", b"2"]


@use("C15")
@gen.coroutine
def consuming_while_closing(world):
    broker = world.scripted(topics={"t": 1})
    consumer = yield connected(world, clients.SingleConsumer([broker.address]))
    yield consumer.close()
    assert (yield consumer.consume("t")) is None


# -- D18


class Watcher(object):
    """Who is in a group, as ZooKeeper has it."""

    def __init__(self, world, group):
        self.path = "/kiel/groups/%s/members" % group
        self.conn = KazooClient(hosts=",".join(world.zk_hosts))
        self.conn.start()

    def members(self):
        return self.conn.get_children(self.path)

    def stop(self):
        self.conn.stop()
        self.conn.close()


@use("D18", real=True)
@gen.coroutine
def closing_leaves_at_once(world):
    group = world.name("group")
    watcher = Watcher(world, group)
    try:
        consumer = yield grouped(world, group)
        assert watcher.members() == [consumer.name], watcher.members()
        yield consumer.close()
        assert watcher.members() == []
    finally:
        watcher.stop()


#: the end of 0.9's examples: the loop has been left when close() is called
WORKER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have it ignored by what runs in the background
from tornado import gen, ioloop
from kiel import clients

consumer = clients.GroupedConsumer([sys.argv[1]], sys.argv[2], [sys.argv[3]])
loop = ioloop.IOLoop.current()

@gen.coroutine
def run():
    yield consumer.connect()
    print("connected")
    sys.stdout.flush()
    while True:
        yield gen.sleep(0.1)

loop.add_callback(run)
try:
    loop.start()
except KeyboardInterrupt:
    consumer.close()%s
"""


@gen.coroutine
def interrupted(world, ending):
    group = world.name("group")
    watcher = Watcher(world, group)
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER % ending, world.brokers[0], group, world.zk_hosts[0]], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    try:
        for _ in range(1000):
            if watcher.conn.exists(watcher.path) and watcher.members():
                break
            yield gen.sleep(0.02)
        assert len(watcher.members()) == 1
        yield gen.sleep(0.3)
        process.send_signal(signal.SIGINT)
        for _ in range(150):  # the session would last for ten seconds
            if not watcher.members():
                break
            yield gen.sleep(0.02)
        assert watcher.members() == [], "still there"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        watcher.stop()


@use("D18", real=True)
@gen.coroutine
def interrupted_as_in_the_examples(world):
    yield interrupted(world, ".add_done_callback(lambda future: loop.stop())")


@use("D18", real=True)
@gen.coroutine
def interrupted_and_closed(world):
    yield interrupted(world, "")


# -- D19


def said(lines, *words):
    """Whether a line has all the words."""
    return any(all(word.lower() in line.lower() for word in words) for _, line in lines.lines)


@use("D19", real=True)
@gen.coroutine
def a_group_tells_of_itself(world):
    group = world.name("group")
    with Lines() as lines:
        consumer = yield grouped(world, group)
        assert said(lines, "bootstrap"), lines.lines
        assert said(lines, "connect", world.brokers[0]), lines.lines
        assert said(lines, "coordinator"), lines.lines
        assert said(lines, group), lines.lines
        assert said(lines, group, "member"), lines.lines
        del lines.lines[:]
        other = yield grouped(world, group)
        for _ in range(500):
            if said(lines, group, "member"):
                break
            yield gen.sleep(0.01)
        assert said(lines, group, "member"), lines.lines
        del lines.lines[:]
        yield other.close()
        assert said(lines, group), lines.lines
        del lines.lines[:]
        yield consumer.close()
        assert said(lines, group), lines.lines


# -- D20


def closed_port():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


@use("D20", real=True)
@gen.coroutine
def a_group_without_any_broker(world):
    broker = world.scripted(topics={"t": 1}, advertised=("127.0.0.1", closed_port()))
    consumer = clients.GroupedConsumer([broker.address], world.name("group"), world.zk_hosts)
    try:
        yield consumer.connect()
    except exc.NoBrokersError:
        pass
    else:
        yield consumer.close()
        assert False, "connected to nobody"


@use("D20")
@gen.coroutine
def nobody_behind_the_bootstrap_host(world):
    for cls in clients.SingleConsumer, clients.Producer:
        broker = world.scripted(topics={"t": 1}, advertised=("127.0.0.1", closed_port()))
        client = cls([broker.address])
        try:
            yield client.connect()
        except exc.NoBrokersError:
            pass
        else:
            yield client.close()
            assert False, "connected to nobody"


# -- D21


@use("D21")
@gen.coroutine
def errors_say_it_once(world):
    port = closed_port()
    with Lines() as lines:
        try:
            yield clients.SingleConsumer(["127.0.0.1:%d" % port]).connect()
        except exc.NoBrokersError as error:
            lines.lines.append(("", str(error)))
    broker = world.scripted(topics={"t": 1}, advertised=("127.0.0.1", port))
    with Lines() as more:
        try:
            yield clients.SingleConsumer([broker.address]).connect()
        except exc.NoBrokersError as error:
            more.lines.append(("", str(error)))
    for _, line in lines.lines + more.lines:
        assert line.count("Error connecting") <= 1, line


@use("D21")
def texts_of_errors(world):
    assert str(exc.UnhandledResponseError("fetch")) == "No handler method for 'fetch' api"
    assert exc.UnhandledResponseError(api="x").api == "x"
    for cls in exc.NoBrokersError, exc.NoOffsetsError:
        assert isinstance(cls(), exc.KielError)


# -- the application of 2016, small


@use("D18", real=True)
@gen.coroutine
def handing_over(world):
    topic, group = world.topic(4), world.name("group")
    for partition in range(4):
        world.commit(group, topic, 0, partition)
    first = yield grouped(world, group, autocommit=False)
    for partition in range(4):
        world.put(topic, *[b"%d" % (100 * partition + number) for number in range(5)], partition=partition)
    got = collections.Counter()
    got.update((yield take(first, topic, 20)))
    yield first.commit_offsets()
    second = yield grouped(world, group, autocommit=False)
    for _ in range(500):
        if len(first.allocation[topic]) + len(second.allocation[topic]) == 4 and second.allocation[topic]:
            break
        yield gen.sleep(0.01)
    for partition in range(4):
        world.put(topic, b"%d" % (100 * partition + 5), partition=partition)
    for _ in range(60):
        if sum(got.values()) >= 24:
            break
        for member in first, second:
            messages = yield member.consume(topic)
            got.update(messages)
            if messages:
                yield member.commit_offsets()
    assert sorted(got) == sorted(100 * partition + number for partition in range(4) for number in range(6))
    assert max(got.values()) == 1, got
    yield first.close()
    yield second.close()
    assert [world.committed(group, topic, partition) for partition in range(4)] == [6] * 4
