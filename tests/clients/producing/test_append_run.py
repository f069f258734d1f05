"""The fast way for messages that follow one another gives what the plain way gives."""
from __future__ import absolute_import

import random
import time

import pytest
from tornado import gen

from kiel import clients, partitioners
from kiel.clients.producing import batch as batches
from kiel.clients.producing.append_run import AppendRun

from tests.clients.producing.producers import connected, records, settled, values
from tests.fake import with_cluster


@with_cluster(topics={"t": 1})
def test_runs_give_what_one_by_one_gives(cluster):
    """`AppendRun.extend` beside its plain twin `append`: the same messages, in order, with deliveries that fit."""
    rnd = random.Random(5)

    def odd(message):
        """A serializer of which some messages are text, some null, and one in a while none at all."""
        if message % 97 == 96:
            raise ValueError(message)
        text = "%d:%s" % (message, "x" * rnd.randrange(200))
        return None if message % 50 == 49 else text.encode("ascii") if message % 1000 < 900 else text

    producer = yield connected(cluster, linger=0.001, batch_size=100, serializer=odd, max_request_bytes=60000)
    taken = []
    plain = AppendRun.extend
    AppendRun.extend = lambda *args: taken.append(plain(*args)) or taken[-1]
    messages = [number for number in range(6000) if number < 2000 or number % 50 != 49 and number % 97 != 96]
    try:
        deliveries = yield producer.produce_many("t", messages)
    finally:
        AppendRun.extend = plain
    written = []
    for message, delivery in zip(messages, deliveries):
        try:
            metadata = yield delivery
        except ValueError:
            assert message % 97 == 96
        else:
            written.append((message, metadata.offset))
    found = records(cluster)
    assert [offset for _, offset in written] == list(range(len(found)))
    for message, offset in written:
        value = found[offset][3]
        if message % 50 == 49:
            assert value is None
        else:
            assert value.split(b":")[0] == str(message).encode("ascii")
    assert max(taken) > 100 and len(taken) > 10 and sum(taken) < len(written)
    assert producer.buffered == 0
    yield producer.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_right_whoever_looks(seed):
    """Messages in a run are counted afterwards: nobody may see that, whatever comes between them."""
    rnd = random.Random(seed)

    @with_cluster(topics={"t": 2, "u": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=10, batch_size=700, max_request_bytes=20000, retry=None)
        inner = []

        def meddle(message):
            """Now and then an application's own function produces something itself."""
            for topic in "ttu" if rnd.random() < 0.05 else "":
                inner.append(b"inner" + message)
                producer.produce(topic, inner[-1])
            return message

        producer.serializer = lambda message: message if message.startswith(b"inner") else meddle(message)
        waited = []
        for number in range(3000):
            topic = rnd.choice("tttu")
            value = b"%d" % number
            value += b"x" * rnd.choice((0, 0, 10, 90, 90, 300 if rnd.random() < 0.9 else 9000))
            how = rnd.choice([{}] * 30 + [{"partition": 0}] * 9 + [
                {"key": b"k"}, {"timestamp": 5}, {"headers": {"a": b"b"}}
            ])
            if rnd.random() < 0.02:
                waited.append((topic, (yield producer.produce_many(topic, [value]))[0], value))
            elif rnd.random() < 0.02:
                waited.append((topic, producer.produce_nowait(topic, value, **how), value))
            else:
                waited.append((topic, (yield producer.produce(topic, value, **how)), value))
            look = rnd.random()
            if look < 0.05:
                buffered, held = producer.buffered, producer._sender.batches()
                for batch in held:
                    batch.end_run()
                assert buffered == producer.buffered
                assert buffered == sum(batch.size - batches.BATCH_OVERHEAD for batch in held)
                for batch in held:
                    rows = list(batch.records)
                    assert len(rows) == len(batch)
                    assert batch.size - batches.BATCH_OVERHEAD == sum(
                        batches.record_size(key, val, headers) for key, val, headers, _ in rows)
            elif look < 0.06:
                producer.batch_size = rnd.choice((1, 50, 700))
            elif look < 0.07:
                assert sum(map(len, producer.unsent.values())) == producer.unsent_count
            elif look < 0.08:
                yield producer.cluster.heal()
            elif look < 0.1:
                producer.partitioner = rnd.choice((
                    partitioners.random_partition, lambda key, ids: meddle(b"p") and ids[-1],
                ))
            elif look < 0.12:
                producer.key_maker = rnd.choice((None, None, lambda message: meddle(b"k") and None))
        yield producer.flush()
        written = dict((place, values(cluster, *place)) for place in (("t", 0), ("t", 1), ("u", 0)))
        for topic, delivery, value in waited:
            metadata = yield delivery
            assert written[topic, metadata.partition][metadata.offset] == value
        assert sorted(sum(written.values(), [])) == sorted([value for _, _, value in waited] + inner)
        assert settled(producer) and producer._accumulator.unflushed < 700
        yield producer.close()
    run()


@with_cluster(topics={"t": 2})
def test_a_run_ends_when_what_it_took_for_granted_changes(cluster):
    """Partitioner, key maker, time and size of a message that follows."""
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6)
    taken = yield [producer.produce("t", b"%d" % i if str is not bytes else str(i)) for i in range(50)]
    assert len({delivery.partition for delivery in taken}) == 1
    producer.partitioner = lambda key, ids: 1
    moved = yield [producer.produce("t", b"p") for _ in range(3)]
    assert [delivery.partition for delivery in moved] == [1] * 3
    producer.partitioner = partitioners.random_partition
    yield producer.produce("t", b"again")
    producer.key_maker = lambda message: b"made"
    yield producer.produce("t", b"keyed")
    producer.key_maker = None
    begun = time.time()
    yield producer.produce("t", b"early")
    yield gen.sleep(0.02)
    yield producer.produce("t", b"late")
    yield producer.produce("t", b"large" * 1000)
    yield producer.flush()
    found = {record[3]: record for number in (0, 1) for record in records(cluster, partition=number)}
    assert found[b"keyed"][2] == b"made" and found[b"again"][2] is None and found[b"early"][2] is None
    assert found[b"late"][1] - found[b"early"][1] >= 19 and abs(found[b"early"][1] - begun * 1000) < 5
    assert found[b"large" * 1000]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_text_follows_in_a_run_too(cluster):
    """As the default serializer makes it."""
    producer = yield connected(cluster, linger=10, batch_size=10 ** 6, serializer=None)
    clock, now = clients.producer._time, time.time()
    clients.producer._time = lambda: now  # all in one millisecond
    try:
        for number in range(40):
            yield producer.produce("t", {"n": number})
    finally:
        clients.producer._time = clock
    assert producer._run.uncounted > 20 * batches.RECORD_OVERHEAD
    yield producer.flush()
    assert values(cluster) == [b'{"n": ' + str(number).encode("ascii") + b"}" for number in range(40)]
    producer.serializer = lambda message: message
    broken = producer.produce("t", u"\ud800") if str is not bytes else None
    assert broken is None or isinstance(broken.exception(), UnicodeEncodeError)
    yield producer.close()
