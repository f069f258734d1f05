"""Idempotent producing against a scripted Kafka, which checks the numbers of messages as a real one does."""
from __future__ import absolute_import

import logging

import pytest
from tornado import gen

from kiel import constants, exc
from kiel.protocol import messages

from tests import loop
from tests.clients.producing.producers import connected, make, settled, values
from tests.fake import CUT, MUTE, VERSIONS, error, with_cluster


def written(cluster, partition=0):
    """(epoch, first number, values) of each batch of a partition."""
    data = b"".join(entry[3] for entry in cluster.log("t", partition).batches)
    return [(batch.producer_epoch, batch.base_sequence, list(batch.values())) for batch in messages.batches(data)]


def sent(cluster, broker_id=1):
    """The bytes of each batch that came to a broker, the first partition of each request."""
    return [
        bytes(call.request.topics[0].partitions[0].message_set.data)
        for call in cluster[broker_id].requests if call.api == "produce"
    ]


def warnings(caplog):
    return [record for record in caplog.records
            if record.levelno >= logging.WARNING and "idempotent" in record.getMessage()]


# -- numbers --


@pytest.mark.parametrize("release", ["0.11", "2.4", "2.8", "3.9", "4.4"])
def test_each_partition_is_numbered(release):
    @with_cluster(versions=release, topics={"t": 2})
    def run(cluster):
        producer = yield connected(cluster, linger=0.01, batch_size=100)
        for turn in (b"a", b"b"):
            for partition in (0, 1):
                yield producer.produce_many("t", [turn] * (2 + partition), partition=partition)
            yield producer.flush()
        assert written(cluster, 0) == [(0, 0, [b"a"] * 2), (0, 2, [b"b"] * 2)]
        assert written(cluster, 1) == [(0, 0, [b"a"] * 3), (0, 3, [b"b"] * 3)]
        assert cluster.count("init_producer_id") == 1
        assert settled(producer)
        yield producer.close()
    run()


@with_cluster(brokers=3, topics={"t": 3})
def test_one_id_for_all_brokers(cluster):
    producer = yield connected(cluster, linger=0)
    for partition in (0, 1, 2):
        yield producer.produce("t", b"x", partition=partition)
    yield producer.flush()
    assert cluster.count("init_producer_id") == 1
    assert [list(cluster.log("t", i).producers) for i in range(3)] == [[1000]] * 3
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_the_id_is_asked_for_until_it_is_there(cluster):
    cluster[1].on("init_producer_id", error(14), times=2)
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    assert cluster.count("init_producer_id") == 3
    assert written(cluster) == [(0, 0, [b"1"])]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_another_id_after_close(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    yield producer.close()
    yield producer.connect()
    yield producer.produce("t", b"2")
    assert sorted(cluster.log("t").producers) == [1000, 1001]
    assert written(cluster) == [(0, 0, [b"1"]), (0, 0, [b"2"])]
    yield producer.close()


# -- what is not known to be written --


@pytest.mark.parametrize("fault", [CUT, "closed", MUTE])
def test_a_lost_answer_writes_nothing_twice(fault):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=0)

        def close_after(call):
            call.cluster.log("t").accept(call.request.topics[0].partitions[0].message_set.data)
            return "mute" if fault == MUTE else "close"

        yield (yield producer.produce("t", b"1"))
        cluster[1].on("produce", CUT if fault == CUT else close_after, times=2)
        two = yield producer.produce("t", b"2")
        three = yield producer.produce("t", b"3")
        assert (yield two).offset == 1 and (yield three).offset == 2
        assert values(cluster) == [b"1", b"2", b"3"]
        resent = sent(cluster)
        assert resent[1] == resent[2] == resent[3] and len(set(resent)) == len(resent) - 2
        assert [entry[0] for entry in written(cluster)] == [0] * len(written(cluster))
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_what_may_be_written_keeps_its_bytes(cluster):
    producer = yield connected(cluster, linger=0)
    cluster[1].on("produce", CUT, times=1)
    one = yield producer.produce("t", b"1" * 100)
    yield loop.until(lambda: cluster.count("produce") == 1)
    producer.compression = constants.GZIP
    assert (yield one).offset == 0
    first, second = sent(cluster)
    assert first == second
    assert values(cluster) == [b"1" * 100]
    yield (yield producer.produce("t", b"2" * 100))
    assert len(sent(cluster)[2]) < len(first)  # the next one is compressed
    yield producer.close()


@pytest.mark.parametrize("code", [7, 20, 56])
def test_an_error_that_leaves_it_open_is_sent_again_as_it_was(code):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        def half_done(call):
            call.cluster.log("t").accept(call.request.topics[0].partitions[0].message_set.data)
            call.error_at = (code, None, None)

        producer = yield connected(cluster)
        cluster[1].on("produce", half_done, times=1)
        delivery = yield producer.produce("t", b"1")
        assert (yield delivery).offset == 0
        assert written(cluster) == [(0, 0, [b"1"])]
        yield producer.close()
    run()


@with_cluster(topics={"t": 2})
def test_what_is_given_up_after_it_was_sent_leaves_no_hole(cluster):
    producer = yield connected(cluster, linger=0, delivery_timeout=0.5, request_timeout=0.1, ack_timeout=50)
    for partition in (0, 1):
        yield (yield producer.produce("t", b"1", partition=partition))
    cluster[1].on("produce", MUTE)
    lost = yield producer.produce("t", b"lost", partition=0)
    failed = yield loop.raises(exc.DeliveryTimeoutError, lost.future())
    assert isinstance(failed.cause, exc.RequestTimeoutError)
    cluster[1].on("produce", None)
    for partition in (0, 1):
        yield (yield producer.produce("t", b"2", partition=partition))
        yield (yield producer.produce("t", b"3", partition=partition))
    assert written(cluster, 0) == written(cluster, 1) == [(0, 0, [b"1"]), (1, 0, [b"2"]), (1, 1, [b"3"])]
    assert cluster.count("init_producer_id") == 1
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_what_follows_a_lost_batch_is_not_taken_for_it(cluster):
    """franz-go #1484: the broker has the batch that failed, and the next one must not get its numbers."""
    def secret(call):
        call.cluster.log("t").accept(call.request.topics[0].partitions[0].message_set.data)
        call.error_at = (-1, None, None)

    producer = yield connected(cluster)
    cluster[1].on("produce", secret, times=1)
    yield loop.raises(exc.UnknownError, producer.produce("t", b"in the log"))
    delivery = yield producer.produce("t", b"next")
    assert (yield delivery).offset == 1
    assert written(cluster) == [(0, 0, [b"in the log"]), (1, 0, [b"next"])]
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_an_epoch_ends_for_new_batches_only(cluster):
    """A batch under way in another partition is sent again under the epoch in which it was numbered."""
    producer = yield connected(cluster, linger=0)
    for partition in (0, 1):
        yield (yield producer.produce("t", b"1", partition=partition))
    cluster[1].on("produce", error(6, "t", 1), times=2)
    slow = yield producer.produce("t", b"slow", partition=1)
    yield loop.until(lambda: cluster.count("produce") >= 3)
    cluster[1].on("produce", error(87, "t", 0), times=1)
    broken = yield producer.produce("t", b"broken", partition=0)
    yield loop.raises(exc.InvalidRecordError, broken.future())
    yield slow
    after = yield producer.produce("t", b"after", partition=1)
    yield after
    assert written(cluster, 1) == [(0, 0, [b"1"]), (0, 1, [b"slow"]), (1, 0, [b"after"])]
    yield producer.close()


# -- what the broker says of the numbers --


@with_cluster(topics={"t": 1})
def test_a_duplicate_is_written(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    cluster[1].on("produce", error(46), times=1)
    delivery = yield producer.produce("t", b"2")
    assert (yield delivery).offset == -1
    yield producer.close()


@pytest.mark.parametrize("code", [45, 59])
def test_a_broker_that_lost_the_producer_gets_the_batch_under_new_numbers(code):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        def forgetful(call):
            log = call.cluster.log("t")
            log.producers.clear()
            log.start = 1  # so that its answer names a first offset, as after retention
            call.error_at = (code, None, None)

        producer = yield connected(cluster)
        yield producer.produce("t", b"1")
        yield producer.produce("t", b"2")
        cluster[1].on("produce", forgetful, times=1)
        if code == 59:
            cluster[1].on("produce", lambda call: forgetful(call) or _with_log_start(call), times=1)
        delivery = yield producer.produce("t", b"3")
        assert (yield delivery).offset == 2
        assert written(cluster) == [(0, 0, [b"1"]), (0, 1, [b"2"]), (1, 0, [b"3"])]
        assert cluster.count("produce") == 4
        yield producer.close()
    run()


def _with_log_start(call):
    topic = call.request.topics[0]
    return dict(topics=[dict(name="t", topic_id=topic.topic_id, partitions=[
        dict(partition_id=0, error_code=call.error_at[0], offset=-1, log_start_offset=call.cluster.log("t").start)
    ])])


@with_cluster(topics={"t": 1})
def test_a_batch_in_doubt_is_not_made_again_for_a_broker_that_forgot_the_producer(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    answers = iter([CUT, lambda call: setattr(call, "error_at", (59, None, None)) or _with_log_start(call)])

    def handler(call):
        answer = next(answers)
        return answer(call) if callable(answer) else answer

    cluster[1].on("produce", handler, times=2)
    yield loop.raises(exc.UnknownProducerIdError, producer.produce("t", b"2"))
    delivery = yield producer.produce("t", b"3")
    assert (yield delivery).offset == 2
    assert values(cluster) == [b"1", b"2", b"3"]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_broker_that_does_not_say_where_the_log_begins_is_asked_again(cluster):
    producer = yield connected(cluster)
    yield producer.produce("t", b"1")
    cluster[1].on("produce", error(59), times=2)
    yield producer.produce("t", b"2")
    assert written(cluster) == [(0, 0, [b"1"]), (0, 1, [b"2"])]
    assert len(set(sent(cluster)[1:])) == 1
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_batch_too_large_is_split_and_numbered_anew(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    yield (yield producer.produce("t", b"0"))
    cluster[1].on("produce", error(10), times=1)
    deliveries = yield producer.produce_many("t", [b"1", b"2", b"3", b"4"])
    yield deliveries
    assert written(cluster) == [(0, 0, [b"0"]), (0, 1, [b"1", b"2"]), (0, 3, [b"3", b"4"])]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_batch_in_doubt_is_not_split(cluster):
    producer = yield connected(cluster, linger=0.01, batch_size=100)
    answers = iter([CUT, error(10)])

    def handler(call):
        answer = next(answers)
        return answer(call) if callable(answer) else answer

    cluster[1].on("produce", handler, times=2)
    deliveries = yield producer.produce_many("t", [b"1", b"2"])
    yield loop.raises(exc.MessageSizeTooLargeError, deliveries.future())
    yield (yield producer.produce("t", b"3"))
    assert written(cluster) == [(0, 0, [b"1", b"2"]), (1, 0, [b"3"])]
    yield producer.close()


# -- clusters that do not let us --


@pytest.mark.parametrize("code", [31, 35, 43])
def test_refused_with_the_id(code, caplog):
    @with_cluster(brokers=2, topics={"t": 2})
    def run(cluster):
        for broker in (1, 2):
            cluster[broker].on("init_producer_id", error(code))
        producer = yield connected(cluster)
        for value in (b"1", b"2"):
            for partition in (0, 1):
                yield producer.produce("t", value, partition=partition)
        assert written(cluster) == [(-1, -1, [b"1"]), (-1, -1, [b"2"])]
        yield producer.close()
    run()
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("code", [31, 43])
def test_refused_with_a_batch(code, caplog):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        def numbered_not(call):
            data = call.request.topics[0].partitions[0].message_set.data
            if next(iter(messages.batches(data))).producer_id >= 0:
                call.error_at = (code, None, None)

        cluster[1].on("produce", numbered_not)
        producer = yield connected(cluster)
        for value in (b"1", b"2"):
            yield producer.produce("t", value)
        assert written(cluster) == [(-1, -1, [b"1"]), (-1, -1, [b"2"])]
        yield producer.close()
    run()
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("api,cls", [
    ("init_producer_id", exc.ClusterAuthorizationFailedError), ("produce", exc.ClusterAuthorizationFailedError),
])
def test_refused_where_it_was_asked_for(api, cls):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        cluster[1].on(api, error(31))
        producer = yield connected(cluster, idempotent=True)
        yield loop.raises(cls, producer.produce("t", b"1"))
        assert values(cluster) == []
        cluster[1].on(api, None)
        yield producer.produce("t", b"2")
        assert [entry[2] for entry in written(cluster)] == [[b"2"]]
        yield producer.close()
    run()


@pytest.mark.parametrize("idempotent", [None, True])
def test_a_cluster_that_gives_no_ids(idempotent, caplog):
    versions = dict(VERSIONS["2.8"])
    del versions["init_producer_id"]

    @with_cluster(versions=versions, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, idempotent=idempotent)
        if idempotent:
            yield loop.raises(exc.UnsupportedVersionError, producer.produce("t", b"1"))
        else:
            yield producer.produce("t", b"1")
            assert written(cluster) == [(-1, -1, [b"1"])]
        yield producer.close()
    run()
    assert len(warnings(caplog)) == (0 if idempotent else 1)


@pytest.mark.parametrize("release", ["0.8", "0.10"])
def test_brokers_that_know_no_ids(release, caplog):
    @with_cluster(versions=release, topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        yield producer.produce("t", b"1")
        assert values(cluster) == [b"1"]
        yield producer.close()
        picky = yield connected(cluster, idempotent=True)
        yield loop.raises(exc.UnsupportedVersionError, picky.produce("t", b"1"))
        yield picky.close()
    run()
    assert not warnings(caplog)


@pytest.mark.parametrize("settings", [dict(required_acks=1), dict(required_acks=0), dict(idempotent=False)])
def test_not_asked_for(settings):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, **settings)
        yield producer.produce("t", b"1")
        yield loop.until(lambda: values(cluster) == [b"1"])
        assert written(cluster)[0][:2] == (-1, -1)
        assert cluster.count("init_producer_id") == 0
        yield producer.close()
    run()


@with_cluster()
def test_settings_that_exclude_each_other(cluster):
    for acks in (0, 1):
        with pytest.raises(ValueError):
            make(cluster, idempotent=True, required_acks=acks)
    yield gen.moment
