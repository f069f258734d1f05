"""What commands print: tables, JSON, and what became of several things."""
from __future__ import absolute_import, print_function

import json
import os
import sys

import six

from kiel import exc
from kiel.commands.progress import on_terminal

#: the columns of tables that are numbers
NUMBERS = ("partition", "partitions", "offset", "committed", "end", "lag", "before", "after", "epoch", "size", "port",
           "beginning", "time", "level", "least", "most", "iterations", "value", "producer_id", "timeout")

#: exit codes
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


#: what a terminal makes of it: the numbers of ANSI's "select graphic rendition"
BOLD, RED = "1", "31"


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
    print("%s %s" % (painted(sys.stderr, "kiel:", RED), six.ensure_str(words(text))), file=sys.stderr)


def painted(stream, text, how):
    """Return text in a colour, where the stream is a terminal that has some and ``NO_COLOR`` is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or not on_terminal(stream):
        return text
    return "\x1b[%sm%s\x1b[0m" % (how, text)


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
    cells += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    right = [column in NUMBERS for column in columns]
    header, lines = _aligned(cells[0], widths, right), [_aligned(line, widths, right) for line in cells[1:]]
    print("\n".join([painted(out, header, BOLD)] + lines), file=out)


def _aligned(cells, widths, right):
    """Return a line of a table."""
    text = u"  ".join(
        cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(cells, widths, right))
    return six.ensure_str(text.rstrip())
