"""Each message once and in order on real brokers, though answers are lost: by a proxy that counts what it loses."""
from __future__ import absolute_import

import collections
import os
import random
import uuid

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.protocol import fetch, messages
from kiel.retry import Backoff

from tests import loop
from tests.integration import losing, peer

#: those that know idempotent producers
RELEASES = [
    name for name in (peer.RELEASES if os.environ.get("KIEL_KAFKA") else peer.share("0.11.0.3", "4.4.0"))
    if tuple(int(part) for part in name.partition("-")[0].split(".")) >= (0, 11)
]

#: the key of Produce
PRODUCE = 0


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    return peer.shared(request.param)


def new_topic(kafka, partitions=1, **settings):
    topic = "once-" + uuid.uuid4().hex[:8]
    kafka.create_topic(topic, partitions, **settings)
    return topic


def run(body):
    """Runs a generator function as the test's coroutine."""
    return loop.run(gen.coroutine(body), timeout=60)


@gen.coroutine
def connected(kafka, choose=None, **settings):
    """A producer, behind a `losing.Proxy` if it is to lose something; both are given."""
    producer = clients.Producer(
        kafka.bootstrap, serializer=lambda message: message,
        retry=Backoff(first=0.02, most=0.2, deadline=30), **settings
    )
    proxy = losing.Proxy(producer)
    yield producer.connect()
    if choose is not None:
        proxy.choose = choose
    raise gen.Return((producer, proxy))


@gen.coroutine
def batches(producer, topic, partition=0):
    """All batches of a partition, by plain fetches."""
    found = []
    offset = 0
    while True:
        request = fetch.FetchRequest(
            replica_id=-1, max_wait_time=100, min_bytes=1, max_bytes=10 ** 7, topics=[
                fetch.TopicRequest(name=topic, partitions=[
                    fetch.PartitionRequest(partition_id=partition, offset=offset, max_bytes=10 ** 7)
                ])
            ]
        )
        request.narrow = (4, 12)  # by name
        answer = yield producer.cluster[producer.cluster.get_leader(topic, partition)].send(request)
        part = answer.topics[0].partitions[0]
        assert part.error_code == 0, part
        found.extend(messages.batches(part.message_set.data or b""))
        if found:
            offset = found[-1].next_offset
        if offset >= part.highwater_mark_offset:
            raise gen.Return(found)


def values_of(found):
    return [value for batch in found for value in batch.values()]


def numbered(start, count):
    return [("%08d" % number).encode("ascii") for number in range(start, start + count)]


@pytest.mark.parametrize("idempotent", [None, False])
def test_lost_answers(kafka, idempotent):
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(10 ** 6))
    chance = random.Random(seed)
    topic = new_topic(kafka, 3)

    def body():
        producer, proxy = yield connected(
            kafka, losing.Losses(seed, [PRODUCE]), linger=0.001, idempotent=idempotent, compression="gzip"
        )
        for value in numbered(0, 300):
            yield producer.produce(topic, value, partition=chance.randrange(3))
            yield gen.sleep(0.002)
        yield producer.flush()
        lost = proxy.lost[PRODUCE]
        proxy.choose = lambda api_key: losing.PASS
        found = []
        for partition in range(3):
            part = values_of((yield batches(producer, topic, partition)))
            found.extend(part)
            if idempotent is None:
                assert part == sorted(set(part)), "seed %d" % seed
        assert lost > 2, "seed %d" % seed
        if idempotent is None:
            assert sorted(found) == numbered(0, 300), "seed %d" % seed
        else:  # what the numbers are good for
            assert set(found) == set(numbered(0, 300)) and len(found) > 300
        assert (yield producer.close()) == {}
        proxy.stop()
    run(body)


@pytest.mark.parametrize("fate", [losing.CUT, losing.HOLD])
def test_given_up_after_it_was_sent(kafka, fate):
    """Written without an answer, or never written: either way what follows goes on, each message once."""
    topic = new_topic(kafka, 2)

    def body():
        producer, proxy = yield connected(
            kafka, linger=0, delivery_timeout=1.5, request_timeout=0.3, ack_timeout=100
        )
        for partition in (0, 1):
            yield (yield producer.produce(topic, b"1", partition=partition))
        proxy.choose = lambda api_key: fate if api_key == PRODUCE else losing.PASS
        lost = yield producer.produce(topic, b"2", partition=0)
        yield loop.raises(exc.DeliveryTimeoutError, lost.future())
        assert proxy.lost[PRODUCE] > 1
        proxy.choose = lambda api_key: losing.PASS
        for value in (b"3", b"4"):
            for partition in (0, 1):
                yield (yield producer.produce(topic, value, partition=partition))
        expected = {0: [b"1", b"3", b"4"] if fate == losing.HOLD else [b"1", b"2", b"3", b"4"],
                    1: [b"1", b"3", b"4"]}
        for partition in (0, 1):
            found = yield batches(producer, topic, partition)
            assert values_of(found) == expected[partition]
            assert len(set(batch.producer_id for batch in found)) == 1
            assert [batch.producer_epoch for batch in found][-2:] == [1, 1]
        assert (yield producer.close()) == {}
        proxy.stop()
    run(body)


def test_a_hole_in_the_numbers(kafka):
    """The broker refuses what is out of order; the batch is made anew in the next epoch."""
    topic = new_topic(kafka)

    def body():
        producer, proxy = yield connected(kafka)
        yield producer.produce(topic, b"1")
        producer._sender.queue(topic, 0).following = 5
        yield producer.produce(topic, b"2")
        yield producer.produce(topic, b"3")
        found = yield batches(producer, topic)
        assert values_of(found) == [b"1", b"2", b"3"]
        assert [(batch.producer_epoch, batch.base_sequence) for batch in found] == [(0, 0), (1, 0), (1, 1)]
        yield producer.close()
        proxy.stop()
    run(body)


def test_a_topic_of_an_old_message_format(kafka, caplog):
    if kafka.version.startswith("4"):
        pytest.skip("Kafka 4 has one message format")
    topic = new_topic(kafka, config={"message.format.version": "0.10.2"})

    def body():
        producer, proxy = yield connected(kafka)
        for value in numbered(0, 3):
            yield producer.produce(topic, value)
        assert values_of((yield batches(producer, topic))) == numbered(0, 3)
        yield producer.close()
        proxy.stop()
    run(body)
    warnings = collections.Counter(
        record.levelname for record in caplog.records if record.name == "kiel.clients.producing.producer_id"
    )
    # an older one refuses numbered batches of a topic whose format has no place for the numbers; Kafka 3 has one format
    assert warnings == ({} if kafka.version.startswith("3") else {"WARNING": 1})
