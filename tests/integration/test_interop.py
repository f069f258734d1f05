"""
What kiel writes, other clients read, and the reverse: Kafka's own console tools, kafka-python and librdkafka.

The console tools are those of each release, so they need nothing but Java; the other two are tried where they are
installed. `KIEL_KAFKA` (releases with commas between) leaves out the Kafkas that it does not name.
"""
from __future__ import absolute_import

import functools
import itertools
import uuid

import pytest
from tornado import gen

from kiel import clients, testing
from kiel.compression import codecs
from kiel.partitioners import murmur2

from tests import loop
from tests.integration import peer

#: seconds for what is done on an IOLoop in one test
PATIENCE = 60

#: the time stamp of the first message of a row, in milliseconds
STAMP = 1700000000000

NAMES = ("none", "gzip", "snappy", "lz4", "zstd")

#: what the console producers compress with; a run of a tool takes some seconds
CONSOLE_CODECS = {"0.10.2.2": ("snappy", "lz4"), "2.8.2": ("gzip", "zstd"), "4.4.0": ("none", "lz4")}

#: tool -> its class by releases before 3.5, and now
TOOLS = {
    "consumer": ("kafka.tools.ConsoleConsumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    "producer": ("kafka.tools.ConsoleProducer", "org.apache.kafka.tools.ConsoleProducer"),
    "groups": ("kafka.admin.ConsumerGroupCommand", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
}


@pytest.fixture(scope="module")
def started():
    """A function that gives the cluster of a release, started when first asked for."""
    return peer.shared


@pytest.fixture(params=["0.10.2.2", "2.8.2", "4.4.0"])
def kafka(request, started):
    """Each release whose console tools are tried."""
    return started(request.param)


@pytest.fixture
def newest(started):
    """The release that the other clients are tried on."""
    return started("4.4.0")


def new_topic(kafka, partitions=1):
    topic = "interop-" + uuid.uuid4().hex[:8]
    kafka.create_topic(topic, partitions)
    return topic


def usable(kafka):
    """The codecs that both the release and this Python have."""
    return [name for name in NAMES if name == "none" or codecs[NAMES.index(name)].available and not (
        name == "zstd" and peer.release(kafka) < (2, 1))]


def headed(kafka):
    return peer.release(kafka) >= (0, 11)


def rows_of(codec, headers=True):
    """Messages as (key, value, headers, timestamp): null and empty keys and values among them."""
    many = [(("key %d" % i).encode("ascii"), (codec + " ").encode("ascii") * 20) for i in range(20)]
    pairs = many + [(None, b"no key"), (b"", b""), (b"tombstone", None), (u"\xfc".encode("utf-8"), b"umlaut")]
    return [(key, value, [("h", b"v"), ("empty", b""), ("none", None)] if headers else [], STAMP + number)
            for number, (key, value) in enumerate(pairs)]


def write(kafka, topic, by_codec):
    """Writes with kiel: {codec: rows}; each codec's in one batch."""
    @gen.coroutine
    def body():
        for codec, rows in by_codec.items():
            producer = clients.Producer(
                kafka.bootstrap, serializer=lambda value: value, partitioner=murmur2, batch_size=len(rows), linger=1,
                compression=None if codec == "none" else codec,
            )
            yield producer.connect()
            for key, value, headers, stamp in rows:
                yield producer.produce(topic, value, key=key, headers=headers or None, timestamp=stamp)
            yield producer.flush()
            assert (yield producer.close()) == {}
    loop.run(body, PATIENCE)


def read(kafka, topic, count):
    """Reads with kiel: so many records, and none after them."""
    @gen.coroutine
    def body():
        consumer = clients.SingleConsumer(kafka.bootstrap, deserializer=bytes, max_wait_time=200)
        yield consumer.connect()
        found = yield peer.gather(consumer, topic, count, start=consumer.BEGINNING, records=True)
        found.extend((yield consumer.consume_records(topic)))
        assert len(found) == count
        yield consumer.close()
        raise gen.Return(found)
    return loop.run(body, PATIENCE)


def tool(kafka, name, *args, **options):
    """Runs a console tool of the release; gives its lines."""
    classes = TOOLS[name]
    printed = kafka.run_tool(classes[peer.release(kafka) >= (3, 5)], *args, **options)
    return printed.splitlines()


def properties(kafka, option, *pairs):
    """Settings of a console tool's formatter or reader, whose option got another name in 4.2 (KIP-1147)."""
    option = option if peer.release(kafka) >= (4, 2) else "--property"
    return list(itertools.chain(*[(option, pair) for pair in pairs]))


# --- Kafka's console tools -------------------------------------------------------------------

def test_the_console_consumer_reads_what_kiel_writes(kafka):
    topic = new_topic(kafka)
    with_headers = peer.release(kafka) >= (2, 7)  # the first console that shows them
    by_codec = dict((codec, rows_of(codec, headed(kafka))) for codec in usable(kafka))
    write(kafka, topic, by_codec)
    rows = list(itertools.chain(*by_codec.values()))
    shown = ["print.timestamp=true", "print.key=true", "key.separator=|"]
    shown += ["print.headers=true", "headers.separator=;"] if with_headers else []
    printed = tool(
        kafka, "consumer", "--bootstrap-server", ",".join(kafka.bootstrap), "--topic", topic, "--from-beginning",
        "--max-messages", len(rows), "--timeout-ms", 20000, *properties(kafka, "--formatter-property", *shown)
    )
    expected = []
    for key, value, headers, stamp in rows:
        fields = ["CreateTime:%d" % stamp]
        if with_headers:
            fields.append(";".join("%s:%s" % (name, text(value)) for name, value in headers))
        expected.append(u"|".join(fields + [text(key), text(value)]))
    assert printed == expected


def text(value):
    """Bytes as the console shows them."""
    return u"null" if value is None else value.decode("utf-8")


def test_kiel_reads_what_the_console_producer_writes_and_puts_keys_where_it_does(kafka):
    topic = new_topic(kafka, partitions=6)
    used = [name for name in CONSOLE_CODECS[kafka.version] if name in usable(kafka)]
    keys = ["%s-%d" % (codec, number) for codec in used for number in range(20)] + [u"\xfc", ""]
    count = 0
    for codec in used:
        lines = [u"%s|%s %s" % (key, codec, key) for key in keys]
        extra = ["parse.key=true", "key.separator=|"]
        if kafka.version == "4.4.0":  # KIP-798 and KIP-810, from 3.2 on
            extra += ["parse.headers=true", "headers.delimiter=#", "null.marker=NULL"]
            lines = [u"h:v,i:w#" + line for line in lines] + [u"h:NULL#dead|NULL", u"h:v#NULL|no key"]
        tool(kafka, "producer", "--bootstrap-server" if peer.release(kafka) >= (2, 5) else "--broker-list",
             ",".join(kafka.bootstrap), "--topic", topic, "--compression-codec", codec,
             *properties(kafka, "--reader-property", *extra), stdin=u"\n".join(lines) + u"\n", **ENCODING)
        count += len(lines)
    found = read(kafka, topic, count)
    ids = list(range(6))
    expected = [key.encode("utf-8") for key in keys]
    for codec in used:
        mine = dict((record.key, record) for record in found if record.value and
                    record.value.startswith(codec.encode("ascii") + b" "))
        assert sorted(mine) == sorted(expected)
        for key, record in mine.items():
            assert record.value == codec.encode("ascii") + b" " + key
            assert record.partition == murmur2(key, ids), key
            assert record.headers == ((("h", b"v"), ("i", b"w")) if kafka.version == "4.4.0" else ())
            assert record.timestamp > STAMP
    if kafka.version == "4.4.0":
        odd = [(record.key, record.value, list(record.headers)) for record in found if record.key in (None, b"dead")]
        assert sorted(odd, key=str) == sorted([
            (b"dead", None, [("h", None)]), (None, b"no key", [("h", b"v")])
        ] * len(used), key=str)


#: the console's encoding is the platform's before Java 18
ENCODING = {"jvm": ("-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8")}


def test_kafka_shows_and_sets_the_offsets_of_a_kiel_group(newest):
    topic = new_topic(newest, partitions=3)
    group = "group-" + topic
    rows = [("key %d" % number, b"v", [], STAMP) for number in range(30)]
    write(newest, topic, {"none": rows})
    ends = [0, 0, 0]
    for key, _, _, _ in rows:
        ends[murmur2(key, [0, 1, 2])] += 1

    with testing.ZooKeeper() as zookeeper:
        @gen.coroutine
        def consume(count):
            consumer = clients.GroupedConsumer(
                newest.bootstrap, group, [zookeeper.hosts], deserializer=bytes, max_wait_time=200
            )
            try:
                yield consumer.connect()
                found = []
                while len(found) < count:
                    found.extend((yield consumer.consume_records(topic)))
            finally:
                yield consumer.close()
            raise gen.Return(sorted((record.partition, record.offset) for record in found))

        loop.run(functools.partial(consume, 30), PATIENCE)
        # Java's tool gives a broker 5 s by itself, and then goes with an error that it only prints
        groups = ("groups", "--bootstrap-server", newest.bootstrap[0], "--timeout", PATIENCE * 1000, "--group", group)
        described = tool(newest, *(groups + ("--describe",)))
        shown = [numbers(line, topic) for line in described if line.startswith(group)]
        assert sorted(shown) == [(partition, end, end, 0) for partition, end in enumerate(ends)]

        moved = tool(newest, *(groups + ("--topic", topic + ":1", "--reset-offsets", "--to-offset", 2, "--execute")))
        assert [numbers(line, topic) for line in moved if line.startswith(group)] == [(1, 2)], moved
        found = loop.run(functools.partial(consume, ends[1] - 2), PATIENCE)
        assert found == [(1, offset) for offset in range(2, ends[1])]


def numbers(line, topic):
    """Partition, committed offset, end, lag of a line of the tool: the numbers after the topic."""
    words = line.split()
    return tuple(int(word) for word in words[words.index(topic) + 1:] if word.isdigit())[:4]


# --- kafka-python ----------------------------------------------------------------------------

def also(names, kafka_python):
    """Those of the codecs that kafka-python has here: its snappy is another package than kiel's."""
    return [name for name in names if name == "none" or getattr(kafka_python.codec, "has_" + name)()]


def test_kafka_python_reads_what_kiel_writes(newest):
    other = pytest.importorskip("kafka")
    topic = new_topic(newest)
    by_codec = dict((codec, rows_of(codec)) for codec in also(usable(newest), other))
    write(newest, topic, by_codec)
    rows = list(itertools.chain(*by_codec.values()))
    consumer = other.KafkaConsumer(bootstrap_servers=newest.bootstrap, consumer_timeout_ms=10000)
    try:
        partition = other.TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        found = list(itertools.islice(consumer, len(rows)))
    finally:
        consumer.close()
    assert [(record.key, record.value, list(record.headers), record.timestamp) for record in found] == rows
    assert [record.offset for record in found] == list(range(len(rows)))


def test_kiel_reads_what_kafka_python_writes_and_puts_keys_where_it_does(newest):
    other = pytest.importorskip("kafka")
    topic = new_topic(newest, partitions=5)
    used = also(usable(newest), other)
    for codec in used:
        producer = other.KafkaProducer(
            bootstrap_servers=newest.bootstrap, compression_type=None if codec == "none" else codec, linger_ms=50
        )
        for key, value, headers, stamp in rows_of(codec):
            # its own headers can't be null
            producer.send(topic, value, key=key, headers=headers[:2], timestamp_ms=stamp)
        producer.close()
    compare(newest, topic, used, 5)


def compare(kafka, topic, used, partitions):
    """What another client wrote of `rows_of` is what kiel reads; keys are where murmur2 puts them."""
    expected = [(key, value, headers[:2], stamp) for codec in used for key, value, headers, stamp in rows_of(codec)]
    found = read(kafka, topic, len(expected))
    given = [(record.key, record.value, list(record.headers), record.timestamp) for record in found]
    assert sorted(given, key=str) == sorted(expected, key=str)
    for record in found:
        if record.key is not None:
            assert record.partition == murmur2(record.key, list(range(partitions))), record.key


# --- librdkafka ------------------------------------------------------------------------------

def test_librdkafka_reads_what_kiel_writes(newest):
    other = pytest.importorskip("confluent_kafka")
    topic = new_topic(newest)
    by_codec = dict((codec, rows_of(codec)) for codec in usable(newest))
    write(newest, topic, by_codec)
    rows = list(itertools.chain(*by_codec.values()))
    consumer = other.Consumer({
        "bootstrap.servers": ",".join(newest.bootstrap), "group.id": "nobody", "check.crcs": True
    })
    try:
        consumer.assign([other.TopicPartition(topic, 0, 0)])
        found = []
        while len(found) < len(rows):
            message = consumer.poll(10)
            assert message is not None and message.error() is None, message and message.error()
            found.append((message.key(), message.value(), message.headers(), message.timestamp()[1]))
    finally:
        consumer.close()
    assert found == rows


def test_kiel_reads_what_librdkafka_writes_and_puts_keys_where_it_does(newest):
    other = pytest.importorskip("confluent_kafka")
    topic = new_topic(newest, partitions=5)
    used = usable(newest)
    for codec in used:
        producer = other.Producer({
            "bootstrap.servers": ",".join(newest.bootstrap), "compression.type": codec, "linger.ms": 50,
            "partitioner": "murmur2_random",
        })
        for key, value, headers, stamp in rows_of(codec):
            producer.produce(topic, value, key, headers=headers[:2], timestamp=stamp)
        assert producer.flush(10) == 0
    compare(newest, topic, used, 5)
