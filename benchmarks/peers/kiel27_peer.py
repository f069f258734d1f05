"""kiel's tasks in Python 2.7, as applications for it are written: generators. `kiel_peer` is for today's Pythons."""
from __future__ import absolute_import

from tornado import gen, ioloop

from benchmarks.peers import task
from kiel import clients


def consume(this):
    """Values as bytes."""
    @gen.coroutine
    def work():
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=bytes, max_bytes=1 << 21)
        yield consumer.connect()
        this.begin()
        while this.seen < this.count:
            messages = yield consumer.consume(this.topic, start=consumer.BEGINNING)
            this.took(messages)
        result = this.end()
        yield consumer.close()
        raise gen.Return(result)
    return ioloop.IOLoop.current().run_sync(work)


def _produce(this, send):
    """A producer for throughput: what waits is no more than fits a processor's cache."""
    @gen.coroutine
    def work():
        producer = clients.Producer(
            this.bootstrap, serializer=bytes, batch_size=50000, linger=0.005, buffer_bytes=2000000
        )
        yield producer.connect()
        yield producer.cluster.ensure(this.topic)
        this.begin()
        yield send(producer.produce, this.topic, task.values(this.count, this.size))
        yield producer.flush()
        result = this.end()
        yield producer.close()
        raise gen.Return(result)
    return ioloop.IOLoop.current().run_sync(work)


def produce(this):
    """A call a message, acknowledged by all replicas."""
    @gen.coroutine
    def send(produce_one, topic, values):
        for value in values:
            yield produce_one(topic, value)
    return _produce(this, send)


def produce_when_ready(this):
    """The same, and yields only what is not done yet: Tornado's part in a yield is more than kiel's in a message."""
    @gen.coroutine
    def send(produce_one, topic, values):
        for value in values:
            queued = produce_one(topic, value)
            if queued.done():
                queued.result()
            else:
                yield queued
    return _produce(this, send)


if __name__ == "__main__":
    task.main(globals())
