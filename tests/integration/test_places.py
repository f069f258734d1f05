"""Members of groups that go on on another IOLoop, or in a forked process: in processes of their own."""
from __future__ import absolute_import

import os
import subprocess
import sys

import pytest

from kiel import testing

from tests.integration import peer
from tests.integration.classic import ROOT, SETTINGS

RELEASES = peer.only("4.4.0")

#: the classic members' settings, and a broker's for next-generation ones: it says how often they are heard
BRISK = dict(SETTINGS, **{
    "group.consumer.min.heartbeat.interval.ms": 200, "group.consumer.heartbeat.interval.ms": 200,
})

BEGIN = """
from __future__ import print_function
import logging, os, sys, traceback
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
from tornado import gen, ioloop
from kiel import clients, exc
from tests import loop

hosts, protocol, topic = sys.argv[1:]
ALL = [0, 1, 2, 3]
told = []

def make(**settings):
    settings.setdefault("deserializer", bytes)
    return clients.GroupedConsumer(hosts, topic, topics=[topic], group_protocol=protocol,
                                   session_timeout=30, heartbeat_interval=0.2, max_wait_time=100, slow_callback=None,
                                   on_lost=told.append, **settings)

@gen.coroutine
def produce(*values):
    producer = clients.Producer(hosts, serializer=bytes)
    yield producer.connect()
    for value in values:
        yield producer.produce(topic, value, partition=0)
    yield producer.close()

@gen.coroutine
def owns(consumer, count):
    yield loop.until(lambda: len(consumer.allocation.get(topic, ())) == count, 20)

@gen.coroutine
def take(consumer):
    messages = []
    while not messages:
        messages = yield loop.within(20, consumer.consume(topic))
    raise gen.Return(messages)

@gen.coroutine
def is_left():
    admin = clients.Admin(hosts)
    yield admin.connect()
    described = yield admin.describe_groups([topic])
    assert described[topic].state in ("Empty", "Dead"), described
    yield admin.close()

def on_a_new_loop(work):
    own = ioloop.IOLoop(make_current=False)
    try:
        return own.run_sync(work, timeout=40)
    finally:
        loop.close(own)
"""

ANOTHER_LOOP = BEGIN + """
member = make(autocommit=False, max_records=1)

@gen.coroutine
def first():
    yield produce(b"a", b"b")
    yield member.connect()
    yield owns(member, 4)
    assert (yield take(member)) == [b"a"]
    yield member.commit_offsets()
    assert (yield take(member)) == [b"b"]

@gen.coroutine
def second():
    error = yield loop.raises(exc.NotOwnedError, member.commit_offsets(), 20)  # what it had went to nobody yet
    assert topic + ":0" in str(error), error
    assert told == [{topic: ALL}], told
    assert (yield take(member)) == [b"b"]
    yield owns(member, 4)
    yield member.commit_offsets()

@gen.coroutine
def third():
    yield produce(b"c")
    assert (yield take(member)) == [b"c"]
    assert len(told) == 2
    yield member.close()

@gen.coroutine
def last():
    admin = clients.Admin(hosts)
    yield admin.connect()
    assert (yield admin.committed_offsets(topic))[topic, 0] == 2
    yield admin.close()

for work in (first, second, third, last, is_left):
    on_a_new_loop(work)
print("went on")
"""

FORK = BEGIN + """
member = make(autocommit="processed")
own = ioloop.IOLoop(make_current=False)

@gen.coroutine
def parent():
    yield produce(b"a")
    yield member.connect()
    yield owns(member, 4)
    assert (yield take(member)) == [b"a"]

@gen.coroutine
def forked():
    mine = member.name
    for call in (lambda: member.consume(topic), member.commit_offsets):
        error = yield loop.raises(exc.ClosedError, call())
        assert "forked" in str(error)
    yield member.connect()
    assert member.name != mine
    assert told == [{topic: ALL}], told
    yield owns(member, 2)
    yield member.close()

@gen.coroutine
def unused():
    yield loop.within(5, member.close())

@gen.coroutine
def shares(child):
    while not os.waitpid(child, os.WNOHANG)[0]:
        yield member.consume(topic)
    yield owns(member, 4)
    assert not told, told
    yield produce(b"b")
    assert (yield take(member)) == [b"b"]
    yield member.close()

own.run_sync(parent, timeout=40)
for work, word in ((unused, "closed in the child"), (forked, "shared with the child")):
    child = os.fork()
    if not child:
        try:
            ioloop.IOLoop.clear_current()
            on_a_new_loop(work)
            print(word)
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    if work is unused:
        os.waitpid(child, 0)
    else:
        own.run_sync(lambda: shares(child), timeout=40)
print("went on")
"""


INTERRUPTED = BEGIN + """
import time

def interrupt(*args):
    if args != ({}, {topic: ALL}):
        raise KeyboardInterrupt()

@gen.coroutine
def handler(member):
    yield take(member)
    interrupt()

@gen.coroutine
def joined(member):
    yield member.connect()
    yield owns(member, 4)

for settings in (dict(deserializer=interrupt), dict(on_rebalance=interrupt), {}):
    member, own = make(**settings), ioloop.IOLoop(make_current=False)
    own.run_sync(lambda: joined(member), timeout=30)
    on_a_new_loop(lambda: produce(b"a"))
    other = make()
    try:
        if "on_rebalance" in settings:  # it is told that partitions go
            own.run_sync(lambda: [joined(other), gen.sleep(30)][1], timeout=30)
        else:
            own.run_sync(lambda: handler(member), timeout=30)
    except KeyboardInterrupt:
        print("interrupted")
    begun = time.time()
    own.run_sync(member.close, timeout=30)
    took = time.time() - begun
    assert took < 10, took
    own.run_sync(other.close, timeout=30)
    own.run_sync(is_left, timeout=10)
    loop.close(own)
print("went on")
"""

ANY_ORDER = BEGIN + """
@gen.coroutine
def main():
    member = make()
    yield loop.within(5, member.close())
    connecting = member.connect()
    yield gen.moment
    yield loop.within(5, member.close())
    yield loop.raises(exc.ClosedError, connecting)
    yield loop.within(20, member.connect())
    yield owns(member, 4)
    closing, connecting = member.close(), member.connect()
    yield loop.within(20, [closing, connecting, member.connect()])
    yield owns(member, 4)
    yield loop.within(20, [member.close(), member.close()])
    nobody = clients.GroupedConsumer("127.0.0.1:1", topic, connect_timeout=1)
    yield loop.raises(exc.NoBrokersError, nobody.connect())
    yield loop.within(5, nobody.close())

for work in (main, is_left):
    on_a_new_loop(work)
print("went on")
"""


PROGRAMS = {"loops": ANOTHER_LOOP, "orders": ANY_ORDER}
if sys.version_info[0] > 2:  # Tornado's own loop does not run again after a KeyboardInterrupt
    PROGRAMS["interrupts"] = INTERRUPTED
if hasattr(os, "fork"):
    PROGRAMS["forks"] = FORK

PROTOCOLS = ("classic", "consumer")


@pytest.fixture(scope="module", params=RELEASES)
def outputs(request):
    """What the programs print, which run at the same time: they mostly wait. {(name, protocol): a function}"""
    with testing.Kafka(request.param, settings=BRISK) as kafka:
        processes = {}
        for name in PROGRAMS:
            for protocol in PROTOCOLS:
                topic = "%s-%s" % (name, protocol)
                kafka.create_topic(topic, partitions=4)
                processes[name, protocol] = subprocess.Popen(
                    [sys.executable, "-c", PROGRAMS[name], ",".join(kafka.bootstrap), protocol, topic], cwd=ROOT,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT
                )

        def output(name, protocol):
            process = processes.pop((name, protocol))
            text = process.communicate()[0].decode("utf-8")
            assert process.returncode == 0 and "went on" in text, text
            return text

        try:
            yield output
        finally:
            for process in processes.values():
                process.kill()
                process.communicate()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_member_goes_on_on_another_loop_where_its_own_is_closed(outputs, protocol):
    outputs("loops", protocol)


@pytest.mark.skipif("forks" not in PROGRAMS, reason="needs fork")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_forked_member_is_another_member_and_leaves_the_parents_alone(outputs, protocol):
    text = outputs("forks", protocol)
    assert "closed in the child" in text and "shared with the child" in text, text


@pytest.mark.skipif("interrupts" not in PROGRAMS, reason="needs a loop that runs again after Ctrl-C")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_after_ctrl_c_in_a_callback_close_takes_the_member_out(outputs, protocol):
    assert outputs("interrupts", protocol).count("interrupted") == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connect_and_close_in_any_order(outputs, protocol):
    outputs("orders", protocol)
