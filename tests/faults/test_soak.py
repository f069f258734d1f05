"""What the soak's verdict makes of figures that stay and figures that grow."""
from __future__ import absolute_import

import os

import pytest

from tests.faults import soak


def samples(**growth):
    """Ten minutes of samples; each figure grows by so much a minute."""
    names = ("memory", "descriptors", "waiting", "buffered", "behind")
    begin = dict(memory=50.0, descriptors=12, waiting=5, buffered=1000, behind=100)
    return [(10.0 * at,) + tuple(begin[name] + growth.get(name, 0) * at / 6.0 for name in names) for at in range(60)]


def test_what_stays_is_fine():
    assert soak.verdict(samples()) == []
    assert soak.verdict(samples(memory=0.1)) == []
    # what fills in the first minute does not count
    assert soak.verdict([(0.0, 10.0, 5, 0, 0, 0)] + samples()[6:]) == []


def test_what_grows_is_told():
    for name, by, word in (("memory", 2, "memory"), ("descriptors", 1, "descriptors"), ("waiting", 30, "callbacks"),
                           ("buffered", 300000, "buffered"), ("behind", 5000, "behind")):
        told, = soak.verdict(samples(**{name: by}))
        assert word in told


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux tells it there")
def test_figures_can_be_had():
    assert soak.resident() > 5 and soak.descriptors() >= 3
