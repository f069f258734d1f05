"""
How long a message takes from `produce` to a consumer that waits for it: ``python -m benchmarks.through``.

Producer and consumer share a process and its core, and have been idle before each message. Beside it stands the time of
one round trip, a message that is produced and waited for, just as idle, while nobody reads.
"""
from __future__ import absolute_import, print_function

from benchmarks import runs
from benchmarks.runs import median

#: messages of a run
COUNT = 500


def lines(kafka, options):
    """Measures; gives the lines of the table."""
    kafka.create_topic("through")
    found = [runs.run("kiel", "through", kafka, "through", COUNT, options.size) for _ in range(options.rounds)]
    runs.say("from produce() to consume()")
    took, trip = (median(result[what] for result in found) for what in ("median", "trip"))
    line = "from produce() to a consumer that waits: %.3f ms median, %.3f ms 99th; %.1f round trips of %.3f ms"
    return ["", line % (1000 * took, 1000 * median(result["p99"] for result in found), took / trip, 1000 * trip)]


def main():
    """The command."""
    options = runs.parser(__doc__.strip().splitlines()[0]).parse_args()
    with runs.broker(options.kafka) as kafka:
        print("\n".join(lines(kafka, options)))


if __name__ == "__main__":
    main()
