"""aiokafka's tasks."""
from __future__ import absolute_import

import asyncio
import json
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.peers import task


def consume(this, value=None, records=False):
    """Values as bytes."""
    async def work():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=this.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            max_partition_fetch_bytes=1 << 21, fetch_max_bytes=1 << 22, value_deserializer=value
        )
        await consumer.start()
        partitions = [TopicPartition(this.topic, number) for number in range(this.options.get("partitions", 1))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        this.begin()
        while this.seen < this.count:
            for messages in (await consumer.getmany(timeout_ms=1000)).values():
                this.took(messages if records and not this.check else [message.value for message in messages])
        result = this.end()
        await consumer.stop()
        return result
    return asyncio.run(work())


def consume_json(this):
    """Values from JSON."""
    return consume(this, json.loads)


def consume_records(this):
    """Whole records."""
    return consume(this, records=True)


def produce(this):
    """A call a message, acknowledged by all replicas."""
    async def work():
        producer = AIOKafkaProducer(
            bootstrap_servers=this.bootstrap, acks="all", linger_ms=5, max_batch_size=1 << 19,
            max_request_size=1000000, compression_type=this.options.get("codec")
        )
        await producer.start()
        values = task.values(this.count, this.size)
        await producer.partitions_for(this.topic)
        this.begin()
        for value in values:
            await producer.send(this.topic, value)
        await producer.flush()
        result = this.end()
        await producer.stop()
        return result
    return asyncio.run(work())


def _produce_services(this, send, **options):
    """Runs what produces a service's messages."""
    async def work():
        producer = AIOKafkaProducer(
            bootstrap_servers=this.bootstrap, acks="all", compression_type=this.options.get("codec"),
            enable_idempotence=bool(this.options.get("idempotent")), **options)
        await producer.start()
        await producer.partitions_for(this.topic)
        messages = list(task.services(this.count))
        this.begin()
        result = await send(producer, messages)
        await producer.flush()
        result = result or this.end()
        await producer.stop()
        return result
    return asyncio.run(work())


def produce_keyed(this):
    """A call a message, with key and header, to the partition that the key says."""
    async def send(producer, messages):
        topic, headers = this.topic, [task.HEADER]
        for key, value in messages:
            await producer.send(topic, value, key=key, headers=headers)
    # over a distance, where one batch of a partition is on its way at a time, large ones are faster
    size = 1000000 if "buffer_bytes" in this.options else 1 << 19
    return _produce_services(this, send, linger_ms=5, max_batch_size=size, max_request_size=1000000)


def produce_mixed(this):
    """A call a message, without key and header."""
    async def send(producer, messages):
        topic = this.topic
        for _, value in messages:
            await producer.send(topic, value)
    return _produce_services(this, send, linger_ms=5, max_batch_size=1 << 19, max_request_size=1000000)


def produce_keyed_wait(this):
    """One message with key and header at a time, each waited for."""
    async def send(producer, messages):
        headers = [task.HEADER]
        seconds = []
        for key, value in messages:
            begun = time.time()
            await producer.send_and_wait(this.topic, value, key=key, headers=headers)
            seconds.append(time.time() - begun)
        return task.latency(seconds[len(seconds) // 10:])
    return _produce_services(this, send)


def produce_keyed_32(this):
    """32 coroutines that each produce a message and wait for it."""
    async def send(producer, messages):
        left, headers = iter(messages), [task.HEADER]

        async def one():
            for key, value in left:
                await producer.send_and_wait(this.topic, value, key=key, headers=headers)
        await asyncio.gather(*[one() for _ in range(32)])
    return _produce_services(this, send)


def produce_wait(this):
    """One message at a time, each waited for."""
    async def work():
        producer = AIOKafkaProducer(bootstrap_servers=this.bootstrap, acks="all")
        await producer.start()
        value = b"x" * this.size
        seconds = []
        for number in range(this.count):
            begun = time.time()
            await producer.send_and_wait(this.topic, value)
            seconds.append(time.time() - begun)
        await producer.stop()
        return task.latency(seconds[len(seconds) // 10:])
    return asyncio.run(work())


def idle(this):
    """A consumer that waits for messages that do not come."""
    async def work():
        consumer = AIOKafkaConsumer(this.topic, bootstrap_servers=this.bootstrap, enable_auto_commit=False)
        await consumer.start()
        await consumer.getmany(timeout_ms=1000)
        this.begin()
        end = time.time() + this.count
        while time.time() < end:
            await consumer.getmany(timeout_ms=1000)
        result = this.end()
        await consumer.stop()
        return result
    return asyncio.run(work())


if __name__ == "__main__":
    task.main(globals())
