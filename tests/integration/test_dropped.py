"""Members of groups that the application has dropped without closing them, on a real broker."""
from __future__ import absolute_import

import os
import subprocess
import sys

import pytest

from kiel import testing

from tests.integration import peer
from tests.integration.classic import ROOT, SETTINGS

RELEASES = peer.only("4.4.0")

PROGRAM = """
from __future__ import print_function
import gc, logging, os, sys, threading, warnings
from six.moves import builtins
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
warnings.simplefilter("always", getattr(builtins, "ResourceWarning", None) or Warning)
from tornado import gen, ioloop
from kiel import clients
from tests import loop

hosts, protocol, topic = sys.argv[1:]
ALL = [0, 1, 2, 3]

def held():
    heartbeats = [thread for thread in threading.enumerate() if thread.name.startswith("kiel")]
    return len(os.listdir("/proc/self/fd")), len(heartbeats)

def make():
    return clients.GroupedConsumer(hosts, topic, topics=[topic], group_protocol=protocol, autocommit="processed",
                                   session_timeout=30, max_wait_time=100, slow_callback=None)

@gen.coroutine
def owns_all(consumer):
    yield consumer.connect()
    yield consumer.consume(topic)
    yield loop.until(lambda: consumer.allocation.get(topic) == ALL, 20)

@gen.coroutine
def main():
    before = held()
    first = make()
    yield owns_all(first)
    assert held() > before
    del first

    def free():
        gc.collect()
        return held() == before
    yield loop.until(free, 10, 0.1)
    second = make()
    yield owns_all(second)
    yield second.close()
    print("taken over")

loop_of_its_own = ioloop.IOLoop.current()
loop_of_its_own.run_sync(lambda: gen.sleep(0.01))
loop_of_its_own.run_sync(lambda: clients.SingleConsumer(hosts).connect())  # what this needs once, such as a resolver
gc.collect()
loop_of_its_own.run_sync(lambda: gen.sleep(0.3))
loop_of_its_own.run_sync(main)
"""


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    with testing.Kafka(request.param, settings=SETTINGS) as cluster:
        yield cluster


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files")
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_dropped_member_leaves_and_frees_what_it_holds(kafka, protocol):
    topic = "dropped-" + protocol
    kafka.create_topic(topic, partitions=4)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ",".join(kafka.bootstrap), protocol, topic], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = process.communicate()[0].decode("utf-8")
    assert process.returncode == 0 and "taken over" in text, text
    assert text.count("ERROR Group %s: the consumer was dropped without being closed" % topic) == 1, text
    assert "WARNING a GroupedConsumer was not closed" not in text, text  # it is said once
    warned = text.count("ResourceWarning: a GroupedConsumer was not closed")
    assert warned == (1 if sys.version_info[0] > 2 else 0), text
