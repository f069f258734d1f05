from __future__ import absolute_import

import pytest

from kiel.clients.grouping import autocommit, committer, subscription


@pytest.fixture
def short_times(monkeypatch):
    """What a member gives up after some seconds, it gives up soon."""
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", 0.3)
    monkeypatch.setattr(autocommit, "CLOSING_TIME", 0.3)
    monkeypatch.setattr(subscription, "GONE_AFTER", 0.2)
