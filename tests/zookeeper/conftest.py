from __future__ import absolute_import

import uuid

import pytest

import kiel.testing


@pytest.fixture(scope="session")
def zk():
    """A ZooKeeper shared by the tests that leave it in peace."""
    with kiel.testing.ZooKeeper() as server:
        yield server


@pytest.fixture
def own_zk():
    """A ZooKeeper for one test, to be stopped and paused."""
    with kiel.testing.ZooKeeper() as server:
        yield server


@pytest.fixture
def group():
    """A group name that no other test has."""
    return "group-%s" % uuid.uuid4().hex[:12]
