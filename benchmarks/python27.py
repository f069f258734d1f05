"""
kiel in Python 2.7, on a broker of its time, against what kiel 0.9 did there: ``python -m benchmarks.python27``.

The older kiel's figures are known, from the same kind of machine; they are not measured again.
"""
from __future__ import absolute_import, print_function

import shutil
import subprocess

from benchmarks import runs
from benchmarks.runs import median, speed

#: the broker
KAFKA = "2.4.1"

#: task -> (messages in a run, what kiel 0.9 did a second, how many times that is wanted)
TASKS = {
    "consume": (500000, 125000, 8), "produce": (200000, 53000, 4), "produce_when_ready": (200000, 53000, 4),
}


def find():
    """A Python 2.7 that has what kiel needs, or None."""
    python = shutil.which("python2.7")
    if python and not subprocess.call([python, "-c", "import six, tornado"], stderr=subprocess.DEVNULL):
        return python
    return None


def lines(python, options):
    """Measures; gives the lines of the table."""
    python = python or find()
    title = "Python 2.7, Kafka %s, against kiel 0.9" % KAFKA
    if python is None:
        return ["", title + ": not measured, no python2.7 with tornado was found (--python27)"]
    made = ["", title]
    with runs.broker(KAFKA) as kafka:
        for task, (count, before, wanted) in TASKS.items():
            results = []
            for number in range(-1, options.rounds):
                topic = task if task == "consume" else "%s-%d" % (task.replace("_", "-"), number + 1)
                if task != "consume" or number < 0:
                    kafka.create_topic(topic)
                if task == "consume" and number < 0:
                    runs.run("kiel", "produce_many", kafka, topic, count, options.size)
                check = number < 0
                result = runs.run(
                    "kiel27", task, kafka, topic, count, options.size, check and task == "consume", python
                )
                if not check:
                    results.append(result)
                elif task != "consume":
                    runs.run("kiel", "consume", kafka, topic, count, options.size, True)
                runs.say("%s, Python 2.7%s" % (task, " (checked)" if check else ""))
            rate = median(speed(result) for result in results)
            made.append(
                "  %-18s %9d messages/s %9d per CPU second %6.1f MB   %.1f times kiel 0.9's %d (wanted: %d)   %s" % (
                    task, rate, median(speed(result, "cpu") for result in results),
                    median(result["memory"] for result in results) / 1e6, rate / before, before, wanted,
                    runs.packages(results)
                ))
    return made


def add_option(parser):
    """The option that names the interpreter."""
    parser.add_argument("--python27", metavar="PATH", help="a Python 2.7 that has kiel's requirements, and crc32c "
                        "(default: the one on PATH, if it has)")


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    add_option(parser)
    options = parser.parse_args()
    print("\n".join(lines(options.python27, options)))


if __name__ == "__main__":
    main()
