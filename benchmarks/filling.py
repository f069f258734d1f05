"""The topics that are read."""
from __future__ import absolute_import

from tornado import gen, ioloop

from benchmarks import runs
from kiel import clients

#: messages in the topic of bytes, and in that of JSON
BYTES, JSON = 2000000, 500000


def fill(kafka, size):
    """Makes the topics that are read; gives ``{task: topic}``."""
    kafka.create_topic("bytes")
    kafka.create_topic("json")
    runs.run("kiel", "produce_many", kafka, "bytes", BYTES, size)
    json_values(kafka, "json", JSON, size)
    return {"consume": "bytes", "consume_records": "bytes", "consume_json": "json"}


def json_values(kafka, topic, count, size):
    """Writes JSON messages of about that size."""
    @gen.coroutine
    def work():
        """Writes them."""
        producer = clients.Producer(kafka.bootstrap, linger=0.005, batch_size=10000)
        yield producer.connect()
        filler = "x" * (size - 40)
        for begin in range(0, count, 1000):
            yield producer.produce_many(topic, [
                {"n": number, "name": filler, "on": True} for number in range(begin, min(begin + 1000, count))
            ])
        yield producer.close()
    ioloop.IOLoop.current().run_sync(work)
