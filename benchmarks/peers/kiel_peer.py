"""kiel's own tasks."""
from __future__ import absolute_import

import time

from tornado import gen, ioloop

from benchmarks.peers import task
from kiel import clients, constants


def run(coroutine):
    """Runs one task to its end."""
    return ioloop.IOLoop.current().run_sync(coroutine)


def _consume(this, deserializer, records=False):
    """Reads the topic from its beginning."""
    @gen.coroutine
    def work():
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=deserializer, max_bytes=1 << 21)
        yield consumer.connect()
        consume = consumer.consume_records if records else consumer.consume
        this.begin()
        while this.seen < this.count:
            messages = yield consume(this.topic, start=consumer.BEGINNING)
            this.took([record.value for record in messages] if this.check and records else messages)
        result = this.end()
        yield consumer.close()
        raise gen.Return(result)
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


def _producer(this, **options):
    """A producer for throughput."""
    return clients.Producer(
        this.bootstrap, serializer=_same, batch_size=50000, linger=0.005,
        max_request_bytes=1000000, compression=options.pop("compression", None), **options
    )


def _same(value):
    return value


def produce(this):
    """A call a message, acknowledged by all replicas."""
    @gen.coroutine
    def work():
        producer = _producer(this)
        yield producer.connect()
        values = task.values(this.count, this.size)
        topic = this.topic
        this.begin()
        for value in values:
            yield producer.produce(topic, value)
        yield producer.flush()
        result = this.end()
        yield producer.close()
        raise gen.Return(result)
    return run(work)


def produce_many(this):
    """A call a thousand messages."""
    @gen.coroutine
    def work():
        producer = _producer(this)
        yield producer.connect()
        values = task.values(this.count, this.size)
        this.begin()
        for begin in range(0, len(values), 1000):
            yield producer.produce_many(this.topic, values[begin:begin + 1000])
        yield producer.flush()
        result = this.end()
        yield producer.close()
        raise gen.Return(result)
    return run(work)


def produce_wait(this):
    """One message at a time, each waited for."""
    @gen.coroutine
    def work():
        producer = clients.Producer(this.bootstrap, serializer=_same)
        yield producer.connect()
        value = b"x" * this.size
        seconds = []
        for number in range(this.count):
            begun = time.time()
            yield producer.produce(this.topic, value)
            seconds.append(time.time() - begun)
        yield producer.close()
        raise gen.Return(task.latency(seconds[len(seconds) // 10:]))
    return run(work)


if __name__ == "__main__":
    assert constants
    task.main(globals())
