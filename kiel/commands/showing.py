"""What commands print: tables, JSON, and what became of several things."""
from __future__ import absolute_import, print_function

import json
import sys

import six

from kiel import exc

#: the columns of tables that are numbers
NUMBERS = ("partition", "partitions", "offset", "committed", "end", "lag", "before", "after", "epoch", "size", "port",
           "beginning", "time", "level", "least", "most", "iterations", "value", "producer_id", "timeout")

#: exit codes
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class CommandError(Exception):
    """What was asked for can't be: the text says why."""


class NotThere(Exception):
    """What the command is about is not there: the text says what."""


def show(args, out, rows, columns, nothing):
    """Show rows as JSON or as a table; without rows, ``nothing`` is the line to show."""
    if args.json:
        write_json(out, rows)
    else:
        table(out, rows, columns, nothing)


def write_json(out, value):
    """Write JSON, the same for the same value."""
    print(json.dumps(value, indent=2, sort_keys=True), file=out)


def say(out, text):
    """Write a line, whatever is in it."""
    print(six.ensure_str(text), file=out)


def complain(text):
    """Say on standard error what went wrong."""
    print(six.ensure_str(u"kiel: %s" % words(text)), file=sys.stderr)


def words(text):
    """Return whatever says something as text."""
    text = str(text)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def outcomes(args, out, found, done):
    """
    Show what became of several things; return the exit code.

    :param found: pairs of the columns that name a thing, as a dict, and its value or `kiel.exc.KielError`
    :param done: a function of those columns that returns the line of a thing that went well
    """
    rows, code = [], DONE
    for columns, value in found:
        error = words(value) if isinstance(value, exc.KielError) else None
        rows.append(dict(columns, done=error is None, error=error))
        if error is not None:
            code = FAILED
            complain(error)
        elif not args.json:
            say(out, done(columns))
    if args.json:
        write_json(out, rows)
    return code


def _cell(value):
    if value in (None, ""):
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else six.text_type(value)


def table(out, rows, columns, nothing):
    """Write columns, `NUMBERS` to the right; "-" for what there is not."""
    if not rows:
        print(nothing, file=out)
        return
    cells = [[column.upper().replace("_", "-") for column in columns]]
    for row in rows:
        cells.append([_cell(row[column]) for column in columns])
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    right = [column in NUMBERS for column in columns]
    for line in cells:
        text = u"  ".join(
            cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(line, widths, right)
        )
        print(six.ensure_str(text.rstrip()), file=out)
