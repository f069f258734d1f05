"""confluent-kafka's tasks."""
from __future__ import absolute_import

import json
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.peers import task


def consume(this, value=None, records=False):
    """Values as bytes."""
    consumer = Consumer({
        "bootstrap.servers": ",".join(this.bootstrap), "group.id": "none", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.message.max.bytes": 1 << 22, "fetch.max.bytes": 1 << 23,
        "queued.min.messages": 1000000, "check.crcs": True
    })
    consumer.assign([TopicPartition(this.topic, number, 0) for number in range(this.options.get("partitions", 1))])
    this.begin()
    while this.seen < this.count:
        messages = consumer.consume(500, 1.0)  # the quickest: more at once are slower to make and to free
        if value is not None:
            messages = [value(message.value()) for message in messages]
        elif not records or this.check:
            messages = [message.value() for message in messages]
        this.took(messages)
    result = this.end()
    consumer.close()
    return result


def consume_json(this):
    """Values from JSON."""
    return consume(this, json.loads)


def consume_records(this):
    """Whole records."""
    return consume(this, records=True)


def _producer(this, linger):
    """A producer for throughput, or for none."""
    return Producer({
        "bootstrap.servers": ",".join(this.bootstrap), "acks": "all", "linger.ms": linger, "batch.size": 1000000,
        "queue.buffering.max.messages": 1000000, "batch.num.messages": 100000,
        "compression.type": this.options.get("codec") or "none", "partitioner": "murmur2_random",
        "enable.idempotence": bool(this.options.get("idempotent")),
    })


def produce(this):
    """A call a message, acknowledged by all replicas."""
    producer = _producer(this, 5)
    values = task.values(this.count, this.size)
    producer.list_topics(this.topic)
    topic = this.topic
    send, poll = producer.produce, producer.poll
    this.begin()
    for value in values:
        try:
            send(topic, value)
        except BufferError:
            while True:
                poll(0.01)
                try:
                    send(topic, value)
                    break
                except BufferError:
                    continue
    poll(0)
    producer.flush()
    return this.end()


def _produce_services(this, key, headers):
    """A service's messages, a call each; without key or headers where they are None."""
    producer = _producer(this, 5)
    messages = list(task.services(this.count))
    producer.list_topics(this.topic)
    topic = this.topic
    send, poll = producer.produce, producer.poll
    this.begin()
    for name, value in messages:
        while True:
            try:
                if key:
                    send(topic, value, name, headers=headers)
                else:
                    send(topic, value)
                break
            except BufferError:
                poll(0.01)
    poll(0)
    producer.flush()
    return this.end()


def produce_keyed(this):
    """A call a message, with key and header, to the partition that the key says."""
    return _produce_services(this, True, [task.HEADER])


def produce_mixed(this):
    """A call a message, without key and header."""
    return _produce_services(this, False, None)


def produce_keyed_wait(this):
    """One message with key and header at a time, each waited for."""
    producer = _producer(this, 0)
    seconds, done, headers = [], [], [task.HEADER]
    for key, value in list(task.services(this.count)):
        begun = time.time()
        producer.produce(this.topic, value, key, headers=headers, callback=lambda error, message: done.append(message))
        while not done:
            producer.poll(1.0)
        del done[:]
        seconds.append(time.time() - begun)
    return task.latency(seconds[len(seconds) // 10:])


def produce_keyed_32(this):
    """As many messages on their way as there are coroutines elsewhere."""
    producer = _producer(this, 0)
    messages, done, headers = list(task.services(this.count)), [], [task.HEADER]
    producer.list_topics(this.topic)
    this.begin()
    for number, (key, value) in enumerate(messages):
        while number - len(done) >= 32:
            producer.poll(1.0)
        producer.produce(this.topic, value, key, headers=headers, callback=lambda error, message: done.append(None))
    producer.flush()
    return this.end()


def produce_wait(this):
    """One message at a time, each waited for."""
    producer = _producer(this, 0)
    value = b"x" * this.size
    seconds = []
    done = []
    for number in range(this.count):
        begun = time.time()
        producer.produce(this.topic, value, callback=lambda error, message: done.append(message))
        while not done:
            producer.poll(1.0)
        del done[:]
        seconds.append(time.time() - begun)
    return task.latency(seconds[len(seconds) // 10:])


def idle(this):
    """A consumer that waits for messages that do not come."""
    consumer = Consumer({
        "bootstrap.servers": ",".join(this.bootstrap), "group.id": "none", "enable.auto.commit": False,
    })
    consumer.assign([TopicPartition(this.topic, 0)])
    consumer.consume(1, 1.0)
    this.begin()
    end = time.time() + this.count
    while time.time() < end:
        consumer.consume(10000, 1.0)
    result = this.end()
    consumer.close()
    return result


if __name__ == "__main__":
    task.main(globals())
