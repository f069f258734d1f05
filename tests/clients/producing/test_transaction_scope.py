"""Transactions as blocks of code: committed at their end, aborted where an exception leaves them."""
from __future__ import absolute_import

import logging
import sys

import pytest
from tornado import gen

from kiel import exc
from kiel.clients.producing.producer_state import READY

from tests import loop
from tests.clients.producing.producers import connected, values
from tests.clients.producing.transactions import with_protocols, write
from tests.fake import error, with_cluster


@with_protocols
def test_a_block(cluster, producer):
    with (yield producer.transaction()) as transaction:
        yield write(producer, b"1")
        with pytest.raises(RuntimeError):
            transaction.outcome()
    yield transaction.outcome()
    with pytest.raises(ZeroDivisionError):
        with (yield producer.transaction()):
            yield write(producer, b"2")
            1 / 0
    with (yield producer.transaction()) as transaction:  # waits for the abort
        yield write(producer, b"3")
    yield transaction.outcome()
    assert [committed for committed, _ in cluster.ended][:1] == [True]
    assert [committed for committed, _ in cluster.ended][-1:] == [True]
    assert values(cluster)[-1] == b"3" and producer.identity.state == READY
    with pytest.raises(RuntimeError):
        with producer.transaction():
            pass


@with_protocols
def test_a_block_that_cannot_be_committed_is_aborted(cluster, producer):
    cluster[1].on("produce", error(87), times=1)
    with (yield producer.transaction()) as transaction:
        yield write(producer, b"1")
    yield loop.raises(exc.TransactionFailedError, transaction.outcome())
    with (yield producer.transaction()) as transaction:
        yield write(producer, b"2")
    yield transaction.outcome()
    assert values(cluster) == [b"2"]


@with_protocols
def test_a_block_ended_by_hand(cluster, producer):
    with (yield producer.transaction()) as transaction:
        yield write(producer, b"1")
        yield producer.flush()
        yield producer.abort()
    yield transaction.outcome()
    assert [committed for committed, _ in cluster.ended] == [False]


@with_protocols
def test_async_with(cluster, producer):
    """What ``async with`` calls, as Python 2 can write it."""
    scope = producer.transaction()
    assert (yield scope.__aenter__()) is scope
    yield write(producer, b"1")
    assert not (yield scope.__aexit__(None, None, None))
    scope = producer.transaction()
    yield scope.__aenter__()
    yield write(producer, b"2")
    yield producer.flush()
    assert not (yield scope.__aexit__(ValueError, ValueError(), None))
    assert [committed for committed, _ in cluster.ended] == [True, False]


NATIVE = """
async def use(producer, value, error=None):
    async with producer.transaction() as transaction:
        assert transaction is not None
        await producer.produce("t", value, partition=0)
        await producer.flush()
        if error is not None:
            raise error
"""


@pytest.mark.skipif(sys.version_info < (3, 5), reason="async with is Python 3's")
@with_protocols
def test_async_with_in_a_native_coroutine(cluster, producer):
    names = {}
    exec(NATIVE, names)
    yield names["use"](producer, b"1")
    yield loop.raises(ZeroDivisionError, gen.convert_yielded(names["use"](producer, b"2", ZeroDivisionError())))
    cluster[1].on("produce", error(87), times=1)
    yield loop.raises(exc.InvalidRecordError, gen.convert_yielded(names["use"](producer, b"3")))
    assert [committed for committed, _ in cluster.ended] == [True, False, False]


def test_an_outcome_that_nobody_waits_for_is_logged(caplog):
    @with_cluster(versions="2.8", topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, transactional_id="x", linger=0)
        cluster[1].on("produce", error(87), times=1)
        with (yield producer.transaction()):
            yield producer.produce("t", b"1")
        yield loop.until(lambda: [committed for committed, _ in cluster.ended] == [False])
        yield producer.close()
    run()
    assert [record for record in caplog.records
            if record.levelno == logging.ERROR and "not committed" in record.getMessage()]
