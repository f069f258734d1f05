"""Which messages go where their key says, and which where chance does."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import partitioners

from tests.clients.producing.producers import connected, records
from tests.fake import with_cluster

KEYS = [b"k%d" % number for number in range(12)]
PLACES = [partitioners.murmur2(key, [0, 1, 2, 3]) for key in KEYS]


def places(cluster, topic="t"):
    """Return {key: set of the partitions that hold messages of it}."""
    found = {}
    for partition in range(4):
        for record in records(cluster, topic, partition):
            found.setdefault(record[2], set()).add(partition)
    return found


def agrees(cluster):
    """Whether each key is where murmur2 puts it."""
    found = places(cluster)
    assert set(found) == set(KEYS)
    return [found[key] for key in KEYS] == [set([place]) for place in PLACES]


@gen.coroutine
def one_by_one(producer, keys):
    for key in keys:
        yield producer.produce("t", b"v", key=key)


@gen.coroutine
def with_headers(producer, keys):
    for key in keys:
        yield producer.produce("t", b"v", key=key, headers={"h": b""}, timestamp=5)


@gen.coroutine
def at_once(producer, keys):
    for key in keys:
        if producer.cluster.topics.get("t") and producer._accumulator._known.get("t"):
            producer.produce_nowait("t", b"v", key=key)
        else:
            yield producer.produce("t", b"v", key=key)


@gen.coroutine
def many(producer, keys):
    yield producer.produce_many("t", [b"v"] * len(keys), keys=keys)


@gen.coroutine
def made(producer, keys):
    """The messages are their keys, which the key maker returns."""
    for key in keys:
        yield producer.produce("t", key)
    yield producer.produce_many("t", keys)


WAYS = [one_by_one, with_headers, at_once, many]
LINGERING = dict(linger=0.005, batch_size=100)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("settings", [
    {}, LINGERING, dict(partitioner="murmur2"), dict(partitioner=partitioners.murmur2),
    dict(key_maker=lambda message: b"other"),
], ids=str)
def test_a_key_that_is_given_decides(way, settings):
    @with_cluster(topics={"t": 4}, brokers=2)
    def check(cluster):
        producer = yield connected(cluster, **settings)
        for keys in KEYS, [key.decode("ascii") for key in KEYS]:
            yield way(producer, keys)
        yield producer.flush()
        assert agrees(cluster)
        yield producer.close()
    check()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("partitioner", ["random", partitioners.random_partition, lambda key, ids: ids[2]], ids=str)
def test_unless_there_is_a_partitioner(way, partitioner):
    @with_cluster(topics={"t": 4})
    def check(cluster):
        producer = yield connected(cluster, partitioner=partitioner)
        for _ in range(4):
            yield way(producer, KEYS)
        yield producer.flush()
        assert not agrees(cluster)
        yield producer.close()
    check()


@pytest.mark.parametrize("settings", [{}, LINGERING], ids=["each", "lingering"])
def test_a_key_that_is_made_does_not_decide_as_in_0_9(settings):
    @with_cluster(topics={"t": 4})
    def check(cluster):
        producer = yield connected(cluster, key_maker=lambda message: message, **settings)
        for _ in range(6):
            yield made(producer, KEYS)
            yield producer.flush()
        assert not agrees(cluster)
        producer.partitioner = "murmur2"
        cluster.topics.clear()
        cluster.create("t", 4)
        yield producer.cluster.heal()
        yield made(producer, KEYS)
        yield producer.flush()
        assert agrees(cluster)
        producer.partitioner = None
        assert producer.partitioner is partitioners.given_keys
        yield producer.close()
    check()


@pytest.mark.parametrize("partitioner", [None, "murmur2"])
def test_without_a_key_messages_stay_together(partitioner):
    @with_cluster(topics={"t": 4})
    def check(cluster):
        producer = yield connected(cluster, linger=60, batch_size=100, partitioner=partitioner)
        yield producer.produce("t", b"known")
        yield producer.flush()
        for number in range(40):
            yield producer.produce("t", b"v", key=None if number % 2 else b"k")
        yield producer.flush()
        found = places(cluster)
        assert found[b"k"] == set([partitioners.murmur2(b"k", [0, 1, 2, 3])])
        assert len(found[None]) <= 2  # one of the first, one of the rest
        yield producer.close()
    check()


@with_cluster(topics={"t": 4})
def test_a_partition_that_is_given_goes_before_the_key(cluster):
    producer = yield connected(cluster)
    for partition in range(4):
        yield producer.produce("t", b"v", key=b"k", partition=partition)
    assert places(cluster) == {b"k": set(range(4))}
    yield producer.close()


def test_a_name_that_is_none():
    from kiel import clients
    with pytest.raises(ValueError) as caught:
        clients.Producer("a", partitioner="murmur3")
    assert "murmur2" in str(caught.value)
