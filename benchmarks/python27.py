"""
kiel in Python 2.7, on a broker of its time, against what kiel 0.9 did there: ``python -m benchmarks.python27``.

The older kiel's figures are known, from the same kind of machine; they are not measured again.
"""
from __future__ import absolute_import, print_function

import shutil
import subprocess

from benchmarks import runs
from benchmarks.runs import median, speed
from benchmarks.table import Table, rounded, text

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


def tables(python, options):
    """Measures; gives the table, or none where there is no Python 2.7."""
    python = python or find()
    if python is None:
        runs.say("Python 2.7: not measured, no python2.7 with tornado was found (--python27)")
        return []
    made = Table("Python 2.7, Kafka %s, against kiel 0.9" % KAFKA, [
        "task", "messages a second", "of processor time", "memory, MB", "kiel 0.9", "times", "wanted", "packages"])
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
            made.add(
                task, "{:,d}".format(rounded(rate)),
                "{:,d}".format(rounded(median(speed(result, "cpu") for result in results))),
                "%.1f" % (median(result["memory"] for result in results) / 1e6),
                "{:,d}".format(before), "%.1f" % (rate / before), wanted, runs.packages(results)
            )
    return [made]


def add_option(parser):
    """The option that names the interpreter."""
    parser.add_argument("--python27", metavar="PATH", help="a Python 2.7 that has kiel's requirements, and crc32c "
                        "(default: the one on PATH, if it has)")


def main():
    """The command."""
    parser = runs.parser(__doc__.strip().splitlines()[0])
    add_option(parser)
    options = parser.parse_args()
    print("\n".join(text(tables(options.python27, options))))


if __name__ == "__main__":
    main()
