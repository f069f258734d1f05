"""
How late a callback that is due each millisecond comes beside kiel at full speed: ``python -m benchmarks.delay``.

The figure is the 99.9th percentile of its delay, less that of the same callback in a process without kiel. Beside it
stands how much of the delay is the process's own work, by its processor time: the rest is a machine that is busy with
others. The garbage collector is on, as ever.
"""
from __future__ import absolute_import, print_function

from benchmarks import filling, runs
from benchmarks.runs import median
from benchmarks.table import Table, rounded

#: what is beside the callback -> (task, topic, messages of a repetition, options)
BESIDE = {
    "consume(), bytes": ("consume", "bytes", filling.BYTES, {}),
    "consume(), JSON": ("consume_json", "json", filling.JSON, {}),
    "consume(), JSON, after gc.freeze()": ("consume_json", "json", filling.JSON, {"freeze": True}),
    "no kiel, JSON in a loop": ("bare_json", "json", 0, {}),
    "produce(), never waiting": ("produce", "delay", 300000, {}),
    "produce_many() of 100,000": ("produce_many", "delay", 500000, {"many": 100000}),
}

#: seconds for which the callback is watched in a run, and the most runs
SECONDS = 4
ROUNDS = 3

#: milliseconds, less than which is wanted
WANTED = 10


def table(kafka, options):
    """Measures beside topics that are filled already; gives the table."""
    kafka.create_topic("delay", config={"retention.bytes": "1000000000"})
    results = {}
    for _ in range(min(options.rounds, ROUNDS)):
        results.setdefault(None, []).append(
            runs.run("delay", "nothing", kafka, "delay", 0, options.size, seconds=SECONDS)
        )
        for name, (task, topic, count, more) in BESIDE.items():
            results.setdefault(name, []).append(
                runs.run("delay", task, kafka, topic, count, options.size, seconds=SECONDS, **more)
            )
            runs.say("delay beside %s" % name)
    base = results.pop(None)
    alone = 1000 * median(result["p999"] for result in base)
    made = Table(
        "Delay of a callback due each millisecond, ms; %.2f at 99.9 %% without kiel" % alone,
        ["beside", "99.9 % more", "own work", "median", "99 %", "worst", "longest collection", "messages a second"],
        "Wanted: less than %d ms more. Own work is what the process itself was at; collections are the garbage "
        "collector's. The longest is a full one: it goes through all that the process has imported, which gc.freeze() "
        "after the start takes out of its way." % WANTED)
    for name, found in results.items():
        times = [median(one["p999"] - other["p999"] for one, other in zip(found, base))]
        times += [median(one[what] for one in found) for what in ("own", "median", "p99")]
        times += [max(one[what] for one in found) for what in ("worst", "gc")]
        made.add(name, *["%.2f" % (1000 * time) for time in times]
                 + ["{:,d}".format(rounded(median(runs.speed(one) for one in found)))])
    return made


def main():
    """The command."""
    options = runs.parser(__doc__.strip().splitlines()[0]).parse_args()
    with runs.broker(options.kafka) as kafka:
        filling.fill(kafka, options.size)
        print("\n".join(table(kafka, options).lines()))


if __name__ == "__main__":
    main()
