"""Batches to the leaders: what goes together in a request, and that nobody holds up another."""
from __future__ import absolute_import

import random

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients.producing import broker_queue
from kiel.clients.producing.batch import Batch
from kiel.protocol import messages

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import MUTE, delay, with_cluster


@with_cluster(topics={"t": 1})
def test_what_queued_during_a_flight_goes_together(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"0")
    yield [producer.produce("t", b"%d" % i if str is not bytes else str(i)) for i in range(1, 9)]
    assert cluster.count("produce") == 3  # 0; 1; 2 to 8
    assert len(values(cluster)) == 9 and values(cluster) == sorted(values(cluster))
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_several_partitions_in_one_request(cluster):
    producer = yield connected(cluster, linger=10, batch_size=1000)
    for i in range(4):
        yield producer.produce("t", b"x", partition=i % 2)
    yield producer.flush()
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(brokers=2, topics={"t": 2})
def test_a_mute_leader_does_not_hold_up_another(cluster):
    cluster[1].on("produce", MUTE)
    producer = yield connected(cluster, linger=0)
    stuck = yield producer.produce("t", b"x", partition=0)
    for _ in range(5):
        yield (yield producer.produce("t", b"y", partition=1))
    assert not stuck.done()
    cluster[1].on("produce", None)
    yield loop.within(5, stuck.future())
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_a_leaderless_partition_does_not_hold_up_another(cluster):
    cluster.log("t", 0).leader = -1
    producer = yield connected(cluster, linger=0)
    stuck = yield producer.produce("t", b"x", partition=0)
    yield (yield producer.produce("t", b"y", partition=1))
    assert not stuck.done()
    cluster.log("t", 0).leader = 1
    yield loop.within(5, stuck.future())
    assert values(cluster) == [b"x"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_bug_while_sending_fails_the_messages_instead_of_holding_them(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")

    class Strange(Exception):
        pass

    def broken(self, request):
        raise Strange("broken")

    lane = producer.cluster[1].lane("produce")
    lane.send = broken
    yield loop.raises((Strange, TypeError), producer.produce("t", b"y"))
    del lane.send
    yield producer.produce("t", b"z")
    assert values(cluster) == [b"x", b"z"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_handle_produce_response_ignores_a_stranger(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"x")

    class Stranger(object):
        correlation_id = -5

    producer.handle_produce_response(Stranger())
    yield producer.close()


@with_cluster(topics={"t": 5})
def test_d78_requests_stay_below_the_limit(cluster):
    producer = yield connected(
        cluster, linger=10, batch_size=10 ** 6, max_request_bytes=10000
    )
    for i in range(300):
        yield producer.produce("t", b"x" * 200, partition=i % 5)
    yield producer.flush()
    sizes = [len(call.payload) for call in cluster[1].requests if call.api == "produce"]
    assert max(sizes) <= 10000 and len(sizes) > 6
    assert sum(len(values(cluster, partition=i)) for i in range(5)) == 300
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d78_a_batch_too_large_for_the_broker_is_split(cluster):
    def limit(call):
        if len(call.payload) > 1000:
            call.error_at = (10, None, None)

    cluster[1].on("produce", limit)
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    deliveries = []
    for i in range(40):
        size = 2000 if i == 13 else 50
        deliveries.append((yield producer.produce("t", b"%c" % (65 + i) * size
                                                  if str is not bytes else chr(65 + i) * size)))
    yield loop.raises(exc.MessageSizeTooLargeError, producer.flush())
    failures = [i for i, delivery in enumerate(deliveries) if delivery.exception() is not None]
    assert failures == [13]
    assert [value[:1] for value in values(cluster)] == [
        chr(65 + i).encode("ascii") for i in range(40) if i != 13
    ]
    assert [d.result().offset for i, d in enumerate(deliveries) if i != 13] == list(range(39))
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_d78_flights_are_bounded(cluster):
    cluster[1].on("produce", delay(0.01))
    producer = yield connected(cluster, linger=0)
    for i in range(300):
        yield producer.produce("t", b"x", partition=i % 3)
        if i % 10 == 0:
            yield gen.sleep(0.001)
        underway = [pid for topics in producer.sent.values() for pid in topics["t"]]
        assert max([underway.count(pid) for pid in underway] or [0]) <= 5
    yield producer.flush()
    assert cluster.count("produce") <= 100  # what comes in between goes together
    yield producer.close()


@pytest.mark.parametrize("settings", [{}, {"transactional_id": "x"}])
def test_the_loop_turns_between_two_encodings(monkeypatch, settings):
    """Whoever comes first: what is left when a turn is over goes on in the next one."""
    encode = Batch.encode

    @with_cluster(topics={"t": 6}, brokers=2)
    def run(cluster):
        turns = []
        now = [0]

        def count():
            now[0] += 1
            if now[0] < 10 ** 6:
                ioloop.IOLoop.current().add_callback(count)

        def noting(*args):
            turns.append(now[0])
            return encode(*args)

        monkeypatch.setattr(Batch, "encode", noting)
        monkeypatch.setattr(broker_queue, "WORTH_ASKING", 0)
        producer = yield connected(cluster, linger=10, batch_size=10 ** 6, **settings)
        if settings:
            yield producer.begin()
        producer._turn.limit = 0
        count()
        deliveries = yield [producer.produce("t", b"%d" % i, partition=i % 6) for i in range(60)]
        yield loop.within(5, producer.flush())
        assert len(turns) >= 6
        assert max(turns.count(turn) for turn in turns) <= 2  # the one that is due, and the first of the next partition
        for partition in range(6):
            assert values(cluster, "t", partition) == [b"%d" % i for i in range(partition, 60, 6)]
        assert all(delivery.done() for delivery in deliveries) and settled(producer)
        producer.produce("t", b"late")
        if settings:
            yield producer.commit()
        assert (yield producer.close()) == {}
        now[0] = 10 ** 6
    run()


@pytest.mark.parametrize("compression", ["gzip", None])
def test_batches_that_gzip_compresses_are_small_enough_for_a_turn(compression):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, compression=compression, linger=10, batch_size=10 ** 6)
        many = [(b"%06d" % i) * 20 for i in range(4000)]
        rnd = random.Random(1)  # to seed one for each byte took seconds
        large = [bytes(bytearray(rnd.getrandbits(8) for _ in range(200000)))]
        deliveries = yield producer.produce_many("t", many + large + many[:10])
        yield producer.flush()
        yield deliveries
        assert values(cluster) == many + large + many[:10]
        counts = [batch.count for entry in cluster.log("t", 0).batches for batch in messages.batches(entry[3])]
        assert (max(counts) < 1000) == (compression is not None)
        assert (yield producer.close()) == {}
    run()
