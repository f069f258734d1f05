"""
What services do: ``python -m benchmarks.realistic``, kiel beside other clients.

JSON whose size is log-normal with a median of 220 bytes, a key of 7 bytes, one header of 55 bytes, 6 partitions chosen
by the key, codecs. Then the same over a network that takes its time: a proxy delays each direction.
"""
from __future__ import absolute_import, print_function

import collections

import kiel.testing
from benchmarks import proxy, runs, table
from benchmarks.peers import task
from kiel import speedups
from kiel.testing import ports

PEERS = ("kiel", "pure", "aiokafka", "confluent")

PARTITIONS = 6
CODECS = ("none", "lz4", "zstd", "gzip")

#: messages of a run, of one that waits for each
COUNT, WAITED = 100000, 1500

#: milliseconds in each direction, and messages that are moved then: a second or more of them, ten round trips of the
#: longest, so that it is not the first of them that is measured
DELAYS = (0.5, 10, 50)
DELAYED = 500000

#: what a producer is asked to guarantee over a distance, and each peer's own options for that; None: what it does by
#: default
GUARANTEES = collections.OrderedDict((
    ("idempotent", {"kiel": None, "aiokafka": {"idempotent": True}, "confluent": {"idempotent": True}}),
    ("not idempotent", {"kiel": {"unordered": True}, "aiokafka": None, "confluent": None}),
))

#: batches of a partition that a broker knows again, and so the most of an idempotent producer's that are on their way;
#: and the most bytes of one: ``message.max.bytes`` of brokers, about
NUMBERED, BATCH = 5, 1000000

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
    for title, what, codec in tasks():
        found = results[title] = {}
        for turn in range(options.rounds):
            for peer in peers:
                theirs = what if peer in ("kiel", "pure") else STANDS_FOR.get(what, what)
                topic = topics[codec]
                if what.startswith("produce"):
                    topic = "%s-%s-%s-%d" % (what.replace("_", "-"), codec, peer, turn)
                    kafka.create_topic(topic, partitions=PARTITIONS)
                count = WAITED if what.endswith("wait") else COUNT // 5 if what.endswith("32") else COUNT
                found.setdefault(peer, []).append(runs.run(
                    peer, theirs, kafka, topic, count, 0, partitions=PARTITIONS, **packed(codec)))
                runs.say("%s, %s" % (title, peer))
    return table.beside(results, peers, "JSON of log-normal size (median 220 bytes), a key of 7 bytes, a header of 55, "
                        "%d partitions; kiel's loops in %s" % (PARTITIONS, speedups.describe()))


def delayed(options, peers=("kiel", "aiokafka", "confluent")):
    """The same over networks that take their time, on a broker that is reached through a proxy; gives the tables."""
    port, = ports.take(1)
    columns = [table.NAMES[peer] for peer in peers]
    made = table.Table("Messages a second by the clock over a network that takes its time: the same messages, each "
                       "client with its default guarantee", ["round trip, partitions, task"] + columns)
    alike = table.Table("Messages a second that are produced by the clock over a network that takes its time: the same "
                        "guarantee of each client", ["round trip, partitions, guarantee"] + columns, floor())
    try:
        with kiel.testing.Kafka(options.kafka, settings={
            "advertised.listeners": "PLAINTEXT://127.0.0.1:%d" % port,
            "log.retention.bytes": "-1", "log.retention.ms": "-1", "file.delete.delay.ms": "1000",
        }) as kafka:
            target = kafka.brokers[0].port
            through = Through(port)
            with proxy.running(port, target, 0):
                for partitions in (1, PARTITIONS):
                    kafka.create_topic("far-%d" % partitions, partitions=partitions)
                    runs.run("kiel", "produce_keyed", through, "far-%d" % partitions, DELAYED, 0)
            for delay in DELAYS:
                for partitions in (1, PARTITIONS):
                    far = Far(kafka, through, target, delay, partitions)
                    rounds = [far.results(peers) for _ in range(options.rounds)]
                    for what in rounds[0]:
                        where = alike if what in GUARANTEES else made
                        where.add(far.title(what), *cells([found[what] for found in rounds], peers))
    finally:
        ports.give_back([port])
    return [made, alike]


def cells(rounds, peers):
    """The cells of a row, from a list of each peer's result."""
    return [table.moved(peer, [(found["kiel"], found[peer]) for found in rounds], "wall") for peer in peers]


def floor():
    """What no idempotent producer exceeds over a distance, in a sentence."""
    some = list(task.services(5000))
    size = sum(len(key) + len(value) for key, value in some) / len(some) + sum(map(len, task.HEADER))
    most = NUMBERED * BATCH / size
    slowest = 2 * max(DELAYS) / 1000
    return (
        "An idempotent producer keeps to what a broker knows again, {numbered} batches of a partition, and no batch is "
        "larger than the broker takes (message.max.bytes), 1 MB by default. That is at most {most} of these messages a "
        "partition in each round trip: {rate} a second at {trip:g} ms with 1 partition, {many} times as many with "
        "{many}. The first batch of a partition goes alone, since a broker takes any number of a producer that it does "
        "not know: what follows could be written before it. By default kiel is idempotent, and the others are not. "
        "\"Not idempotent\" is kiel with idempotent=False and max_in_flight=1000, confluent-kafka and aiokafka as they "
        "are by default: the one with no limit of its own on what is in flight, the other with one batch a partition."
    ).format(numbered=NUMBERED, most=table.short(most), rate=table.short(most / slowest), trip=1000 * slowest,
             many=PARTITIONS)


class Through(object):
    """A broker as clients see it: through the proxy."""

    def __init__(self, port):
        self.port = port
        self.bootstrap = ["127.0.0.1:%d" % port]


class Far(object):
    """
    The clients' runs over one distance, with one number of partitions.

    :param delay: milliseconds in each direction
    """

    def __init__(self, kafka, through, target, delay, partitions):
        self.kafka = kafka
        self.through = through
        self.target = target
        self.delay = delay
        self.partitions = partitions

    def title(self, what):
        """That of a row."""
        return "%g ms, %d, %s" % (2 * self.delay, self.partitions, what)

    def results(self, peers):
        """One round: returns ``{row: {peer: result}}``."""
        found = {"produce()": dict((peer, self.produce(peer)) for peer in peers)}
        for name, given in GUARANTEES.items():
            found[name] = dict(
                (peer, found["produce()"][peer] if given[peer] is None else self.produce(peer, name, **given[peer]))
                for peer in peers)
        found["consume()"] = dict((peer, self.consume(peer)) for peer in peers)
        return found

    def produce(self, peer, guarantee="as by default", **options):
        """Runs a producer on a topic of its own; gives the result."""
        with proxy.running(self.through.port, self.target, 0):
            topic = self.kafka.topic(partitions=self.partitions)
        result = self.run(peer, "produce_keyed", topic, "produce, " + guarantee, **options)
        with proxy.running(self.through.port, self.target, 0):
            self.kafka.delete_topic(topic)
        return result

    def consume(self, peer):
        """Runs a consumer on what there is; gives the result."""
        return self.run(peer, "consume", "far-%d" % self.partitions, "consume")

    def run(self, peer, what, topic, name, **options):
        """Runs a task of a peer; gives the result."""
        with proxy.running(self.through.port, self.target, self.delay):
            result = runs.run(
                peer, what, self.through, topic, DELAYED, 0, partitions=self.partitions, buffer_bytes=FAR_BUFFER,
                **options)
        runs.say("%s, %s" % (self.title(name), peer))
        return result


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
        print("\n".join(table.text(delayed(options))))


if __name__ == "__main__":
    main()
