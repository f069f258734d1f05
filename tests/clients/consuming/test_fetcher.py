"""Which partitions are asked for, when and in which fetch; leaders that move, fail or idle."""
from __future__ import absolute_import

import time

import pytest
from tornado import gen

from kiel import exc
from kiel.clients.single import SingleConsumer

from tests import fake, loop
from tests.clients.consuming.consumers import gather, with_consumer


@with_consumer(topics={"t": 2}, brokers=2)
def test_a_leader_that_moves_loses_and_repeats_nothing(cluster, consumer):
    for partition in (0, 1):
        cluster.log("t", partition).put(b"%d" % partition)
    assert sorted((yield gather(consumer, 2))) == [b"0", b"1"]
    cluster.log("t", 1).leader = 1
    cluster.log("t", 1).put(b"moved")
    assert (yield gather(consumer, 1)) == [b"moved"]


@pytest.mark.parametrize("fault", [
    fake.CLOSE, fake.CUT, fake.MUTE, fake.error(1), fake.error(6), fake.error(29), fake.error(4711),
    b"\0nonsense",
])
def test_d26_one_leader_fails_and_the_other_ones_messages_come_once(fault):
    @with_consumer(topics={"t": 2}, brokers=2)
    def check(cluster, consumer):
        for number in range(3):
            cluster.log("t", 0).put(b"%d" % number)
        cluster[2].on("fetch", fault)
        messages = []
        for _ in range(4):
            try:
                messages.extend((yield loop.within(3, consumer.consume("t", SingleConsumer.BEGINNING))))
            except exc.KielError:
                pass
        assert messages == [b"0", b"1", b"2"]
        cluster[2].on("fetch", None)
        cluster.log("t", 1).put(b"back")
        late = []
        for _ in range(20):
            try:
                late.extend((yield loop.within(3, consumer.consume("t"))))
            except exc.KielError:
                pass
            if late:
                break
        assert late == [b"back"]
    check()


@with_consumer(topics={"t": 2}, brokers=2)
def test_d29_a_partition_without_a_leader_does_not_hold_up_the_others(cluster, consumer):
    cluster.log("t", 1).leader = -1
    yield consumer.cluster.heal()
    cluster.log("t", 0).put(b"a")
    assert (yield gather(consumer, 1, seconds=1)) == [b"a"]
    cluster.log("t", 1).put(b"b")
    yield consumer.consume("t")
    cluster.log("t", 1).leader = 2
    assert (yield gather(consumer, 1)) == [b"b"]


@with_consumer(dict(max_wait_time=3000), topics={"t": 2}, brokers=2)
def test_d35_an_idle_leader_does_not_hold_up_a_busy_one(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    for number in range(5):
        begun = time.time()
        assert (yield gather(consumer, 1)) == [b"a"]
        assert time.time() - begun < 0.5
        cluster.log("t", 0).put(b"a")


@with_consumer(dict(max_wait_time=3000), topics={"t": 2}, brokers=1)
def test_d35_an_idle_partition_does_not_hold_up_a_busy_one_of_the_same_leader(cluster, consumer):
    for number in range(5):
        cluster.log("t", 0).put(b"a")
        begun = time.time()
        assert (yield gather(consumer, 1)) == [b"a"]
        assert time.time() - begun < 0.5


@with_consumer(dict(max_bytes=100), topics={"t": 30}, versions="0.8")
def test_d35_no_limit_is_too_small_to_make_progress(cluster, consumer):
    for partition in range(30):
        cluster.log("t", partition).put(b"x" * 500)
    assert len((yield gather(consumer, 30))) == 30
    for call in cluster[1].requests:
        if call.api == "fetch":
            assert all(part.max_bytes >= 100 for topic in call.request.topics for part in topic.partitions)
    assert cluster[1].count("fetch") < 100


@with_consumer(dict(max_wait_time=500), topics={"t": 1, "u": 1})
def test_d35_several_topics_share_one_fetch(cluster, consumer):
    both = gen.multi([consumer.consume("t"), consumer.consume("u")])

    def shared():
        return any(len(call.request.topics) == 2 for call in cluster[1].requests if call.api == "fetch")

    yield both
    for _ in range(3):
        yield [consumer.consume("t"), consumer.consume("u")]
    assert shared()


@with_consumer(dict(max_wait_time=500), topics={"t": 1, "u": 1, "v": 1})
def test_idle_topics_are_not_polled(cluster, consumer):
    begun = time.time()

    @gen.coroutine
    def reader(topic, phase):
        yield gen.sleep(phase)
        while time.time() - begun < 2:
            assert (yield consumer.consume(topic)) == []

    yield [reader("t", 0), reader("u", 0.1), reader("v", 0.23)]
    assert cluster.count("fetch") < 30
    before = cluster.count("fetch")
    yield gen.sleep(0.7)  # nobody waits: one fetch under way may end, none begins
    assert cluster.count("fetch") <= before + 1


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_each_partition_may_fill_a_fetch_where_the_broker_bounds_the_whole(release):
    """Fetch version 3 and later; Kafka 4 serves none before 4, and was once taken for one that is older."""
    @with_consumer(versions=release, topics={"t": 10})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        assert (yield consumer.consume("t", SingleConsumer.BEGINNING)) == [b"a"]
        asked = next(call.request for call in cluster[1].requests if call.api == "fetch")
        limits = set(part.max_bytes for topic in asked.topics for part in topic.partitions)
        whole = fake.VERSIONS[release]["fetch"][1] >= 3
        assert limits == {consumer.max_bytes if whole else consumer.max_bytes // 10}
    check()
