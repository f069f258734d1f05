"""Clients that the application has dropped without closing them are collected, and their sockets with them."""
from __future__ import absolute_import

import gc
import weakref

import pytest
from tornado import gen

from kiel import clients
from kiel.cluster import Cluster
from kiel.groups.classic.leader import Leader

from tests import loop
from tests.fake import FakeCluster

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


def test_the_heartbeat_thread_does_not_hold_what_the_leader_needs():
    cluster = Cluster(["nowhere:1"])
    cluster.topics["t"] = [0]
    gone, prepared = weakref.ref(cluster), Leader(cluster, {}).prepare()
    del cluster
    gc.collect()
    assert gone() is None and prepared
