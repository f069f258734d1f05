"""
What services do: ``python -m benchmarks.realistic``, kiel beside other clients.

JSON whose size is log-normal with a median of 220 bytes, a key of 7 bytes, one header of 55 bytes, 6 partitions chosen
by the key, codecs. Then the same over a network that takes its time: a proxy delays each direction.
"""
from __future__ import absolute_import, print_function

import kiel.testing
from benchmarks import proxy, runs
from benchmarks.runs import median, speed
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


def lines(kafka, options, peers=PEERS):
    """Measures; gives the lines of the table."""
    topics = fill(kafka, peers)
    out = ["", "what services do: JSON of log-normal size (median 220 bytes), a key of 7 bytes, a header of 55, "
           "%d partitions; speedups: %s" % (PARTITIONS, speedups.describe())]
    for title, task, codec in tasks():
        found = {}
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
        out += rows(title, found, peers)
    return out


def rows(title, found, peers):
    """The lines of one task: ``found`` is ``{peer: [results]}``."""
    out = ["", title]
    for peer in peers:
        pairs = list(zip(found["kiel"], found[peer]))
        if "median" in found[peer][0]:
            text = "%8.3f ms median %8.3f ms 99th   kiel's time is %.2f of it, %.2f of its 99th" % (
                1000 * median(one["median"] for _, one in pairs), 1000 * median(one["p99"] for _, one in pairs),
                median(ours["median"] / one["median"] for ours, one in pairs),
                median(ours["p99"] / one["p99"] for ours, one in pairs))
        else:
            text = "%9d messages/s %9d per CPU second %6.1f MB   kiel is %5.2f times as fast, %5.2f per CPU second" % (
                median(speed(one) for _, one in pairs), median(speed(one, "cpu") for _, one in pairs),
                median(one["memory"] for _, one in pairs) / 1e6,
                median(speed(ours) / speed(one) for ours, one in pairs),
                median(speed(ours, "cpu") / speed(one, "cpu") for ours, one in pairs))
        out.append("  %-14s %s   %s" % (
            "kiel, no C" if peer == "pure" else peer, text, runs.packages(one for _, one in pairs)))
    return out


def delayed_lines(options, peers=("kiel", "aiokafka", "confluent")):
    """The same over networks that take their time, on a broker that is reached through a proxy; gives the lines."""
    port, = ports.take(1)
    out = ["", "over a network that takes its time: messages/s by the clock, kiel's ratio in parentheses"]
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
                        out.append(delayed(kafka, through, target, delay, partitions, task, peers))
    finally:
        ports.give_back([port])
    return out


class Through(object):
    """A broker as clients see it: through the proxy."""

    def __init__(self, port):
        self.port = port
        self.bootstrap = ["127.0.0.1:%d" % port]


def delayed(kafka, through, target, delay, partitions, task, peers):
    """One line of the table of delays."""
    found = {}
    for peer in peers:
        topic = "far-%d" % partitions
        if task != "consume":
            topic = "to-%s-%s-%d" % (str(delay).replace(".", "-"), peer, partitions)
            with proxy.running(through.port, target, 0):
                kafka.create_topic(topic, partitions=partitions)
        with proxy.running(through.port, target, delay):
            found[peer] = speed(runs.run(
                peer, task, through, topic, DELAYED, 0, partitions=partitions, buffer_bytes=FAR_BUFFER))
        runs.say("%g ms, %d partitions, %s, %s" % (2 * delay, partitions, task, peer))
    return "  round trip %5.0f ms, %d partition%s %-8s %s" % (
        2 * delay, partitions, ": " if partitions == 1 else "s:", "produce" if task != "consume" else task,
        "   ".join("%s %7d%s" % (
            peer, found[peer], "" if peer == "kiel" else " (%.2f)" % (found["kiel"] / found[peer])) for peer in peers))


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    parser.set_defaults(rounds=3)
    parser.add_argument("--part", choices=("near", "far", "both"), default="both")
    options = parser.parse_args()
    if options.part != "far":
        with runs.broker(options.kafka) as kafka:
            print("\n".join(lines(kafka, options)))
    if options.part != "near":
        print("\n".join(delayed_lines(options)))


if __name__ == "__main__":
    main()
