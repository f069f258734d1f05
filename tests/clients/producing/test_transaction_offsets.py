"""Offsets of a consumer that are part of a transaction: what is asked of whom, and what each error leads to."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc

from tests import loop
from tests.clients.producing.transactions import Member, with_protocols, write
from tests.fake import error


@with_protocols
def test_offsets_of_a_consumer(cluster, producer):
    level = producer.identity.level
    yield producer.begin()
    yield write(producer, b"1")
    consumer = Member({("t", 0): 7, ("t", 1): 9})
    assert (yield producer.send_offsets(consumer)) == consumer.offsets
    assert consumer.committed == []
    yield producer.commit()
    assert consumer.committed == [consumer.offsets]
    (committed, found), = cluster.ended
    offsets = [("g", "t", 0, 7), ("g", "t", 1, 9)]
    assert committed and sorted(found, key=str) == sorted(offsets + (["g", ("t", 0)] if level == 1 else []), key=str)
    asked, = [call for call in cluster[1].requests if call.api == "txn_offset_commit"]
    assert asked.version >= 5 if level == 2 else asked.version <= 4
    signed = asked.version >= 3
    assert (asked.request.member_id, asked.request.generation) == (("member", 5) if signed else ("", -1))


@with_protocols
def test_offsets_that_are_named(cluster, producer):
    yield producer.begin()
    consumer = Member(ValueError("not asked"))
    assert (yield producer.send_offsets(consumer, {"t": {0: 3, 1: 4}})) == {("t", 0): 3, ("t", 1): 4}
    yield producer.commit()
    assert consumer.committed == [{("t", 0): 3, ("t", 1): 4}] and consumer.signed == [("t", 0), ("t", 1)]


@with_protocols
def test_offsets_of_a_partition_that_has_gone_meanwhile(cluster, producer):
    """In the member's next generation the brokers would take them, though somebody else has come further."""
    yield producer.begin()
    consumer = Member({("t", 0): 7, ("t", 1): 9}, gone=[("t", 1)])
    failed = yield loop.raises(exc.TransactionFailedError, producer.send_offsets(consumer))
    assert isinstance(failed.cause, exc.NotOwnedError) and not cluster.count("txn_offset_commit")
    yield producer.abort()


@with_protocols
def test_offsets_of_an_aborted_transaction(cluster, producer):
    yield producer.begin()
    consumer = Member({("t", 0): 7})
    yield producer.send_offsets(consumer)
    yield producer.abort()
    yield producer.begin()
    yield producer.commit()
    assert consumer.committed == []


@with_protocols
def test_offsets_that_must_not_be_committed(cluster, producer):
    for trouble in (22, 25, 82, exc.NotOwnedError("lost")):
        yield producer.begin()
        yield write(producer, b"1")
        consumer = Member(trouble if isinstance(trouble, Exception) else {("t", 0): 7})
        if not isinstance(trouble, Exception):
            cluster[1].on("txn_offset_commit", error(trouble), times=1)
        yield loop.raises(exc.TransactionFailedError, producer.send_offsets(consumer))
        yield loop.raises(exc.TransactionFailedError, producer.commit())
        yield producer.abort()
    assert not any(committed for committed, _ in cluster.ended)


@with_protocols
def test_a_consumer_that_commits_by_itself_is_refused(cluster, producer):
    yield producer.begin()
    for autocommit in (True, "processed"):
        consumer = Member({("t", 0): 7})
        consumer.autocommit = autocommit
        yield loop.raises(ValueError, producer.send_offsets(consumer))
    assert (yield producer.send_offsets(Member({}))) == {}
    yield producer.commit()
    assert cluster.ended == []


@with_protocols
def test_a_commit_that_is_answered_after_a_reset_is_told_to_its_own_consumers(cluster, producer):
    """As where a client closes, or begins anew, while its commit is under way: what comes after has its own offsets."""
    first, second = Member({("t", 0): 7}), Member({("t", 0): 8})
    yield producer.begin()
    yield producer.send_offsets(first)
    cluster[1].on("end_txn", delayed, times=1)
    committing = producer.commit()
    yield loop.until(lambda: cluster.count("end_txn"))
    producer._transactions.reset()
    yield producer.begin()
    yield producer.send_offsets(second)
    yield committing
    assert first.committed == [first.offsets] and second.committed == []
    yield producer.commit()
    assert second.committed == [second.offsets] and len(first.committed) == 1


@gen.coroutine
def delayed(call):
    """A handler: the usual answer, a little later."""
    yield gen.sleep(0.3)
    answer = yield call.usual()
    raise gen.Return(answer)
