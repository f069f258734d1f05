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

The clients take turns, each in a process of its own on one processor, and are configured for throughput as their own
users would (``benchmarks/peers``). The values are checked in a run that is not timed. kiel's producers are
idempotent, which is their default; those of the other clients are not, unless a table says so. The number in
parentheses is kiel's figure divided by that client's, as the median of pairs of runs: for throughput kiel is faster
where it is above 1, for times where it is below 1. "kiel without C" runs the pure-Python loops; "kiel, no packages"
also has none of the optional packages.

"""

#: what stands above the tables of the README, and below
README_HEAD = (
    "``make bench`` first measures what services typically do: JSON of log-normal size, a key, a trace header, 6 "
    "partitions, and the same over networks with a delay; then values of one size. kiel and the other clients use the"
    " same broker and take turns, each in a process of its own on one core; every value is checked once before the "
    "timed rounds. The number in parentheses is kiel's figure divided by that client's: for throughput kiel is faster"
    " where it is above 1, for times where it is below 1. Figures of {about}."
)
README_TAIL = (
    "\"kiel without C\" runs the pure-Python loops; \"kiel, no packages\" also has none of the optional packages. No "
    "other client has a call like ``produce_many()``, so their figures there are for one call per message. Values of "
    "one size are kiel's best case, since it reads them in columns. Memory, the IOLoop's delay, growth, plots and "
    "Python 2.7 are in the documentation, under \"Figures\"."
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
