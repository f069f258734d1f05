"""Whatever a callback of the application does, the rebalance goes on; with a scripted broker."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen

from tests import loop, raised
from tests.clients.grouping.members import gather, stored, with_member
from tests.clients.grouping.test_assignment import with_kafka_member


#: what may be raised, by name; a time-out is what waiting itself ends with
RAISED = dict(zip(raised.NAMES, raised.ERRORS), TimeoutError=gen.TimeoutError("slow"))


def plain(error):
    def callback(*args):
        raise error
    return callback


def later(error):
    """Gives a Future that fails."""
    def callback(*args):
        future = concurrent.Future()
        if isinstance(error, StopIteration):
            future.set_exception(RuntimeError("StopIteration"))
        else:
            future.set_exception(error)
        return future
    return callback


@pytest.mark.parametrize("how", [plain, later])
@pytest.mark.parametrize("name", sorted(RAISED))
def test_what_on_rebalance_raises_stops_nothing(how, name):
    @with_member(dict(autocommit="processed"), topics={"t": 2})
    def check(cluster, consumer):
        consumer.on_rebalance = how(RAISED[name])
        cluster.log("t", 0).put(b"a")
        yield gather(consumer, 1)
        consumer.progress.done_with("t")
        yield loop.within(5, consumer.allocator.give(t=[1]))
        assert stored(cluster, 0) == 1
        yield loop.within(5, consumer.allocator.give(t=[0, 1]))
        cluster.log("t", 0).put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
    check()


@pytest.mark.parametrize("how", [plain, later])
@pytest.mark.parametrize("name", sorted(RAISED))
def test_what_on_lost_raises_stops_nothing(how, name):
    @with_kafka_member()
    def check(cluster, consumer):
        consumer.on_lost = how(RAISED[name])
        yield loop.within(5, consumer.allocator.lose())
        yield loop.within(5, consumer.allocator.give(t=[0]))
        cluster.log("t", 0).put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
    check()


@with_member(dict(rebalance_timeout=0.2), topics={"t": 1})
def test_a_callback_that_never_ends_is_waited_for_so_long_only(cluster, consumer):
    consumer.on_rebalance = lambda revoked, assigned: concurrent.Future()
    yield loop.within(5, consumer.allocator.give())
    yield loop.within(5, consumer.allocator.give(t=[0]))


@with_member(topics={"t": 1})
def test_a_keyboard_interrupt_leaves_the_loop_and_not_the_rebalance(cluster, consumer):
    consumer.on_rebalance = plain(KeyboardInterrupt())
    raised = []

    def catch(callback, *args):
        try:
            callback(*args)
        except KeyboardInterrupt as interrupt:
            raised.append(interrupt)
    consumer.io_loop.add_callback, add = lambda callback, *args: add(catch, callback, *args), \
        consumer.io_loop.add_callback
    try:
        yield loop.within(5, consumer.allocator.give())
        yield loop.until(lambda: raised)
    finally:
        del consumer.io_loop.add_callback


# -- paused partitions --

@pytest.mark.parametrize("way", ["revoked", "lost"])
def test_a_paused_partition_that_comes_back_stays_paused(way):
    @with_kafka_member(max_wait_time=50)
    def check(cluster, consumer):
        for partition in (0, 1):
            cluster.log("t", partition).put(b"%d" % partition)
        consumer.pause("t", 0)
        assert (yield gather(consumer, 1)) == [b"1"]
        if way == "lost":
            yield consumer.allocator.lose()
        else:
            yield consumer.allocator.give()
        yield consumer.allocator.give(t=[0, 1])
        for _ in range(3):
            assert b"0" not in (yield consumer.consume("t"))
        consumer.resume("t", 0)
        assert b"0" in (yield gather(consumer, 1))
    check()
