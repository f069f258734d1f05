"""The tables of docs/observability.rst are those of the code; ``python -m tests.test_observability`` writes them."""
from __future__ import absolute_import

import io
import os
import re

from kiel import hooks, metrics
from kiel.telemetry import names

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "observability.rst")


def marked_up(text):
    """`kiel.x.Y` as Sphinx refers to it, other single quotes as code."""
    text = re.sub(r"(?<!`)`(kiel(?:\.\w+)+)`(?!`)", r":class:`~\1`", text)
    return re.sub(r"(?<!`)(?<!:)`(\w+)`(?!`)", r"``\1``", text)


def hook_table():
    """The lines of the table of hooks."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 78", "",
             "   * - Method", "     - When, and what of it"]
    for name, (when, fields) in hooks.METHODS.items():
        lines += ["   * - ``%s``" % name, "     - %s." % marked_up(when[0].upper() + when[1:]), ""]
        for field, meaning in fields:
            lines.append("       | ``%s``: %s" % (field, marked_up(meaning)))
    return lines


def metric_table():
    """The lines of the table of metrics."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 24 12 12 18 34", "",
             "   * - Name", "     - Kind", "     - Unit", "     - By", "     - Meaning"]
    for name, (kind, unit, labels, meaning, _) in metrics.TABLE.items():
        kind = "gauge" if kind == metrics.PEAK else kind
        lines += ["   * - ``%s``" % name, "     - %s" % kind, "     - %s" % unit, "     - %s" % ", ".join(labels),
                  "     - %s" % meaning]
    return [line.rstrip() for line in lines]


def pushed_table():
    """The lines of the table of what the cluster is told."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 34 16 10 18 34", "",
             "   * - Name", "     - Of", "     - Unit", "     - By", "     - Meaning"]
    for name, (kinds, _, _, unit, labels, meaning) in names.TABLE.items():
        kinds = ["all" if kinds == names.ALL else kind.split(".")[0] for kind in kinds]
        lines += ["   * - ``%s``" % name, "     - %s" % ", ".join(sorted(set(kinds))), "     - %s" % unit,
                  "     - %s" % ", ".join(labels), "     - %s" % meaning]
    return [line.rstrip() for line in lines]


TABLES = {"hooks": hook_table, "metrics": metric_table, "pushed": pushed_table}


def parts(page, name):
    """What comes before a table, the table, and what comes after it."""
    begin, end = ".. %s: begin\n" % name, ".. %s: end\n" % name
    before, rest = page.split(begin)
    table, after = rest.split(end)
    return before + begin, table, end + after


def read():
    """The page."""
    with io.open(PAGE, encoding="utf-8") as page:
        return page.read()


def test_the_tables_are_those_of_the_code():
    page = read()
    for name, table in TABLES.items():
        assert parts(page, name)[1].strip("\n").split("\n") == table(), "python -m tests.test_observability"


def test_no_line_is_too_long_to_read():
    assert all(len(line) < 200 for line in read().split("\n"))


def write():
    """Writes the tables into the page."""
    page = read()
    for name, table in TABLES.items():
        before, _, after = parts(page, name)
        page = "%s\n%s\n\n%s" % (before, "\n".join(table()), after)
    with io.open(PAGE, "w", encoding="utf-8") as out:
        out.write(page if isinstance(page, type(u"")) else page.decode("utf-8"))


if __name__ == "__main__":
    write()
