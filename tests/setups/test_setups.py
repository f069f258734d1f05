"""What kiel says to wrong set-ups is what docs/setups.rst shows, comes soon, and has no secrets in it."""
from __future__ import absolute_import

import io
import os
import re
import sys

import pytest
import tornado

from kiel.security import tls

from tests import loop
from tests.setups import page
from tests.setups.cases import CASES, SECRETS, outcomes
from tests.test_tls import quiet_tornado

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "setups.rst")

#: seconds in which an error has to be there; it takes 0.2 at most on an idle machine
SOON = 5

#: words of which an error has one at least: it says what to look at
ADVICE = re.compile(
    r"[a-z]+=|\?|check|must|has to|have to|needs?\b|want|requires|expected|allowed|at least|at most|consist|not one of"
    r"|can't|does not answer|did not connect|does not accept|returned|failed|waits|hung up|is not that of|it offers:"
    r"|credentials are|pass |leave out|log says|call it|pip install|not both set"
    r"|(no SASL login|bearer token)|name it|give ")


@pytest.fixture(scope="module")
def rows():
    patch = pytest.MonkeyPatch() if hasattr(pytest, "MonkeyPatch") else None
    found = []
    if patch is None:
        from _pytest.monkeypatch import MonkeyPatch
        patch = MonkeyPatch()
    quiet_tornado(patch)
    try:
        loop.run(lambda: outcomes(found), timeout=120)
    finally:
        patch.undo()
    return found


def shown():
    with io.open(PAGE, encoding="utf-8") as source:
        return source.read().split("\n")


def test_the_page_shows_what_is_said(rows):
    expected = page.table(rows).split("\n")
    found = shown()
    if sys.version_info < (3, 7):  # OpenSSL's own words on certificates are not to be had there
        expected, found = general(expected), general(found)
    if tornado.version_info < (5,):  # it does not tell why a handshake of TLS came to nothing
        expected, found = without_handshakes(expected), without_handshakes(found)
    assert [line for line in expected if line not in found] == []
    assert expected == found, "make setups"


def general(lines):
    """Return lines with one advice for whatever is wrong with a certificate."""
    advice = re.compile(r"(is not accepted: \[OpenSSL's words\]) \(.*\)``$")
    return [advice.sub(r"\1 (%s)``" % tls.CHECK, line) for line in lines]


def without_handshakes(lines):
    """Return lines but those of handshakes of TLS that came to nothing."""
    return [line for line in lines if not re.search("speak TLS|want a client|asks for a client", line)]


def test_there_are_enough_of_them(rows):
    assert len(rows) == len(CASES) >= 80
    assert len(set((area, mistake) for area, mistake, _, _ in rows)) == len(CASES)


def test_each_error_comes_soon(rows):
    assert [row for row in rows if row[2] > SOON] == []


def test_each_error_says_what_to_look_at_and_no_secret(rows):
    assert [row for row in rows if not ADVICE.search(row[3])] == []
    assert [row for row in rows if any(secret in row[3] for secret in SECRETS)] == []
