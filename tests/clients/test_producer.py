"""The producer against a scripted Kafka; each defect of 0.9 by its number in defects-0.9.md."""
from __future__ import absolute_import

import json
import time

import pytest

from kiel import clients, constants, exc

from tests import loop
from tests.clients.producing.producers import connected, make, records, settled, values
from tests.fake import error, with_cluster


# -- the plain way --


@pytest.mark.parametrize("release", ["0.8", "0.9", "0.10", "0.11", "2.4", "3.9", "4.4"])
def test_one_message_waits_for_the_broker(release):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        before = int(time.time() * 1000)
        delivery = yield producer.produce("t", b"one", key=b"k")
        assert delivery.done()
        metadata = yield delivery
        assert metadata[:3] == ("t", 0, 0)
        assert before - 5 <= metadata.timestamp <= time.time() * 1000 + 5
        assert [record[2:4] for record in records(cluster)] == [(b"k", b"one")]
        second = yield (yield producer.produce("t", b"two"))
        assert second.offset == 1
        assert settled(producer)
        assert (yield producer.close()) == {}
    run()


@with_cluster(topics={"t": 1})
def test_json_with_sorted_keys_is_the_default(cluster):
    producer = yield connected(cluster, serializer=None)
    yield producer.produce("t", {"b": 1, "a": u"\xe4"})
    yield producer.produce("t", "text")
    assert values(cluster) == [b'{"a": "\\u00e4", "b": 1}', b'"text"']
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_connect_twice_and_before_every_produce(cluster):
    producer = make(cluster)
    for value in (b"1", b"2", b"3"):
        yield producer.connect()
        yield producer.produce("t", value)
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_producer_goes_on_after_close_and_connect(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    yield producer.close()
    yield producer.connect()
    yield producer.produce("t", b"2")
    assert values(cluster) == [b"1", b"2"]
    yield producer.close()


# -- errors --


@with_cluster(topics={"t": 1})
def test_an_unserialisable_message_is_raised_at_once(cluster):
    producer = yield connected(cluster, serializer=None)
    yield loop.raises(TypeError, producer.produce("t", object()))
    yield producer.produce("t", 1)
    assert values(cluster) == [b"1"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_message_too_large_is_raised_at_once(cluster):
    producer = yield connected(cluster, linger=0.01, max_request_bytes=2000)
    failed = yield loop.raises(exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 2000))
    assert failed.topic == "t" and "max_request_bytes=2000" in str(failed)
    unknown = yield loop.raises(
        exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 2000, partition=None)
    )
    assert unknown.code == 10
    yield (yield producer.produce("t", b"x" * 1500))
    assert cluster.count("produce") == 1
    yield producer.close()


@with_cluster(versions="0.10", topics={"t": 1})
def test_headers_where_there_is_no_place_for_them(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    deliveries = []
    for i, headers in enumerate([None, {"h": b"v"}, None, None, {"h": b"v"}, {"i": b"w"}]):
        deliveries.append((yield producer.produce("t", b"abcdef"[i:i + 1], headers=headers)))
    yield loop.raises(exc.UnsupportedVersionError, producer.flush())
    assert [delivery.exception() is None for delivery in deliveries] == [
        True, False, True, True, False, False
    ]
    assert values(cluster) == [b"a", b"c", b"d"]
    yield producer.close()


@with_cluster(versions="0.11", topics={"t": 1})
def test_zstd_where_it_is_not_known(cluster):
    producer = yield connected(cluster, compression="zstd")
    failed = yield loop.raises(exc.UnsupportedVersionError, producer.produce("t", b"x"))
    assert "2.1" in str(failed) and failed.topic == "t"
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_not_authorized_is_no_passing_error(cluster):
    cluster[1].on("produce", error(29))
    producer = yield connected(cluster)
    failed = yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", b"x"))
    assert (failed.topic, failed.partition, failed.code) == ("t", 0, 29)
    assert cluster.count("produce") == 1 and settled(producer)
    yield producer.close()


@pytest.mark.parametrize("code,cls", [
    (10, exc.MessageSizeTooLargeError), (87, exc.InvalidRecordError), (4711, exc.BrokerError),
])
def test_d71_a_fatal_or_unknown_code_reaches_the_caller(code, cls):
    @with_cluster(topics={"t": 2})
    def run(cluster):
        cluster[1].on("produce", error(code, "t", 1), times=1)
        producer = yield connected(cluster, linger=0.01, batch_size=100)
        good = yield producer.produce("t", b"good", partition=0)
        bad = yield producer.produce("t", b"bad", partition=1)
        failed = yield loop.raises(cls, bad.future())
        assert (failed.topic, failed.partition, failed.code) == ("t", 1, code)
        assert (yield good).offset == 0
        assert settled(producer)
        # and with a batch of one the call itself raises
        producer.linger, producer.batch_size = None, 1
        cluster[1].on("produce", error(code), times=1)
        yield loop.raises(cls, producer.produce("t", b"bad"))
        yield producer.close()
    run()


@pytest.mark.parametrize("release", ["0.8", "4.4"])
def test_d72_without_acks_the_write_is_enough(release):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, required_acks=0)
        delivery = yield loop.within(2, producer.produce("t", b"x"))
        assert (yield delivery).offset == -1
        yield producer.produce("t", b"y")
        yield loop.until(lambda: values(cluster) == [b"x", b"y"])
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1, "gone": 1})
def test_d73_one_bad_message_does_not_lose_the_batch(cluster):
    def partitioner(key, ids):
        if key == b"bad":
            raise ZeroDivisionError("bad key")
        return ids[0]

    producer = yield connected(
        cluster, batch_size=10, linger=10, partitioner=partitioner, delivery_timeout=0.5
    )
    good = [(yield producer.produce("t", b"1"))]
    yield loop.raises(ZeroDivisionError, producer.produce("t", b"2", key=b"bad"))
    gone = yield producer.produce("gone", b"3")
    good.append((yield producer.produce("t", b"4")))
    del cluster.topics["gone"]
    yield loop.raises(exc.KielError, producer.flush())
    assert [delivery.result().offset for delivery in good] == [0, 1]
    assert gone.exception().topic == "gone"
    assert isinstance(gone.exception().cause, exc.UnknownTopicOrPartitionError)
    assert values(cluster) == [b"1", b"4"]
    assert settled(producer)
    yield producer.close()


@with_cluster(topics={"t": 1, "u": 1})
def test_d77_messages_of_several_topics_go_out_on_every_python(cluster):
    producer = yield connected(cluster, serializer=None, batch_size=4)
    for i in range(4):
        yield producer.produce("tu"[i % 2], {"n": i})
    assert [json.loads(value.decode("ascii"))["n"] for value in values(cluster, "t")] == [0, 2]
    assert [json.loads(value.decode("ascii"))["n"] for value in values(cluster, "u")] == [1, 3]
    yield producer.close()


@pytest.mark.parametrize("compression", [9, "bzip2", False, -1])
def test_d79_the_error_names_what_was_given_and_what_is_allowed(compression):
    with pytest.raises(ValueError) as caught:
        clients.Producer(["localhost"], compression=compression)
    text = str(caught.value)
    assert repr(compression) in text
    assert "None" in text and "1" in text and "'gzip'" in text or "gzip" in text
    assert "%" not in text


@pytest.mark.parametrize("compression,expected", [
    (None, None), (1, 1), ("gzip", constants.GZIP), ("snappy", constants.SNAPPY),
    ("lz4", constants.LZ4), ("zstd", constants.ZSTD),
])
def test_compressions(compression, expected):
    assert clients.Producer(["localhost"], compression=compression).compression == expected


def test_required_acks_are_checked():
    with pytest.raises(ValueError):
        clients.Producer(["localhost"], required_acks=-2)
