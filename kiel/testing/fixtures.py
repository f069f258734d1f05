"""
Pytest fixtures with a real Kafka: ``pytest_plugins = ["kiel.testing.fixtures"]`` in the top
``conftest.py`` loads them.

``kafka`` is a running cluster for the whole session, of the release given by ``--kafka-version``,
else by the environment's ``KIEL_KAFKA``, else the newest (``"3.9.1-zk"`` is 3.9.1 in ZooKeeper
mode); ``zookeeper`` a ZooKeeper on its own; ``topic`` a topic name that no other test has.
"""
from __future__ import absolute_import

import os
import re
import uuid

import pytest

from kiel.testing import Kafka, ZooKeeper, releases


def pytest_addoption(parser):
    """Add ``--kafka-version`` and ``--kafka-brokers``."""
    group = parser.getgroup("kiel")
    group.addoption("--kafka-version", default=os.environ.get("KIEL_KAFKA") or releases.DEFAULT,
                    help="the Kafka release of the `kafka` fixture (default: $KIEL_KAFKA or %(default)s)")
    group.addoption("--kafka-brokers", type=int, default=int(os.environ.get("KIEL_KAFKA_BROKERS") or 1),
                    help="how many brokers the `kafka` fixture has (default: $KIEL_KAFKA_BROKERS or 1)")


@pytest.fixture(scope="session")
def kafka(request):
    """A running Kafka cluster (:class:`kiel.testing.Kafka`), shared by the session."""
    option = request.config.getoption
    with Kafka(option("--kafka-version"), brokers=option("--kafka-brokers")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def zookeeper():
    """A running ZooKeeper (:class:`kiel.testing.ZooKeeper`) on its own, shared by the session."""
    with ZooKeeper() as server:
        yield server


@pytest.fixture
def topic(request):
    """Return a topic name of this test alone; the topic is not created."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name).strip("-")[:60]
    return "%s-%s" % (name, uuid.uuid4().hex[:8])
