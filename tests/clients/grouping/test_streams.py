"""Streams of a group's member: what they have given is what is committed, whatever they hold and whoever takes over."""
from __future__ import absolute_import

import gc

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import grouped

from tests import loop
from tests.clients.consuming.test_streams import ITERATE, fill, taken
from tests.clients.grouping.members import commits, gather, make, stored, with_member
from tests.fake import with_cluster
from tests.native import needs_native, run


@pytest.fixture(autouse=True)
def closing_soon(monkeypatch):
    """Nobody says that the last message is processed, so close() need not wait for that as long as otherwise."""
    monkeypatch.setattr("kiel.clients.grouping.autocommit.CLOSING_TIME", 0.05)


MODES = pytest.mark.parametrize("autocommit", [True, "processed", False])


@MODES
@pytest.mark.parametrize("batches", [False, True])
def test_what_was_given_is_committed(autocommit, batches):
    @with_member(dict(autocommit=autocommit), topics={"t": 1})
    def check(cluster, consumer):
        values = fill(cluster)
        stream = consumer.stream("t", batches=batches)
        found = yield taken(stream, 1 if batches else 4)
        assert found == ([values] if batches else values[:4])
        yield consumer.commit_offsets()
        if autocommit is True:
            assert stored(cluster) == 10  # at most once: all that came, before any of it is given
        else:
            assert stored(cluster) == (10 if batches else 4)
        if not batches:
            assert (yield taken(stream, 3)) == values[4:7]
            yield consumer.commit_offsets()
            assert stored(cluster) == (10 if autocommit is True else 7)
    check()


@MODES
@pytest.mark.parametrize("ending", ["stream", "consumer", "dropped", "consume"])
def test_what_was_not_given_is_handed_out_again(autocommit, ending):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        consumer = make(cluster, autocommit=autocommit)
        yield consumer.connect()
        values = fill(cluster)
        stream = consumer.stream("t")
        assert (yield taken(stream, 4)) == values[:4]
        if ending == "stream":
            stream.close()
        elif ending == "dropped":
            del stream
            gc.collect()
        if ending == "consume":
            assert (yield gather(consumer, 6)) == values[4:]
            yield consumer.commit_offsets()
            assert stored(cluster) == 10
        elif autocommit is False and ending != "consumer":
            yield consumer.commit_offsets()
            assert stored(cluster) == 4
        yield consumer.close()
        if ending != "consume":
            # with "processed", who is at work on the fourth has not said that it is done
            assert stored(cluster) == {True: 4, "processed": 3, False: None if ending == "consumer" else 4}[autocommit]
    check()


@with_member(dict(autocommit="processed"), topics={"t": 1})
def test_a_message_is_processed_when_the_next_is_asked_for(cluster, consumer):
    fill(cluster)
    consumer._autocommit.committed_at = float("inf")  # no commit but those after a chunk, and by hand
    stream = consumer.stream("t")
    yield taken(stream, 3)
    assert dict(consumer.progress.due) == {("t", 0): 2}
    assert consumer.progress.working == {"t": {("t", 0): 3}}
    yield taken(stream, 7)
    waiting = stream.next()
    yield loop.until(lambda: stored(cluster) == 10)
    yield loop.raises(exc.ConcurrentConsumeError, consumer.consume("t"))
    stream.close()
    yield loop.raises(exc.StreamEnded, waiting)


@with_member(dict(autocommit="processed"), topics={"t": 1})
def test_a_long_list_is_committed_now_and_then(cluster, consumer):
    fill(cluster)
    stream = consumer.stream("t")
    yield taken(stream, 3)
    consumer._autocommit.committed_at = 0
    yield taken(stream, 1)
    yield loop.until(lambda: stored(cluster) == 3)


@pytest.mark.parametrize("autocommit, left", [(True, 4), ("processed", 4), (False, None)])
def test_a_partition_that_goes_goes_after_the_message_at_work(autocommit, left):
    @with_member(dict(autocommit=autocommit, rebalance_timeout=5), topics={"t": 2}, timeout=20)
    def check(cluster, consumer):
        for partition in 0, 1:
            fill(cluster, partition=partition, first=100 * partition)
        stream = consumer.stream_records("t")
        found = yield taken(stream, 1)
        going = found[0].partition
        found += yield taken(stream, 3)
        while [record.partition for record in found] != [going] * len(found):
            raise AssertionError(found)
        moving = consumer.allocator.give(t=[1 - going])
        yield gen.moment
        if autocommit == "processed":
            assert not moving.done()  # the fourth is at work
        rest = yield taken(stream, 10)
        assert [record.partition for record in rest] == [1 - going] * 10
        yield loop.within(2, moving)
        assert stored(cluster, going) == left
    check()


@pytest.mark.parametrize("autocommit, given", [(True, 10), ("processed", 4), (False, 4)])
def test_a_partition_that_is_lost_is_given_no_more_unless_it_is_committed(autocommit, given):
    @with_member(dict(autocommit=autocommit, max_wait_time=50), topics={"t": 1})
    def check(cluster, consumer):
        values = fill(cluster)
        stream = consumer.stream("t")
        found = yield taken(stream, 4)
        lost, consumer.allocator.allocation = consumer.allocator.allocation, {}
        yield consumer.allocator.on_lost(lost)
        found += yield taken(stream, given - 4)
        assert found == values[:given]
        waiting = stream.next()
        yield gen.sleep(0.1)
        assert not waiting.done()
    check()


@with_member(dict(autocommit=False), topics={"t": 1})
def test_while_it_is_in_doubt_who_owns_what_nothing_is_given(cluster, consumer):
    values = fill(cluster)
    stream = consumer.stream("t")
    assert (yield taken(stream, 4)) == values[:4]
    consumer.allocator.doubt(True)
    waiting = stream.next()
    yield gen.sleep(0.1)
    assert not waiting.done()
    consumer.allocator.doubt(False)
    assert (yield loop.within(3, waiting)) == values[4]
    assert (yield taken(stream, 5)) == values[5:]


@MODES
def test_several_topics(autocommit):
    @with_member(dict(autocommit=autocommit), topics={"a": 1, "b": 1})
    def check(cluster, consumer):
        fill(cluster, "a")
        fill(cluster, "b")
        stream = consumer.stream_records(["a", "b"])
        assert len((yield taken(stream, 20))) == 20
        yield consumer.commit_offsets()
        assert stored(cluster, topic="a") == stored(cluster, topic="b") == 10
        fill(cluster, "a")
        while not (yield consumer.consume(["a", "b"])):
            pass
        yield consumer.commit_offsets()
        assert stored(cluster, topic="a") == 20
        assert len(commits(cluster)) < 8
    check()


@with_member(topics={"t": 1})
def test_partitions_are_the_groups(cluster, consumer):
    with pytest.raises(ValueError):
        consumer.stream({"t": [0]})
    yield loop.raises(ValueError, consumer.consume({"t": [0]}))
    assert consumer.stream({"t": None}) is not None


@needs_native
@pytest.mark.parametrize("error", [None, ZeroDivisionError()], ids=str)
def test_a_block_around_a_loop(error):
    block = """
async def main(consumer, iterate, error):
    async with consumer:
        found = await iterate(consumer.stream("t"), 4)
        if error is not None:
            raise error
    return found
"""

    @with_cluster(topics={"t": 1})
    def check(cluster):
        values = fill(cluster)
        consumer = make(cluster, autocommit="processed")
        work = gen.convert_yielded(run(block, consumer, lambda *args: run(ITERATE, *args), error))
        if error is None:
            assert (yield work) == values[:4]
            assert stored(cluster) == 4
        else:
            yield loop.raises(ZeroDivisionError, work)
            assert stored(cluster) == 3
    check()


def test_all_topics_of_a_stream_are_subscribed_to_at_once():
    asked = []

    class Subscribing(object):
        """What `want_all` needs of a `Subscription`."""

        pending, wanted = {}, set(["c"])
        want_all = grouped.Subscription.__dict__["want_all"]
        _subscribed = grouped.Subscription.__dict__["_subscribed"]

        def _subscribe(self, topics, seconds):
            asked.append(topics)
            return gen.maybe_future(None)

    @gen.coroutine
    def check():
        subscription = Subscribing()
        subscription.want_all(["a", "b", "c"], 1)
        yield gen.sleep(0.01)
        assert asked == [["a", "b"]] and subscription.wanted == set("abc") and not subscription.pending
    loop.run(check)
