"""
What it costs to be watched: ``python -m benchmarks.watched``, kiel with metrics and traces beside kiel alone.

The messages are those of `benchmarks.realistic`. Traces are made by OpenTelemetry's SDK, which needs to be installed,
and exported to nowhere.
"""
from __future__ import absolute_import, print_function

from benchmarks import realistic, runs
from benchmarks.runs import median, speed

#: who listens, as `benchmarks.peers.watched_peer` takes it -> what the table says
WATCHES = (
    ("nobody", "nobody"),
    ("prometheus", "PrometheusMetrics"),
    ("tracing", "Tracing, each message"),
    ("tracing,1,100", "Tracing(share=100)"),
    ("tracing,0.01", "Tracing, 1 % of traces sampled"),
    ("tracing,0.01,100", "Tracing(share=100), 1 % sampled"),
)

#: title, task, whether it takes a topic of its own
TASKS = (
    ("consume_records()", "consume_records", False),
    ("produce() with key and header", "produce_keyed", True),
    ("32 coroutines that produce and wait", "produce_keyed_32", True),
    ("produce one and wait", "produce_keyed_wait", True),
)


def lines(kafka, options):
    """Measures; gives the lines of the table."""
    topics = realistic.fill(kafka, (), codecs=("none",), count=options.count)
    out = ["", "what it costs to be watched: JSON of log-normal size, key, header, 6 partitions; kiel alone takes 1"]
    for title, task, writes in TASKS:
        found = {}
        for turn in range(options.rounds):
            for watch, _ in WATCHES:
                topic = topics["none"]
                if writes:
                    topic = "%s-%s-%d" % (task.replace("_", "-"), watch.replace(",", "-"), turn)
                    kafka.create_topic(topic, partitions=realistic.PARTITIONS)
                count = realistic.WAITED if task.endswith("wait") else options.count
                found.setdefault(watch, []).append(runs.run(
                    "watched", task, kafka, topic, count // 5 if task.endswith("32") else count, 0, watch=watch))
                runs.say("%s, %s" % (title, watch))
        out += ["", title] + [row(title, found["nobody"], found[watch]) for watch, title in WATCHES]
    return out


def row(title, alone, watched):
    """One line: each run against the one of the same round that nobody watched."""
    pairs = list(zip(alone, watched))
    if "median" in watched[0]:
        return "  %-32s %8.3f ms median   %5.2f of the time" % (
            title, 1000 * median(one["median"] for one in watched),
            median(one["median"] / base["median"] for base, one in pairs))
    return "  %-32s %9d messages/s   %5.2f of the time, %5.2f of the processor's" % (
        title, median(speed(one) for one in watched),
        median(speed(base) / speed(one) for base, one in pairs),
        median(speed(base, "cpu") / speed(one, "cpu") for base, one in pairs))


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    parser.add_argument("--count", type=int, default=realistic.COUNT, help="messages of a run (default %(default)s)")
    options = parser.parse_args()
    with runs.broker(options.kafka) as kafka:
        print("\n".join(lines(kafka, options)))


if __name__ == "__main__":
    main()
