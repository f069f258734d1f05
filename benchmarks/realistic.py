"""
What services do: ``python -m benchmarks.realistic``, kiel beside other clients.

JSON whose size is log-normal with a median of 220 bytes, a key of 7 bytes, one header of 55 bytes, 6 partitions chosen
by the key, codecs. Then the same over a network that takes its time: a proxy delays each direction.
"""
from __future__ import absolute_import, print_function

import collections

import kiel.testing
from benchmarks import proxy, runs, table
from kiel import speedups
from kiel.testing import ports

PEERS = ("kiel", "pure", "aiokafka", "confluent")

PARTITIONS = 6
CODECS = ("none", "lz4", "zstd", "gzip")

#: messages of a run, of one that waits for each
COUNT, WAITED = 100000, 1500

#: milliseconds in each direction, and messages that are moved then
DELAYS = (0.5, 10, 50)
DELAYED = 60000

#: kiel's default for what waits to be acknowledged: over a distance, what fits a processor's cache is less than a round
#: trip brings
FAR_BUFFER = 32 * 1024 * 1024

#: peers have no call for many messages: kiel's is held against their call a message
STANDS_FOR = {"produce_mixed_many": "produce_mixed"}


def tasks():
    """``(title, task, codec)`` of each row."""
    for codec in CODECS:
        yield "consume() as bytes, %s" % codec, "consume", codec
        yield "consume_records(), %s" % codec, "consume_records", codec
    yield "consume() from JSON", "consume_json", "none"
    for codec in CODECS:
        yield "produce() with key and header, %s" % codec, "produce_keyed", codec
    yield "produce_many() of 1,000, no key", "produce_mixed_many", "none"
    yield "produce one and wait", "produce_keyed_wait", "none"
    yield "32 coroutines that produce and wait", "produce_keyed_32", "none"


def packed(codec):
    """The option of a codec."""
    return {} if codec == "none" else {"codec": codec}


def fill(kafka, peers, partitions=PARTITIONS, codecs=CODECS, count=COUNT, prefix="real"):
    """Makes the topics that are read; gives ``{codec: topic}``."""
    made = {}
    for codec in codecs:
        made[codec] = "%s-%s-%d" % (prefix, codec, partitions)
        kafka.create_topic(made[codec], partitions=partitions)
        runs.run("kiel", "produce_keyed", kafka, made[codec], count, 0, **packed(codec))
    return made


def tables(kafka, options, peers=PEERS):
    """Measures; gives the tables."""
    topics = fill(kafka, peers)
    results = collections.OrderedDict()
    for title, task, codec in tasks():
        found = results[title] = {}
        for turn in range(options.rounds):
            for peer in peers:
                theirs = task if peer in ("kiel", "pure") else STANDS_FOR.get(task, task)
                topic = topics[codec]
                if task.startswith("produce"):
                    topic = "%s-%s-%s-%d" % (task.replace("_", "-"), codec, peer, turn)
                    kafka.create_topic(topic, partitions=PARTITIONS)
                count = WAITED if task.endswith("wait") else COUNT // 5 if task.endswith("32") else COUNT
                found.setdefault(peer, []).append(runs.run(
                    peer, theirs, kafka, topic, count, 0, partitions=PARTITIONS, **packed(codec)))
                runs.say("%s, %s" % (title, peer))
    return table.beside(results, peers, "JSON of log-normal size (median 220 bytes), a key of 7 bytes, a header of 55, "
                        "%d partitions; kiel's loops in %s" % (PARTITIONS, speedups.describe()))


def delayed(options, peers=("kiel", "aiokafka", "confluent")):
    """The same over networks that take their time, on a broker that is reached through a proxy; gives the table."""
    port, = ports.take(1)
    made = table.Table("Messages a second by the clock over a network that takes its time: the same messages",
                       ["round trip, partitions, task"] + [table.NAMES[peer] for peer in peers])
    try:
        with kiel.testing.Kafka(options.kafka, settings={
            "advertised.listeners": "PLAINTEXT://127.0.0.1:%d" % port,
            "log.retention.bytes": "-1", "log.retention.ms": "-1",
        }) as kafka:
            target = kafka.brokers[0].port
            through = Through(port)
            with proxy.running(port, target, 0):
                for partitions in (1, PARTITIONS):
                    kafka.create_topic("far-%d" % partitions, partitions=partitions)
                    runs.run("kiel", "produce_keyed", through, "far-%d" % partitions, DELAYED, 0)
            for delay in DELAYS:
                for partitions in (1, PARTITIONS):
                    for task in ("produce_keyed", "consume"):
                        made.add(*delayed_row(kafka, through, target, delay, partitions, task, peers))
    finally:
        ports.give_back([port])
    return made


class Through(object):
    """A broker as clients see it: through the proxy."""

    def __init__(self, port):
        self.port = port
        self.bootstrap = ["127.0.0.1:%d" % port]


def delayed_row(kafka, through, target, delay, partitions, task, peers):
    """One row of the table of delays."""
    found = {}
    for peer in peers:
        topic = "far-%d" % partitions
        if task != "consume":
            topic = "to-%s-%s-%d" % (str(delay).replace(".", "-"), peer, partitions)
            with proxy.running(through.port, target, 0):
                kafka.create_topic(topic, partitions=partitions)
        with proxy.running(through.port, target, delay):
            found[peer] = [runs.run(
                peer, task, through, topic, DELAYED, 0, partitions=partitions, buffer_bytes=FAR_BUFFER)]
        runs.say("%g ms, %d partitions, %s, %s" % (2 * delay, partitions, task, peer))
    title = "%g ms, %d, %s()" % (2 * delay, partitions, "consume" if task == "consume" else "produce")
    return [title] + [table.moved(peer, list(zip(found["kiel"], found[peer])), "wall") for peer in peers]


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    parser.set_defaults(rounds=3)
    parser.add_argument("--part", choices=("near", "far", "both"), default="both")
    options = parser.parse_args()
    if options.part != "far":
        with runs.broker(options.kafka) as kafka:
            print("\n".join(table.text(tables(kafka, options))))
    if options.part != "near":
        print("\n".join(delayed(options).lines()))


if __name__ == "__main__":
    main()
