"""
What a message costs kiel as there is more of something: partitions, topics, backlog, members of a group.

``python -m benchmarks.growth`` measures just that; ``--grow backlog --gigabytes 10`` reads through a long one.

Cost is processor time, the least of several runs: what disturbs a run only adds to it. Flat is as it should be.
"""
from __future__ import absolute_import, print_function

import time

from tornado import gen, ioloop

from benchmarks import runs
from benchmarks.sweeps import Sweep
from benchmarks.table import Table
from kiel import exc
from kiel.cluster import split_host
from kiel.connection import Connection
from kiel.protocol import create_topics, metadata

#: runs of a point, at most
ROUNDS = 3

#: topics that the client knows, and how many are made by one request
TOPICS = (1, 100, 1000, 5000)
AT_ONCE = 500

#: seconds for a broker to have made topics
CREATION_TIME = 120

#: partitions of the topic
PARTITIONS = (1, 10, 100, 1000)

#: members of a group, and the partitions that they share
MEMBERS = (1, 2, 4, 8)
SHARED = 16

#: messages of a point, small ones but for the backlog
MESSAGES, SHARED_MESSAGES = 500000, 2000000
SMALL, LARGE = 100, 1000

#: parts into which the backlog is divided
SLICES = 10


def run_all(kafka, options):
    """Measures everything that ``options.grow`` names; gives a list of `Sweep`."""
    rounds = min(options.rounds, ROUNDS)
    measured = {
        "partitions": lambda: by_partitions(kafka, rounds),
        "backlog": lambda: by_backlog(kafka, options.gigabytes),
        "members": lambda: by_members(kafka, rounds),
        "topics": lambda: by_topics(kafka, rounds),  # last: the topics slow the broker down
    }
    return [sweep for name in measured if name in options.grow.split(",") for sweep in measured[name]()]


def table(sweeps):
    """Gives the table: the cost at the first point and at the last, and the highest."""
    made = Table("kiel alone, as there is more of something", ["what", "", "unit", "at first", "at last", "at most"])
    for sweep in sweeps:
        for name, points in sweep.lines.items():
            made.add(sweep.title, name, sweep.y, "%.2f at %g" % (points[0][1], points[0][0]),
                     "%.2f at %g" % (points[-1][1], points[-1][0]), "%.2f" % max(y for _, y in points))
    return made


def cost(result):
    """Microseconds of processor time for a message."""
    return 1e6 * result["cpu"] / result["count"]


def least(rounds, *args, **more):
    """The least cost of several runs."""
    return min(cost(runs.run(*args, **more)) for _ in range(rounds))


def by_partitions(kafka, rounds):
    """Against the partitions of the topic, of which the producer picks one by chance for each batch."""
    sweep = Sweep("growth-partitions", "cost by partitions", "partitions", "microseconds")
    for number in PARTITIONS:
        topic = "parted-%d" % number
        kafka.create_topic(topic, partitions=number)
        for name in ("produce", "consume"):
            sweep.add(name + "()", number, least(rounds, "kiel", name, kafka, topic, MESSAGES, SMALL))
    return [sweep]


def by_topics(kafka, rounds):
    """Against the topics that the client knows; it uses one of them."""
    sweep = Sweep("growth-topics", "cost by topics known", "topics", "microseconds")
    heal = Sweep("growth-metadata", "asking for all metadata, by topics", "topics", "ms")
    kafka.create_topic("many-0")
    made = 1
    runs.run("kiel", "produce_many", kafka, "many-0", MESSAGES, SMALL)
    for number in TOPICS:
        create(kafka, ["many-%d" % one for one in range(made, number)])
        made = number
        sweep.add("produce()", number, least(rounds, "kiel", "produce", kafka, "many-0", MESSAGES, SMALL))
        sweep.add("consume()", number, least(rounds, "kiel", "consume", kafka, "many-0", MESSAGES, SMALL))
        heal.add("heal()", number, least(rounds, "growth", "metadata", kafka, "many-0", 10, SMALL, known=number) / 1e3)
    return sweep, heal


def by_backlog(kafka, gigabytes):
    """Against how far a consumer has come through a long backlog; each slice of it is a point."""
    sweep = Sweep("growth-backlog", "consume(): cost by backlog read", "GB read", "microseconds", False)
    memory = Sweep("growth-memory", "consume(): peak memory by backlog read", "GB read", "MB", False)
    kafka.create_topic("long")
    count = int(gigabytes * 1e9 / LARGE) // SLICES * SLICES
    runs.run("kiel", "produce_many", kafka, "long", count, LARGE)
    for result in runs.run("growth", "read_through", kafka, "long", count, LARGE, slices=SLICES)["slices"]:
        read = result["seen"] * LARGE / 1e9
        sweep.add("consume()", read, cost(result))
        memory.add("consume()", read, result["memory"] / 1e6)
    return sweep, memory


def by_members(kafka, rounds):
    """Against the members of a group that are all in one process, on one core."""
    sweep = Sweep("growth-members", "consume(): cost by members of a group", "members", "microseconds")
    kafka.create_topic("shared", partitions=SHARED)
    runs.run("kiel", "produce_many", kafka, "shared", SHARED_MESSAGES, SMALL)
    for number in MEMBERS:
        for protocol in ("classic", "consumer"):
            sweep.add(protocol, number, min(
                cost(runs.run(
                    "growth", "members", kafka, "shared", SHARED_MESSAGES, SMALL, members=number, protocol=protocol,
                    group="group-%s-%d-%d" % (protocol, number, turn), partitions=SHARED
                )) for turn in range(rounds)
            ))
    return [sweep]


def create(kafka, names):
    """Makes topics of one partition, many by one request; returns when the broker knows all of them."""
    @gen.coroutine
    def work():
        """Talks to the broker."""
        host, port = split_host(kafka.bootstrap[0])
        conn = Connection(host, port)
        yield conn.connect()
        for first in range(0, len(names), AT_ONCE):
            response = yield conn.send(create_topics.CreateTopicsRequest(topics=[
                create_topics.TopicRequest(name=name, num_partitions=1, replication_factor=1)
                for name in names[first:first + AT_ONCE]
            ]))
            for topic in response.topics:
                error = exc.for_code(topic.error_code)
                if error is not None:
                    raise error
        deadline = time.time() + CREATION_TIME
        while True:
            response = yield conn.send(metadata.MetadataRequest(topics=[]))
            led = set(topic.name for topic in response.topics if not any(
                partition.error_code for partition in topic.partitions
            ))
            if led.issuperset(names):
                break
            if time.time() > deadline:
                raise RuntimeError("%d topics are not there after %d s" % (len(names), CREATION_TIME))
            yield gen.sleep(0.5)
        conn.close()
    if names:
        ioloop.IOLoop.current().run_sync(work)


def add_options(parser):
    """The options of the command line that are for this."""
    parser.add_argument("--gigabytes", type=float, default=3, help="size of the backlog that is read through; as much "
                        "is written to the disk (default %(default)s)")
    parser.add_argument("--grow", default="partitions,backlog,members,topics", help="what grows (default %(default)s)")


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    add_options(parser)
    options = parser.parse_args()
    with runs.broker(options.kafka) as kafka:
        print("\n".join(table(run_all(kafka, options)).lines()))


if __name__ == "__main__":
    main()
