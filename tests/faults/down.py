"""
What it costs while everything is down: ``python -m tests.faults.down --kafka 4.4.0 --seconds 60``.

A producer with messages to deliver and a consumer that consumes; the whole cluster is killed. From 10 s after that on,
CPU is measured, and attempts to connect are counted per address. Promised: less than 1 % of a core, and no more than
one attempt a second to an address. The cluster comes back at the end, and both clients have to go on.
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import logging
import resource
import sys
import time
import uuid

from tornado import gen, ioloop

from kiel import clients, events
from kiel.opener import Opener
from kiel.testing import Kafka
from tests.faults import ledger

#: seconds after which the promise holds
SETTLING = 10.0

Cost = collections.namedtuple("Cost", "client seconds cpu attempts busiest back")


class Attempts(object):
    """Counts the dialling of every `kiel.connection.Connection`, by client id and address; a context manager."""

    def __init__(self):
        self.count = collections.Counter()

    def __enter__(self):
        self._run = real = Opener.run
        count = self.count

        def counted(opener):
            """Dials, and counts that."""
            conn = opener.conn
            count[conn.settings.client_id, conn.host, conn.port] += 1
            return real(opener)

        Opener.run = counted
        return self

    def __exit__(self, *exc_info):
        Opener.run = self._run


def cpu():
    """Seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def start_again(kafka):
    """Starts all processes of a cluster that was killed."""
    for node in kafka.nodes:
        if kafka.mode == "zk":
            node._wait_forgotten()
        node.launch()
    for broker in kafka.brokers:
        broker.wait_ready(kafka.start_timeout)


@gen.coroutine
def measure(kafka, kind, seconds, settling=SETTLING, bootstrap=None):
    """Kills the cluster under one kind of client ("producer", "single", "grouped"); gives the `Cost`."""
    topic = "down-" + uuid.uuid4().hex[:8]
    loop = ioloop.IOLoop.current()
    yield events.run_blocking(loop, kafka.create_topic, topic, 3, min(3, len(kafka.brokers)))
    bootstrap = bootstrap or kafka.bootstrap
    book, work = ledger.Book(), None
    if kind == "producer":
        client = clients.Producer(bootstrap, serializer=bytes, linger=0.01, batch_size=100, delivery_timeout=600,
                                  buffer_bytes=200000)
        yield client.connect()
        work = ledger.Writing(client, topic, 3, book, 500)
    else:
        if kind == "single":
            client = clients.SingleConsumer(bootstrap, deserializer=bytes)
        else:
            client = clients.GroupedConsumer(bootstrap, "group-" + topic, zk_hosts=kafka.zk_hosts, deserializer=bytes,
                                             autocommit="processed")
        yield client.connect()
        work = ledger.Reading(client, topic)
        feeder = clients.Producer(kafka.bootstrap, serializer=bytes)
        yield feeder.connect()
        yield feeder.produce(topic, ledger.written("p0", 0), partition=0)
        yield feeder.close()
    deadline = time.time() + 30
    while not (book.acknowledged if kind == "producer" else work.got):
        assert time.time() < deadline, "nothing came through before the cluster was killed"
        yield gen.sleep(0.05)
    for node in kafka.nodes:
        node.kill()
    yield gen.sleep(settling)
    with Attempts() as attempts:
        begun, used = time.time(), cpu()
        yield gen.sleep(seconds)
        used, took = cpu() - used, time.time() - begun
    yield events.run_blocking(loop, start_again, kafka)
    begun = time.time()
    before = len(book.acknowledged)
    if kind != "producer":
        feeder = clients.Producer(kafka.bootstrap, serializer=bytes)
        yield feeder.connect()
        yield feeder.produce(topic, ledger.written("p0", 1), partition=0)
        yield feeder.close()
    while (len(book.acknowledged) == before) if kind == "producer" else ("p0", 1) not in work.got:
        assert time.time() - begun < 60, "the %s does not come back" % kind
        yield gen.sleep(0.05)
    back = time.time() - begun
    if kind == "producer":
        yield work.stop()
        assert not book.unknown, book.errors[:3]
    else:
        yield work.stop()
    yield client.close()
    busiest = max(attempts.count.values() or [0])
    raise gen.Return(Cost(kind, took, used, sum(attempts.count.values()), busiest, back))


def main():
    """Runs from the command line; ends with 1 when it costs more than promised."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kafka", default="4.4.0")
    parser.add_argument("--brokers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", default="producer,single,grouped")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    broken = False
    with Kafka(options.kafka, brokers=options.brokers) as kafka:
        for kind in options.clients.split(","):
            loop = ioloop.IOLoop(make_current=False)
            cost = loop.run_sync(lambda: measure(kafka, kind, options.seconds), timeout=options.seconds + 200)
            loop.close()
            share, rate = cost.cpu / cost.seconds, cost.busiest / cost.seconds
            fine = share < 0.01 and rate <= 1
            broken = broken or not fine
            print("%s on %r: %.2f %% of a core, %d attempts to connect in %.0f s, at most %.2f a second to an address; "
                  "back %.1f s after the cluster%s" % (
                      kind, kafka, 100 * share, cost.attempts, cost.seconds, rate, cost.back,
                      "" if fine else "  TOO MUCH"))
            sys.stdout.flush()
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
