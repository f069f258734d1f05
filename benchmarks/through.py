"""
How long a message takes from `produce` to a consumer that waits for it: ``python -m benchmarks.through``.

Producer and consumer share a process and its core, and have been idle before each message. Beside it stands the time of
one round trip, a message that is produced and waited for, just as idle, while nobody reads.
"""
from __future__ import absolute_import, print_function

from benchmarks import runs
from benchmarks.runs import median
from benchmarks.table import Table

#: messages of a run
COUNT = 500


def table(kafka, options):
    """Measures; gives the table."""
    kafka.create_topic("through")
    found = [runs.run("kiel", "through", kafka, "through", COUNT, options.size) for _ in range(options.rounds)]
    runs.say("from produce() to consume()")
    took, trip = (median(result[what] for result in found) for what in ("median", "trip"))
    made = Table("From produce() to a consumer that waits, ms", ["", "median", "99 %", "a round trip", "round trips"])
    made.add("one message", *["%.3f" % (1000 * time) for time in (
        took, median(result["p99"] for result in found), trip)] + ["%.1f" % (took / trip)])
    return made


def main():
    """The command."""
    options = runs.parser(__doc__.strip().splitlines()[0]).parse_args()
    with runs.broker(options.kafka) as kafka:
        print("\n".join(table(kafka, options).lines()))


if __name__ == "__main__":
    main()
