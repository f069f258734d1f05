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


def produce(this):
    """A call a message, acknowledged by all replicas."""
    @gen.coroutine
    def work():
        producer = clients.Producer(this.bootstrap, serializer=bytes, batch_size=50000, linger=0.005)
        yield producer.connect()
        yield producer.cluster.ensure(this.topic)
        topic, send = this.topic, producer.produce
        this.begin()
        for value in task.values(this.count, this.size):
            yield send(topic, value)
        yield producer.flush()
        result = this.end()
        yield producer.close()
        raise gen.Return(result)
    return ioloop.IOLoop.current().run_sync(work)


if __name__ == "__main__":
    task.main(globals())
