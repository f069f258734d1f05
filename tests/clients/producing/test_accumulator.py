"""Messages into batches: when a batch is sent, what is counted meanwhile, and who waits for room."""
from __future__ import absolute_import

import gc
import time

import pytest
from tornado import gen, ioloop

from kiel.clients.delivery import Delivery

from tests import fake, loop
from tests.clients.producing.producers import connected, values
from tests.fake import with_cluster


@with_cluster(topics={"t": 1})
def test_the_call_that_fills_the_batch_waits(cluster):
    producer = yield connected(cluster, batch_size=3)
    one = yield producer.produce("t", b"1")
    two = yield producer.produce("t", b"2")
    assert not one.done() and not two.done() and producer.unsent_count == 2
    assert [message.value for message in producer.unsent["t"]] == [b"1", b"2"]
    assert cluster.count("produce") == 0
    three = yield producer.produce("t", b"3")
    assert one.done() and two.done() and three.done()
    assert cluster.count("produce") == 1
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(topics={"t": 1, "u": 1})
def test_batch_size_counts_over_all_topics(cluster):
    producer = yield connected(cluster, batch_size=2)
    yield producer.produce("t", b"1")
    yield producer.produce("u", b"2")
    assert values(cluster) == [b"1"] and values(cluster, "u") == [b"2"]
    yield producer.close()


@pytest.mark.parametrize("batch_size", [0, None, 1])
def test_each_call_flushes(batch_size):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, batch_size=batch_size)
        yield producer.produce("t", b"1")
        yield producer.produce("t", b"2")
        assert cluster.count("produce") == 2
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_linger_waits_only_for_room(cluster):
    producer = yield connected(cluster, linger=0.05, batch_size=1000)
    deliveries = []
    for i in range(10):
        deliveries.append((yield producer.produce("t", b"x")))
    assert cluster.count("produce") == 0
    yield deliveries[0]
    assert all(delivery.done() for delivery in deliveries)
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_messages_without_key_and_headers_take_no_columns_for_them(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    yield producer.produce("t", b"a")
    producer.produce_nowait("t", b"b")
    yield producer.produce_many("t", [b"c", None])
    batch = producer._accumulator.routes.get("t").chosen
    assert len(batch) == 4 and batch.records.keys is None and batch.records.headers is None
    yield producer.produce("t", b"d", key=b"")
    yield producer.produce("t", b"e", headers={"h": None})
    yield producer.produce("t", b"f")
    assert batch.records.keys == [None] * 4 + [b"", None, None]
    assert batch.records.headers == [None] * 5 + [[(b"h", None)], None]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_ready_answers_let_the_loop_turn(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 9)
    turns = []
    io_loop = ioloop.IOLoop.current()

    def turn():
        turns.append(None)
        if len(turns) < 10:
            io_loop.add_callback(turn)

    yield producer.produce("t", b"x")
    io_loop.add_callback(turn)
    begun = time.time()
    while time.time() < begun + 10 and len(turns) < 10:
        yield producer.produce("t", b"x")
    assert len(turns) == 10  # without turns: none
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d76_a_part_filled_batch_leaves_by_itself(cluster):
    producer = yield connected(cluster, batch_size=1000)
    begun = time.time()
    delivery = yield producer.produce("t", b"x")
    yield loop.within(5, delivery.future())
    assert 0.04 < time.time() - begun
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_d78_the_buffer_is_bounded_and_produce_waits_in_order(cluster):
    producer = yield connected(cluster, linger=0, buffer_bytes=2000)
    cluster[1].on("produce", fake.delay(0.05))
    futures = [producer.produce("t", b"%03d" % i * 100 if str is not bytes else "%03d" % i * 100)
               for i in range(20)]
    assert sum(future.done() for future in futures) == 5
    assert producer.buffered <= 2000
    most = 0
    while not all(future.done() for future in futures):
        most = max(most, producer.buffered)
        yield gen.sleep(0.005)
    assert most <= 2000
    yield producer.flush()
    assert [int(value[:3]) for value in values(cluster)] == list(range(20))
    assert producer.buffered == 0
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_no_object_stays_per_message(cluster):
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    yield producer.produce("t", b"x")
    gc.collect()
    before = len([1 for item in gc.get_objects() if isinstance(item, (Delivery, gen.Future))])
    for _ in range(1000):
        yield producer.produce("t", b"x")
    gc.collect()
    after = len([1 for item in gc.get_objects() if isinstance(item, (Delivery, gen.Future))])
    assert after - before < 20
    yield producer.close()
