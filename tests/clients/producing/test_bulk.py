"""`produce_many`."""
from __future__ import absolute_import

import pytest

from kiel import exc

from tests.clients.producing.producers import connected, records, values
from tests.fake import with_cluster


@with_cluster(topics={"t": 3})
def test_many_at_once(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    texts = [("%03d" % i).encode("ascii") for i in range(500)]
    deliveries = yield producer.produce_many("t", texts)
    found = yield deliveries
    assert len(deliveries) == 500
    for text, delivery, metadata in zip(texts, deliveries, found):
        written = records(cluster, "t", metadata.partition)[metadata.offset]
        assert written[3] == text and delivery.result() == metadata
    for partition in range(3):
        assert values(cluster, "t", partition) == sorted(values(cluster, "t", partition))
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_many_with_keys_and_one_that_is_bad(cluster):
    def partitioner(key, ids):
        return {b"a": 0, b"b": 1, b"c": 7}[key]

    producer = yield connected(cluster, partitioner=partitioner)
    deliveries = yield producer.produce_many(
        "t", [b"1", b"2", b"3", b"4"], keys=iter([b"a", b"x", b"b", b"c"])
    )
    assert [delivery.exception().__class__ for delivery in deliveries] == [
        type(None), KeyError, type(None), exc.UnknownTopicOrPartitionError
    ]
    assert values(cluster, partition=0) == [b"1"] and values(cluster, partition=1) == [b"3"]
    with pytest.raises(KeyError):
        yield deliveries
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_many_more_than_the_buffer_holds(cluster):
    producer = yield connected(cluster, linger=0.001, buffer_bytes=5000)
    deliveries = yield producer.produce_many("t", (b"%04d" % i if str is not bytes else "%04d" % i
                                                   for i in range(2000)))
    yield deliveries
    assert values(cluster) == sorted(values(cluster)) and len(values(cluster)) == 2000
    yield producer.close()
