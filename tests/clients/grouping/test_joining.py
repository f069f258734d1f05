"""A member joins and leaves in every order, and after what goes wrong; with a scripted broker."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen, ioloop

from kiel import exc
from kiel.clients import GroupedConsumer, finding

from tests import loop
from tests.clients.grouping.members import Given, commits, gather, make
from tests.fake import CLOSE, with_cluster


class Slow(Given):
    """An allocator whose start takes until it is let go, or the member is stopped."""

    def __init__(self, fails=None):
        super(Slow, self).__init__()
        self.fails = fails
        self.starting = 0
        self.go = concurrent.Future()

    @gen.coroutine
    def start(self, partitions):
        self.starting += 1
        yield self.go
        if self.fails is not None:
            raise self.fails
        yield super(Slow, self).start(partitions)

    def stop(self):
        if not self.go.done():
            self.go.set_exception(exc.ClosedError("stopped"))
        return super(Slow, self).stop()


def slow(cluster, fails=None):
    """A member whose joining takes a while."""
    consumer = make(cluster)
    consumer.allocator = Slow(fails)
    return consumer


@pytest.mark.parametrize("zk_hosts", [None, ["127.0.0.1:1"]])
def test_closing_what_was_never_connected(zk_hosts):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        consumer = GroupedConsumer(cluster.bootstrap, "g", zk_hosts)
        yield loop.within(5, consumer.close())
        yield loop.within(5, consumer.close())
        with pytest.raises(exc.ClosedError):
            yield consumer.commit_offsets()
    check()


@pytest.mark.parametrize("zk_hosts", [None, ["127.0.0.1:1"]])
def test_the_error_of_a_failed_connect_is_the_one_that_is_seen(zk_hosts):
    @with_cluster()
    def check(cluster):
        cluster[1].stop()
        consumer = GroupedConsumer(cluster.bootstrap, "g", zk_hosts, connect_timeout=0.5)
        try:
            yield loop.raises(exc.NoBrokersError, consumer.connect())
        finally:
            yield loop.within(5, consumer.close())
    check()


@with_cluster(topics={"t": 1})
def test_a_member_that_could_not_join_is_out_and_may_try_again(cluster):
    consumer = slow(cluster, exc.KielError("no"))
    consumer.allocator.go.set_result(None)
    yield loop.raises(exc.KielError, consumer.connect())
    assert consumer.allocator.stopped == 1
    consumer.allocator.fails = None
    yield consumer.connect()
    assert consumer.allocation == {"t": [0]}
    yield consumer.close()
    assert consumer.allocator.stopped == 2


@with_cluster(topics={"t": 1})
def test_connecting_twice(cluster):
    consumer = slow(cluster)
    one, two = consumer.connect(), consumer.connect()
    yield loop.until(lambda: consumer.allocator.starting)
    consumer.allocator.go.set_result(None)
    yield [one, two]
    yield consumer.connect()
    assert consumer.allocator.starting == 1
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_closing_while_it_connects(cluster):
    consumer = slow(cluster)
    connecting = consumer.connect()
    yield loop.until(lambda: consumer.allocator.starting)
    yield loop.within(5, consumer.close())
    yield loop.raises(exc.ClosedError, connecting)
    assert consumer.allocation == {}
    consumer.allocator.go = concurrent.Future()
    consumer.allocator.go.set_result(None)
    yield consumer.connect()
    assert consumer.allocation == {"t": [0]}
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_closing_at_once(cluster):
    consumer = make(cluster)
    connecting = consumer.connect()
    yield loop.within(5, consumer.close())
    yield loop.raises(exc.KielError, connecting)
    assert consumer.allocation == {}


@with_cluster(topics={"t": 1})
def test_connecting_while_it_closes(cluster):
    consumer = make(cluster)
    yield consumer.connect()
    closing = consumer.close()
    again = consumer.connect()
    yield loop.within(5, closing)
    yield loop.within(5, again)
    assert not consumer.closing and consumer.allocation == {"t": [0]}
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_closing_twice(cluster):
    consumer = make(cluster, autocommit="processed")
    yield consumer.connect()
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    consumer.progress.done_with("t")
    yield loop.within(5, [consumer.close(), consumer.close()])
    yield loop.within(5, consumer.close())
    assert consumer.allocator.stopped >= 1
    assert commits(cluster) == [{("t", 0): 1}]


@with_cluster(topics={"t": 1})
def test_nobody_behind_the_bootstrap_host(cluster):
    consumer = make(cluster)
    cluster[1].on("group_coordinator", CLOSE)
    consumer.cluster.conns.clear()
    error = yield loop.raises(exc.NoBrokersError, finding.reach(consumer.cluster))
    assert "advertised.listeners" in str(error)
    yield consumer.close()


def test_a_member_that_is_closed_without_a_loop_leaves_at_once():
    @with_cluster(topics={"t": 1})
    def check(cluster):
        consumer = make(cluster)
        left = []
        consumer.allocator.leave_now = lambda: left.append(True)
        yield consumer.connect()
        yield consumer.close()
        assert not left
        yield consumer.connect()
        other = ioloop.IOLoop(make_current=False)
        consumer.io_loop, own = other, consumer.io_loop
        yield loop.raises(exc.ClosedError, consumer.close())
        assert left == [True]
        consumer.io_loop = own
        yield consumer.close()
        other.close()
    check()


@pytest.mark.parametrize("passing", [False, True])
def test_what_ended_the_membership_is_raised_for_each_topic(passing):
    @with_cluster(topics={"t": 1, "u": 1})
    def check(cluster):
        consumer = make(cluster)
        yield consumer.connect()
        error = consumer.allocator.error = exc.KielError("no right to the group")
        consumer.allocator.refused = passing
        for topic in ("t", "u"):
            assert (yield loop.raises(exc.KielError, consumer.consume(topic))) is error
        if passing:  # the second call tries again
            assert (yield consumer.consume("t")) == []
            consumer.allocator.error = exc.KielError("again")
            yield loop.raises(exc.KielError, consumer.consume("t"))
        else:
            assert (yield loop.raises(exc.KielError, consumer.consume("t"))) is error
        yield consumer.close()
    check()


@with_cluster(topics={"t": 1})
def test_an_allocator_that_took_another_name_gives_it_to_the_member(cluster):
    consumer = make(cluster)
    consumer.allocator.consumer_name = consumer.name + "-2"
    yield consumer.connect()
    assert consumer.name.endswith("-2")
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_a_subclass_finds_the_coordinator_in_its_own_way(cluster):
    class Own(GroupedConsumer):
        asked = 0

        def determine_coordinator(self):
            self.asked += 1
            return super(Own, self).determine_coordinator()

    consumer = make(cluster, kind=Own)
    yield consumer.connect()
    assert (consumer.asked, consumer.coordinator_id) == (1, 1)
    yield consumer.close()
