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
    return clients.GroupedConsumer(hosts, topic, topics=[topic], group_protocol=protocol, deserializer=bytes,
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
    described = yield admin.describe_groups([topic])
    assert described[topic].state == "Empty", described
    assert (yield admin.committed_offsets(topic))[topic, 0] == 2
    yield admin.close()

for work in (first, second, third, last):
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


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    with testing.Kafka(request.param, settings=BRISK) as cluster:
        yield cluster


def output(kafka, program, protocol, topic):
    kafka.create_topic(topic, partitions=4)
    process = subprocess.Popen(
        [sys.executable, "-c", program, ",".join(kafka.bootstrap), protocol, topic], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = process.communicate()[0].decode("utf-8")
    assert process.returncode == 0 and "went on" in text, text
    return text


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_goes_on_on_another_loop_where_its_own_is_closed(kafka, protocol):
    output(kafka, ANOTHER_LOOP, protocol, "loops-" + protocol)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_forked_member_is_another_member_and_leaves_the_parents_alone(kafka, protocol):
    text = output(kafka, FORK, protocol, "forks-" + protocol)
    assert "closed in the child" in text and "shared with the child" in text, text
