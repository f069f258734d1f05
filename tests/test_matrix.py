"""The table of what works on which Kafka: how it is written, and that the README's is whole."""
from __future__ import absolute_import

import io
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if sys.version_info < (3,):
    pytest.skip("the tools are for Python 3", allow_module_level=True)
sys.path.insert(0, os.path.join(ROOT, "tools"))
matrix = pytest.importorskip("matrix")
sys.path.remove(os.path.join(ROOT, "tools"))

NAMES = [name for name, _ in matrix.matrix_cells.CELLS]


def outcome(python, **others):
    """What one Python gives: all works, but for the cells named."""
    found = dict((name, {"cell": name, "works": True, "why": None}) for name in NAMES)
    for name, (works, why) in others.items():
        found[name] = {"cell": name, "works": works, "why": why}
    return dict(found, python=python, tornado="6")


def rows(text):
    """The table's rows, by their first word."""
    return dict((line.split()[0], line) for line in text.splitlines() if line[:1].isdigit())


def test_what_works_what_can_not_and_what_fails():
    text = matrix.table({
        "0.8.2.2": [outcome(python, zstd=(True, "zstd"), records=(True, "stamps")) for python in ("2.7", "3.13")],
        "3.9.1-zk": [outcome("2.7"), outcome("3.13", lz4=(False, "Traceback"))],
        "4.4.0": [outcome("2.7", gzip=(False, "x")), outcome("3.13", gzip=(False, "y"))],
    }, "2026-01-31")
    assert "2026-01-31" in text and "2.7" in text and "3.13" in text
    found = rows(text)
    assert "no [#zstd]_" in found["0.8.2.2"] and "ok [#stamps]_" in found["0.8.2.2"]
    assert "ok / FAILS" in found["3.9.1"] and "ZooKeeper" in found["3.9.1"]
    assert found["4.4.0"].count("FAILS") == 1
    assert ".. [#zstd]" in text and ".. [#stamps]" in text and ".. [#beside]" not in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_only_the_part_between_the_markers_is_replaced():
    whole = "before\n" + matrix.BEGIN + "old\n" + matrix.END + "after\n"
    once = matrix.replaced(whole, "new\n")
    assert once == "before\n" + matrix.BEGIN + "\nnew\n\n" + matrix.END + "after\n"
    assert matrix.replaced(once, "new\n") == once
    with pytest.raises(ValueError):
        matrix.replaced("no markers", "new")


def test_the_readme_has_every_release_and_nothing_that_fails():
    with io.open(matrix.README, encoding="utf-8") as source:
        text = source.read()
    part = text[text.index(matrix.BEGIN):text.index(matrix.END)]
    lines = [line for line in part.splitlines() if line[:1].isdigit()]
    assert [line.split("  ")[0] for line in lines] == [matrix.title(name) for name in matrix.RELEASES]
    assert "FAILS" not in part
    for note in matrix.FOOTNOTES:
        assert part.count("[#%s]_" % note) >= 1 and part.count(".. [#%s]" % note) == 1
