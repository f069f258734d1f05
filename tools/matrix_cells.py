"""
The cells of the support matrix: each does one thing that kiel is for, against a running Kafka.

Runs under any Python that kiel supports. Takes one argument, a JSON object: ``release`` (such as "0.8.2.2"),
``bootstrap`` and ``zookeeper`` (lists of "host:port"), ``prefix`` (of the names of topics; those of `TOPICS` have to
be there), and perhaps ``cells`` (names of those to run). Prints a JSON object a line: first what it runs on, then one
for each cell, with ``cell``, ``works``, and ``why``: a footnote's name, or what went wrong.

    PYTHONPATH=. python tools/matrix_cells.py '{"release": "4.4.0", "prefix": "x", ...}'
"""
from __future__ import absolute_import, print_function

import datetime
import json
import logging
import platform
import sys
import time
import traceback

import tornado
from tornado import gen, ioloop

from kiel import clients, exc
from kiel.compression import codecs
from kiel.partitioners import murmur2
from kiel.protocol import fetch, messages

#: topics that the caller makes: their partitions
TOPICS = {"many": 3, "keyed": 3, "records": 1, "times": 1, "group": 4}

#: the settings of "times" where brokers know the times of segments only: few messages in each
SMALL_SEGMENTS = {"segment.bytes": 120}

#: seconds for one cell
PATIENCE = 30

#: milliseconds since 1970: a time well before that of the run, without being old enough for retention
BASE = int(time.time()) * 1000 - 3600 * 1000


class Cannot(Exception):
    """What the release can't do; its argument is the name of the footnote that says why."""


class Broker(object):
    """The cluster under test."""

    def __init__(self, release, bootstrap, zookeeper, prefix):
        self.release = tuple(int(part) for part in release.split("."))
        self.bootstrap = bootstrap
        self.zookeeper = zookeeper
        self.prefix = prefix

    @property
    def knows_times(self):
        """Whether it knows the time of each message, not only those of segments."""
        return self.release >= (0, 10, 1)

    def topic(self, name):
        """The name of this run's topic."""
        return str("%s-%s" % (self.prefix, name))

    @gen.coroutine
    def producer(self, **settings):
        """A connected producer of bytes."""
        producer = clients.Producer(self.bootstrap, serializer=same, **settings)
        yield producer.connect()
        raise gen.Return(producer)

    @gen.coroutine
    def consumer(self, **settings):
        """A connected consumer of bytes."""
        consumer = clients.SingleConsumer(self.bootstrap, deserializer=bytes, **settings)
        yield consumer.connect()
        raise gen.Return(consumer)


def same(message):
    """The serializer of messages that are bytes already."""
    return message


def numbered(what, count):
    """That many different values."""
    return [("%s %d" % (what, number)).encode("ascii") for number in range(count)]


def check(found, wanted, what):
    """Fails where the two differ, with both."""
    if found != wanted:
        raise AssertionError("%s: %r instead of %r" % (what, found, wanted))


@gen.coroutine
def read(consumer, topic, count, start=clients.SingleConsumer.BEGINNING, records=False):
    """At least that many messages, and whatever else comes within a moment."""
    found = []
    deadline = time.time() + 20
    consume = consumer.consume_records if records else consumer.consume
    while len(found) < count:
        if time.time() > deadline:
            raise AssertionError("%d of %d messages within 20 s" % (len(found), count))
        found.extend((yield consume(topic, start=start)))
    consumer.max_wait_time = 300
    found.extend((yield consume(topic)))
    raise gen.Return(found)


# --- the cells -------------------------------------------------------------------------------

@gen.coroutine
def produce(broker):
    """Without a key and with one, with each of the three kinds of acknowledgement; a topic is made on first use."""
    expected = dict.fromkeys(range(3), 0)
    keyed = broker.topic("keyed")
    consumer = yield broker.consumer()
    for acks in (0, 1, -1):
        producer = yield broker.producer(required_acks=acks, partitioner=murmur2)
        topic = broker.topic("made-%d" % acks)
        for number, value in enumerate(numbered("unkeyed", 5)):
            written = yield (yield producer.produce(topic, value))
            if acks:
                check(written.offset, number, "offset at acks=%d" % acks)
        for number in range(12):
            written = yield (yield producer.produce(keyed, b"keyed", key="key %d" % number))
            place = murmur2("key %d" % number, [0, 1, 2])
            check(written.partition, place, "partition of key %d" % number)
            if acks:
                check(written.offset, expected[place], "offset of key %d at acks=%d" % (number, acks))
            expected[place] += 1
        check((yield producer.close()), {}, "messages not delivered at acks=%d" % acks)
        yield ends(consumer, topic, {0: 5})
        yield ends(consumer, keyed, expected)
    yield consumer.close()


@gen.coroutine
def ends(consumer, topic, wanted):
    """Waits until the topic ends there, which after acks=0 may take a moment."""
    deadline = time.time() + 10
    while True:
        found = yield consumer.end_offsets(topic)
        if found == wanted:
            return
        if time.time() > deadline:
            check(found, wanted, "end of %s" % topic)
        yield gen.sleep(0.05)


@gen.coroutine
def consume(broker):
    """Values of three partitions, in the order of each, null among them; from the beginning, the end, an offset."""
    topic = broker.topic("many")
    producer = yield broker.producer(linger=0.01, batch_size=100)
    values = dict((partition, numbered("p%d" % partition, 500) + [None]) for partition in range(3))
    for partition, written in values.items():
        yield (yield producer.produce_many(topic, written, partition=partition))
    consumer = yield broker.consumer()
    found = yield read(consumer, topic, 1503)
    check(len(found), 1503, "number of messages")
    for partition, written in values.items():
        mark = written[0][:3]
        check([value for value in found if value and value[:3] == mark], written[:-1], "partition %d" % partition)
    check(found.count(None), 3, "nulls")
    consumer.seek(topic, 1, 498)
    check((yield read(consumer, topic, 3)), values[1][498:], "messages from offset 498")
    late = yield broker.consumer()
    yield late.consume(topic, start=late.END)
    yield producer.produce(topic, b"late", partition=2)
    yield producer.flush()
    check((yield read(late, topic, 1)), [b"late"], "messages after the end")
    yield [producer.close(), consumer.close(), late.close()]


@gen.coroutine
def records(broker):
    """Offsets, keys, values; time stamps and headers where the release has them."""
    topic = broker.topic("records")
    stamped = broker.release >= (0, 10)
    headed = broker.release >= (0, 11)
    producer = yield broker.producer()
    headers = [("h", b"v"), ("h", b""), ("none", None), (u"\xfc", b"\xff")]
    rows = [(b"k", b"v"), (None, b"without a key"), (b"k", None), (b"", b"")]
    for number, (key, value) in enumerate(rows):
        delivery = yield producer.produce(
            topic, value, key=key, timestamp=BASE + number, headers=headers if headed else None
        )
        yield delivery
    consumer = yield broker.consumer()
    found = yield read(consumer, topic, len(rows), records=True)
    check([tuple(record[:-1]) + (list(record.headers),) for record in found], [
        (topic, 0, number, BASE + number if stamped else -1, key, value, headers if headed else [])
        for number, (key, value) in enumerate(rows)
    ], "records")
    if not headed:
        try:
            yield (yield producer.produce(topic, b"v", headers=headers))
        except exc.UnsupportedVersionError:
            pass
        else:
            raise AssertionError("headers were accepted")
    yield [producer.close(), consumer.close()]
    if not stamped:
        raise Cannot("stamps")
    if not headed:
        raise Cannot("headers")


@gen.coroutine
def times(broker):
    """The first offset at a time, and reading from a time and from so long ago."""
    topic = broker.topic("times")
    exact = broker.knows_times
    producer = yield broker.producer()
    consumer = yield broker.consumer()
    if exact:
        for number in range(10):
            yield producer.produce(topic, str(number).encode("ascii"), timestamp=BASE + 60000 * number)
        found = yield consumer.offsets_for_times(topic, BASE + 150000)
        check(found, {0: (3, BASE + 180000)}, "first offset at the time of message 2.5")
        found = yield consumer.offsets_for_times(topic, BASE + 180000)
        check(found, {0: (3, BASE + 180000)}, "first offset at the time of message 3")
        found = yield consumer.offsets_for_times(topic, BASE + 541000)
        check(found, {0: None}, "first offset after the last")
        start = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=BASE + 299001)
        check((yield read(consumer, topic, 5, start)), [b"5", b"6", b"7", b"8", b"9"], "from a time on")
        ago = datetime.timedelta(seconds=time.time() - BASE / 1000.0 - 420)
        other = yield broker.consumer()
        check((yield read(other, topic, 2, ago))[-2:], [b"8", b"9"], "from so long ago on")
        yield other.close()
    else:
        for value in numbered("early", 10):
            yield producer.produce(topic, value)
        yield gen.sleep(2.1)  # file systems and Javas that count seconds
        between = int(time.time() * 1000)
        yield gen.sleep(2.1)
        for value in numbered("later", 10):
            yield producer.produce(topic, value)
        offset, stamp = (yield consumer.offsets_for_times(topic, between))[0]
        if not 0 < offset <= 10 or stamp != -1:
            raise AssertionError("(%d, %d) at the time of offset 10" % (offset, stamp))
        start = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=between)
        found = yield read(consumer, topic, 20 - offset, start)
        check(found, (numbered("early", 10) + numbered("later", 10))[offset:], "from a time on")
        found = yield consumer.offsets_for_times(topic, datetime.timedelta(days=1))
        check(found, {0: (0, -1)}, "offset of a day ago")
    check((yield consumer.beginning_offsets(topic)), {0: 0}, "beginning")
    check((yield consumer.end_offsets(topic)), {0: 10 if exact else 20}, "end")
    yield [producer.close(), consumer.close()]
    if not exact:
        raise Cannot("segments")


@gen.coroutine
def stored(consumer, topic):
    """The numbers of the codecs of the topic's first batches."""
    request = fetch.FetchRequest(replica_id=-1, max_wait_time=100, min_bytes=1, max_bytes=10 ** 6, topics=[
        fetch.TopicRequest(name=topic, partitions=[
            fetch.PartitionRequest(partition_id=0, offset=0, max_bytes=10 ** 6)
        ])
    ])
    request.narrow = (0, 12)  # by name
    answer = yield consumer.cluster[consumer.cluster.get_leader(topic, 0)].send(request)
    data = answer.topics[0].partitions[0].message_set.data
    raise gen.Return(sorted(set(batch.codec for batch in messages.batches(data))))


def codec(name):
    """The cell of a codec: messages with and without keys, kept compressed by the broker, and read."""
    @gen.coroutine
    def cell(broker):
        topic = broker.topic(name)
        producer = yield broker.producer(compression=name, linger=0.02, batch_size=2000)
        values = numbered(name, 1000) + [b"", None, b"\x00\xff" * 50000]
        keys = [b"k"] * 500 + [None] * 503
        if name == "zstd" and broker.release < (2, 1):
            delivery = yield producer.produce(topic, b"v")
            try:
                yield delivery
            except exc.UnsupportedVersionError:
                yield producer.close()
                raise Cannot("zstd")
            raise AssertionError("zstd was accepted")
        written = yield (yield producer.produce_many(topic, values, keys=keys))
        check(len(written), len(values), "number of acknowledgements")
        consumer = yield broker.consumer()
        found = yield read(consumer, topic, len(values), records=True)
        check([(record.offset, record.key, record.value) for record in found],
              [(number,) + pair for number, pair in enumerate(zip(keys, values))], "records")
        flags = yield stored(consumer, topic)
        check([codecs[flag].name for flag in flags], [name], "codecs of what the broker keeps")
        yield [producer.close(), consumer.close()]
    cell.__name__ = name
    return cell


@gen.coroutine
def group(broker):
    """Two members share four partitions, every message once; a third goes on where they left off."""
    topic = broker.topic("group")
    producer = yield broker.producer(linger=0.01)
    first = numbered("first", 200)
    for number, value in enumerate(first):
        yield producer.produce(topic, value, partition=number % 4)
    yield producer.flush()
    members = [member(broker) for _ in range(2)]
    for each in members:
        yield each.connect()
    deadline = time.time() + 20
    while sorted(len(each.allocation.get(topic, ())) for each in members) != [2, 2]:
        if time.time() > deadline:
            raise AssertionError("shares: %r" % [each.allocation.get(topic) for each in members])
        yield gen.sleep(0.05)
    found = yield [until(each, topic, 100) for each in members]
    check(sorted(found[0] + found[1]), sorted(first), "messages of two members")
    check([len(part) for part in found], [100, 100], "messages of each of two members")
    yield [each.close() for each in members]
    second = numbered("second", 40)
    for number, value in enumerate(second):
        yield producer.produce(topic, value, partition=number % 4)
    yield producer.flush()
    third = member(broker)
    yield third.connect()
    found = yield until(third, topic, 40)
    found.extend((yield third.consume(topic)))
    check(sorted(found), sorted(second), "messages of the third member")
    yield [third.close(), producer.close()]


def member(broker):
    """A member of the run's group."""
    return clients.GroupedConsumer(
        broker.bootstrap, broker.topic("group"), broker.zookeeper, deserializer=bytes, max_wait_time=300
    )


@gen.coroutine
def until(consumer, topic, count):
    """That many messages, or what came within 20 s."""
    found = []
    deadline = time.time() + 20
    while len(found) < count and time.time() < deadline:
        found.extend((yield consumer.consume(topic)))
    raise gen.Return(found)


#: name of a column -> what fills it
CELLS = [("produce", produce), ("consume", consume), ("records", records), ("by time", times)]
CELLS += [(name, codec(name)) for name in ("gzip", "snappy", "lz4", "zstd")]
CELLS += [("ZooKeeper group", group)]


def run(cell, broker):
    """Runs one cell; gives whether it worked, and a footnote or what went wrong."""
    try:
        ioloop.IOLoop.current().run_sync(lambda: cell(broker), timeout=PATIENCE)
    except Cannot as reason:
        # "stamps" and the like: what the release has does work
        return {"works": True, "why": str(reason)}
    except Exception:
        return {"works": False, "why": traceback.format_exc()}
    return {"works": True, "why": None}


def main():
    """Runs all cells."""
    logging.basicConfig(level=logging.WARNING)
    given = json.loads(sys.argv[1])
    broker = Broker(*[given[name] for name in ("release", "bootstrap", "zookeeper", "prefix")])
    wanted = given.get("cells")
    tell({"python": platform.python_version(), "tornado": tornado.version})
    for name, cell in CELLS:
        if not wanted or name in wanted:
            begun = time.time()
            outcome = run(cell, broker)
            tell(dict(outcome, cell=name, seconds=round(time.time() - begun, 1)))


def tell(what):
    """Prints one line of the result."""
    print(json.dumps(what, sort_keys=True))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
