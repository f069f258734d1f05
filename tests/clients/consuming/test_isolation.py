"""What is left out under read_committed: batch by batch, and through a consumer of a scripted broker."""
from __future__ import absolute_import

import collections

import pytest

from kiel import exc
from kiel.clients.consuming import isolation
from kiel.clients.single import SingleConsumer
from kiel.protocol import messages

from tests import fake, logs
from tests.clients.consuming.consumers import gather, with_consumer

Aborted = collections.namedtuple("Aborted", "producer_id first_offset")

COMMITTED = dict(isolation_level="read_committed")


def read(log, *aborted):
    """The values that a reader of committed messages sees of a log."""
    batches = messages.batches(log.read(0, 1 << 20, True))
    kept = isolation.without_aborted(batches, [Aborted(*item) for item in aborted])
    assert [batch.next_offset for batch in kept] == [batch.next_offset for batch in batches]
    assert [batch.size for batch in kept] == [batch.size for batch in batches]
    values = [value for batch in kept for value in batch.values()]
    assert values == [record[3] for batch in kept for record in batch.records()]
    return values


@pytest.fixture
def log():
    return logs.PartitionLog(1)


def test_an_aborted_transaction_is_left_out_and_the_next_of_its_producer_is_not(log):
    log.put_transactional(7, b"no")
    log.put_transactional(7, b"no", b"nor this")
    log.put_marker(7, False, 0)
    log.put_transactional(7, b"yes")
    log.put_marker(7, True)
    assert read(log, (7, 0)) == [b"yes"]
    assert read(log) == [b"no", b"no", b"nor this", b"yes"]


def test_two_producers_whose_batches_mix(log):
    log.put_transactional(1, b"a1")
    log.put_transactional(2, b"b1")
    log.put(b"plain")
    log.put_transactional(1, b"a2")
    log.put_marker(2, True)
    log.put_marker(1, False, 0)
    assert read(log, (1, 0)) == [b"b1", b"plain"]


def test_the_list_is_taken_in_the_order_of_offsets_whatever_its_own(log):
    log.put_transactional(1, b"a")
    log.put_marker(1, False, 0)
    log.put_transactional(1, b"kept")
    log.put_marker(1, True)
    log.put_transactional(1, b"b")
    log.put_marker(1, False, 4)
    assert read(log, (1, 4), (1, 0)) == [b"kept"]


def test_what_a_producer_wrote_outside_of_transactions_is_kept(log):
    log.append(logs.batch(0, [(None, b"idempotent", (), 1)], 0, None, 7))
    assert read(log, (7, 0)) == [b"idempotent"]


def test_a_transaction_that_began_before_what_was_fetched(log):
    log.put_transactional(7, b"no")
    log.put_marker(7, False, -5)
    assert read(log, (7, -5)) == []


def test_a_batch_left_out_by_a_broken_header_raises(log):
    log.put_transactional(7, b"no")
    first, last, stamp, data = log.batches[0]
    broken = bytearray(data)
    broken[-1] ^= 1
    log.batches[0] = first, last, stamp, bytes(broken)
    batch, = isolation.without_aborted(messages.batches(bytes(broken)), [Aborted(7, 0)])
    with pytest.raises(exc.CorruptMessageError):
        batch.values()
    assert batch.values(check_crcs=False) == []


def test_a_marker_that_cannot_be_read_raises_even_without_checksums(log):
    log.append(logs.batch(0, [(b"?", b"", (), 1)], logs.TRANSACTIONAL | logs.CONTROL, None, 7))
    batch, = isolation.without_aborted(messages.batches(log.batches[0][3]), [Aborted(7, 0)])
    for read_it in (batch.values, batch.records):
        with pytest.raises(exc.CorruptMessageError):
            read_it(check_crcs=False)


def test_a_level_that_is_none():
    assert isolation.level("read_committed") == 1
    for name in ("committed", None, True, 2, []):
        with pytest.raises(ValueError):
            SingleConsumer("localhost:1", isolation_level=name)


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_brokers_without_transactions_are_read_as_ever(release):
    @with_consumer(COMMITTED, versions=release, topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        assert (yield gather(consumer, 1)) == [b"a"]
        assert (yield consumer.end_offsets("t")) == {0: 1}
    check()


@pytest.mark.parametrize("release", ["0.11", "4.4"])
@pytest.mark.parametrize("level", ["read_committed", "read_uncommitted"])
def test_a_consumer(release, level):
    @with_consumer(dict(isolation_level=level), versions=release, topics={"t": 1})
    def check(cluster, consumer):
        committed = level == "read_committed"
        log = cluster.log("t")
        log.put_transactional(7, b"aborted")
        log.put_marker(7, False, 0)
        log.put_transactional(7, b"committed")
        log.put_marker(7, True)
        log.stable = log.put_transactional(8, b"open")
        log.put(b"behind it")
        assert (yield consumer.end_offsets("t")) == {0: 4 if committed else 6}
        wanted = [b"committed"] if committed else [b"aborted", b"committed", b"open", b"behind it"]
        assert (yield gather(consumer, len(wanted))) == wanted
        # an empty rest, the marker, is stepped over by the next call
        assert (yield consumer.consume("t")) == []
        assert consumer.position("t", 0) == (4 if committed else 6)
        assert consumer.lag("t", 0) == 0
        log.put_marker(8, True)
        log.stable = None
        if committed:
            assert (yield gather(consumer, 2)) == [b"open", b"behind it"]
        assert (yield consumer.consume("t")) == []
        assert consumer.position("t", 0) == 7 and consumer.lag("t", 0) == 0
    check()
