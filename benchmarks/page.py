"""Writes the page of figures: the table as it was printed, and a plot for each sweep."""
from __future__ import absolute_import

import os

from benchmarks import runs

try:
    from importlib import metadata
except ImportError:
    metadata = None

#: packages whose versions decide what is measured
PACKAGES = (
    "tornado", "crc32c", "cramjam", "lz4", "zstandard", "kafka-python", "aiokafka", "confluent-kafka"
)

#: a client's colour and the sign of its points
STYLES = {"kiel": ("#0b6e4f", "o"), "aiokafka": ("#c46a1b", "s"), "confluent": ("#3b5b92", "^")}

#: those of kiel's own lines, where it is beside nobody
OWN = (("#0b6e4f", "o"), ("#7a4f9a", "D"), ("#b8860b", "v"))

HEAD = """Figures
=======

Made by ``make bench``; the table is what that run printed, the plots are of the same broker. Each client works in a
process of its own on one processor, in turn, set up as its own users would for throughput (``benchmarks/peers``); the
values are checked in a run that is not timed. Producers of kiel are idempotent, as they are by default; those of the
others are not. Ratios are medians of pairs of runs. Memory is the peak above that after import. A row says which
optional packages were loaded in it; "kiel, bare" is kiel where none of them can be imported.

.. literalinclude:: benchmarks.txt
   :language: none

"""


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
            places = [at + 0.27 * (number - 1) for at in range(len(points))]
            axes.bar(places, [y for _, y in points], 0.25, label=name, color=colour)
            axes.set_xticks(range(len(points)), [x for x, _ in points])
        else:
            axes.plot([x for x, _ in points], [y for _, y in points], sign + "-", label=name, color=colour)
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


def write(directory, lines, sweeps):
    """Writes ``benchmarks.rst``, ``benchmarks.txt`` and the plots."""
    with open(os.path.join(directory, "benchmarks.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")
    plots = os.path.join(directory, "plots")
    os.makedirs(plots, exist_ok=True)
    with open(os.path.join(directory, "benchmarks.rst"), "w") as out:
        out.write(HEAD)
        for sweep in sweeps:
            plot(sweep, os.path.join(plots, sweep.name + ".svg"))
            out.write(".. image:: plots/%s.svg\n   :alt: %s\n\n" % (sweep.name, sweep.title))
            loaded = ["%s %s" % (name, runs.named(found)) for name, found in sweep.packages.items() if found]
            if loaded:
                out.write("%s.\n\n" % "; ".join(loaded))
