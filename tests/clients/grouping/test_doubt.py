"""While a member cannot be sure of its partitions, it hands out and commits nothing."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.retry import Backoff

from tests import loop
from tests.clients.grouping.members import MANUAL, gather, slow, stored, with_member
from tests.fake import error

pytestmark = pytest.mark.usefixtures("short_times")


@with_member(topics={"t": 1})
def test_d52_in_doubt_nothing_is_handed_out_or_committed(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield gen.sleep(0.02)
    consumer.allocator.doubt(True)
    cluster.log("t").put(b"b")
    count = cluster.count("offset_commit")
    assert (yield consumer.consume("t")) == []
    assert cluster.count("offset_commit") == count
    consuming = consumer.consume("t")
    consumer.allocator.doubt(False)
    assert (yield loop.within(1, consuming)) == [b"b"]
    assert stored(cluster) == 2


@with_member(slow(0.1), topics={"t": 1})
def test_d52_doubt_while_messages_are_decoded_and_nothing_changed(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    consumer.allocator.doubt(True)
    assert (yield consuming) == []
    assert stored(cluster) is None and not consumer.topics_to_commit
    assert consumer.position("t", 0) == consumer.offsets["t"][0] == 0
    consumer.allocator.doubt(False)
    assert (yield gather(consumer, 2)) == [b"a", b"b"]
    assert stored(cluster) == 3


@with_member(topics={"t": 1})
def test_d52_lost_while_messages_are_committed(cluster, consumer):
    # the coordinator does not take the commit, then ZooKeeper is in doubt, then the session is over
    cluster[1].on("offset_commit", error(14))
    cluster.log("t").put(b"a")
    consuming = gather(consumer, 1)
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    consumer.allocator.doubt(True)
    yield consumer.allocator.give()
    yield gen.sleep(0.1)  # a commit that was on its way by then is answered, too
    cluster[1].on("offset_commit", None)
    yield gen.sleep(0.3)
    assert stored(cluster) is None
    # no other member took it: it comes again, once
    yield consumer.allocator.give(t=[0])
    consumer.allocator.doubt(False)
    assert (yield consuming) == [b"a"]
    assert (yield consumer.consume("t")) == []
    assert stored(cluster) == 1


@with_member(MANUAL, topics={"t": 1})
def test_d52_commit_offsets_waits_for_the_doubt_to_end(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.allocator.doubt(True)
    committing = consumer.commit_offsets()
    yield gen.sleep(0.2)
    assert not committing.done() and cluster.count("offset_commit") == 0
    consumer.allocator.doubt(False)
    yield loop.within(1, committing)
    assert stored(cluster) == 1


@with_member(dict(MANUAL, retry=Backoff(first=0.01, most=0.1, deadline=0.3)), topics={"t": 1})
def test_d52_commit_offsets_in_doubt_for_too_long_is_an_error(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.allocator.doubt(True)
    yield loop.raises(exc.ZooKeeperError, consumer.commit_offsets(), seconds=1)
    assert cluster.count("offset_commit") == 0
    assert consumer.topics_to_commit == {"t"}
    consumer.allocator.doubt(False)


@with_member(topics={"t": 1})
def test_d52_doubt_that_nobody_told_of(cluster, consumer):
    # a process that stood still: the allocator knows by its clock before its hook was called
    cluster.log("t").put(b"a")
    consumer.allocator.paused = True
    begun = cluster.count("fetch")
    assert (yield consumer.consume("t")) == []
    assert cluster.count("fetch") - begun < 8
    assert stored(cluster) is None
    consumer.allocator.paused = False
    assert (yield gather(consumer, 1)) == [b"a"]
