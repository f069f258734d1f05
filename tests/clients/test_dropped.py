"""Clients that the application has dropped without closing them are collected, and their sockets with them."""
from __future__ import absolute_import

import gc
import os
import subprocess
import sys
import weakref

import pytest
from tornado import gen

from kiel import clients
from kiel.cluster import Cluster
from kiel.groups.classic.leader import Leader

from tests import loop
from tests.fake import FakeCluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MAKERS = {
    "single": lambda hosts: clients.SingleConsumer(hosts, deserializer=bytes, max_wait_time=20),
    "producer": lambda hosts: clients.Producer(hosts, serializer=bytes),
    "admin": clients.Admin,
}


@gen.coroutine
def use(name, cluster):
    """Make a client, use it, and return a weak reference to it."""
    client = MAKERS[name](cluster.bootstrap)
    yield client.connect()
    if name == "single":
        yield client.consume("t")
    elif name == "producer":
        yield client.produce("t", b"x")
    raise gen.Return(weakref.ref(client))


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_sockets_of_a_dropped_client_are_closed(name):
    @gen.coroutine
    def body():
        cluster = FakeCluster(topics={"t": 1}).start()
        gone = yield use(name, cluster)
        assert cluster[1].streams

        def collected():
            gc.collect()
            return gone() is None and not cluster[1].streams
        yield loop.until(collected, 5, 0.05)
        cluster.stop()

    loop.run(body)


PROGRAM = """
from __future__ import print_function
import gc, logging, sys, warnings
warnings.simplefilter("always")
logging.basicConfig(format="%%(levelname)s %%(message)s", level=logging.WARNING)
from tornado import gen, ioloop
from tests.clients.test_dropped import MAKERS
from tests.fake import FakeCluster

@gen.coroutine
def main():
    cluster = FakeCluster(topics={"t": 1}).start()
    unused = MAKERS[%(kind)r](cluster.bootstrap)
    one = MAKERS[%(kind)r](cluster.bootstrap)
    yield one.connect()
    %(then)s
    cluster.stop()

ioloop.IOLoop.current().run_sync(main)
%(end)s
"""

ENDS = {
    "dropped": ("""del one
    gc.collect()
    print("after")
    yield gen.moment""", ""),
    "left until Python ends": ("global kept; kept = one", "print('before')"),
    "closed": ("yield one.close()", ""),
    "its loop closed": ("global kept; kept = one", "ioloop.IOLoop.current().close()"),
}


@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_who_does_not_close_a_client_is_told_once(kind, end):
    then, last = ENDS[end]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM % dict(kind=kind, then=then, end=last)], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = process.communicate()[0].decode("utf-8")
    assert process.returncode == 0, text
    lines = [line for line in text.splitlines() if line.startswith("WARNING a ")]
    name = {"single": "SingleConsumer", "producer": "Producer", "admin": "Admin"}[kind]
    told = "WARNING a %s was not closed; `yield client.close()` ends its connections" % name
    assert lines == ([] if end == "closed" else [told]), text
    told = text.count("ResourceWarning: a %s was not closed" % name)
    assert told == (1 if lines and sys.version_info[0] > 2 else 0), text
    assert end != "dropped" or text.index("was not closed") < text.index("after"), text


def test_the_heartbeat_thread_does_not_hold_what_the_leader_needs():
    cluster = Cluster(["nowhere:1"])
    cluster.topics["t"] = [0]
    gone, prepared = weakref.ref(cluster), Leader(cluster, {}).prepare()
    del cluster
    gc.collect()
    assert gone() is None and prepared
