"""
kiel beside the clients that a user would pick instead: ``python -m benchmarks.compare``.

One real broker, one run: for each task every client works in a process of its own on one core, in turn, several times
over, so that a machine that is slow for a while is slow for all. Prints medians, and kiel's ratio to each peer, pair by
pair. Before it is timed, each client reads or writes once with every value checked.
"""
from __future__ import absolute_import, print_function

import argparse
import json
import os
import platform
import subprocess
import sys
import time

import kiel
import kiel.testing
from benchmarks import page, sweeps

PEERS = ("kiel", "kafka_python", "aiokafka", "confluent")

#: task -> (what it is, messages in a run, a smaller number for the slowest)
TASKS = {
    "consume": ("values as bytes", 1000000, 200000),
    "consume_json": ("values from JSON", 500000, 100000),
    "consume_records": ("whole records", 1000000, 200000),
    "produce": ("a call a message, acks=all", 500000, 100000),
    "produce_many": ("a call a thousand messages", 1000000, 100000),
    "produce_wait": ("one message, waited for", 2000, 1000),
}

#: peers have no call for many messages; kiel's is held against their call a message
STANDS_FOR = {"produce_many": "produce"}


def run(peer, task, kafka, topic, count, size, check=False, **more):
    """Runs one task of one peer in a process of its own; gives its result."""
    options = dict(more, bootstrap=kafka.bootstrap, topic=topic, count=count, size=size, check=check)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.%s_peer" % peer, task, json.dumps(options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path[:1]))
    )
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError("%s, %s: %s" % (peer, task, err.decode("utf-8", "replace")[-2000:]))
    return json.loads(out.decode("ascii").splitlines()[-1])


def median(numbers):
    """The middle one."""
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2]


def fill(kafka, size):
    """Makes the topics that are read; gives ``{task: topic}``."""
    topics = {}
    most = max(count for name, (_, count, _) in TASKS.items() if name.startswith("consume"))
    for task, topic in (("consume", "bytes"), ("consume_json", "json")):
        kafka.create_topic(topic)
        topics[task] = topic
    topics["consume_records"] = "bytes"
    run("kiel", "produce_many", kafka, "bytes", most, size)
    json_values(kafka, "json", TASKS["consume_json"][1], size)
    return topics


def json_values(kafka, topic, count, size):
    """Writes JSON messages of about that size."""
    from tornado import gen, ioloop
    from kiel import clients

    @gen.coroutine
    def work():
        """Writes them."""
        producer = clients.Producer(kafka.bootstrap, linger=0.005, batch_size=10000)
        yield producer.connect()
        filler = "x" * (size - 40)
        for begin in range(0, count, 1000):
            yield producer.produce_many(topic, [
                {"n": number, "name": filler, "on": True} for number in range(begin, min(begin + 1000, count))
            ])
        yield producer.close()
    ioloop.IOLoop.current().run_sync(work)


def compare(kafka, peers, tasks, rounds, size):
    """Measures everything; gives ``{task: {peer: [results]}}``."""
    topics = fill(kafka, size)
    results = {}
    for task in tasks:
        _, count, fewer = TASKS[task]
        results[task] = {}
        for turn in range(-1, rounds):
            for peer in peers:
                theirs = STANDS_FOR.get(task, task) if peer != "kiel" else task
                number = count if peer in ("kiel", "confluent", "aiokafka") else fewer
                topic = topics.get(task)
                if topic is None:
                    topic = "%s-%s-%d" % (task.replace("_", "-"), peer.replace("_", "-"), turn + 1)
                    kafka.create_topic(topic)
                check = turn < 0
                if check and task.startswith("consume"):
                    number = count  # the sum of all values is known, that of some is not
                result = run(peer, theirs, kafka, topic, number, size, check and task.startswith("consume"))
                if check and task in ("produce", "produce_many"):
                    run("kiel", "consume", kafka, topic, number, size, check=True)
                if not check:
                    results[task].setdefault(peer, []).append(result)
                print("  %s %s%s" % (task, peer, " (checked)" if check else ""), file=sys.stderr)
    return results


def report(results, peers, out):
    """Writes the table."""
    def cell(result, what):
        """One figure of a result."""
        return result["count"] / result[what]

    for task, by_peer in results.items():
        out("")
        out("%s: %s" % (task, TASKS[task][0]))
        for peer in peers:
            runs = by_peer[peer]
            pairs = list(zip(by_peer["kiel"], runs))
            if "median" in runs[0]:
                out("  %-14s %8.3f ms median %8.3f ms 99th   kiel's time is %.2f of it" % (
                    peer, 1000 * median(r["median"] for r in runs), 1000 * median(r["p99"] for r in runs),
                    median(a["median"] / b["median"] for a, b in pairs)
                ))
                continue
            line = (
                "  %-14s %9d messages/s %9d per CPU second %6.1f MB   "
                "kiel is %5.2f times as fast, %5.2f per CPU second"
            )
            out(line % (
                peer, median(cell(r, "wall") for r in runs), median(cell(r, "cpu") for r in runs),
                median(r["memory"] for r in runs) / 1e6,
                median(cell(a, "wall") / cell(b, "wall") for a, b in pairs),
                median(cell(a, "cpu") / cell(b, "cpu") for a, b in pairs)
            ))


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
                low, high = (median(r["count"] / r["wall"] for r in by_peer[peer]) for peer in (slower, quicker))
                if low > high:
                    reasons.append("%s: %s is quicker than %s" % (task, slower, quicker))
    return reasons


def main():
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description="kiel beside other clients, on one real broker")
    parser.add_argument("--peers", default=",".join(PEERS), help="which clients (default %(default)s)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="which tasks (default all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each (default %(default)s)")
    parser.add_argument("--size", type=int, default=100, help="bytes of a value (default %(default)s)")
    parser.add_argument("--kafka", default="4.4.0", help="the broker's release (default %(default)s)")
    parser.add_argument("--write", metavar="DIRECTORY", help="where the page and its plots are written, after the "
                        "sweeps that they show; without it, only the table is printed")
    options = parser.parse_args()
    peers = options.peers.split(",")
    with kiel.testing.Kafka(options.kafka, settings={"log.retention.bytes": "-1"}) as kafka:
        results = compare(kafka, peers, options.tasks.split(","), options.rounds, options.size)
        lines = ["kiel %s, Python %s on %s with %d processors, Kafka %s, values of %d bytes, %d rounds, %s" % (
            kiel.__version__, platform.python_version(), platform.machine(), os.cpu_count(), options.kafka,
            options.size, options.rounds, time.strftime("%Y-%m-%d")
        ), "installed: " + page.versions()]
        lines += ["VOID: " + reason for reason in void(results)]
        report(results, peers, lines.append)
        print("\n".join(lines))
        if options.write:
            page.write(options.write, lines, sweeps.run_all(kafka, run, peers))


if __name__ == "__main__":
    main()
