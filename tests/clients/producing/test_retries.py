"""What is sent again, in order, and when a message is given up."""
from __future__ import absolute_import

import os
import random
import time

import pytest
from tornado import concurrent, gen

from kiel import exc

from tests import fake, loop
from tests.clients.producing.producers import connected, records, settled, values
from tests.fake import CLOSE, CUT, MUTE, error, with_cluster


@with_cluster(topics={"t": 1})
def test_a_broker_back_on_its_port_takes_what_waited(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield (yield producer.produce("t", b"1"))
    cluster[1].stop()
    waiting = []
    for value in (b"2", b"3", b"4"):
        waiting.append((yield producer.produce("t", value)))
        yield gen.sleep(0.02)
    assert not any(delivery.done() for delivery in waiting)
    cluster[1].start()
    yield loop.within(5, waiting)
    assert values(cluster) == [b"1", b"2", b"3", b"4"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_messages_go_on_while_only_the_lane_of_quick_requests_is_opened_again(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    release = concurrent.Future()
    cluster[1].on("api_versions", lambda call: release)
    producer.cluster[1].lanes["quick"].close()
    opening = producer.cluster[1].connect()
    yield producer.produce("t", b"2")
    assert not opening.done()
    release.set_result(None)
    yield opening
    yield producer.produce("t", b"3")
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(brokers=2, topics={"t": 1})
def test_a_new_leader_takes_what_waited(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield (yield producer.produce("t", b"1"))
    cluster.log("t").leader = 2
    for value in (b"2", b"3"):
        yield (yield producer.produce("t", value))
    assert values(cluster) == [b"1", b"2", b"3"]
    assert cluster[2].count("produce") == 2
    yield producer.close()


@pytest.mark.parametrize("idempotent", [None, False])
@pytest.mark.parametrize("fault", [CLOSE, CUT, MUTE])
def test_d70_a_lost_connection_loses_no_message(fault, idempotent):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, idempotent=idempotent)
        yield producer.produce("t", b"1")
        cluster[1].on("produce", fault, times=1)
        yield loop.within(5, producer.produce("t", b"2"))
        written = values(cluster)
        # where the answer was cut, the message had been written: without idempotence it is twice
        twice = fault == CUT and idempotent is False
        assert written == ([b"1", b"2", b"2"] if twice else [b"1", b"2"])
        assert producer.sent == {} and settled(producer)
        yield producer.close()
    run()


@pytest.mark.parametrize("fault", [error(6), error(7), error(19), CLOSE])
def test_d75_order_and_partition_hold_on_a_retry(fault):
    @with_cluster(brokers=2, topics={"t": 4})
    def run(cluster):
        producer = yield connected(cluster, linger=0)
        first = []
        for partition in range(4):
            first.append((yield producer.produce("t", b"a", partition=partition)))
        yield first
        for broker in (1, 2):
            cluster[broker].on("produce", fault, times=2)
        deliveries = []
        for text in (b"b", b"c", b"d"):
            for partition in range(4):
                deliveries.append((yield producer.produce("t", text, partition=partition)))
            yield gen.sleep(0.01)
        yield loop.within(5, deliveries)
        for partition in range(4):
            assert values(cluster, partition=partition) == [b"a", b"b", b"c", b"d"]
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_d76_retries_come_by_themselves_with_pauses_and_an_end(cluster):
    producer = yield connected(cluster, linger=0, delivery_timeout=0.5)
    cluster[1].on("produce", error(6))
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    failed = yield loop.raises(exc.DeliveryTimeoutError, delivery.future(), 3)
    assert 0.4 < time.time() - begun < 1
    assert (failed.topic, failed.partition) == ("t", 0)
    assert isinstance(failed.cause, exc.NotPartitionLeaderError)
    assert 3 <= cluster.count("produce") < 30
    # the next message is none the worse for it
    cluster[1].on("produce", None)
    yield loop.within(2, (yield producer.produce("t", b"y")).future())
    assert values(cluster) == [b"y"] and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d76_a_message_in_flight_is_given_up_in_time_too(cluster):
    producer = yield connected(cluster, linger=0, delivery_timeout=1.2, request_timeout=2.0)
    cluster[1].on("produce", MUTE, times=1)
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    yield loop.raises(exc.DeliveryTimeoutError, delivery.future(), 3)
    assert time.time() - begun < 1.9
    late = yield producer.produce("t", b"y")
    yield loop.raises(exc.DeliveryTimeoutError, late.future(), 3)  # its turn did not come
    yield gen.sleep(max(0, begun + 2.2 - time.time()))  # the request's own time is over
    yield loop.within(2, (yield producer.produce("t", b"z")).future())
    assert values(cluster) == [b"z"] and settled(producer)
    yield producer.close()


@pytest.mark.parametrize("seed", range(int(os.environ.get("KIEL_SEEDS", 4))))
def test_whatever_happens_all_is_written_in_order(seed):
    """Faults by chance: no message vanishes, none comes twice or passes another, and nothing is left behind."""
    @with_cluster(brokers=3, topics={"t": 6}, timeout=60)
    def run(cluster):
        chance = random.Random(seed)
        producer = yield connected(
            cluster, linger=chance.choice([0, 0.005]), batch_size=chance.choice([1, 20]),
            max_request_bytes=chance.choice([600, 2000, 100000]), buffer_bytes=8000,
            request_timeout=0.1, connect_timeout=0.3
        )
        faults = [error(6), error(7), error(19), error(5), CLOSE, CUT, MUTE, fake.delay(0.02)]
        done = []

        @gen.coroutine
        def trouble():
            while not done:
                yield gen.sleep(chance.uniform(0, 0.03))
                what = chance.random()
                broker = cluster[chance.randint(1, 3)]
                if what < 0.6:
                    broker.on("produce", chance.choice(faults), times=chance.randint(1, 2))
                elif what < 0.8:
                    cluster.log("t", chance.randrange(6)).leader = chance.randint(1, 3)
                elif what < 0.85:
                    broker.hang_up()
                elif what < 0.9:
                    cluster.log("t", chance.randrange(6)).restart()
                else:
                    cluster.log("t", chance.randrange(6)).leader = -1
            for number in range(6):
                cluster.log("t", number).leader = 1
            for broker in cluster.brokers.values():
                broker.on("produce", None)

        worker = trouble()
        deliveries = []
        for i in range(300):
            if chance.random() < 0.1:
                yield gen.sleep(0.005)
            text = ("%06d" % i).encode("ascii").ljust(chance.randint(6, 60), b".")
            future = producer.produce("t", text, partition=i % 6)
            if chance.random() < 0.5:
                yield future
            deliveries.append(future)
        done.append(True)
        yield worker
        accepted = yield deliveries
        metadata = yield accepted
        for partition in range(6):
            found = records(cluster, partition=partition)
            numbers = [int(record[3][:6]) for record in found]
            assert numbers == list(range(partition, 300, 6)), "seed %d" % seed
            for number in numbers:
                assert metadata[number].offset == -1 or numbers[metadata[number].offset] == number
        assert settled(producer)
        assert (yield producer.close()) == {}
    run()
