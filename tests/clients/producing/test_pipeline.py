"""Several batches of a partition on their way at once: how many; whatever fails, each is written once, in order."""
from __future__ import absolute_import

import struct

import pytest
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.producing.broker_queue import ANYWAY, BrokerQueue
from kiel.clients.producing.partition_queue import IDLE
from kiel.protocol import messages

from tests import loop
from tests.clients.producing.producers import connected, make, settled, values
from tests.fake import CLOSE, MUTE, Call, delay, error, with_cluster

#: with these, two messages of `text` do not fit into one batch
SMALL = dict(max_request_bytes=1000, linger=10, batch_size=10 ** 6)


def text(number, size=300):
    return (b"%03d" % number).ljust(size, b".")


def numbers(cluster, partition=0):
    """The numbers of the messages that were written."""
    return [int(value[:3]) for value in values(cluster, partition=partition)]


def epochs(cluster, partition=0):
    """(epoch, first number) of each batch that was written."""
    data = b"".join(entry[3] for entry in cluster.log("t", partition).batches)
    return [(batch.producer_epoch, batch.base_sequence) for batch in messages.batches(data)]


@gen.coroutine
def begun(cluster, **settings):
    """A producer that has written message 0 to partition 0 of topic t."""
    producer = yield connected(cluster, **dict(SMALL, **settings))
    if producer.transactional_id:
        yield producer.begin()
    yield producer.produce("t", text(0), partition=0)
    yield producer.flush()
    raise gen.Return(producer)


@gen.coroutine
def under_way(cluster, producer, *chosen, **where):
    """
    Sends these messages, a batch each; the first is answered once all are under way. Gives deliveries and a flush.
    """
    partition, requests = where.get("partition", 0), where.get("requests", len(chosen))
    broker = cluster[cluster.log("t", partition).leader]
    usual, all_sent = broker.handlers.get("produce"), concurrent.Future()

    @gen.coroutine
    def hold(call):
        yield all_sent
        if usual is None:
            del broker.handlers["produce"]
        else:
            broker.handlers["produce"] = usual
        answer = broker.handler("produce")
        answer = answer(call) if callable(answer) else answer
        if concurrent.is_future(answer):
            answer = yield answer
        raise gen.Return(answer)

    broker.on("produce", hold)
    deliveries = []
    for number in chosen:
        deliveries.append((yield producer.produce("t", text(number), partition=partition)))
    flushed = producer.flush()
    yield loop.until(lambda: len(producer.sent) >= requests)
    all_sent.set_result(None)
    raise gen.Return((deliveries, flushed))


def in_turn(*handlers):
    """A handler of the next requests, one for each; None is the usual answer."""
    left = list(handlers)

    def handler(call):
        chosen = left.pop(0) if left else None
        return chosen(call) if callable(chosen) else chosen
    return handler


def accept(call):
    """The batch of a request is written, whatever is answered."""
    return call.cluster.log("t").accept(call.request.topics[0].partitions[0].message_set.data)


def swallow(count, then=None):
    """A handler that reads so many requests, writes the batches of all, and hangs up without an answer."""
    @gen.coroutine
    def handler(call):
        accept(call)
        for _ in range(count - 1):
            size, = struct.unpack(">i", (yield call.stream.read_bytes(4)))
            other = Call(call.broker, call.stream, call.connection, (yield call.stream.read_bytes(size)))
            assert other.decode(call.cluster.versions["produce"])
            accept(other)
        if then is not None:
            then()
        raise gen.Return(CLOSE)
    return handler


def gate(then=None):
    """A handler that waits until its `open` is called, and then does the same as another (default: as usual)."""
    opened = concurrent.Future()

    @gen.coroutine
    def handler(call):
        yield opened
        raise gen.Return(then(call) if then is not None else None)
    handler.open = lambda: opened.set_result(None)
    return handler


# -- how many --


@pytest.mark.parametrize("release,settings,most", [
    ("4.4", {}, 5), ("2.4", {}, 5), ("4.4", {"max_in_flight": 2}, 2), ("4.4", {"transactional_id": "x"}, 5),
    ("0.11", {}, 1), ("0.11", {"idempotent": True, "max_in_flight": 3}, 1),
    ("4.4", {"idempotent": False}, 1), ("4.4", {"idempotent": False, "max_in_flight": 7}, 7),
    ("4.4", {"max_in_flight": 7}, 5), ("4.4", {"required_acks": 1}, 1), ("0.10", {}, 1),
    ("0.10", {"max_in_flight": 3}, 3),
])
def test_so_many_batches_of_a_partition_are_under_way(release, settings, most):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster, **settings)
        closed = gate()
        cluster[1].on("produce", closed)
        deliveries, flushed = yield under_way(cluster, producer, *range(1, 10), requests=most)
        yield gen.sleep(0.02)
        assert len(producer.sent) == most
        closed.open()
        yield flushed
        assert numbers(cluster) == list(range(10)) and settled(producer)
        assert [delivery.result().offset for delivery in deliveries] == list(range(1, 10))
        assert set(queue.state for queue in producer._sender._queues.values()) == set([IDLE])
        if producer.transactional_id:
            yield producer.commit()
        yield producer.close()
    run()


def test_more_than_a_broker_knows_again_are_refused():
    @with_cluster()
    def run(cluster):
        for settings in (dict(idempotent=True), dict(transactional_id="x")):
            make(cluster, max_in_flight=5, **settings)
            with pytest.raises(ValueError):
                make(cluster, max_in_flight=6, **settings)
        for wrong, error_of_it in ((0, ValueError), ("5", TypeError), (True, TypeError)):
            with pytest.raises(error_of_it):
                make(cluster, max_in_flight=wrong)
        yield gen.moment
    run()


@with_cluster(topics={"t": 1})
def test_the_first_of_a_partition_goes_alone_and_so_does_one_that_failed(cluster):
    """Brokers take any number of a producer that they don't know: what follows must not be there before."""
    producer = yield connected(cluster, **SMALL)
    first, again = gate(), gate()
    cluster[1].on("produce", first, times=1)
    deliveries = []
    for number in range(5):
        deliveries.append((yield producer.produce("t", text(number))))
    flushed = producer.flush()
    yield loop.until(lambda: cluster.count("produce") == 1)
    yield gen.sleep(0.02)
    assert len(producer.sent) == 1
    cluster[1].on("produce", in_turn(error(6), error(6), error(6), error(6), again))
    first.open()
    yield loop.until(lambda: cluster.count("produce") == 6)
    yield gen.sleep(0.02)
    assert len(producer.sent) == 1  # the oldest of those that failed
    cluster[1].on("produce", None)
    again.open()
    yield flushed
    assert numbers(cluster) == list(range(5)) and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_where_the_order_is_given_up_only_what_failed_goes_alone(cluster):
    producer = yield connected(cluster, idempotent=False, max_in_flight=3, request_timeout=30, **SMALL)
    first, again = gate(error(6)), gate()
    cluster[1].on("produce", in_turn(first, first, first, again))
    deliveries = []
    for number in range(5):
        deliveries.append((yield producer.produce("t", text(number))))
    flushed = producer.flush()
    yield loop.until(lambda: len(producer.sent) == 3)
    yield gen.sleep(0.02)
    assert len(producer.sent) == 3
    first.open()
    yield loop.until(lambda: cluster.count("produce") == 4)
    yield gen.sleep(0.02)
    assert len(producer.sent) == 1  # the oldest of those that failed
    again.open()
    yield flushed
    assert sorted(numbers(cluster)) == list(range(5)) and settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_time_stamps_that_brokers_forget_keep_the_batches_apart(cluster):
    producer = yield connected(cluster, **SMALL)
    for number in range(4):
        yield producer.produce("t", text(number), timestamp=1500000000000)
    cluster[1].on("produce", delay(0.01))
    flushed = producer.flush()
    while not flushed.done():
        assert len(producer.sent) <= 1
        yield gen.sleep(0.002)
    yield flushed
    assert numbers(cluster) == list(range(4))
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_over_a_short_way_what_is_not_full_waits_for_the_answer(cluster):
    producer = yield connected(cluster, linger=0)
    yield (yield producer.produce("t", text(0)))
    producer._sender._broker_queues.get(1).round_trip = 0.0001
    closed = gate()
    cluster[1].on("produce", closed, times=1)
    waiting = yield [producer.produce("t", text(number)) for number in range(1, 9)]
    yield gen.sleep(0.02)
    assert len(producer.sent) == 1
    closed.open()
    yield waiting
    assert cluster.count("produce") == 3 and numbers(cluster) == list(range(9))
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_over_a_long_way_it_follows_at_a_pace(cluster):
    producer = yield connected(cluster, linger=0)
    yield (yield producer.produce("t", text(0)))
    producer._sender._broker_queues.get(1).round_trip = 0.04
    closed = gate()
    cluster[1].on("produce", closed, times=1)
    waiting = []
    for number in range(1, 100):
        waiting.append((yield producer.produce("t", text(number))))
        yield gen.sleep(0.001)
    assert 3 <= len(producer.sent) <= 5
    closed.open()
    yield waiting
    # a handful in each round trip, not one for each message
    assert numbers(cluster) == list(range(100)) and 5 <= cluster.count("produce") <= 30
    yield producer.close()


@with_cluster(topics={"t": 6})
def test_before_the_first_answer_full_batches_wait_for_none(cluster):
    """They become full while they stand in their leader's queue, to which two part-filled ones are on their way."""
    producer = yield connected(cluster, **dict(SMALL, linger=0, request_timeout=30))
    yield producer.cluster[1].open("produce")
    yield loop.until(lambda: producer._transactions.state.prepared)
    producer.cluster[1].lanes["quick"].round_trip = None
    closed = gate()
    cluster[1].on("produce", closed)
    for partition in range(6):
        yield producer.produce("t", text(0), partition=partition)
        yield gen.sleep(0.005)
    assert len(producer.sent) == 2  # whether more would be worth it is not known
    waiting = []
    for partition in range(2, 6):
        for number in (1, 2, 3):
            waiting.append((yield producer.produce("t", text(number), partition=partition)))
    yield loop.until(lambda: len(producer.sent) == 6)
    closed.open()
    yield producer.flush()
    assert [numbers(cluster, partition) for partition in range(6)] == [[0]] * 2 + [[0, 1, 2, 3]] * 4
    yield producer.close()


@with_cluster(topics={"t": 6})
def test_how_far_a_broker_is_shows_when_it_is_dialled(cluster):
    producer = yield connected(cluster, linger=0, request_timeout=30)
    yield producer.cluster[1].open("produce")
    yield loop.until(lambda: producer._transactions.state.prepared)
    producer.cluster[1].lanes["quick"].round_trip = 0.16  # one request more every 10 ms
    closed = gate()
    cluster[1].on("produce", closed)
    for partition in range(6):
        yield producer.produce("t", text(0), partition=partition)
        yield gen.sleep(0.001)
    yield loop.until(lambda: sum(len(request.batches) for request in producer._sender.sent.values()) == 6)
    assert len(producer.sent) > 2
    closed.open()
    yield producer.flush()
    assert [numbers(cluster, partition) for partition in range(6)] == [[0]] * 6
    yield producer.close()


def test_while_answers_are_late_fewer_requests_are_under_way():
    broker_queue = BrokerQueue(1, round_trip=0.1)
    broker_queue.in_flight = 29  # and the one that was answered
    broker_queue.answered(0.2, 1001)
    assert broker_queue.limit > 10 ** 6
    for number in range(20):
        broker_queue.answered(0.23, 1002)
        assert broker_queue.limit == 29.5 - 0.5 * number
    for number in range(5):  # a pause of the broker is over
        broker_queue.answered(0.11, 1003)
        assert broker_queue.limit == 21 + number
    broker_queue.in_flight = 3
    for _ in range(20):
        broker_queue.answered(0.3, 1004)
    assert broker_queue.limit == ANYWAY


def test_a_way_that_became_longer_is_not_taken_for_late_answers_for_long():
    broker_queue = BrokerQueue(1, round_trip=0.01)
    broker_queue.answered(0.01, 100)
    before = broker_queue.limit
    for second in range(1, 10):
        broker_queue.answered(0.1, 100 + second)
    assert broker_queue.limit < before
    broker_queue.round_trip = 0.1  # the sender's estimate follows
    broker_queue.answered(0.1, 111)
    broker_queue.answered(0.1, 122)
    before = broker_queue.limit
    broker_queue.answered(0.1, 123)
    assert broker_queue.limit == before + 1


@with_cluster(topics={"t": 9})
def test_what_hurries_keeps_to_the_limit_and_goes_with_the_answers(cluster):
    producer = yield connected(cluster, **dict(SMALL, request_timeout=30))
    yield producer.produce("t", text(0), partition=0)
    yield producer.flush()
    broker_queue = producer._sender._broker_queues.get(1)
    broker_queue.limit, broker_queue.round_trip = ANYWAY, 0.08
    closed = gate()
    cluster[1].on("produce", closed)
    for partition in range(9):
        yield producer.produce("t", text(1, 500), partition=partition)
    flushed = producer.flush()
    yield loop.until(lambda: len(producer.sent) == ANYWAY)
    yield gen.sleep(0.03)  # the pace would let several go
    assert len(producer.sent) == ANYWAY
    closed.open()
    yield flushed
    assert [numbers(cluster, partition)[-1:] for partition in range(9)] == [[1]] * 9 and settled(producer)
    yield producer.close()


@pytest.mark.parametrize("brokers", [1, 3, 4])
def test_a_small_cluster_is_dialled_before_there_is_a_message(brokers):
    @with_cluster(brokers=brokers, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=0.2, batch_size=10)
        conns = producer.cluster.conns
        if brokers <= 3:
            yield loop.until(lambda: all(conn.is_open("produce") for conn in conns.values()))
            lane = conns[1].lanes["produce"]
            lane.close()
            yield producer.cluster.heal()
            yield gen.moment
            assert conns[1].lanes["produce"] is lane  # what was closed, as a broker does to what is idle, stays so
        else:
            yield gen.sleep(0.05)
            assert not any("produce" in conn.lanes for conn in conns.values())
        # the leader is dialled while the message lingers
        delivery = yield producer.produce("t", text(0))
        leader = conns[cluster.log("t").leader]
        yield loop.until(lambda: leader.is_open("produce"))
        assert not producer.sent and cluster.count("produce") == 0
        yield delivery
        assert numbers(cluster) == [0]
        yield producer.close()
    run()


# -- what fails --


@pytest.mark.parametrize("written", [0, 1, 2, 3])
@pytest.mark.parametrize("knows", ["all", "the last"])
def test_a_connection_is_lost_with_three_in_flight(written, knows):
    """Whatever the broker has of them, and though it may only know the last one again: each is written once."""
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster)
        log = cluster.log("t")
        restart = log.restart if knows == "the last" else None
        cluster[1].on("produce", swallow(written, restart) if written else CLOSE, times=1)
        deliveries = []
        for number in (1, 2, 3):
            deliveries.append((yield producer.produce("t", text(number))))
        yield producer.flush()
        assert numbers(cluster) == [0, 1, 2, 3] and settled(producer)
        assert set(epoch for epoch, _ in epochs(cluster)) == set([0])
        for delivery, offset in zip(deliveries, (1, 2, 3)):
            assert delivery.result().offset in (offset, -1)
        yield producer.produce("t", text(4))
        yield producer.flush()
        assert numbers(cluster) == [0, 1, 2, 3, 4]
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_a_broker_that_has_none_of_those_in_doubt_gets_them_under_new_numbers(cluster):
    """It was restored to what it was before: message 0 is gone, and so is what came after it."""
    producer = yield begun(cluster)
    log = cluster.log("t")

    def lose():
        log.cut(0)
        log.producers[1000] = (0, [(7, 8, 0)])

    cluster[1].on("produce", swallow(3, lose), times=1)
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    yield flushed
    assert numbers(cluster) == [1, 2, 3] and epochs(cluster) == [(1, 0), (1, 1), (1, 2)]
    assert [delivery.result().offset for delivery in deliveries] == [0, 1, 2]
    yield producer.close()


@pytest.mark.parametrize("code", [6, 19, 56, 7])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_passing_error_of_one_of_three(which, code):
    """Those behind it are refused, as numbers are missing; all are sent again as they are."""
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster)
        cluster[1].on("produce", in_turn(*[None] * which + [error(code)]))
        deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
        yield flushed
        assert numbers(cluster) == [0, 1, 2, 3]
        assert epochs(cluster) == [(0, 0), (0, 1), (0, 2), (0, 3)]
        assert [delivery.result().offset for delivery in deliveries] == [1, 2, 3]
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_an_error_of_one_that_was_written_all_the_same(cluster):
    """Those behind it would not have been taken otherwise."""
    producer = yield begun(cluster)
    cluster[1].on("produce", in_turn(lambda call: accept(call) and error(20)(call)))
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    yield flushed
    assert numbers(cluster) == [0, 1, 2, 3] and cluster.count("produce") == 4
    assert [delivery.result().offset for delivery in deliveries] == [-1, 2, 3]
    yield producer.close()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_error_for_good_of_one_of_three(which):
    """The epoch ends; those behind it are renumbered, as they can't have been written."""
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster)
        cluster[1].on("produce", in_turn(*[None] * which + [error(87)]))
        deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
        yield loop.raises(exc.InvalidRecordError, flushed)
        left = [number for number in (1, 2, 3) if number != which + 1]
        assert numbers(cluster) == [0] + left
        assert [delivery.exception() is not None for delivery in deliveries] == [i == which for i in range(3)]
        assert epochs(cluster) == [(0, i) for i in range(which + 1)] + [(1, i) for i in range(2 - which)]
        yield producer.produce("t", text(4))
        yield producer.flush()
        assert numbers(cluster) == [0] + left + [4] and epochs(cluster)[-1] == (1, 2 - which)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_one_that_is_refused_for_good_behind_one_that_is_sent_again(cluster):
    producer = yield begun(cluster)
    cluster[1].on("produce", in_turn(error(6), error(87)))
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3, 4)
    yield loop.raises(exc.InvalidRecordError, flushed)
    assert numbers(cluster) == [0, 1, 3, 4]
    assert [delivery.exception() is not None for delivery in deliveries] == [False, True, False, False]
    assert settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_one_of_three_is_split(cluster):
    producer = yield begun(cluster, max_request_bytes=2000)

    def limit(call):
        if len(call.payload) > 1000:
            call.error_at = (10, None, None)

    cluster[1].on("produce", limit)
    deliveries, flushed = yield under_way(cluster, producer, *range(1, 13), requests=3)
    yield flushed
    assert numbers(cluster) == list(range(13))
    assert [epoch for epoch, _ in epochs(cluster)] == [0] * len(epochs(cluster))
    assert [delivery.result().offset for delivery in deliveries] == list(range(1, 13))
    yield producer.close()


@with_cluster(versions="2.4", topics={"t": 1})
def test_a_broker_that_forgot_the_producer_of_three_in_flight(cluster):
    def forgetful(call):
        log = call.cluster.log("t")
        log.producers.clear()
        data = call.request.topics[0].partitions[0].message_set.data
        if next(iter(messages.batches(data))).base_sequence:  # as brokers before 2.5
            return dict(topics=[dict(name="t", partitions=[
                dict(partition_id=0, error_code=59, offset=-1, log_start_offset=log.start)])])

    producer = yield begun(cluster)
    cluster[1].on("produce", in_turn(forgetful, forgetful, forgetful))
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    yield flushed
    assert numbers(cluster) == [0, 1, 2, 3] and epochs(cluster) == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert [delivery.result().offset for delivery in deliveries] == [1, 2, 3]
    yield producer.close()


@with_cluster(brokers=2, topics={"t": 1})
def test_another_leader_with_three_in_flight(cluster):
    producer = yield begun(cluster)
    closed = gate()
    cluster[1].on("produce", closed)
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    cluster.log("t").leader = 2
    yield producer.cluster.heal()
    late = yield producer.produce("t", text(4))
    again = producer.flush()
    yield gen.sleep(0.02)
    assert cluster[2].count("produce") == 0  # before the old one has answered
    closed.open()
    yield flushed
    yield again
    yield late
    assert numbers(cluster) == [0, 1, 2, 3, 4] and cluster[2].count("produce") >= 4
    assert [delivery.result().offset for delivery in deliveries] == [1, 2, 3]
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_an_epoch_begins_once_the_one_before_is_through(cluster):
    producer = yield begun(cluster)
    yield producer.produce("t", text(0), partition=1)
    yield producer.flush()
    # partition 1 has two under way, the first of which is refused once, when partition 0 loses one for good
    closed = gate(error(6))
    cluster[1].on("produce", in_turn(closed, None, error(87)))
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, partition=1)
    broken = yield producer.produce("t", text(9), partition=0)
    lost = producer.flush()
    yield loop.until(lambda: len(producer.sent) == 3)
    closed.open()
    yield loop.until(lambda: broken.done())
    for partition in (0, 1):
        yield producer.produce("t", text(3), partition=partition)
    yield producer.flush()
    yield flushed
    yield loop.raises(exc.InvalidRecordError, lost)
    assert numbers(cluster, 1) == [0, 1, 2, 3] and numbers(cluster) == [0, 3]
    assert epochs(cluster, 1) == [(0, 0), (0, 1), (0, 2), (1, 0)] and epochs(cluster) == [(0, 0), (1, 0)]
    assert settled(producer)
    yield producer.close()


# -- limits of time, and ends --


@with_cluster(topics={"t": 1})
def test_three_in_flight_are_given_up_in_time(cluster):
    producer = yield begun(cluster, delivery_timeout=0.3, request_timeout=0.6, ack_timeout=50)
    cluster[1].on("produce", MUTE, times=1)
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    yield loop.raises(exc.DeliveryTimeoutError, flushed)
    assert all(isinstance(delivery.exception(), exc.DeliveryTimeoutError) for delivery in deliveries)
    yield loop.until(lambda: not producer.sent)
    yield producer.produce("t", text(4))
    yield producer.produce("t", text(5))
    yield producer.flush()
    assert numbers(cluster) == [0, 4, 5] and epochs(cluster) == [(0, 0), (1, 0), (1, 1)]
    assert settled(producer)
    yield producer.close()


@pytest.mark.parametrize("end", ["close", "late close"])
def test_closing_with_several_in_flight(end):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster)
        cluster[1].on("produce", delay(0.01) if end == "close" else MUTE)
        deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3, 4)
        left = yield producer.close(0.1 if end != "close" else 5)
        if end == "close":
            yield flushed
            assert left == {} and numbers(cluster) == list(range(5))
        else:
            yield loop.raises(exc.ClosedError, flushed)
            assert left == {("t", 0): 4} and numbers(cluster) == [0]
            cluster[1].on("produce", None)
            yield producer.connect()
            yield producer.produce("t", text(5))
            yield producer.flush()
            assert numbers(cluster) == [0, 5]
            yield producer.close()
        assert settled(producer)
        assert all(delivery.done() for delivery in deliveries)
    run()


@pytest.mark.parametrize("fault", [None, 6, 87])
def test_aborting_with_several_in_flight(fault):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster, transactional_id="x")
        closed = gate()
        cluster[1].on("produce", in_turn(closed, *[error(fault)] * (fault is not None)))
        deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
        aborted = producer.abort()
        closed.open()
        yield aborted
        try:
            yield flushed
        except exc.KielError:
            assert fault is not None
        assert cluster.ended[-1][0] is False and settled(producer)
        assert all(delivery.done() for delivery in deliveries)
        yield producer.begin()
        deliveries, flushed = yield under_way(cluster, producer, 4, 5, 6, requests=1)
        yield flushed
        yield producer.commit()
        assert numbers(cluster)[-3:] == [4, 5, 6] and cluster.ended[-1][0] is True
        yield producer.close()
    run()


@pytest.mark.parametrize("code,commits", [(6, True), (87, False), (19, True)])
def test_a_transaction_with_several_in_flight(code, commits):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield begun(cluster, transactional_id="x")
        cluster[1].on("produce", in_turn(None, error(code)))
        deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3, 4)
        if commits:
            yield flushed
            yield producer.commit()
            assert numbers(cluster) == [0, 1, 2, 3, 4]
        else:
            yield loop.raises(exc.InvalidRecordError, flushed)
            yield loop.raises(exc.TransactionFailedError, producer.commit())
            assert numbers(cluster) == [0, 1]
            # those behind it say what the matter is, not that numbers are missing
            assert isinstance(deliveries[2].exception(), exc.TransactionFailedError)
            yield producer.abort()
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_a_child_that_was_forked_with_several_in_flight(cluster):
    producer = yield begun(cluster)
    closed = gate()
    cluster[1].on("produce", closed)
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    producer._pid = -1  # what it is to a child
    producer.on_fork()
    yield loop.raises(exc.ClosedError, producer.produce("t", text(4)))
    yield producer.connect()
    yield loop.raises(exc.ClosedError, flushed)
    assert all(isinstance(delivery.exception(), exc.ClosedError) for delivery in deliveries) and settled(producer)
    closed.open()
    deliveries, flushed = yield under_way(cluster, producer, 5, 6, 7, requests=1)
    yield flushed
    assert [number for number in numbers(cluster) if number > 3] == [5, 6, 7]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_without_acknowledgements(cluster):
    producer = yield connected(cluster, required_acks=0, **SMALL)
    deliveries = []
    for number in range(20):
        deliveries.append((yield producer.produce("t", text(number))))
    yield producer.flush()
    yield loop.until(lambda: len(values(cluster)) == 20)
    assert numbers(cluster) == list(range(20)) and settled(producer)
    assert all(delivery.result().offset == -1 for delivery in deliveries)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_the_order_is_given_up_where_that_was_asked_for_and_nothing_else(cluster):
    producer = yield begun(cluster, idempotent=False, max_in_flight=3)
    cluster[1].on("produce", in_turn(error(6)))
    deliveries, flushed = yield under_way(cluster, producer, 1, 2, 3)
    yield flushed
    assert numbers(cluster) == [0, 2, 3, 1] and settled(producer)
    assert [delivery.result().offset for delivery in deliveries] == [3, 1, 2]
    yield producer.close()
