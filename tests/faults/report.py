"""The table that a run makes, for the terminal and for docs/faults.rst."""
from __future__ import absolute_import

import io
import json
import os
import textwrap
import time

from tests.faults.faults import FAULTS
from tests.faults.world import Row

#: heading, and what stands under it
COLUMNS = (
    ("Kafka", lambda row: row.kafka),
    ("fault", lambda row: row.fault),
    ("acknowledged", lambda row: row.acknowledged),
    ("lost", lambda row: row.lost),
    ("twice", lambda row: row.duplicated),
    ("out of order", lambda row: row.reordered),
    ("aborted, seen", lambda row: row.aborted),
    ("in flight", lambda row: row.flight),
    ("retries", lambda row: row.retries),
    ("no progress", lambda row: "%.1f s" % row.gap),
    ("consumer: lost", lambda row: row.consumer_lost),
    ("again", lambda row: row.consumer_again),
    ("no progress", lambda row: "%.1f s" % row.consumer_gap),
)

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "faults.rst")

#: the table, and what each fault does, stand between these lines of docs/faults.rst
BEGIN, END = ".. the run writes from here", ".. to here"
TEXTS_BEGIN, TEXTS_END = ".. tests/faults/faults.py says", ".. so far"


def counts(row):
    """Whether the fault struck anything: requests were in flight, or had to be sent again."""
    return row.flight > 0 or row.retries > 0


def kept(row):
    """Whether all promises were kept, and the fault counts."""
    fine = not (row.lost or row.reordered or row.aborted or row.strangers or row.consumer_lost)
    return fine and counts(row) and not (row.idempotent and row.duplicated) and not row.note.startswith("FAILED")


def failed(kafka, name, error):
    """The row of a fault that did not come to its end."""
    blank = dict.fromkeys(Row._fields, 0)
    blank.update(kafka="%s-%s" % (kafka.version, kafka.mode), fault=name, examples=(), idempotent=False,
                 note="FAILED: %s: %s" % (type(error).__name__, error))
    return Row(**blank)


def line(row):
    """One row as a line of text."""
    text = ", ".join("%s %s" % (name, value(row)) for name, value in COLUMNS)
    text += "; idempotent %s, unknown %d, strangers %d, %.0f s" % (
        row.idempotent, row.unknown, row.strangers, row.seconds)
    if not counts(row):
        text += "; DOES NOT COUNT: nothing was in flight, nothing was sent again"
    return text + ("; " + row.note if row.note else "")


def table(rows):
    """The rows as a table in reStructuredText."""
    cells = [[name for name, _ in COLUMNS]] + [[str(value(row)) for _, value in COLUMNS] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(COLUMNS))]
    rule = "  ".join("=" * width for width in widths)
    lines = [rule] + ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    lines[2:2] = [rule]
    return "\n".join(lines + [rule])


def keep(rows, path):
    """Adds rows to those in a file, in place of older ones of the same fault; gives all."""
    found = []
    if os.path.exists(path):
        with open(path) as source:
            found = [Row(**values) for values in json.load(source)]
    new = set((row.kafka, row.fault) for row in rows)
    found = [row for row in found if (row.kafka, row.fault) not in new] + [row._replace(examples=()) for row in rows]
    with open(path, "w") as target:
        json.dump([row._asdict() for row in found], target)
    return found


def write(rows, command, about, seconds):
    """Puts the table into docs/faults.rst, in place of the one there."""
    with io.open(DOCS, encoding="utf-8") as source:
        text = between(source.read(), TEXTS_BEGIN, TEXTS_END, faults_text())
    notes = ["* %s, %s: %s" % (row.kafka, row.fault, row.note) for row in rows if row.note]
    idempotent = sorted(set(row.kafka for row in rows if row.idempotent))
    middle = u"\n\n%s, in %d minutes, by ``%s``, %s. Idempotent producers on: %s.\n\n%s\n" % (
        time.strftime("%Y-%m-%d"), round(seconds / 60.0), command, about, ", ".join(idempotent) or "none", table(rows))
    if notes:
        middle += u"\n" + u"\n".join(notes) + u"\n"
    with io.open(DOCS, "w", encoding="utf-8") as target:
        target.write(between(text, BEGIN, END, middle.strip("\n")))


def between(text, begin, end, middle):
    """A text with something else between two of its lines."""
    return text[:text.index(begin) + len(begin)] + u"\n\n" + middle + u"\n\n" + text[text.index(end):]


def faults_text():
    """What each fault does, as a definition list."""
    lines = []
    for fault in FAULTS.values():
        lines.append(u"``%s``" % fault.name)
        lines.extend(textwrap.wrap(fault.text, 116, initial_indent="    ", subsequent_indent="    "))
    return u"\n".join(lines)
