"""
How many messages a second a producer takes and delivers: ``python benchmarks/producing.py BROKERS
[messages] [size]``.

Counts messages a second from the first call to the last acknowledgement, of `produce` in a loop
that yields each time, of calls that are not yielded, of ``produce_many``; and the median time to
produce one message and wait for it.
"""
from __future__ import absolute_import, print_function

import sys
import time
import uuid

from tornado import gen, ioloop

from kiel import clients


@gen.coroutine
def each(producer, topic, value, count):
    """A call per message, yielded."""
    for _ in range(count):
        yield producer.produce(topic, value)


@gen.coroutine
def nowait(producer, topic, value, count):
    """`produce_nowait` in runs of 500."""
    for start in range(0, count, 500):
        yield producer.produce(topic, value)
        for _ in range(499):
            producer.produce_nowait(topic, value)


@gen.coroutine
def many(producer, topic, value, count):
    """`produce_many` of 10,000 at once."""
    for start in range(0, count, 10000):
        yield producer.produce_many(topic, [value] * min(10000, count - start))


@gen.coroutine
def main(brokers, count, size):
    value = b"x" * size
    for name, way in (("produce", each), ("produce_nowait", nowait), ("produce_many", many)):
        rates = []
        for _ in range(3):
            producer = clients.Producer(brokers, serializer=bytes, batch_size=10000, linger=0.01)
            yield producer.connect()
            topic = "bench-" + uuid.uuid4().hex[:8]
            yield producer.produce(topic, value)
            yield producer.flush()
            cpu, begun = time.process_time(), time.time()
            yield way(producer, topic, value, count)
            taken = time.time()
            yield producer.flush()
            ended = time.time()
            cpu = time.process_time() - cpu
            yield producer.close()
            rates.append((count / (ended - begun), count / (taken - begun), count / cpu))
        rate, queued, cpu = sorted(rates)[1]
        print("%-15s %9d messages/s   queued at %9d/s   %9d per CPU second" % (
            name, rate, queued, cpu
        ))
    producer = clients.Producer(brokers, serializer=bytes)
    yield producer.connect()
    times = []
    for _ in range(2000):
        begun = time.time()
        yield producer.produce(topic, value)
        times.append(time.time() - begun)
    yield producer.close()
    times.sort()
    print("one and wait    median %.3f ms, 99 %% %.3f ms" % (
        times[1000] * 1000, times[1980] * 1000
    ))


if __name__ == "__main__":
    ioloop.IOLoop.current().run_sync(lambda: main(
        sys.argv[1].split(","), int((sys.argv[2:] or [500000])[0]), int((sys.argv[3:] or [100])[0])
    ))
