"""What goes with each consume() of a member, before and after it looks for messages; with a scripted broker."""
from __future__ import absolute_import

import pytest
from tornado import gen

from tests import loop
from tests.clients.grouping.members import MANUAL, PROCESSED, make, stored, with_member
from tests.fake import with_cluster

pytestmark = pytest.mark.usefixtures("short_times")


class Heartbeat(object):
    """Notes signs of progress."""

    last_beat = last_progress = None

    def __init__(self):
        self.signs = 0
        self.working = False

    def progress(self):
        self.signs += 1


@with_member(topics={"t": 1})
def test_the_application_has_work_in_hand_from_one_call_to_the_next(cluster, consumer):
    heartbeat = consumer.allocator.heartbeat = Heartbeat()
    heartbeat.working = True
    future = consumer.consume("t")
    assert (heartbeat.signs, heartbeat.working) == (1, False)
    cluster.log("t").put(b"a")
    assert (yield future) == [b"a"]
    assert (heartbeat.signs, heartbeat.working) == (2, True)


@with_member(MANUAL, topics={"t": 1})
def test_a_call_that_fails_is_progress_too(cluster, consumer):
    heartbeat = consumer.allocator.heartbeat = Heartbeat()

    def fail(*args):
        raise RuntimeError("no")

    consumer.deserializer = consumer.on_error = fail
    cluster.log("t").put(b"a")
    yield loop.raises(RuntimeError, consumer.consume("t"))
    assert (heartbeat.signs, heartbeat.working) == (2, True)


@with_member(topics={"t": 1})
def test_asking_subscribes_where_members_share_what_they_subscribe_to(cluster, consumer):
    asked = []
    consumer.allocator.by_topic = True
    consumer.allocator.subscribe = lambda topics: asked.extend(topics) or gen.moment
    yield consumer.consume("t")
    yield consumer.consume("t")
    assert asked == ["t"] and consumer.subscription.wanted == {"t"}


@with_member(PROCESSED, topics={"t": 1})
def test_asking_again_says_that_what_came_before_is_processed(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t")) == [b"a"]
    assert stored(cluster) is None
    assert (yield consumer.consume("t")) == []
    assert stored(cluster) == 1


@with_cluster(topics={"t": 1})
def test_asking_while_it_closes_says_so_for_the_last_commit(cluster):
    consumer = make(cluster, **PROCESSED)
    yield consumer.connect()
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t")) == [b"a"]
    closing = consumer.close()
    assert (yield consumer.consume("t")) is None
    yield closing
    assert stored(cluster) == 1


@with_member(topics={"t": 1})
def test_a_commit_that_failed_is_made_good_by_the_call_after_it(cluster, consumer):
    cluster.log("t").put(b"a")
    consumer.topics_to_commit.add("t")
    assert (yield consumer.consume("t")) == [b"a"]
    consumer.progress.due["t", 0] = 1
    cluster.kafka_offsets.clear()
    assert (yield consumer.consume("t")) == []
    assert stored(cluster) == 1


@with_member(dict(deserializer=bytes), topics={"t": 400})
def test_the_loop_has_its_turn_while_a_little_of_many_partitions_is_decoded(cluster, consumer):
    for partition in range(400):
        for _ in range(5):  # batches, each of them looked at by itself
            cluster.log("t", partition).put(b"{}")
    yield consumer.consume("t", max_records=1)
    yield loop.until(lambda: sum(cursor.holds for cursor in consumer._fetcher.of("t")) > 390)
    consumer._reader.turn.limit = 0.0  # the loop is due its turn whenever somebody asks twice
    turns, counting = [0], [True]

    def turn():
        turns[0] += 1
        if counting[0]:
            consumer.io_loop.add_callback(turn)

    future = consumer.consume("t")
    turn()
    messages = yield future
    counting[0] = False
    assert len(messages) > 1900 and turns[0] > 150
