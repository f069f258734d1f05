"""The table of features in the documentation: each thing that kiel is said to have has a test, and it is there."""
from __future__ import absolute_import

import csv
import io
import os
import re

import six

from tests import syntax

PAGE = os.path.join(syntax.ROOT, "docs", "beside.rst")


def rows():
    """Return the lines of all tables: what it is, six clients' marks, kiel's test."""
    with io.open(PAGE, encoding="utf-8") as page:
        text = page.read().split(".. beside: begin")[1].split(".. beside: end")[0]
    lines = [line.strip() for line in text.splitlines() if line.startswith('   "')]
    found = list(csv.reader([six.ensure_str(line) for line in lines]))
    return [[six.ensure_text(cell) for cell in row] for row in found]


def test_what_kiel_has_is_shown_by_a_test():
    found = rows()
    assert len(found) > 50 and len(set(row[0] for row in found)) == len(found)
    for row in found:
        assert len(row) == 8 and set(row[1:7]) <= set([u"y", u"p", u"\u2013", u""]), row
        assert bool(row[7]) == (row[1] in (u"y", u"p")), row
        if row[7]:
            path, _, name = row[7].partition("::")
            with io.open(os.path.join(syntax.ROOT, path), encoding="utf-8") as source:
                text = source.read()
            assert re.search(r"^ *(async )?def %s\(" % (name or r"test_\w+"), text, re.M) is not None, row


def test_where_others_have_more_is_said():
    assert [row[0] for row in rows() if row[1] == u"\u2013"]
