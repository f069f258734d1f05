"""
kiel beside the clients that a user would pick instead: ``python -m benchmarks.compare``.

One real broker, one run: for each task every client works in a process of its own on one core, in turn, several times
over, so that a machine that is slow for a while is slow for all. Prints medians, and kiel's ratio to each peer, pair by
pair. Before it is timed, each client reads or writes once with every value checked.
"""
from __future__ import absolute_import, print_function

import os
import platform
import time

import kiel
from benchmarks import delay, filling, growth, page, python27, realistic, runs, sweeps, through
from benchmarks.runs import median, speed

#: "bare" is kiel without any optional package
PEERS = ("kiel", "bare", "kafka_python", "aiokafka", "confluent")

#: task -> (what it is, messages in a run, a smaller number for the slowest)
TASKS = {
    "consume": ("values as bytes", filling.BYTES, 200000),
    "consume_json": ("values from JSON", filling.JSON, 100000),
    "consume_records": ("whole records", filling.BYTES, 200000),
    "produce": ("a call a message, acks=all", 500000, 100000),
    "produce_many": ("a call a thousand messages", 1000000, 100000),
    "produce_wait": ("one message, waited for", 2000, 1000),
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


def report(results, peers):
    """Gives the lines of the table."""
    lines = []
    for task, by_peer in results.items():
        lines += ["", "%s: %s" % (task, TASKS[task][0])]
        for peer in peers:
            pairs = list(zip(by_peer["kiel"], by_peer[peer]))
            line = waited if "median" in by_peer[peer][0] else moved
            lines.append("  %-14s %s   %s" % (
                "kiel, %s" % peer if peer == "bare" else peer, line(peer, pairs),
                runs.packages(result for _, result in pairs)
            ))
    return lines


def waited(peer, pairs):
    """What the table says of messages that were waited for, one by one."""
    return "%8.3f ms median %8.3f ms 99th   kiel's time is %.2f of it" % (
        1000 * median(theirs["median"] for _, theirs in pairs), 1000 * median(theirs["p99"] for _, theirs in pairs),
        median(ours["median"] / theirs["median"] for ours, theirs in pairs)
    )


def moved(peer, pairs):
    """What the table says of as many messages as could be."""
    line = "%9d messages/s %9d per CPU second %6.1f MB   " % (
        median(speed(theirs) for _, theirs in pairs), median(speed(theirs, "cpu") for _, theirs in pairs),
        median(theirs["memory"] for _, theirs in pairs) / 1e6
    )
    if peer == "bare":
        return line + "%.2f of kiel with its packages (wanted: 0.3), %.2f per CPU second" % tuple(
            median(speed(theirs, clock) / speed(ours, clock) for ours, theirs in pairs) for clock in ("wall", "cpu")
        )
    return line + "kiel is %5.2f times as fast, %5.2f per CPU second" % tuple(
        median(speed(ours, clock) / speed(theirs, clock) for ours, theirs in pairs) for clock in ("wall", "cpu")
    )


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
        lines = ["kiel %s, Python %s on %s with %d processors, Kafka %s, values of %d bytes, %d rounds, %s" % (
            kiel.__version__, platform.python_version(), platform.machine(), os.cpu_count(), given.kafka,
            given.size, given.rounds, time.strftime("%Y-%m-%d")
        ), "installed: " + page.versions()]
        lines += ["VOID: " + reason for reason in void(results)]
        lines += realistic.lines(kafka, given)
        lines += report(results, peers)
        print("\n".join(lines))
        if not given.write:
            return
        lines += delay.lines(kafka, given)
        lines += through.lines(kafka, given)
        plots = sweeps.run_all(kafka, runs.run, peers)
        grown = growth.run_all(kafka, given)
        lines += growth.lines(grown)
    lines += realistic.delayed_lines(given)
    lines += python27.lines(given.python27, given)
    print("\n".join(lines))
    page.write(given.write, lines, plots + grown)


if __name__ == "__main__":
    main()
