"""Which partition a message takes, and topics that are looked up first."""
from __future__ import absolute_import

from kiel import exc, partitioners

from tests import loop
from tests.clients.producing.producers import connected, records, values
from tests.fake import error, with_cluster


@with_cluster(topics={"t": 4})
def test_keys_partitions_headers_timestamps(cluster):
    seen = []

    def partitioner(key, ids):
        seen.append((key, ids))
        return 2

    producer = yield connected(
        cluster, key_maker=lambda message: 123, partitioner=partitioner, linger=0.01
    )
    yield producer.produce("t", u"te\xe4t")
    yield producer.produce("t", b"b", key=u"k\xe4", headers={"h": u"\xe4"}, timestamp=5)
    yield producer.produce("t", None, partition=3, headers=[("n", None), (b"m", b"x")])
    yield producer.flush()
    first, second = records(cluster, partition=2)
    assert first[2:] == (b"123", u"te\xe4t".encode("utf-8"), ())
    assert second[1:] == (5, u"k\xe4".encode("utf-8"), b"b", (("h", u"\xe4".encode("utf-8")),))
    assert records(cluster, partition=3)[0][2:] == (b"123", None, (("n", None), ("m", b"x")))
    assert seen == [(123, [0, 1, 2, 3]), (u"k\xe4", [0, 1, 2, 3])]
    yield producer.close()


@with_cluster(topics={"t": 8})
def test_chance_stays_with_a_partition_while_a_batch_takes_messages(cluster):
    producer = yield connected(cluster, linger=0.5, batch_size=10000, partitioner="random")
    for _ in range(2):
        for number in range(300):
            yield producer.produce("t", b"%d" % number)
        yield producer.produce_many("t", [b"%d" % number for number in range(300, 600)])
        yield producer.produce_many("t", [b"%d" % number for number in range(600, 700)], keys=[b"k"] * 100)
        producer.produce_nowait("t", b"700")
        yield producer.flush()
    logs = [values(cluster, partition=number) for number in range(8)]
    written = [log for log in logs if log]
    assert sum(map(len, written)) == 1402 and len(written) <= 2
    whole = [b"%d" % number for number in range(701)]
    assert written in ([whole * 2], [whole, whole])
    yield producer.close()


@with_cluster(topics={"t": 3})
def test_chance_uses_all_partitions_that_have_a_leader(cluster):
    cluster.log("t", 1).leader = -1
    producer = yield connected(cluster, linger=0.001)
    for _ in range(60):
        yield producer.produce("t", b"x")
        yield producer.flush()
    assert values(cluster, partition=0) and values(cluster, partition=2)
    assert len(values(cluster, partition=0)) + len(values(cluster, partition=2)) == 60
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_murmur2_as_partitioner(cluster):
    producer = yield connected(cluster, partitioner=partitioners.murmur2)
    delivery = yield producer.produce("t", b"x", key=b"foobar")
    assert delivery.partition == (-790332482 & 0x7fffffff) % 2
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_topic_made_anew_is_found_under_its_new_id(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    cluster.topic_ids["t"] = b"n" * 16
    cluster[1].on("produce", error(100), times=1)
    yield loop.within(5, producer.produce("t", b"2"))
    assert values(cluster) == [b"1", b"2"]
    assert cluster[1].requests[-1].request.topics[0].topic_id == b"n" * 16
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_unknown_partition(cluster):
    producer = yield connected(cluster)
    failed = yield loop.raises(
        exc.UnknownTopicOrPartitionError, producer.produce("t", b"x", partition=5)
    )
    assert (failed.topic, failed.partition) == ("t", 5)
    cluster.create("t", 6)  # and one that was added just now
    delivery = yield producer.produce("t", b"x", partition=5)
    assert delivery.partition == 5
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_no_broker_to_look_up_a_topic(cluster):
    producer = yield connected(cluster)
    cluster.stop()
    yield loop.raises(exc.NoBrokersError, producer.produce("new", b"x"), 8)
    yield producer.close()


@with_cluster(auto_create=True)
def test_d33_a_new_topic_is_asked_for_by_name_and_made(cluster):
    producer = yield connected(cluster)
    yield loop.within(3, producer.produce("new", b"x"))
    assert values(cluster, "new") == [b"x"]
    assert cluster.count("metadata") < 12
    yield producer.close()


@with_cluster(auto_create=True)
def test_d33_order_holds_while_the_topic_is_looked_up(cluster):
    producer = yield connected(cluster, linger=0.01)
    yield [producer.produce("new", b"abcdefgh"[i:i + 1]) for i in range(8)]
    yield producer.flush()
    assert b"".join(values(cluster, "new")) == b"abcdefgh"
    yield producer.close()


@with_cluster(auto_create=False)
def test_d33_where_it_is_not_made_the_caller_learns_it(cluster):
    producer = yield connected(cluster)
    failed = yield loop.raises(
        exc.UnknownTopicOrPartitionError, producer.produce("new", b"x"), 8
    )
    assert failed.topic == "new" and failed.code == 3
    yield producer.close()


@with_cluster(topics={"t": 4})
def test_d75_the_partitioner_is_asked_once(cluster):
    asked = []

    def partitioner(key, ids):
        asked.append(key)
        return ids[len(asked) % len(ids)]

    producer = yield connected(cluster, partitioner=partitioner)
    cluster[1].on("produce", error(6), times=3)
    delivery = yield producer.produce("t", b"x", key=b"k")
    assert asked == [b"k"] and delivery.partition == 1
    assert values(cluster, partition=1) == [b"x"]
    yield producer.close()
