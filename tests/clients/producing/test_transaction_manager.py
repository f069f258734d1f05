"""Transactions against a scripted Kafka: what is asked of whom, in which version, and what each error leads to."""
from __future__ import absolute_import


import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients.producing.producer_state import BROKEN, COMMITTING, FATAL, OPEN, READY, UNKNOWN
from kiel.protocol import messages
from kiel.retry import Backoff

from tests import loop
from tests.clients.producing.producers import connected, make, settled, values
from tests.clients.producing.transactions import Member, with_protocols, write
from tests.fake import CLOSE, MUTE, error, with_cluster


@with_protocols
def test_commit_and_abort(cluster, producer):
    identity = producer.identity
    for committed in (True, False, True):
        yield producer.begin()
        assert identity.state == OPEN
        yield write(producer, b"1", b"2")
        yield producer.flush()
        yield (producer.commit() if committed else producer.abort())
        assert identity.state == READY and settled(producer)
    ended = [("t", 0)] if identity.level == 1 else []
    assert cluster.ended == [(True, ended), (False, ended), (True, ended)]
    assert cluster.count("add_partitions_to_txn") == (3 if identity.level == 1 else 0)
    calls = [call for call in cluster[1].requests if call.api == "produce"]
    assert set(call.request.transactional_id for call in calls) == {"x"}
    assert all((call.version <= 11) == (identity.level == 1) for call in calls)
    assert [call.version == 5 for call in cluster[1].requests if call.api == "end_txn"] == [identity.level == 2] * 3
    data = b"".join(entry[3] for entry in cluster.log("t").batches)
    found = [(batch.producer_epoch, batch.base_sequence) for batch in messages.batches(data)]
    assert all(batch.is_transactional for batch in messages.batches(data))
    # version 2 of the protocol has an epoch for each transaction
    assert set(epoch for epoch, _ in found) == ({0} if identity.level == 1 else {0, 1, 2})
    assert cluster.count("init_producer_id") == 1


@with_protocols
def test_an_empty_transaction_asks_nobody(cluster, producer):
    yield producer.begin()
    yield producer.commit()
    yield producer.begin()
    yield producer.abort()
    assert cluster.count("end_txn") == 0 and producer.identity.state == READY


@with_protocols
def test_calls_in_the_wrong_order(cluster, producer):
    for call in (producer.commit, producer.abort, lambda: producer.send_offsets(Member({}))):
        yield loop.raises(exc.TransactionStateError, call())
    yield loop.raises(exc.TransactionStateError, producer.produce("t", b"no"))
    with pytest.raises(exc.TransactionStateError):
        producer.produce_nowait("t", b"no")
    refused = yield producer.produce_many("t", [b"no", b"no"])
    yield loop.raises(exc.TransactionStateError, refused.future())
    yield producer.begin()
    yield loop.raises(exc.TransactionStateError, producer.begin())
    yield write(producer, b"1")
    committed = producer.commit()
    again = producer.commit()
    yield loop.raises(exc.TransactionStateError, producer.produce("t", b"no"))
    yield committed
    yield again
    assert cluster.count("end_txn") == 1
    assert values(cluster) == [b"1"]


@with_cluster(topics={"t": 1})
def test_without_a_transactional_id(cluster):
    producer = yield connected(cluster)
    for call in (producer.begin, producer.commit, producer.abort, lambda: producer.send_offsets(Member({}))):
        yield loop.raises(exc.TransactionStateError, call())
    yield producer.produce("t", b"1")
    for settings in (dict(required_acks=1), dict(idempotent=False)):
        with pytest.raises(ValueError):
            make(cluster, transactional_id="x", **settings)
    yield producer.close()


@with_cluster(versions="0.10", topics={"t": 1})
def test_brokers_without_transactions(cluster):
    producer = make(cluster, transactional_id="x")
    yield loop.raises(exc.UnsupportedVersionError, producer.connect())
    yield producer.close()


# -- failures --


@with_cluster(topics={"t": 1})
def test_a_transaction_begins_when_the_brokers_are_back(cluster):
    """Nobody but the producer itself has it look for them."""
    producer = yield connected(cluster, transactional_id="x", retry=Backoff(first=0.02, most=0.05, deadline=0.2))
    cluster[1].stop()
    yield loop.until(lambda: producer.metrics()["connections"] == 0)
    for _ in range(3):
        yield loop.raises(exc.KielError, producer.begin())
    cluster[1].start()
    for _ in range(20):
        try:
            yield producer.begin()
            break
        except exc.NoBrokersError:
            yield gen.sleep(0.02)
    yield write(producer, b"1")
    yield producer.commit()
    assert values(cluster) == [b"1"]
    yield producer.close()


@with_protocols
def test_a_failed_message_is_a_failed_transaction(cluster, producer):
    yield producer.begin()
    cluster[1].on("produce", error(87), times=1)
    lost = yield producer.produce("t", b"1", partition=0)
    failed = yield loop.raises(exc.TransactionFailedError, producer.commit())
    assert isinstance(failed.cause, exc.InvalidRecordError)
    assert isinstance(lost.exception(), exc.InvalidRecordError)
    assert producer.identity.state == BROKEN
    yield loop.raises(exc.TransactionFailedError, producer.produce("t", b"2"))
    yield loop.raises(exc.TransactionFailedError, producer.commit())
    yield loop.raises(exc.TransactionStateError, producer.begin())
    yield producer.abort()
    # the numbers of that epoch have a hole
    assert producer.identity.state == (UNKNOWN if producer.identity.level == 1 else READY)
    yield producer.begin()
    yield write(producer, b"3")
    yield producer.commit()
    assert values(cluster) == [b"3"] and producer.identity.epoch == producer.identity.level
    assert [committed for committed, _ in cluster.ended] == [False, True]


@with_protocols
def test_a_message_that_was_not_even_accepted_fails_the_transaction_too(cluster, producer):
    yield producer.begin()
    deliveries = yield producer.produce_many("t", [b"1", b"x" * 2000000, b"2"], partition=0)
    assert isinstance(deliveries[1].exception(), exc.MessageSizeTooLargeError)
    yield loop.raises(exc.TransactionFailedError, producer.commit())
    yield producer.abort()


@with_protocols
def test_abort_does_not_send_what_waits(cluster, producer):
    yield producer.begin()
    yield write(producer, b"1")
    yield producer.flush()
    cluster[1].on("produce", error(19))  # not enough replicas: sent again and again
    tried = yield producer.produce("t", b"2", partition=0)
    waiting = yield producer.produce("t", b"3", partition=0)
    yield loop.until(lambda: cluster.count("produce") >= 2)
    yield loop.within(2, producer.abort())
    for delivery in (tried, waiting):
        assert isinstance(delivery.exception(), exc.TransactionFailedError)
    cluster[1].on("produce", None)
    yield producer.begin()
    yield write(producer, b"4")
    yield producer.commit()
    assert values(cluster) == [b"1", b"4"]


@pytest.mark.parametrize("api", ["add_partitions_to_txn", "end_txn", "group_coordinator", "init_producer_id"])
@pytest.mark.parametrize("code", [14, 15, 16, 51, "lost"])
def test_what_passes_is_asked_again(api, code):
    @with_cluster(versions="2.8", brokers=2, topics={"t": 2})
    def run(cluster):
        for broker in (1, 2):
            cluster[broker].on(api, CLOSE if code == "lost" else error(code), times=2)
        producer = yield connected(cluster, transactional_id="x")
        yield producer.begin()
        yield write(producer, b"1")
        yield producer.commit()
        assert cluster.ended == [(True, [("t", 0)])]
        assert cluster.count(api) >= 3
        yield producer.close()
    run()


@pytest.mark.parametrize("api", ["add_partitions_to_txn", "end_txn", "produce", "init_producer_id"])
@pytest.mark.parametrize("code,cls", [
    (90, exc.ProducerFencedError), (47, exc.ProducerFencedError), (53, exc.TransactionalIdAuthorizationFailedError),
])
def test_fenced_or_forbidden_for_good(api, code, cls):
    @with_cluster(versions="2.8", topics={"t": 2})
    def run(cluster):
        producer = make(cluster, transactional_id="x", linger=0)
        if api == "init_producer_id":
            cluster[1].on(api, error(code))
            yield loop.raises(cls, producer.connect())
        else:
            yield producer.connect()
            yield producer.begin()
            cluster[1].on(api, error(code))
            if api == "produce":  # what was fenced is known for certain from the coordinator
                cluster[1].on("end_txn", error(code))
            yield producer.produce("t", b"1", partition=0)
            yield loop.raises((cls, exc.TransactionFailedError), producer.commit())
            yield loop.raises(cls, producer.abort())
        assert producer.identity.state == FATAL
        for call in (producer.begin, producer.commit, producer.abort, lambda: producer.produce("t", b"x")):
            yield loop.raises(cls, call())
        yield producer.close()
    run()


@with_protocols
def test_an_end_without_an_answer_can_only_be_asked_for_again(cluster, producer):
    producer.settings.retry.deadline = 0.3
    yield producer.begin()
    yield write(producer, b"1")
    cluster[1].on("end_txn", error(14))
    yield loop.raises(exc.OffsetsLoadInProgressError, producer.commit())
    assert producer.identity.state == COMMITTING
    yield loop.raises(exc.TransactionStateError, producer.abort())
    yield loop.raises(exc.TransactionStateError, producer.begin())
    yield loop.raises(exc.TransactionStateError, producer.produce("t", b"2"))
    cluster[1].on("end_txn", None)
    yield producer.commit()
    assert [committed for committed, _ in cluster.ended] == [True]


@with_cluster(versions="2.8", topics={"t": 1})
def test_an_id_that_the_brokers_forgot(cluster):
    producer = yield connected(cluster, transactional_id="x", linger=0)
    yield producer.begin()
    cluster.transactions.clear()  # as after transactional.id.expiration.ms
    yield producer.produce("t", b"1")
    yield loop.raises(exc.TransactionFailedError, producer.commit())
    yield producer.abort()
    yield producer.begin()
    yield producer.produce("t", b"2")
    yield producer.commit()
    assert values(cluster) == [b"2"] and producer.identity.producer_id == 1001
    yield producer.close()


@with_cluster(versions="2.8", topics={"t": 1})
def test_the_epoch_is_checked_where_that_can_be(cluster):
    """KIP-360: the coordinator refuses the next epoch to a producer that is not the newest."""
    producer = yield connected(cluster, transactional_id="x", linger=0)
    yield producer.begin()
    cluster[1].on("produce", error(87), times=1)
    yield producer.produce("t", b"1")
    yield loop.raises(exc.TransactionFailedError, producer.commit())
    yield producer.abort()
    yield producer.begin()
    asked = [call.request for call in cluster[1].requests if call.api == "init_producer_id"]
    assert [(request.producer_id, request.producer_epoch) for request in asked] == [(-1, -1), (1000, 0)]
    yield producer.close()


@with_cluster(versions="4.4", topics={"t": 1})
def test_a_cluster_that_is_upgraded(cluster):
    producer = yield connected(cluster, transactional_id="x", linger=0)
    yield producer.begin()
    yield producer.produce("t", b"1")
    yield producer.commit()
    cluster.features["transaction.version"] = 2
    cluster[1].hang_up()
    yield loop.until(lambda: not cluster[1].streams)
    yield producer.begin()
    yield producer.produce("t", b"2")
    yield producer.commit()
    assert producer.identity.level == 2
    assert [call.version for call in cluster[1].requests if call.api == "end_txn"] == [4, 5]
    yield producer.close()


# -- closing --


@with_protocols
def test_closing_aborts(cluster, producer):
    yield producer.begin()
    yield write(producer, b"1")
    yield producer.flush()
    assert (yield producer.close()) == {}
    assert [committed for committed, _ in cluster.ended] == [False]
    yield producer.connect()
    yield loop.raises(exc.TransactionStateError, producer.produce("t", b"no"))
    yield producer.begin()
    yield write(producer, b"2")
    yield producer.commit()
    assert values(cluster) == [b"1", b"2"]


@with_cluster(versions="2.8", topics={"t": 1})
def test_closing_takes_no_longer_than_it_may(cluster):
    producer = yield connected(cluster, transactional_id="x", linger=0, request_timeout=30)
    yield producer.begin()
    yield (yield producer.produce("t", b"1"))
    cluster[1].on("end_txn", MUTE)
    begun = producer.io_loop.time()
    yield producer.close(timeout=0.3)
    assert producer.io_loop.time() - begun < 1.5


def test_the_names_are_there():
    assert issubclass(exc.TransactionFailedError, exc.KielError)
    for name in ("begin", "commit", "abort", "send_offsets", "transaction"):
        assert callable(getattr(clients.Producer, name))
