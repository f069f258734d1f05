"""How a member leaves: what is committed, and what is refused from then on."""
from __future__ import absolute_import

import pytest
from tornado import gen

from tests import loop
from tests.clients.grouping.members import MANUAL, PROCESSED, commits, gather, make, stored, with_member
from tests.fake import error, with_cluster

pytestmark = pytest.mark.usefixtures("short_times")


@with_member(topics={"t": 1})
def test_d58_close_commits_what_could_not_be_before(cluster, consumer):
    cluster[1].on("offset_commit", error(14))
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", error(16), times=1)  # not at the first try either
    yield consumer.close()
    assert stored(cluster) == 1
    assert consumer.allocator.stopped == 1


@with_member(PROCESSED, topics={"t": 1, "u": 1})
def test_d58_close_commits_what_is_processed(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster.log("u").put(b"x")
    yield gather(consumer, 1, "u")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", error(14), times=1)
    consuming = consumer.consume("t")
    yield gen.sleep(0.05)
    yield consumer.close()
    assert (yield consuming) is None
    assert stored(cluster) == 1
    assert stored(cluster, topic="u") is None  # nobody said that it was done


@with_member(PROCESSED, topics={"t": 1})
def test_d58_close_gives_work_a_moment_to_end(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    closing = consumer.close()
    yield gen.sleep(0.1)
    assert stored(cluster) is None
    assert (yield consumer.consume("t")) is None
    yield closing
    assert stored(cluster) == 1


@with_member(MANUAL, topics={"t": 1})
def test_d58_close_leaves_commits_to_the_caller(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield consumer.close()
    assert cluster.count("offset_commit") == 0


@with_member(topics={"t": 1})
def test_d58_a_closing_consumer_sends_nothing(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    waiting = consumer.consume("t")
    yield gen.sleep(0.02)
    closing = consumer.close()
    late = consumer.consume("t")
    assert (yield loop.within(1, waiting)) is None
    assert (yield late) is None
    yield closing
    count = len(cluster[1].requests)
    assert (yield consumer.consume("t")) is None
    assert len(cluster[1].requests) == count


@with_cluster(topics={"t": 1})
def test_d58_the_allocator_is_stopped_whatever_the_commit_does(cluster):
    consumer = make(cluster)
    yield consumer.connect()
    cluster.log("t").put(b"a")
    cluster[1].on("offset_commit", error(30))
    yield gather(consumer, 1)
    cluster.stop()
    yield loop.within(3, consumer.close())
    assert consumer.allocator.stopped == 1
    assert not consumer.topics_to_commit


@with_cluster(topics={"t": 1})
def test_close_before_connect_and_connect_after_close(cluster):
    consumer = make(cluster)
    yield consumer.close()
    cluster.log("t").put(b"a")
    yield consumer.connect()
    yield consumer.connect()
    cluster[1].on("offset_commit", error(30))
    yield gather(consumer, 1)
    yield consumer.close()
    cluster[1].on("offset_commit", None)
    cluster.kafka_offsets["g", "t", 0] = 0, ""
    yield consumer.connect()
    assert (yield gather(consumer, 1)) == [b"a"]
    assert commits(cluster)[-1] == {("t", 0): 1}
    yield consumer.close()
