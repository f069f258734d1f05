"""
The uses of `tests.faithful.uses` on this kiel, against scripted brokers; the real ones are in tests/integration.

0.9.3 is put through the same by ``make faithful``.
"""
from __future__ import absolute_import

import pytest

from tests.faithful import checking, uses

USES = uses.load()


@pytest.mark.parametrize("name", sorted(name for name in USES if not USES[name][1]))
def test_use(name):
    checking.check(name)
