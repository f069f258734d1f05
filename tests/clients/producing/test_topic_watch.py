"""Topics that are deleted and made again while they are written to."""
from __future__ import absolute_import

import pytest

from kiel import exc

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import MUTE, with_cluster

#: releases that take messages for a topic's id, that tell ids and take names, and that have no ids
BY_ID, BY_NAME, WITHOUT = "4.4", "2.8", "2.4"


def make_again(cluster, topic="t", partitions=1):
    """Delete a topic and make it again, with another id."""
    cluster.topics.pop(topic)
    cluster.topic_ids.pop(topic)
    cluster.create(topic, partitions)


def lines(caplog):
    return [record.getMessage() for record in caplog.records
            if record.name == "kiel.clients.producing.topic_watch" and record.levelname == "WARNING"]


@pytest.mark.parametrize("idempotent", [None, False])
@pytest.mark.parametrize("release", [BY_ID, BY_NAME, WITHOUT])
def test_what_was_accepted_before_is_in_the_new_topic_and_one_line_says_so(release, idempotent, caplog):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, idempotent=idempotent, linger=0.001)
        for value in (b"1", b"2", b"3"):
            yield (yield producer.produce("t", value)).future()
        for number in range(2):
            make_again(cluster)
            deliveries = yield [producer.produce("t", value) for value in (b"4", b"5")]
            yield loop.within(5, producer.flush())
            assert values(cluster) == [b"4", b"5"]
            written = yield [delivery.future() for delivery in deliveries]
            assert [one.offset for one in written] == [0, 1]
            if release != BY_ID:
                yield loop.until(lambda: lines(caplog), 5)
            line, = lines(caplog)
            assert "topic t" in line and "deleted and recreated" in line
            if release == BY_ID:
                assert "2 messages that were accepted before are sent to the new topic" in line
            else:
                assert "written to t:0 at offset 0, after others at " in line
            del caplog.records[:]
            producer._accumulator.routes._watch._told.clear()
        yield (yield producer.produce("t", b"6")).future()
        assert values(cluster) == [b"4", b"5", b"6"] and not lines(caplog)
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(versions=BY_NAME, topics={"t": 1})
def test_a_batch_in_doubt_is_written_to_the_new_topic(cluster):
    producer = yield connected(cluster, request_timeout=0.2)
    for value in (b"1", b"2"):
        yield producer.produce("t", value)
    cluster[1].on("produce", MUTE, times=1)
    doubtful = producer.produce("t", b"3")
    yield loop.until(lambda: cluster.count("produce") == 3, 5)
    make_again(cluster)
    yield loop.within(5, doubtful)
    assert values(cluster) == [b"3"]
    yield producer.produce("t", b"4")
    assert values(cluster) == [b"3", b"4"]
    yield producer.close()


@with_cluster(versions=BY_ID, topics={"t": 2})
def test_what_is_for_a_partition_that_the_new_topic_lacks_says_so_when_it_is_given_up(cluster):
    producer = yield connected(cluster, delivery_timeout=0.5, linger=0)
    yield (yield producer.produce("t", b"1", partition=1)).future()
    make_again(cluster)
    delivery = yield producer.produce("t", b"2", partition=1)
    failed = yield loop.raises(exc.DeliveryTimeoutError, delivery.future(), 5)
    assert "the topic has no partition 1 any more" in str(failed)
    yield producer.close()


@pytest.mark.parametrize("release", [BY_ID, BY_NAME, WITHOUT])
def test_a_transaction_that_has_written_to_the_old_topic_fails(release):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, transactional_id="x", linger=0.001)
        yield producer.begin()
        yield (yield producer.produce("t", b"1")).future()
        yield (yield producer.produce("t", b"2")).future()
        make_again(cluster)
        yield producer.produce("t", b"3")
        failed = yield loop.raises(exc.TransactionFailedError, producer.commit(), 5)
        assert "topic t: " in str(failed) and "had written to it is gone" in str(failed)
        yield loop.within(5, producer.abort())
        del cluster.log("t").batches[:]
        yield producer.begin()
        yield producer.produce("t", b"4")
        yield loop.within(5, producer.commit())
        assert values(cluster) == [b"4"]
        yield producer.close()
    run()


@pytest.mark.parametrize("release", [BY_ID, BY_NAME, WITHOUT])
def test_a_transaction_that_begins_with_the_new_topic_goes_well(release, caplog):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, transactional_id="x", linger=0.001)
        for value in (b"1", b"2"):
            yield producer.begin()
            yield (yield producer.produce("t", value)).future()
            yield loop.within(5, producer.commit())
            if value == b"1":
                make_again(cluster)
        yield loop.until(lambda: lines(caplog), 5)
        assert values(cluster) == [b"2"]
        yield producer.close()
    run()
