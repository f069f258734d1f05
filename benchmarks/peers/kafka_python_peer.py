"""kafka-python's tasks."""
from __future__ import absolute_import

import json
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.peers import task


def _consume(this, value=None):
    """Reads the topic from its beginning."""
    consumer = KafkaConsumer(
        bootstrap_servers=this.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=1 << 21, fetch_max_bytes=1 << 22, max_poll_records=10000,
        value_deserializer=value
    )
    consumer.assign([TopicPartition(this.topic, number) for number in range(this.options.get("partitions", 1))])
    consumer.seek_to_beginning()
    return consumer


def consume(this, value=None, records=False):
    """Values as bytes."""
    consumer = _consume(this, value)
    this.begin()
    while this.seen < this.count:
        for messages in consumer.poll(1000).values():
            this.took(messages if records and not this.check else [message.value for message in messages])
    result = this.end()
    consumer.close()
    return result


def consume_json(this):
    """Values from JSON."""
    return consume(this, json.loads)


def consume_records(this):
    """Whole records."""
    return consume(this, records=True)


def produce(this):
    """A call a message, acknowledged by all replicas."""
    producer = KafkaProducer(
        bootstrap_servers=this.bootstrap, acks="all", linger_ms=5, batch_size=1 << 19, max_request_size=1000000,
        enable_idempotence=False, compression_type=this.options.get("codec")
    )
    values = task.values(this.count, this.size)
    producer.partitions_for(this.topic)
    this.begin()
    for value in values:
        producer.send(this.topic, value)
    producer.flush()
    result = this.end()
    producer.close()
    return result


def produce_wait(this):
    """One message at a time, each waited for."""
    producer = KafkaProducer(bootstrap_servers=this.bootstrap, acks="all", linger_ms=0, enable_idempotence=False)
    value = b"x" * this.size
    seconds = []
    for number in range(this.count):
        begun = time.time()
        producer.send(this.topic, value).get(10)
        seconds.append(time.time() - begun)
    producer.close()
    return task.latency(seconds[len(seconds) // 10:])


def idle(this):
    """A consumer that waits for messages that do not come."""
    consumer = KafkaConsumer(this.topic, bootstrap_servers=this.bootstrap, enable_auto_commit=False, group_id=None)
    consumer.poll(1000)
    this.begin()
    end = time.time() + this.count
    while time.time() < end:
        consumer.poll(1000)
    result = this.end()
    consumer.close()
    return result


if __name__ == "__main__":
    task.main(globals())
