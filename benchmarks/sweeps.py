"""How throughput, latency, memory and idle cost change with one thing at a time; for the plots of `benchmarks.page`."""
from __future__ import absolute_import, print_function

from benchmarks.runs import say, speed

#: bytes that are moved for a point of a sweep, and the most messages that are: enough for a second or so
MOST_BYTES = 60 * 1000 * 1000
MOST_MESSAGES = 200000

#: bytes of a value; the largest fits, with what is around it, into the million that a broker takes at once
SIZES = (10, 100, 1000, 10000, 100000, 999000)
PARTITIONS = (1, 10, 100, 1000)
BATCHES = (1, 10, 100, 1000, 10000)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BACKLOG = (100000, 300000, 1000000, 3000000)


class Sweep(object):
    """One plot: ``lines`` is ``{name: [(x, y)]}``, ``packages`` is what each line had loaded where that matters."""

    def __init__(self, name, title, x, y, logarithmic=True, bars=False):
        self.name = name
        self.title = title
        self.x = x
        self.y = y
        self.logarithmic = logarithmic
        self.bars = bars
        self.lines = {}
        self.packages = {}

    def add(self, line, x, y, packages=()):
        """Adds a point."""
        self.packages.setdefault(line, set()).update(packages)
        self.lines.setdefault(line, []).append((x, y))
        say("%s: %s at %s: %.6g" % (self.name, line, x, y))


def messages_of(size):
    """How many messages of a size are worth a point."""
    return max(100, min(MOST_MESSAGES, MOST_BYTES // size))


def run_all(kafka, run, peers):
    """Runs every sweep with all clients, and kiel with all it can have; gives a list of `Sweep`."""
    peers = [peer for peer in peers if peer != "bare"]
    return [
        sweep for make in (by_size, by_partitions, by_batch, by_codec, latency, idle, by_backlog)
        for sweep in make(kafka, run, peers)
    ]


def by_size(kafka, run, peers):
    """Against the size of a message."""
    consume = Sweep("consume-size", "consume(), by message size", "bytes of a value", "MB/s")
    produce = Sweep("produce-size", "produce(), by message size", "bytes of a value", "MB/s")
    for size in SIZES:
        count = messages_of(size)
        for peer in peers:
            topic = "size-%d-%s" % (size, peer)
            kafka.create_topic(topic)
            produce.add(peer, size, speed(run(peer, "produce", kafka, topic, count, size)) * size / 1e6)
        for peer in peers:
            consume.add(peer, size, speed(run(peer, "consume", kafka, "size-%d-kiel" % size, count, size)) * size / 1e6)
    return consume, produce


def by_partitions(kafka, run, peers):
    """Against the number of partitions."""
    consume = Sweep("consume-partitions", "consume(), by partitions", "partitions", "messages/s")
    produce = Sweep("produce-partitions", "produce(), by partitions", "partitions", "messages/s")
    for number in PARTITIONS:
        for peer in peers:
            topic = "partitions-%d-%s" % (number, peer)
            kafka.create_topic(topic, partitions=number)
            produce.add(peer, number, speed(run(peer, "produce", kafka, topic, MOST_MESSAGES, 100)))
        for peer in peers:
            result = run(peer, "consume", kafka, "partitions-%d-kiel" % number, MOST_MESSAGES, 100, partitions=number)
            consume.add(peer, number, speed(result))
    return consume, produce


def by_batch(kafka, run, peers):
    """Against how many messages kiel gathers before it sends."""
    sweep = Sweep("produce-batch", "kiel: produce(), by batch_size", "batch_size", "messages/s")
    kafka.create_topic("batches")
    for size in BATCHES:
        count = min(MOST_MESSAGES, 3000 * size)
        sweep.add("kiel", size, speed(run("kiel", "produce", kafka, "batches", count, 100, batch_size=size)))
    return [sweep]


def by_codec(kafka, run, peers):
    """Codec by codec."""
    consume = Sweep("consume-codec", "consume(), by codec", "", "messages/s", False, True)
    produce = Sweep("produce-codec", "produce(), by codec", "", "messages/s", False, True)
    for codec in CODECS:
        for peer in peers:
            topic = "codec-%s-%s" % (codec, peer)
            kafka.create_topic(topic)
            more = {} if codec == "none" else {"codec": codec}
            result = run(peer, "produce", kafka, topic, MOST_MESSAGES, 100, **more)
            produce.add(peer, codec, speed(result), result["packages"])
        for peer in peers:
            result = run(peer, "consume", kafka, "codec-%s-kiel" % codec, MOST_MESSAGES, 100)
            consume.add(peer, codec, speed(result), result["packages"])
    return consume, produce


def latency(kafka, run, peers):
    """How long one message takes that is waited for."""
    sweep = Sweep("latency", "produce one and wait", "percentile", "ms", False, True)
    kafka.create_topic("latency")
    for peer in peers:
        result = run(peer, "produce_wait", kafka, "latency", 2000, 100)
        for name, label in (("median", "50"), ("p90", "90"), ("p99", "99"), ("p999", "99.9")):
            sweep.add(peer, label, result[name] * 1000)
    return [sweep]


def idle(kafka, run, peers):
    """What waiting for messages that do not come costs."""
    sweep = Sweep("idle", "a consumer that waits", "", "% of a processor", False, True)
    kafka.create_topic("idle")
    for peer in peers:
        result = run(peer, "idle", kafka, "idle", 5, 100)
        sweep.add(peer, "idle", 100.0 * result["cpu"] / result["wall"])
    return [sweep]


def by_backlog(kafka, run, peers):
    """What memory a consumer takes that has much to catch up with."""
    sweep = Sweep("memory-backlog", "consume(): peak memory, by backlog", "messages", "MB")
    kafka.create_topic("backlog")
    run("kiel", "produce_many", kafka, "backlog", BACKLOG[-1], 100)
    for number in BACKLOG:
        for peer in peers:
            sweep.add(peer, number, run(peer, "consume", kafka, "backlog", number, 100)["memory"] / 1e6)
    return [sweep]
