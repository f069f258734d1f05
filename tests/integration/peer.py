"""
The other side of these tests: writes to a real Kafka by plain requests, a batch at a time, and names the Kafkas to use.

Not by `kiel.clients.Producer`, so that a test of consuming does not depend on producing.
"""
from __future__ import absolute_import

import os
import time

import six
from tornado import concurrent, gen

from kiel import exc
from kiel.clients.client import Client
from kiel.protocol import messages, produce
from kiel.testing import Kafka

from tests import loop

#: whether each Python is to put each release through each test
LONG = bool(os.environ.get("KIEL_LONG"))


def share(*releases):
    """
    The releases, oldest first, that this run is to use: those that `KIEL_KAFKA` names, or all with `KIEL_LONG`.

    Without either, Python 2 takes some and Python 3 the others, so that both together see each one in half the time.
    """
    if os.environ.get("KIEL_KAFKA"):
        named = os.environ["KIEL_KAFKA"].split(",")
        return [name for name in releases if name in named]
    if LONG:
        return list(releases)
    if len(releases) > 3:
        return list(releases[::2] if six.PY2 else releases[1::2] + releases[-1:])
    return list(releases[:1] if six.PY2 else releases[1:])


def on_python_3():
    """A mark for what costs much and is hardly another thing on another Python."""
    import pytest
    return pytest.mark.skipif(six.PY2 and not LONG, reason="seen on Python 3; with KIEL_LONG=1 on Python 2 too")


#: what the tests of a consumer, and others, run against
RELEASES = os.environ["KIEL_KAFKA"].split(",") if os.environ.get("KIEL_KAFKA") else share(
    "0.8.2.2", "0.10.2.2", "2.8.2", "3.9.1-zk", "4.4.0"
)


def release(kafka):
    """A cluster's release as numbers, for comparing."""
    return tuple(int(part) for part in kafka.version.split("."))


def only(*releases):
    """Those of the releases that are asked for: none of them when `KIEL_KAFKA` names others."""
    return [name for name in releases if not os.environ.get("KIEL_KAFKA") or name in RELEASES]


def cluster_of(version, **settings):
    """A started `Kafka`; skips the test when `KIEL_KAFKA` asks for other releases only."""
    import pytest
    if not only(version):
        pytest.skip("KIEL_KAFKA does not name %s" % version)
    return Kafka(version, **settings).start()


#: release -> the `Kafka` that `shared` started
_running = {}


def shared(version):
    """
    A started cluster of a release as it comes, for all tests that want no settings: one broker, until the end of all.

    Starting one takes as much of a processor as several tests. Whatever a test finds there besides its own topics and
    groups is another's.
    """
    if version not in _running:
        _running[version] = cluster_of(version)
    return _running[version]


def stop_shared():
    """Stop the clusters that `shared` started."""
    while _running:
        _running.popitem()[1].stop()


class Writer(Client):
    """Appends batches to partitions, and waits for each to be there."""

    @gen.coroutine
    def put(self, topic, partition, values, times=None, codec=0, key=None):
        """
        Writes values as one batch, again and again until the leader has taken it; gives the first offset.

        :param times: their time stamps in milliseconds
        """
        self._given = (topic, partition, values, times or [None] * len(values), codec, key)
        found = yield self.attempt([(topic, partition)], self._round, 60)
        result = found[topic, partition]
        if isinstance(result, exc.KielError):
            raise result
        raise gen.Return(result)

    @gen.coroutine
    def _round(self, wanted):
        topic, partition, values, times, codec, key = self._given
        leader = self.cluster.leaders.get(topic, {}).get(partition)
        if leader is None or leader not in self.cluster:
            raise exc.LeaderNotAvailableError("%s:%s" % (topic, partition))
        wire = self.cluster[leader].wire
        yield self.cluster[leader].connect()
        magic = 2 if wire.reaches("produce", 3) else 1 if wire.reaches("produce", 2) else 0
        data = messages.encode_batch(
            [(key, value, [], stamp) for value, stamp in zip(values, times)], magic, codec, int(time.time() * 1000))
        request = produce.ProduceRequest(required_acks=-1, timeout=5000, topics=[
            produce.TopicRequest(name=topic, partitions=[
                produce.PartitionRequest(partition_id=partition, message_set=messages.MessageSet.raw(data))
            ])
        ])
        request.narrow = (0, 12)  # by name
        answers = yield self.send({leader: request})
        raise gen.Return(answers.get(leader))

    def handle_produce_response(self, response):
        topic, = response.topics
        part, = topic.partitions
        return {(topic.name, part.partition_id): exc.for_code(part.error_code) or part.offset}

    def wind_down(self):
        done = concurrent.Future()
        done.set_result(None)
        return done


def with_clients(kafka, body, timeout=60, **settings):
    """
    Runs ``body(writer, start)`` as a coroutine; ``start(cls, **settings)`` makes a client of the cluster, connected.

    All are closed at the end, in time, and nothing of theirs may be pending then.
    """
    started = []

    @gen.coroutine
    def start(cls, *args, **more):
        brokers = more.pop("brokers", kafka.bootstrap)
        made = cls(brokers, *args, **dict(settings, **more))
        started.append(made)
        yield made.connect()
        raise gen.Return(made)

    @gen.coroutine
    def main():
        writer = Writer(kafka.plaintext, request_timeout=5)
        started.append(writer)
        try:
            yield writer.connect()
            yield gen.coroutine(body)(writer, start)
        finally:
            connections = [conn for client in started for conn in connections_of(client)]
            for client in started:
                yield loop.within(15, client.close())
            assert not [conn for conn in connections if conn.pending or not conn.closing]

    loop.run(main, timeout=timeout)


def connections_of(client):
    """All connections of a client."""
    return [lane for broker in client.cluster.conns.values() for lane in broker.lanes.values()]


@gen.coroutine
def gather(consumer, topic, count, seconds=20, start=None, records=False):
    """Consumes until so many messages have come; gives them, which may be more."""
    found = []
    read = consumer.consume_records if records else consumer.consume
    deadline = consumer.io_loop.time() + seconds
    while len(found) < count:
        late = "%d of %d came in %s s: %r" % (len(found), count, seconds, found[-20:])
        assert consumer.io_loop.time() < deadline, late
        found.extend((yield loop.within(seconds, read(topic, start))))
    raise gen.Return(found)
