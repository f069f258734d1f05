"""Transactions of a scripted Kafka, in each version of their protocol."""
from __future__ import absolute_import

import pytest
from tornado import gen

from tests.clients.producing.producers import connected
from tests.fake import with_cluster

#: versions of the transaction protocol, each with a release that has it
PROTOCOLS = [("0.11", 1), ("2.8", 1), ("3.9", 1), ("4.4", 2)]


def with_protocols(test):
    """Runs a test, a generator function of a cluster and a producer, with each protocol."""
    @pytest.mark.parametrize("release,level", PROTOCOLS)
    def run(release, level):
        @with_cluster(versions=release, topics={"t": 2})
        def body(cluster):
            cluster.features["transaction.version"] = level
            producer = yield connected(cluster, transactional_id="x", linger=0.001)
            assert producer.identity.level == level
            yield gen.coroutine(test)(cluster, producer)
            assert (yield producer.close()) == {}
        body()
    return run


@gen.coroutine
def write(producer, *written):
    for value in written:
        yield producer.produce("t", value, partition=0)


class Member(object):
    """As much of a `GroupedConsumer` as `send_offsets` looks at."""

    autocommit = False
    group_name = "g"

    class allocator(object):
        identity = ("member", 5)
        instance_id = None

    def __init__(self, offsets, gone=()):
        self.offsets = offsets
        self.gone = gone
        self.committed = []

    def handed_out(self):
        if isinstance(self.offsets, Exception):
            raise self.offsets
        return dict(self.offsets)

    def signature(self, keys):
        self.signed = sorted(keys)
        return self

    identity, instance_id = allocator.identity, allocator.instance_id

    def withheld(self, keys):
        return dict((key, None) for key in keys if key in self.gone)

    def note_committed(self, offsets):
        self.committed.append(offsets)
