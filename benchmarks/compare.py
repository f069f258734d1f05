"""
kiel beside the clients that a user would pick instead: ``python -m benchmarks.compare``.

One real broker, one run: for each task every client works in a process of its own on one core, in turn, several times
over, so that a machine that is slow for a while is slow for all. Prints medians, and kiel's ratio to each peer, pair by
pair. Before it is timed, each client reads or writes once with every value checked.
"""
from __future__ import absolute_import, print_function

import collections
import os
import platform
import time

import kiel
from benchmarks import delay, filling, growth, page, python27, realistic, runs, sweeps, table, through
from benchmarks.runs import median, speed

#: "bare" is kiel without any optional package
PEERS = ("kiel", "bare", "kafka_python", "aiokafka", "confluent")

#: task -> (what it is, messages in a run, a smaller number for the slowest)
TASKS = {
    "consume": ("consume() as bytes", filling.BYTES, 200000),
    "consume_json": ("consume() from JSON", filling.JSON, 100000),
    "consume_records": ("consume_records()", filling.BYTES, 200000),
    "produce": ("produce(), a call a message", 500000, 100000),
    "produce_many": ("produce_many() of 1,000", 1000000, 100000),
    "produce_wait": ("produce one and wait", 2000, 1000),
}

#: peers have no call for many messages; kiel's is held against their call a message
STANDS_FOR = {"produce_many": "produce"}


def compare(kafka, topics, peers, tasks, rounds, size):
    """Measures every task of every peer; gives ``{task: {peer: [results]}}``."""
    results = {}
    for task in tasks:
        _, count, fewer = TASKS[task]
        results[task] = {}
        for turn in range(-1, rounds):
            for peer in peers:
                theirs = task if peer in ("kiel", "bare") else STANDS_FOR.get(task, task)
                number = fewer if peer == "kafka_python" else count
                topic = topics.get(task)
                if topic is None:
                    topic = "%s-%s-%d" % (task.replace("_", "-"), peer.replace("_", "-"), turn + 1)
                    kafka.create_topic(topic)
                check = turn < 0
                if check and task.startswith("consume"):
                    number = count  # the sum of all values is known, that of some is not
                result = runs.run(peer, theirs, kafka, topic, number, size, check and task.startswith("consume"))
                if check and task in ("produce", "produce_many"):
                    runs.run("kiel", "consume", kafka, topic, number, size, check=True)
                if not check:
                    results[task].setdefault(peer, []).append(result)
                runs.say("%s %s%s" % (task, peer, " (checked)" if check else ""))
    return results


def report(results, peers, size):
    """Gives the tables."""
    named = collections.OrderedDict((TASKS[task][0], found) for task, found in results.items())
    return table.beside(named, peers, "values of %d bytes, one partition, no key" % size)


def void(results):
    """
    Says why a run is none, from the order of the peers: they are known, and one that is far slower than it should be
    beside the others was set up badly or disturbed. Gives the reasons.
    """
    reasons = []
    for task, (slow, quick) in {
        "consume": ("kafka_python", "aiokafka"), "produce": ("kafka_python", "aiokafka"),
    }.items():
        for slower, quicker in ((slow, quick), (quick, "confluent")):
            by_peer = results.get(task, {})
            if slower in by_peer and quicker in by_peer:
                low, high = (median(speed(result) for result in by_peer[peer]) for peer in (slower, quicker))
                if low > high:
                    reasons.append("%s: %s is quicker than %s" % (task, slower, quicker))
    return reasons


def options():
    """The command line's."""
    parser = runs.parser("kiel beside other clients, on one real broker")
    parser.add_argument("--peers", default=",".join(PEERS), help="which clients, kiel among them (default %(default)s)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="which tasks (default all)")
    parser.add_argument("--write", metavar="DIRECTORY", help="where the page and its plots are written, after the "
                        "sweeps that they show and what is measured of kiel alone; without it, only the table is "
                        "printed")
    growth.add_options(parser)
    python27.add_option(parser)
    return parser.parse_args()


def main():
    """Runs the comparison."""
    given = options()
    peers = given.peers.split(",")
    with runs.broker(given.kafka) as kafka:
        topics = filling.fill(kafka, given.size)
        results = compare(kafka, topics, peers, given.tasks.split(","), given.rounds, given.size)
        about = ["kiel %s, Python %s on %s with %d processors, Kafka %s, %d rounds, %s" % (
            kiel.__version__, platform.python_version(), platform.machine(), os.cpu_count(), given.kafka, given.rounds,
            time.strftime("%Y-%m-%d")
        ), "installed: " + page.versions()]
        about += ["VOID: " + reason for reason in void(results)]
        services = realistic.tables(kafka, given)
        uniform = report(results, peers, given.size)
        print("\n".join(about + table.text(services + uniform)))
        if not given.write:
            return
        alone = [delay.table(kafka, given), through.table(kafka, given)]
        plots = sweeps.run_all(kafka, runs.run, peers)
        grown = growth.run_all(kafka, given)
        alone.append(growth.table(grown))
    far = realistic.delayed(given)
    alone += python27.tables(given.python27, given)
    print("\n".join(table.text(far + alone)))
    page.write(given.write, about, services + far + uniform + alone, plots + grown)
    page.write_readme(about, [
        one for one in services + far + uniform if not one.title.startswith("Peak")])


if __name__ == "__main__":
    main()
