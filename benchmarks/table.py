"""What the benchmarks found, as tables: for a terminal, and for a page that cuts nothing off."""
from __future__ import absolute_import

from benchmarks import runs
from benchmarks.runs import median, speed

#: peers of `benchmarks.peers` -> what tables call them
NAMES = {
    "kiel": "kiel", "pure": "kiel without C", "bare": "kiel, no packages", "kafka_python": "kafka-python",
    "aiokafka": "aiokafka", "confluent": "confluent-kafka",
}


class Table(object):
    """
    One table: cells are text.

    :param title: what the rows are, and in which units
    :param columns: titles of the columns
    :param note: a sentence beneath it
    """

    def __init__(self, title, columns, note=""):
        self.title = title
        self.columns = list(columns)
        self.rows = []
        self.note = note

    def add(self, *cells):
        """Adds a row."""
        self.rows.append([str(cell) for cell in cells])

    def lines(self):
        """For a terminal: columns beneath each other, the first to the left."""
        rows = ["  " + self._line(row) for row in [self.columns] + self.rows]
        return ["", self.title] + rows + ["  " + self.note] * bool(self.note)

    def rst(self):
        """For a page, as lines: a simple table, which can be read as text, too."""
        rule = "  ".join("=" * width for width in self._widths())
        rows = [rule, self._line(self.columns), rule] + [self._line(row) for row in self.rows] + [rule]
        return ["**%s**" % self.title, ""] + rows + [""] + ([self.note, ""] if self.note else [])

    def _widths(self):
        return [max(len(row[at]) for row in [self.columns] + self.rows) for at in range(len(self.columns))]

    def _line(self, row):
        widths = self._widths()
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  ".join([row[0].ljust(widths[0])] + cells).rstrip()


def text(tables):
    """All of them, as lines for a terminal."""
    return [line for table in tables for line in table.lines()]


def beside(results, peers, about):
    """
    What peers did, as tables: by the clock, by processor time, in memory; and those that waited, in milliseconds.

    In parentheses is what kiel's figure is to that of the peer, the median of pairs of runs.

    :param results: ``{row's title: {peer: [result]}}``, of which ``kiel`` is one
    :param about: what the messages are
    """
    columns = [NAMES[peer] for peer in peers]
    clock = Table("Messages a second by the clock: " + about, ["task"] + columns)
    processor = Table("Messages a second of processor time: " + about, ["task"] + columns)
    memory = Table("Peak memory beyond that after import, MB: " + about, ["task"] + columns)
    waits = Table("Time of one message, median and 99th percentile, ms: " + about, ["task"] + columns)
    for title, by_peer in results.items():
        pairs = [(peer, list(zip(by_peer["kiel"], by_peer[peer]))) for peer in peers]
        if "median" in by_peer["kiel"][0]:
            waits.add(title, *[waited(peer, found) for peer, found in pairs])
        else:
            for table, which in ((clock, "wall"), (processor, "cpu")):
                table.add(title, *[moved(peer, found, which) for peer, found in pairs])
            memory.add(title, *["%.1f" % (median(one["memory"] for _, one in found) / 1e6) for _, found in pairs])
    loaded = "Loaded were: " + "; ".join("%s %s" % (NAMES[peer], runs.packages(
        result for by_peer in results.values() for result in by_peer[peer])) for peer in peers) + "."
    found = [table for table in (clock, processor, waits, memory) if table.rows]
    found[-1].note = loaded
    return found


def moved(peer, pairs, clock):
    """A cell: messages a second, and how many times that kiel has."""
    rate = "{:,d}".format(rounded(median(speed(theirs, clock) for _, theirs in pairs)))
    if peer == "kiel":
        return rate
    return "%s (%.2f)" % (rate, median(speed(ours, clock) / speed(theirs, clock) for ours, theirs in pairs))


def waited(peer, pairs):
    """A cell: the median and the 99th percentile, and kiel's time as a part of each."""
    times = tuple(1000 * median(theirs[which] for _, theirs in pairs) for which in ("median", "p99"))
    if peer == "kiel":
        return "%.2f, %.2f" % times
    return "%.2f, %.2f (%.2f, %.2f)" % (times + tuple(
        median(ours[which] / theirs[which] for ours, theirs in pairs) for which in ("median", "p99")))


def short(number):
    """A number as a text that is read, such as "1.25" or "71,200"."""
    return "{:,d}".format(rounded(number)) if number >= 1000 else "%.3g" % number


def rounded(number):
    """Three digits are as many as repeat."""
    number = int(round(number))
    places = max(0, len(str(number)) - 3)
    return int(round(number, -places))
