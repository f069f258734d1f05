"""The checker on histories that are right, and on each kind that is broken."""
from __future__ import absolute_import

import io

import pytest

from tests.faults import checker, ledger, report

WHOLE = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]


def counts(verdict):
    return dict((name, value) for name, value in verdict._asdict().items()
                if value and name not in ("examples", "acknowledged"))


def test_a_whole_history():
    verdict = checker.check(WHOLE, WHOLE)
    assert counts(verdict) == {} and verdict.acknowledged == 5 and not verdict.examples
    # keys may be read in any order among themselves
    assert counts(checker.check(WHOLE, sorted(WHOLE))) == {}
    assert counts(checker.check([], [])) == {}


@pytest.mark.parametrize("got,expected", [
    (WHOLE[1:], {"lost": 1}),
    ([], {"lost": 5}),
    (WHOLE[:-1] + [("a", 3)], {"lost": 1, "strangers": 1}),
    (WHOLE + WHOLE[:1], {"duplicated": 1}),
    (WHOLE + WHOLE + WHOLE[:2], {"duplicated": 7}),
    ([("a", 1), ("a", 0), ("a", 2), ("b", 0), ("b", 1)], {"reordered": 1}),
    ([("a", 2), ("a", 0), ("a", 1), ("b", 1), ("b", 0)], {"reordered": 3}),
    # written again behind a later one: a duplicate, not out of order; the first of each counts
    ([("a", 0), ("a", 1), ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)], {"duplicated": 2}),
    # ... but a message whose only writing comes too late is
    ([("a", 0), ("a", 2), ("a", 1), ("b", 0), ("b", 1)], {"reordered": 1}),
    ([("c", 0)] + WHOLE, {"strangers": 1}),
    ([("b", 0), ("a", 1), ("a", 0)], {"lost": 2, "reordered": 1}),
])
def test_broken_histories(got, expected):
    verdict = checker.check(WHOLE, got)
    assert counts(verdict) == expected
    assert set(verdict.examples) == set(expected)


def test_aborted_messages():
    aborted = [("a", 3), ("a", 4)]
    assert counts(checker.check(WHOLE, WHOLE, aborted)) == {}
    assert counts(checker.check(WHOLE, WHOLE + aborted[1:], aborted)) == {"aborted": 1}
    assert counts(checker.check(WHOLE, WHOLE + 2 * aborted, aborted)) == {"aborted": 2, "duplicated": 2}


def test_messages_whose_fate_is_unknown():
    unknown = [("a", 3)]
    assert counts(checker.check(WHOLE, WHOLE, (), unknown)) == {}
    assert counts(checker.check(WHOLE, WHOLE + unknown, (), unknown)) == {}
    assert counts(checker.check(WHOLE, WHOLE + 2 * unknown, (), unknown)) == {"duplicated": 1}
    assert counts(checker.check(WHOLE, unknown + WHOLE, (), unknown)) == {"reordered": 3}


def test_the_ledger_on_paper():
    book = ledger.Book()
    first = [book.number("a") for _ in range(3)]
    assert first == [0, 1, 2] and book.number("b") == 0
    assert ledger.read(ledger.written("a", 2)) == ("a", 2)
    book.acknowledged.append(("a", 0))
    book.unknown.append(("a", 1))
    assert book.check([("a", 0)]).lost == 0
    assert book.check([]).lost == 1
    book.acknowledged.append(("a", 2))
    assert book.check([("a", 0)]).lost == 1


def test_the_page_tells_every_fault():
    with io.open(report.DOCS, encoding="utf-8") as source:
        text = source.read()
    assert report.faults_text() in text, "python -m tests.faults.run --write"
    assert report.between(u"a [ old ] b", u"[", u"]", u"new") == u"a [\n\nnew\n\n] b"


def row(**changes):
    blank = dict.fromkeys(report.Row._fields, 0)
    blank.update(kafka="4.4.0-kraft", fault="f", acknowledged=9, flight=2, note="", examples=(), idempotent=True)
    return report.Row(**dict(blank, **changes))


def test_which_rows_keep_the_promises():
    assert report.kept(row()) and report.kept(row(flight=0, retries=3)) and report.kept(row(consumer_again=5))
    for broken in ("lost", "duplicated", "reordered", "aborted", "strangers", "consumer_lost"):
        assert not report.kept(row(**{broken: 1})), broken
    # without producer ids a batch whose answer is lost is written again
    assert report.kept(row(duplicated=3, idempotent=False))
    # nothing was in flight and nothing sent again: the fault struck nothing
    assert not report.kept(row(flight=0))
    assert not report.kept(row(note="FAILED: x"))
    assert len(report.table([row(), row(lost=12345)]).splitlines()) == 6


def test_rows_are_kept_from_run_to_run(tmpdir):
    path = str(tmpdir.join("rows.json"))
    report.keep([row(), row(fault="g")], path)
    found = report.keep([row(lost=7)], path)
    assert [(one.fault, one.lost) for one in found] == [("g", 0), ("f", 7)]
