"""
How soon clients work again after a login that failed for a while: ``python -m benchmarks.recovery CASE``.

The cases are those of :mod:`benchmarks.recovery_cases`: a password that is wrong on the broker, a client certificate
that it refuses, an identity provider or a KDC that is away. Each client is used all the time, is never made anew, and
its errors are counted; its figure is the time from the cure to the first call that comes through, or, of a consumer,
to the first message that it has. All clients run in one process, at the same time.
"""
from __future__ import absolute_import, print_function

import argparse
import asyncio
import logging
import threading
import time

import aiokafka
import aiokafka.admin
import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin
from tornado import gen, ioloop

from kiel import clients

from benchmarks import recovery_cases

TOPIC = "recovery"

#: seconds with everything right, before and after
BEFORE, AFTER = 5, 15


class Track(object):
    """What became of the calls of one client."""

    def __init__(self, name):
        self.name = name
        self.times = []
        self.failures = []

    def took(self, error=None):
        """Note a call that came through, or its error."""
        (self.times if error is None else self.failures).append((time.time(), error))

    def line(self, wrong, cure):
        """Return the line of the table."""
        through = [when for when, _ in self.times if (wrong + cure) / 2 < when < cure]
        again = [when - cure for when, _ in self.times if when >= cure]
        late = len([1 for when, _ in self.failures if wrong <= when < cure])
        note = "was not cut off" if through else "%.1f s" % again[0] if again else "not within %d s" % AFTER
        return "%-32s  %-18s  %d" % (self.name, note, late)


class Run(object):
    """All clients, until ``over``."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.over = False
        self.tracks = []
        self.threads = []

    def track(self, name):
        """Return a new `Track`."""
        self.tracks.append(Track(name))
        return self.tracks[-1]

    def thread(self, work, *args):
        """Have a function run beside."""
        thread = threading.Thread(target=work, args=args)
        thread.daemon = True
        thread.start()
        self.threads.append(thread)

    def repeat(self, name, use):
        """Call a function, which returns whether it came through, until it is over."""
        track = self.track(name)

        def work():
            while not self.over:
                try:
                    if use():
                        track.took()
                except Exception as error:
                    track.took(error)
                time.sleep(0.05)
        self.thread(work)


# -- kiel --

def of_kiel(run, login):
    @gen.coroutine
    def repeat(name, use):
        track = run.track("kiel: " + name)
        while not run.over:
            try:
                if (yield use()):
                    track.took()
            except Exception as error:
                track.took(error)
            yield gen.sleep(0.05)

    @gen.coroutine
    def body():
        producers = [clients.Producer(run.bootstrap, serializer=bytes, required_acks=acks, **login) for acks in (-1, 0)]
        single = clients.SingleConsumer(run.bootstrap, deserializer=bytes, max_wait_time=200, **login)
        member = clients.GroupedConsumer(run.bootstrap, "kiel", deserializer=bytes, max_wait_time=200, **login)
        admin = clients.Admin(run.bootstrap, **login)
        yield [client.connect() for client in producers + [single, member, admin]]

        def produce(producer):
            @gen.coroutine
            def use():
                yield (yield producer.produce(TOPIC, b"x"))
                raise gen.Return(True)
            return use
        yield [
            repeat("Producer", produce(producers[0])), repeat("Producer, acks=0", produce(producers[1])),
            repeat("SingleConsumer", lambda: single.consume(TOPIC)),
            repeat("GroupedConsumer", lambda: member.consume(TOPIC)),
            repeat("Admin", lambda: admin.end_offsets(TOPIC)),
        ]
    loop = ioloop.IOLoop()
    loop.run_sync(body)


# -- others --

def of_kafka_python(run, login):
    settings = dict(login, bootstrap_servers=run.bootstrap)
    producer = kafka.KafkaProducer(max_block_ms=2000, **settings)
    consumer = kafka.KafkaConsumer(TOPIC, group_id="kafka-python", **settings)
    admin = kafka.KafkaAdminClient(**settings)
    run.repeat("kafka-python: producer", lambda: producer.send(TOPIC, b"x").get(timeout=2))
    run.repeat("kafka-python: consumer", lambda: consumer.poll(timeout_ms=200))
    run.repeat("kafka-python: admin", lambda: admin.list_topics())


def of_aiokafka(run, login):
    settings = dict(login, bootstrap_servers=run.bootstrap)

    async def repeat(name, use):
        track = run.track("aiokafka: " + name)
        while not run.over:
            try:
                if await asyncio.wait_for(use(), 2):
                    track.took()
            except Exception as error:
                track.took(error)
            await asyncio.sleep(0.05)

    async def body():
        producer = aiokafka.AIOKafkaProducer(**settings)
        consumer = aiokafka.AIOKafkaConsumer(TOPIC, group_id="aiokafka", **settings)
        admin = aiokafka.admin.AIOKafkaAdminClient(**settings)
        for client in (producer, consumer, admin):
            await client.start()
        await asyncio.gather(
            repeat("producer", lambda: producer.send_and_wait(TOPIC, b"x")),
            repeat("consumer", lambda: consumer.getmany(timeout_ms=200)),
            repeat("admin", lambda: admin.list_topics()),
        )
    asyncio.run(body())


def of_confluent(run, login):
    settings = dict(login, **{
        "bootstrap.servers": ",".join(run.bootstrap), "log_level": 0, "error_cb": lambda error: None,
    })
    producer = confluent_kafka.Producer(settings)
    consumer = confluent_kafka.Consumer(dict(settings, **{"group.id": "confluent"}))
    consumer.subscribe([TOPIC])
    admin = confluent_kafka.admin.AdminClient(settings)

    def produce():
        done = []
        producer.produce(TOPIC, b"x", on_delivery=lambda error, message: done.append(error))
        producer.flush(2)
        if done != [None]:
            raise RuntimeError(done)
        return True

    def consume():
        messages = consumer.consume(1000, 0.2)
        if messages and messages[-1].error():
            raise RuntimeError(messages[-1].error())
        return messages
    run.repeat("confluent: producer", produce)
    run.repeat("confluent: consumer", consume)
    run.repeat("confluent: admin", lambda: admin.list_topics(timeout=2))


def main():
    """Run one case, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description="How soon clients work again.")
    parser.add_argument("case", nargs="?", choices=sorted(recovery_cases.CASES), default="password")
    case = recovery_cases.CASES[parser.parse_args().case]()
    logging.disable(logging.CRITICAL)
    with case.started() as cluster:
        cluster.create_topic(TOPIC)
        feed = confluent_kafka.Producer({"bootstrap.servers": cluster.plaintext[0]})
        run = Run(cluster.bootstrap)
        run.thread(of_kiel, run, case.kiel())
        run.thread(of_aiokafka, run, case.aiokafka())
        of_kafka_python(run, case.kafka_python())
        login = case.confluent()
        if login is not None:
            of_confluent(run, login)

        def wait(seconds):
            until = time.time() + seconds
            while time.time() < until:
                feed.produce(TOPIC, b"x")
                feed.poll(0.05)
        wait(BEFORE)
        wrong = time.time()
        case.spoil()
        wait(case.wrong)
        case.cure()
        cure = time.time()
        wait(AFTER)
        run.over = True
        rows = [track.line(wrong, cure) for track in run.tracks]
        edge = "=" * 32 + "  " + "=" * 18 + "  " + "=" * 24
        head = "%-32s  %-18s  %s" % ("client", "works again", "errors while wrong")
        print("\n".join([edge, head, edge] + rows + [edge]))


if __name__ == "__main__":
    main()
