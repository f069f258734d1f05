"""kiel's own tasks, as Tornado applications are written today: native coroutines."""
from __future__ import absolute_import

import itertools
import time

from tornado import gen, ioloop

from benchmarks.peers import task
from kiel import clients
from kiel.partitioners import murmur2


def run(coroutine):
    """Runs one task to its end."""
    return ioloop.IOLoop.current().run_sync(coroutine)


def _consume(this, deserializer, records=False):
    """Reads the topic from its beginning."""
    async def work():
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=deserializer, max_bytes=1 << 21)
        await consumer.connect()
        consume = consumer.consume_records if records else consumer.consume
        this.begin()
        while this.seen < this.count:
            messages = await consume(this.topic, start=consumer.BEGINNING)
            this.took([record.value for record in messages] if this.check and records else messages)
        result = this.end()
        await consumer.close()
        return result
    return run(work)


def consume(this):
    """Values as bytes."""
    return _consume(this, bytes)


def consume_json(this):
    """Values from JSON, by the default deserialiser."""
    return _consume(this, None)


def consume_records(this):
    """Whole records."""
    return _consume(this, bytes, records=True)


def _producer(this, **more):
    """A producer for throughput: what waits is no more than fits a processor's cache."""
    if this.options.get("unordered"):  # a partition's batches one behind the other, as many as the buffer holds
        more.update(idempotent=False, max_in_flight=1000)
    return clients.Producer(
        this.bootstrap, serializer=bytes, batch_size=this.options.get("batch_size", 50000), linger=0.005,
        max_request_bytes=1000000, buffer_bytes=this.options.get("buffer_bytes", 1800000),
        compression=this.options.get("codec"), **more
    )


def produce(this):
    """A call a message, acknowledged by all replicas."""
    async def work():
        producer = _producer(this)
        await producer.connect()
        await producer.cluster.ensure(this.topic)
        topic = this.topic
        this.begin()
        for value in task.values(this.count, this.size):
            await producer.produce(topic, value)
        await producer.flush()
        result = this.end()
        await producer.close()
        return result
    return run(work)


def produce_keyed(this):
    """A call a message, with key and header, to the partition that the key says."""
    async def work():
        producer = _producer(this, partitioner=murmur2)
        await producer.connect()
        await producer.cluster.ensure(this.topic)
        topic, messages, headers = this.topic, list(task.services(this.count)), [task.HEADER]
        this.begin()
        for key, value in messages:
            await producer.produce(topic, value, key=key, headers=headers)
        await producer.flush()
        result = this.end()
        await producer.close()
        return result
    return run(work)


def produce_mixed_many(this):
    """A call a thousand messages of mixed sizes, which have neither key nor header."""
    async def work():
        producer = _producer(this)
        await producer.connect()
        await producer.cluster.ensure(this.topic)
        values = [value for _, value in task.services(this.count)]
        this.begin()
        for start in range(0, this.count, 1000):
            await producer.produce_many(this.topic, values[start:start + 1000])
        await producer.flush()
        result = this.end()
        await producer.close()
        return result
    return run(work)


def produce_keyed_wait(this):
    """One message with key and header at a time, each waited for."""
    async def work():
        producer = clients.Producer(this.bootstrap, serializer=bytes, partitioner=murmur2)
        await producer.connect()
        headers = [task.HEADER]
        seconds = []
        for key, value in list(task.services(this.count)):
            begun = time.time()
            await producer.produce(this.topic, value, key=key, headers=headers)
            seconds.append(time.time() - begun)
        await producer.close()
        return task.latency(seconds[len(seconds) // 10:])
    return run(work)


def produce_keyed_32(this):
    """32 coroutines that each produce a message and wait for it."""
    async def work():
        producer = clients.Producer(this.bootstrap, serializer=bytes, partitioner=murmur2)
        await producer.connect()
        await producer.cluster.ensure(this.topic)
        messages, headers = iter(list(task.services(this.count))), [task.HEADER]

        async def one():
            for key, value in messages:
                await producer.produce(this.topic, value, key=key, headers=headers)
        this.begin()
        await gen.multi([gen.convert_yielded(one()) for _ in range(32)])
        result = this.end()
        await producer.close()
        return result
    return run(work)


def produce_many(this):
    """A call a thousand messages, or as many as ``many`` says."""
    many = this.options.get("many", 1000)

    async def work():
        producer = _producer(this)
        await producer.connect()
        await producer.cluster.ensure(this.topic)
        values = task.values(this.count, this.size)
        this.begin()
        for _ in range(0, this.count, many):
            await producer.produce_many(this.topic, itertools.islice(values, many))
        await producer.flush()
        result = this.end()
        await producer.close()
        return result
    return run(work)


def produce_wait(this):
    """One message at a time, each waited for."""
    async def work():
        producer = clients.Producer(this.bootstrap, serializer=bytes)
        await producer.connect()
        value = b"x" * this.size
        seconds = []
        for _ in range(this.count):
            begun = time.time()
            await producer.produce(this.topic, value)
            seconds.append(time.time() - begun)
        await producer.close()
        return task.latency(seconds[len(seconds) // 10:])
    return run(work)


def through(this):
    """One message at a time, to a consumer of the same process that waits for it; and the time of a round trip."""
    async def work():
        producer = clients.Producer(this.bootstrap, serializer=bytes)
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=bytes)
        await producer.connect()
        await consumer.connect()
        await producer.produce(this.topic, b"first")
        while not await consumer.consume(this.topic, start=consumer.BEGINNING):
            pass
        value = b"x" * this.size
        seconds, trips = [], []
        for _ in range(this.count):
            coming = consumer.consume(this.topic)
            await gen.sleep(0.002)  # the consumer's request is with the broker by now
            begun = time.time()
            producer.produce(this.topic, value)
            messages = await coming
            seconds.append(time.time() - begun)
            if messages != [value]:
                raise ValueError("%d messages came instead of the one" % len(messages))
            await producer.flush()
        await consumer.close()
        for _ in range(this.count):
            await gen.sleep(0.002)  # as idle as before
            begun = time.time()
            await producer.produce(this.topic, value)
            trips.append(time.time() - begun)
        await producer.close()
        return dict(task.latency(seconds), trip=task.latency(trips)["median"])
    return run(work)


def idle(this):
    """A consumer that waits for messages that do not come."""
    async def work():
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=bytes)
        await consumer.connect()
        await consumer.consume(this.topic)
        this.begin()
        end = time.time() + this.count
        while time.time() < end:
            await consumer.consume(this.topic)
        return this.end()
    return run(work)


if __name__ == "__main__":
    task.main(globals())
