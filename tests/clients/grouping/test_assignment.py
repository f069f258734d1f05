"""What a member may commit when partitions come and go, and what it tells the application; with a scripted broker."""
from __future__ import absolute_import

import pytest
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.grouping import committer

from tests import loop
from tests.clients.grouping.members import MANUAL, PROCESSED, Given, commits, gather, make, stored
from tests.fake import error, with_cluster


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", 0.3)


class InKafka(Given):
    """An allocator as those of Kafka groups are: members subscribe, partitions may be lost."""

    by_topic = True

    def __init__(self, owned):
        super(InKafka, self).__init__(owned)
        self.identity = ("me", 1)
        self.rejoins = []

    def subscribe(self, topics):
        return gen.moment

    def rejoin(self, error):
        self.rejoins.append(error)

    def lose(self):
        """Everything is lost."""
        lost, self.allocation = self.allocation, {}
        return self.on_lost(lost)


def with_kafka_member(**settings):
    """Runs the test with a cluster of topic "t" with two partitions, and a member that owns both."""
    def decorate(test):
        @with_cluster(topics={"t": 2})
        def run(cluster):
            consumer = make(cluster, **settings)
            consumer.assignment.zk_hosts = None
            consumer.allocator = InKafka({"t": [0, 1]})
            consumer.committed.uses_zookeeper = False
            consumer.assignment.obey(consumer.allocator)
            yield super(type(consumer), consumer)._open_client()
            yield consumer.subscription.join(1)
            try:
                yield gen.coroutine(test)(cluster, consumer)
            finally:
                yield consumer.close()
        run.__name__ = test.__name__
        return run
    return decorate


class Told(object):
    """Notes what it is called with, and answers with a Future if it has one."""

    def __init__(self, answer=None):
        self.calls = []
        self.answer = answer

    def __call__(self, *args):
        self.calls.append(args)
        return self.answer


@with_kafka_member(**MANUAL)
def test_a_late_commit_is_refused_here_and_says_so(cluster, consumer):
    cluster.log("t", 0).put(b"a", b"b")
    cluster.log("t", 1).put(b"c")
    yield gather(consumer, 3)
    yield consumer.allocator.give(t=[1])
    with pytest.raises(exc.NotOwnedError) as caught:
        yield consumer.commit_offsets()
    assert "t:0" in str(caught.value) and "t:1" not in str(caught.value)
    assert (stored(cluster, 0), stored(cluster, 1)) == (None, 1)
    yield consumer.commit_offsets()  # said once


@pytest.mark.parametrize("autocommit", [False, "processed"])
def test_a_commit_that_was_done_when_the_partition_went_is_no_late_one(autocommit):
    @with_kafka_member(autocommit=autocommit)
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a", b"b")
        yield gather(consumer, 2)

        def goes(call):
            """The coordinator takes it; the member hears first that the partition is another's."""
            consumer.allocator.give(t=[1])
            return call.usual()

        cluster[1].on("offset_commit", goes)
        yield consumer.commit_offsets()
        assert stored(cluster, 0) == 2
        yield consumer.commit_offsets()
    check()


@with_kafka_member(**MANUAL)
def test_offsets_of_the_callers_own_are_committed_or_refused(cluster, consumer):
    yield consumer.commit_offsets(offsets={"t": {0: 7}})
    assert stored(cluster, 0) == 7
    yield consumer.allocator.give(t=[1])
    with pytest.raises(exc.NotOwnedError):
        yield consumer.commit_offsets(offsets={"t": {0: 9, 1: 8}})
    assert (stored(cluster, 0), stored(cluster, 1)) == (7, 8)


@with_kafka_member(**MANUAL)
def test_a_commit_of_an_earlier_term_is_not_made_in_a_later_one(cluster, consumer):
    """The partition goes and comes back while the commit waits: another member may have come further."""
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    consumer.allocator.doubt(True)
    committing = consumer.commit_offsets(offsets={"t": {0: 1}})
    yield gen.sleep(0.05)
    yield consumer.allocator.give(t=[1])
    yield consumer.allocator.give(t=[0, 1])
    consumer.allocator.doubt(False)
    with pytest.raises(exc.NotOwnedError):
        yield loop.within(2, committing)
    assert stored(cluster, 0) is None


@with_kafka_member(**MANUAL)
def test_a_commit_that_a_rebalance_refuses_is_signed_anew(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    signed = []

    def refuse(call):
        """A new generation forms, and another; the member is told so by its commit."""
        signed.append((call.request.consumer_id, call.request.generation))
        if len(signed) > 2:
            return call.usual()
        consumer.allocator.identity = ("me", len(signed) + 1)
        return error([27, 22][len(signed) - 1])(call)

    cluster[1].on("offset_commit", refuse)
    yield loop.within(2, consumer.commit_offsets())
    assert signed == [("me", 1), ("me", 2), ("me", 3)]
    assert [refusal.code for refusal in consumer.allocator.rejoins] == [27, 22]
    assert stored(cluster, 0) == 1


@with_kafka_member(**MANUAL)
def test_what_is_lost_is_told_apart_and_not_committed(cluster, consumer):
    consumer.on_rebalance, consumer.on_lost = Told(), Told()
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    yield consumer.allocator.lose()
    assert consumer.on_lost.calls == [({"t": [0, 1]},)] and consumer.on_rebalance.calls == []
    with pytest.raises(exc.NotOwnedError):
        yield consumer.commit_offsets()
    assert commits(cluster) == []


@with_kafka_member(**MANUAL)
def test_what_is_lost_while_it_is_given_up_was_told_of_already(cluster, consumer):
    going = concurrent.Future()
    consumer.on_rebalance, consumer.on_lost = Told(going), Told()
    giving = consumer.allocator.give(t=[1])
    yield loop.until(lambda: consumer.on_rebalance.calls)
    consumer.allocator.allocation = {"t": [0, 1]}  # 0 is still the member's, until it is given up
    yield consumer.allocator.lose()
    assert consumer.on_rebalance.calls == [({"t": [0]}, {})] and consumer.on_lost.calls == [({"t": [1]},)]
    going.set_result(None)
    yield loop.within(2, giving)
    consumer.on_rebalance.answer = None
    yield consumer.allocator.give(t=[0, 1])
    yield consumer.allocator.lose()
    assert consumer.on_lost.calls[1:] == [({"t": [0, 1]},)]


@with_kafka_member(**PROCESSED)
def test_what_is_lost_while_work_on_it_is_waited_for_is_not_told_of_as_revoked_too(cluster, consumer):
    consumer.on_rebalance, consumer.on_lost = Told(), Told()
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    giving = consumer.allocator.give(t=[1])  # waits for the message at work
    consumer.allocator.allocation = {"t": [0, 1]}
    yield consumer.allocator.lose()
    waiting = consumer.consume("t")  # the message is processed
    yield loop.within(2, giving)
    assert consumer.on_lost.calls == [({"t": [0, 1]},)] and consumer.on_rebalance.calls == []
    assert commits(cluster) == []
    yield waiting


@with_kafka_member(**PROCESSED)
def test_on_rebalance_is_awaited_before_the_last_commit(cluster, consumer):
    done = concurrent.Future()
    consumer.on_rebalance = told = Told(done)
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    waiting = consumer.consume("t")  # what was handed out is processed
    giving = consumer.allocator.give(t=[1])
    yield gen.sleep(0.1)
    assert told.calls == [({"t": [0]}, {})] and not giving.done()
    consumer.on_rebalance = None
    done.set_result(None)
    yield loop.within(2, giving)
    assert stored(cluster, 0) == 1
    yield waiting


@with_kafka_member(rebalance_timeout=0.2, **MANUAL)
def test_on_rebalance_that_hangs_or_fails_holds_up_nothing(cluster, consumer):
    consumer.on_rebalance = Told(concurrent.Future())
    yield loop.within(1, consumer.allocator.give(t=[1]))
    consumer.on_rebalance = lambda revoked, assigned: 1 / 0
    yield loop.within(1, consumer.allocator.give(t=[0]))
    assert consumer.allocation == {"t": [0]}


@with_kafka_member(**MANUAL)
def test_what_came_is_read_when_on_rebalance_is_done_and_from_where_it_sought(cluster, consumer):
    yield consumer.allocator.give(t=[1])
    cluster.log("t", 0).put(b"a", b"b", b"c")
    done = concurrent.Future()

    def on_rebalance(revoked, assigned):
        """Seeks as soon as a partition is assigned."""
        consumer.seek("t", 0, 2)
        return done

    consumer.on_rebalance = on_rebalance
    giving = consumer.allocator.give(t=[0, 1])
    done.set_result(None)
    yield giving
    assert (yield gather(consumer, 1)) == [b"c"]
    consumer.on_rebalance = None


@with_kafka_member(**MANUAL)
def test_an_error_of_the_group_is_raised_by_consume(cluster, consumer):
    consumer.allocator.error = exc.for_code(30, "group g")
    with pytest.raises(exc.GroupAuthorizationFailedError):
        yield consumer.consume("t")


@with_kafka_member(**MANUAL)
def test_a_loop_around_errors_keeps_nobody_from_its_turn(cluster, consumer):
    consumer.allocator.error = exc.for_code(82, "group g")
    turns = []
    for _ in range(10):
        consumer.io_loop.add_callback(turns.append, 1)
        with pytest.raises(exc.FencedInstanceIdError):
            yield consumer.consume("t")
    assert len(turns) >= 9
