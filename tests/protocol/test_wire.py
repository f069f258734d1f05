"""What a connection knows of the versions that its broker serves."""
from __future__ import absolute_import

from kiel.protocol import wire


def test_a_version_that_is_served_and_one_that_is_reached():
    found = wire.Wire()
    found.versions = {"fetch": (4, 18)}
    assert [found.supports("fetch", version) for version in (3, 4, 18, 19)] == [False, True, True, False]
    assert [found.reaches("fetch", version) for version in (3, 4, 18, 19)] == [True, True, True, False]
    assert not found.reaches("produce", 0)
