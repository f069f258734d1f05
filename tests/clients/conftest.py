from __future__ import absolute_import

import pytest

from kiel.clients import grouped
from kiel.clients.grouping import committer, subscription


@pytest.fixture
def short_times(monkeypatch):
    """What a member gives up after some seconds, it gives up soon."""
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", 0.3)
    monkeypatch.setattr(grouped, "CLOSING_TIME", 0.3)
    monkeypatch.setattr(subscription, "GONE_AFTER", 0.2)
