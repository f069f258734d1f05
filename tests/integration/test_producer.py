"""
The producer against real brokers of three eras: what was acknowledged is there, once asked for, and
in order.

Without idempotence (a later matter) a message may be written twice when its answer was lost; then
both are counted, and order is that of the first of each.
"""
from __future__ import absolute_import

import time
import uuid

import pytest
from tornado import gen, ioloop

from kiel import clients, compression, constants, exc
from kiel.protocol import fetch, messages
from kiel.testing import Kafka

from tests import loop
from tests.integration import peer
from tests.test_metrics import new_registry, samples, scrape, summed

RELEASES = peer.share("0.8.2.2", "0.10.2.2", "4.4.0")

#: seconds for one test
PATIENCE = 60


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    return peer.shared(request.param)


@pytest.fixture(scope="module")
def three():
    settings = {
        "min.insync.replicas": 2,
        "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,
    }
    with Kafka("4.4.0", brokers=3, settings=settings) as cluster:
        yield cluster


def new_topic():
    return "produced-" + uuid.uuid4().hex[:8]


def run(body):
    """Runs a generator function as the test's coroutine."""
    return loop.run(gen.coroutine(body), timeout=PATIENCE)


@gen.coroutine
def connected(kafka, **settings):
    settings.setdefault("serializer", lambda message: message)
    producer = clients.Producer(kafka.bootstrap, **settings)
    yield producer.connect()
    raise gen.Return(producer)


@gen.coroutine
def records(producer, topic, partition=0):
    """All records of a partition, by plain fetches."""
    found = []
    offset = 0
    while True:
        yield producer.cluster.heal()
        request = fetch.FetchRequest(
            replica_id=-1, max_wait_time=100, min_bytes=1, max_bytes=10 ** 7, topics=[
                fetch.TopicRequest(name=topic, partitions=[
                    fetch.PartitionRequest(partition_id=partition, offset=offset, max_bytes=10 ** 7)
                ])
            ]
        )
        request.narrow = (0, 12)  # by name
        answer = yield producer.cluster[producer.cluster.get_leader(topic, partition)].send(request)
        part = answer.topics[0].partitions[0]
        assert part.error_code == 0, part
        for batch in messages.batches(part.message_set.data or b""):
            found.extend(batch.records(start=offset))
        if found:
            offset = found[-1][0] + 1
        if offset >= part.highwater_mark_offset:
            raise gen.Return(found)


def numbered(count, size=100):
    return [("%08d" % i).encode("ascii").ljust(size, b".") for i in range(count)]


def first_of_each(values):
    seen = set()
    return [value for value in values if not (value in seen or seen.add(value))]


@pytest.mark.parametrize("acks", [-1, 1, 0])
def test_acks(kafka, acks):
    topic = new_topic()
    kafka.create_topic(topic)

    def body():
        producer = yield connected(kafka, required_acks=acks)
        for i in range(5):
            delivery = yield producer.produce(topic, b"v%d" % i if str is not bytes else "v%d" % i,
                                              key=b"k")
            assert (yield delivery).offset == (i if acks else -1)
        if not acks:
            yield gen.sleep(0.5)
        found = yield records(producer, topic)
        assert [record[2:4] for record in found] == [(b"k", b"v0"), (b"k", b"v1"), (b"k", b"v2"),
                                                     (b"k", b"v3"), (b"k", b"v4")]
        assert (yield producer.close()) == {}
    run(body)


def test_what_prometheus_reads_is_what_is_there(kafka):
    """Counted by the brokers' offsets, through connections that are cut while messages are on their way."""
    from kiel.metrics.prometheus import PrometheusMetrics
    registry = new_registry()
    numbers = PrometheusMetrics(registry)
    topic = new_topic()
    kafka.create_topic(topic, partitions=2)

    def body():
        producer = yield connected(kafka, hooks=[numbers], client_id="p", linger=0.005)
        consumer = clients.SingleConsumer(kafka.bootstrap, deserializer=bytes, hooks=[numbers], client_id="c")
        yield consumer.connect()
        cut = []
        for number, value in enumerate(numbered(2000)):
            delivery = yield producer.produce(topic, value, partition=number % 2)
            if number % 700 == 650:
                yield delivery  # the connection is open, and more is on its way soon
            elif number % 700 == 699:
                yield gen.moment
                for broker in list(producer.cluster.conns.values()):
                    lane = broker.lanes.get("produce")
                    if lane is not None and lane.ready:
                        cut.append(lane)
                        lane.abort(exc.BrokerConnectionError(lane.host, lane.port, lane.broker_id, hint="cut"))
        yield producer.flush()
        ends = yield consumer.end_offsets(topic)
        there = sum(ends.values())  # where a message is written twice, in old releases, both are there
        taken = 0
        while taken < there:
            taken += len((yield consumer.consume(topic, start=consumer.BEGINNING)))
        found = samples((yield scrape(registry))[1])
        assert summed(found, "kiel_sent_records_total", topic=topic) == 2000 <= there
        assert summed(found, "kiel_sent_bytes_total", topic=topic) > 2000 * 100
        assert summed(found, "kiel_consumed_records_total", topic=topic) == taken == there
        assert summed(found, "kiel_lag", topic=topic, client_id="c") == 0
        assert summed(found, "kiel_connections_lost_total", client_id="p") == len(cut) > 0
        batches = summed(found, "kiel_sent_batches_total", topic=topic)
        assert batches == summed(found, "kiel_batch_records_count", client_id="p")
        assert 0 < summed(found, "kiel_responses_total", api="produce") <= summed(
            found, "kiel_requests_total", api="produce")
        yield producer.close()
        yield consumer.close()
    run(body)


def test_a_topic_is_made_at_its_first_message(kafka):
    topic = new_topic()

    def body():
        producer = yield connected(kafka)
        begun = time.time()
        yield producer.produce(topic, b"first")
        assert time.time() - begun < 5
        assert [record[3] for record in (yield records(producer, topic))] == [b"first"]
        yield producer.close()
    run(body)


def test_a_name_that_no_topic_may_have(kafka):
    def body():
        producer = yield connected(kafka)
        failed = yield loop.raises(exc.KielError, producer.produce("no topic!", b"x"), 10)
        assert failed.topic == "no topic!"
        yield producer.close()
    run(body)


def codecs(version):
    release = tuple(int(part) for part in version.split(".")[:2])
    known = [None, constants.GZIP, constants.SNAPPY, constants.LZ4]
    return known + [constants.ZSTD] if release >= (2, 1) else known


@pytest.mark.parametrize("codec", constants.SUPPORTED_COMPRESSION)
def test_codecs(kafka, codec):
    topic = new_topic()
    kafka.create_topic(topic)

    def body():
        producer = yield connected(kafka, compression=codec, linger=0.01, batch_size=500)
        if codec not in codecs(kafka.version):
            delivery = yield producer.produce(topic, b"x")
            yield loop.raises(exc.UnsupportedVersionError, delivery.future())
            yield producer.close()
            return
        sent = numbered(2000)
        try:
            found = yield (yield producer.produce_many(topic, sent))
        except exc.MissingCodecError as error:
            yield producer.close()
            pytest.skip(str(error))
        assert [metadata.offset for metadata in found] == list(range(2000))
        written = yield records(producer, topic)
        assert [record[3] for record in written] == sent
        assert [record[0] for record in written] == list(range(2000))
        yield producer.close()
    run(body)


def test_another_client_reads_what_was_written(kafka):
    peer = pytest.importorskip("confluent_kafka")
    topic = new_topic()
    kafka.create_topic(topic)
    headers = [("h", b"v")] if kafka.version == "4.4.0" else None
    used = [codec for codec in codecs(kafka.version) if codec is None or usable(codec)]

    def body():
        for codec in used:
            producer = yield connected(kafka, compression=codec, batch_size=10)
            for value in numbered(10, 8):
                yield producer.produce(topic, value, key=b"k", headers=headers, timestamp=1234)
            yield producer.close()
    run(body)
    settings = {
        "bootstrap.servers": ",".join(kafka.bootstrap), "group.id": "nobody", "check.crcs": True
    }
    if kafka.version == "0.8.2.2":
        settings.update({"api.version.request": False, "broker.version.fallback": "0.8.2.2"})
    consumer = peer.Consumer(settings)
    consumer.assign([peer.TopicPartition(topic, 0, 0)])
    found = []
    try:
        while len(found) < 10 * len(used):
            message = consumer.poll(20)
            assert message is not None and message.error() is None, message and message.error()
            found.append((
                message.key(), message.value(), message.timestamp()[1], message.headers()
            ))
    finally:
        consumer.close()
    stamp = 1234 if kafka.version != "0.8.2.2" else found[0][2]
    assert found == [(b"k", value, stamp, headers) for value in numbered(10, 8)] * len(used)


def usable(codec):
    try:
        compression.get(codec).compress(b"x")
    except exc.MissingCodecError:
        return False
    return True


def test_a_message_that_the_broker_does_not_take(kafka):
    topic = new_topic()
    kafka.create_topic(topic)

    def body():
        producer = yield connected(kafka, max_request_bytes=5000000, linger=0.05, batch_size=100)
        deliveries = []
        for size in (10, 1500000, 20):
            deliveries.append((yield producer.produce(topic, b"x" * size)))
        yield loop.raises(exc.MessageSizeTooLargeError, producer.flush(20), 20)
        assert [delivery.exception() is None for delivery in deliveries] == [True, False, True]
        failed = deliveries[1].exception()
        assert (failed.topic, failed.partition, failed.code) == (topic, 0, 10)
        assert failed.limit == (1048588 if kafka.version == "4.4.0" else None)  # KIP-133 came with 0.11
        assert failed.size > 1500000
        assert [len(record[3]) for record in (yield records(producer, topic))] == [10, 20]
        too_large = yield loop.raises(
            exc.MessageSizeTooLargeError, producer.produce(topic, b"x" * 5000000)
        )
        assert "max_request_bytes" in str(too_large)
        yield producer.close()
    run(body)


def test_batches_beyond_the_topics_limit_are_split(kafka):
    topic = new_topic()
    kafka.create_topic(topic, config={"max.message.bytes": 20000})

    def body():
        producer = yield connected(
            kafka, linger=0.05, batch_size=200, compression=constants.GZIP
        )
        # hard to compress
        sent = [b"".join(uuid.uuid4().bytes for _ in range(60)) for _ in range(100)]
        found = yield (yield producer.produce_many(topic, sent))
        assert [metadata.offset for metadata in found] == list(range(100))
        assert [record[3] for record in (yield records(producer, topic))] == sent
        yield producer.close()
    run(body)


def test_many_messages_to_several_partitions_keep_their_order(kafka):
    topic = new_topic()
    kafka.create_topic(topic, partitions=3)

    def body():
        producer = yield connected(kafka, linger=0.005, batch_size=1000)
        sent = numbered(8000)
        for number, value in enumerate(sent):
            yield producer.produce(topic, value, partition=number % 3 if number < 4000 else None)
        yield producer.flush()
        written = []
        for partition in range(3):
            values = [record[3] for record in (yield records(producer, topic, partition))]
            assert values == sorted(values)
            written.extend(values)
        assert sorted(written) == sent
        assert producer.buffered == 0 and not producer.sent
        yield producer.close()
    run(body)


def test_timestamps(kafka):
    if kafka.version == "0.8.2.2":
        pytest.skip("0.8 has no timestamps")
    topic, stamped = new_topic(), new_topic()
    kafka.create_topic(topic)
    kafka.create_topic(stamped, config={"message.timestamp.type": "LogAppendTime"})

    def body():
        producer = yield connected(kafka)
        now = time.time() * 1000
        own = yield (yield producer.produce(topic, b"x", timestamp=12345))
        current = yield (yield producer.produce(topic, b"x"))
        brokers = yield (yield producer.produce(stamped, b"x", timestamp=12345))
        assert own.timestamp == 12345
        assert abs(current.timestamp - now) < 5000 and abs(brokers.timestamp - now) < 5000
        assert [record[1] for record in (yield records(producer, topic))] == [
            12345, current.timestamp
        ]
        yield producer.close()
    run(body)


def test_headers(kafka):
    topic = new_topic()
    kafka.create_topic(topic)

    def body():
        producer = yield connected(kafka)
        sent = producer.produce(topic, b"x", headers=[("h", b"v"), ("n", None)])
        if kafka.version == "4.4.0":
            yield sent
            assert (yield records(producer, topic))[0][4] == (("h", b"v"), ("n", None))
        else:
            yield loop.raises(exc.UnsupportedVersionError, sent)
        yield producer.close()
    run(body)


class Ledger(object):
    """Produces numbered messages to a topic at a steady rate, and notes what became of them."""

    def __init__(self, producer, topic, partitions):
        self.producer = producer
        self.topic = topic
        self.partitions = partitions
        self.deliveries = []
        self.stopped = False

    @gen.coroutine
    def produce(self):
        while not self.stopped:
            for _ in range(20):
                number = len(self.deliveries)
                delivery = yield self.producer.produce(
                    self.topic, ("%08d" % number).encode("ascii"),
                    partition=number % self.partitions
                )
                self.deliveries.append(delivery)
            yield gen.sleep(0.02)  # several batches at a time are enough: what is written is compared one by one

    @gen.coroutine
    def check(self):
        """
        All were acknowledged, are where they should be, and in order; gives the number of
        duplicates.
        """
        yield self.producer.flush(30)
        metadata = yield self.deliveries
        duplicates = 0
        for partition in range(self.partitions):
            found = yield records(self.producer, self.topic, partition)
            at = dict((record[0], record[3]) for record in found)
            values = [record[3] for record in found]
            once = first_of_each(values)
            duplicates += len(values) - len(once)
            mine = [i for i in range(len(metadata)) if i % self.partitions == partition]
            assert once == [("%08d" % i).encode("ascii") for i in mine]
            for i in mine:
                assert at[metadata[i].offset] == ("%08d" % i).encode("ascii")
        raise gen.Return(duplicates)


@gen.coroutine
def blocking(function, *args):
    """Runs what blocks on a thread, so that the client goes on meanwhile."""
    from concurrent import futures
    executor = futures.ThreadPoolExecutor(1)
    try:
        result = yield executor.submit(function, *args)
    finally:
        executor.shutdown(False)
    raise gen.Return(result)


@pytest.mark.parametrize("fault", ["kill", "stop", "pause"])
def test_a_leader_lost_loses_nothing(three, fault):
    topic = new_topic()
    three.create_topic(topic, partitions=3, replicas=3)

    def body():
        producer = yield connected(
            three, linger=0.002, batch_size=100, request_timeout=2, connect_timeout=2
        )
        ledger = Ledger(producer, topic, 3)
        work = ledger.produce()
        yield gen.sleep(1)
        victim = three.brokers[producer.cluster.get_leader(topic, 0)]
        yield blocking(getattr(victim, fault))
        struck = len(ledger.deliveries)
        deadline = ioloop.IOLoop.current().time() + 20
        while not ledger.deliveries[-1].done() or len(ledger.deliveries) < struck + 2000:
            assert ioloop.IOLoop.current().time() < deadline
            yield gen.sleep(0.1)
        yield gen.sleep(1)
        yield blocking(victim.resume if fault == "pause" else victim.start)
        yield gen.sleep(1)
        ledger.stopped = True
        yield work
        duplicates = yield ledger.check()
        print("%s: %d messages, %d of them twice" % (fault, len(ledger.deliveries), duplicates))
        assert len(ledger.deliveries) > 2000
        assert producer.buffered == 0
        yield producer.close()
    run(body)


def test_the_whole_cluster_down_and_up(kafka):
    topic = new_topic()
    kafka.create_topic(topic)

    def body():
        producer = yield connected(kafka, linger=0.002, batch_size=100, request_timeout=2)
        yield producer.produce(topic, b"00000000")
        yield producer.flush()
        yield blocking(kafka.brokers[0].kill)
        waiting = []
        for value in numbered(50, 8)[1:]:
            waiting.append((yield producer.produce(topic, value)))
        yield gen.sleep(1)
        assert not any(delivery.done() for delivery in waiting)
        yield blocking(kafka.brokers[0].start)
        yield gen.with_timeout(ioloop.IOLoop.current().time() + 30, gen.multi(waiting))
        values = [record[3] for record in (yield records(producer, topic))]
        assert first_of_each(values) == numbered(50, 8)
        yield producer.close()
    run(body)
