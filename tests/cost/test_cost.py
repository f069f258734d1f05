"""Nobody makes a hot loop slower without being told: instructions and calls per message, on fixed input."""
from __future__ import absolute_import

import sys

import pytest

from kiel import speedups
from kiel.protocol import records_decode

from tests.cost import count, loops

VERSION = sys.version_info[:2]

#: more than that above the figure is a change; it leaves room for what differs between releases of one Python
MARGIN = 1.03

pytestmark = pytest.mark.skipif(VERSION not in count.ALLOWED, reason="counted on %s only" % sorted(count.ALLOWED))


@pytest.fixture
def without(monkeypatch):
    """kiel without its speedups, if there are any."""
    monkeypatch.setattr(speedups, "native", None)


def too_dear(name, figures=count.ALLOWED):
    """What of a loop exceeds the allowed figures: a text, or None."""
    found = count.measure(*loops.LOOPS[name]())
    allowed = figures[VERSION][name]
    for what, number, most in zip(("instructions", "calls"), found, allowed):
        if number > most * MARGIN + 0.1:
            return "%s: %.2f %s per message, allowed are %.2f" % (name, number, what, most)
    return None


@pytest.mark.parametrize("name", sorted(loops.LOOPS))
def test_a_message_costs_no_more_than_allowed(name, without):
    assert too_dear(name) is None


@pytest.mark.skipif(speedups.native is None, reason="the extension is not built here, or KIEL_EXTENSION=0")
@pytest.mark.parametrize("name", sorted(loops.LOOPS))
def test_a_message_costs_no_more_than_allowed_with_speedups(name):
    assert too_dear(name, count.SPED_UP) is None


def test_the_guard_notices_a_slower_loop(monkeypatch, without):
    quick = records_decode.values

    def slower(*args):
        """One call and a few instructions a message more."""
        return [bytes(value) for value in quick(*args)]

    monkeypatch.setattr(records_decode, "values", slower)
    assert "per message" in too_dear("consume")


def test_every_loop_has_its_figure_and_the_reverse():
    assert set(count.ALLOWED) == set(count.SPED_UP)
    for figures in list(count.ALLOWED.values()) + list(count.SPED_UP.values()):
        assert set(figures) == set(loops.LOOPS)
