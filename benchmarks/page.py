"""Writes the page of figures, tables and a plot for each sweep, and what of it the README shows."""
from __future__ import absolute_import

import os
import textwrap

from benchmarks import runs
from benchmarks.table import NAMES, short

try:
    from importlib import metadata
except ImportError:
    metadata = None

#: packages whose versions decide what is measured
PACKAGES = (
    "tornado", "crc32c", "cramjam", "lz4", "zstandard", "kafka-python", "aiokafka", "confluent-kafka"
)

#: a client's colour and the sign of its points
STYLES = {"kiel": ("#0b6e4f", "o"), "aiokafka": ("#c46a1b", "s"), "confluent": ("#3b5b92", "^"),
          "kafka_python": ("#8c3b4a", "x")}

#: those of kiel's own lines, where it is beside nobody
OWN = (("#0b6e4f", "o"), ("#7a4f9a", "D"), ("#b8860b", "v"))

HEAD = """Figures
=======

Made by ``make bench``, from one run: {about}.

Each client works in a process of its own on one processor, in turn, set up as its own users would for throughput
(``benchmarks/peers``); the values are checked in a run that is not timed. Producers of kiel are idempotent, as they are
by default; those of the others are not. In parentheses is what kiel's figure is to that of the client: above 1 kiel is
faster, and of times below 1; they are medians of pairs of runs. "kiel without C" has its loops in Python, "kiel, no
packages" none of its optional packages either.

"""

#: what stands above the tables of the README, and below
README_HEAD = (
    "``make bench`` measures what services do first: JSON of log-normal size, a key, a trace header, 6 partitions, and "
    "the same over networks that take their time; then values of one size. It runs kiel beside other clients on one "
    "broker, each in a process of its own on one core, in turn, with every value checked once before the timed rounds. "
    "In parentheses is what kiel's figure is to that of the client: above 1 kiel is faster, and of times below 1. "
    "Figures of {about}."
)
README_TAIL = (
    "\"kiel without C\" is kiel with its loops in Python, \"kiel, no packages\" without its optional packages, too. No "
    "other client has a call like ``produce_many()``; its call a message stands for it. Values of one size are read by "
    "columns, which is kiel's best case. Memory, the loop's delay, growth, plots and Python 2.7 are in the "
    "documentation, under \"Figures\"."
)

BEGIN, END = ".. benchmarks: begin (from a real run of `make bench`)\n\n", ".. benchmarks: end"


def versions():
    """Which packages are installed, as one line."""
    found = []
    for name in PACKAGES:
        try:
            found.append("%s %s" % (name, metadata.version(name)))
        except Exception:
            found.append("no %s" % name)
    return ", ".join(found)


def plot(sweep, path):
    """Draws one sweep."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    pyplot.rcParams["svg.hashsalt"] = "kiel"
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for number, (name, points) in enumerate(sweep.lines.items()):
        colour, sign = STYLES.get(name) or OWN[number % len(OWN)]
        if sweep.bars:
            places = [at + 0.21 * (number - 1.5) for at in range(len(points))]
            axes.bar(places, [y for _, y in points], 0.2, label=NAMES.get(name, name), color=colour)
            axes.set_xticks(range(len(points)), [x for x, _ in points])
        else:
            axes.plot([x for x, _ in points], [y for _, y in points], sign + "-", label=NAMES.get(name, name),
                      color=colour)
    if sweep.logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(sweep.x)
    axes.set_ylabel(sweep.y)
    axes.set_title(sweep.title)
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def described(sweep):
    """A plot in words, for who can't see it."""
    return "%s, in %s: %s" % (sweep.title, sweep.y, "; ".join(
        NAMES.get(name, name) + " " + ", ".join("%s at %s" % (short(y), x) for x, y in (points[0], points[-1]))
        for name, points in sweep.lines.items()))


def write(directory, about, tables, sweeps):
    """
    Writes ``benchmarks.rst`` and the plots.

    :param about: lines that say what was measured, and where
    """
    plots = os.path.join(directory, "plots")
    os.makedirs(plots, exist_ok=True)
    with open(os.path.join(directory, "benchmarks.rst"), "w") as out:
        out.write(HEAD.format(about="; ".join(about)))
        for table in tables:
            out.write("\n".join(table.rst()) + "\n")
        for sweep in sweeps:
            plot(sweep, os.path.join(plots, sweep.name + ".svg"))
            out.write(".. image:: plots/%s.svg\n   :alt: %s\n\n" % (sweep.name, described(sweep)))
            loaded = ["%s %s" % (NAMES.get(name, name), runs.named(found))
                      for name, found in sweep.packages.items() if found]
            if loaded:
                out.write("%s.\n\n" % "; ".join(loaded))


def filled(text):
    """A paragraph in lines, which begin with no hyphen of a name."""
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def write_readme(about, tables):
    """Writes the tables between the marks of the README."""
    path = os.path.join(runs.ROOT, "README.rst")
    with open(path) as readme:
        text = readme.read()
    before, rest = text.split(BEGIN)
    shown = [filled(README_HEAD.format(about="; ".join(about))), ""]
    for table in tables:
        shown += table.rst()
    shown += [filled(README_TAIL), "", END]
    with open(path, "w") as readme:
        readme.write(before + BEGIN + "\n".join(shown) + rest.split(END, 1)[1])
