"""What the tests against real brokers share."""
from __future__ import absolute_import

import pytest

from tests.integration import peer


@pytest.fixture(autouse=True, scope="session")
def shared_clusters():
    """End the clusters that several modules use, when all tests are through."""
    yield
    peer.stop_shared()
