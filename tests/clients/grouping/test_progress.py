"""How far a member is: what counts as taken, as processed and as committed."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc

from tests import fake, loop
from tests.clients.grouping.members import MANUAL, PROCESSED, commits, gather, requests, slow, stored, with_member

pytestmark = pytest.mark.usefixtures("short_times")


class EveryBatch(object):
    """Lets the loop turn after each batch that is decoded."""

    def over(self, now):
        return True

    def tick(self, now):
        pass


@pytest.mark.parametrize("member", [{}, MANUAL])
def test_d31_two_consumes_at_once_share_one_partition_in_order(member):
    @with_member(dict(member, max_wait_time=100), topics={"t": 1})
    def check(cluster, consumer):
        consumer.reader.turn = EveryBatch()
        for number in range(1000):
            cluster.log("t").put(b"%d" % number)
        first = consumer.consume("t")
        yield loop.until(lambda: consumer.offsets["t"][0] > 1, step=0.001)
        second = consumer.consume("t")
        cluster.log("t").put(b"1000")
        messages = (yield first) + (yield second)
        messages += yield gather(consumer, 1001 - len(messages))
        assert [int(message) for message in messages] == list(range(1001))
        assert consumer.position("t", 0) == 1001
        assert not consumer._calls.handing
    check()


@with_member(topics={"t": 1})
def test_what_is_committed_is_handed_out_whatever_comes(cluster, consumer):
    @gen.coroutine
    def then_doubt(call):
        answer = yield call.usual()
        consumer.allocator.doubt(True)
        consumer.allocator.give()
        raise gen.Return(answer)

    cluster[1].on("offset_commit", then_doubt)
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t")) == [b"a"]  # its next owner begins after it
    assert stored(cluster) == 1


@with_member(topics={"t": 2, "empty": 1})
def test_d48_nothing_read_nothing_committed(cluster, consumer):
    assert (yield consumer.consume("empty")) == []
    assert (yield consumer.consume("empty")) == []
    yield consumer.commit_offsets()
    assert cluster.count("offset_commit") == 0
    cluster.log("t", 1).put(b"a")
    yield gather(consumer, 1)
    yield consumer.consume("empty")
    yield consumer.consume("t")
    assert commits(cluster) == [{("t", 1): 1}]  # once, and what was not read is not named


@with_member(topics={"t": 1})
def test_d48_true_commits_before_it_hands_over(cluster, consumer):
    cluster.log("t").put(b"a")
    messages = yield consumer.consume("t")
    assert (messages, stored(cluster)) == ([b"a"], 1)


@with_member(PROCESSED, topics={"t": 1, "u": 1})
def test_d48_processed_commits_when_more_is_asked_for(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    assert stored(cluster) is None
    cluster.log("u").put(b"x")
    assert (yield consumer.consume("u")) == [b"x"]  # says nothing about what is done of t
    assert stored(cluster) is None
    cluster.log("t").put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    assert stored(cluster) == 1
    assert stored(cluster, topic="u") is None
    yield consumer.commit_offsets()
    assert stored(cluster) == 2
    assert stored(cluster, topic="u") == 1


@with_member(PROCESSED, topics={"t": 1})
def test_d48_processed_is_for_one_loop_per_topic(cluster, consumer):
    first = consumer.consume("t")
    caught = yield loop.raises(exc.ConcurrentConsumeError, consumer.consume("t"))
    assert "topic t" in str(caught)
    assert (yield first) == []
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    # while that is committed, too
    cluster[1].on("offset_commit", fake.delay(0.1), times=1)
    first = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    yield loop.raises(exc.ConcurrentConsumeError, consumer.consume("t"))
    assert (yield first) == []
    assert (yield consumer.consume("t")) == []


@with_member(dict(PROCESSED, **slow(0.2)), topics={"t": 1})
def test_d48_processed_does_not_count_what_is_not_handed_out_yet(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    yield consumer.commit_offsets()
    assert stored(cluster) is None
    assert (yield consuming) == [b"a", b"b"]
    yield consumer.commit_offsets()
    assert stored(cluster) == 3


@with_member(dict(MANUAL, **slow(0.2)), topics={"t": 1})
def test_d48_manual_does_not_count_what_is_not_handed_out_yet(cluster, consumer):
    cluster.log("t").put(b"a", b"slow", b"b")
    consuming = consumer.consume("t")
    yield loop.until(lambda: consumer.offsets["t"][0] == 1)
    yield consumer.commit_offsets()
    assert stored(cluster) is None
    assert (yield consuming) == [b"a", b"b"]
    yield consumer.commit_offsets()
    assert stored(cluster) == 3


@with_member(topics={"t": 1})
def test_books_do_not_grow(cluster, consumer):
    for number in range(20):
        name = "topic-%d" % number
        cluster.create(name, 1)
        yield consumer.cluster.heal()
        yield consumer.allocator.give(**{name: [0]})
        cluster.log(name).put(b"a")
        yield gather(consumer, 1, name)
    progress = consumer.progress
    assert not any((progress.due, progress.working, progress.forfeited, progress._waiting, progress._taken))
    assert not consumer._calls.handing and not consumer._calls.under_way and not consumer.assignment._releasing
    assert len(requests(cluster, "offset_commit")) == 20
