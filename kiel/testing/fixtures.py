"""
Pytest fixtures: ``pytest_plugins = ["kiel.testing.fixtures"]`` in the top ``conftest.py`` loads them.

``fake_kafka`` is a `kiel.testing.FakeKafka` of the test's own. ``kafka`` is a real, running cluster for the whole
session, of the release given by ``--kafka-version``, else by the environment's ``KIEL_KAFKA``, else the newest
(``"3.9.1-zk"`` is 3.9.1 in ZooKeeper mode); ``zookeeper`` a ZooKeeper on its own; ``topic`` a topic name that no other
test has.

``--skip-without-java`` skips the tests that ask for ``kafka`` or ``zookeeper`` where Java or Maven is missing or too
old, and says which; without it, and always with ``KIEL_STRICT=1`` in the environment, that is an error.
"""
from __future__ import absolute_import

import contextlib
import os
import re
import uuid

import pytest

from kiel.testing import FakeKafka, Kafka, MissingToolError, ZooKeeper, releases


def pytest_addoption(parser):
    """Add ``--kafka-version``, ``--kafka-brokers`` and ``--skip-without-java``."""
    group = parser.getgroup("kiel")
    group.addoption("--kafka-version", default=os.environ.get("KIEL_KAFKA") or releases.DEFAULT,
                    help="the Kafka release of the `kafka` fixture (default: $KIEL_KAFKA or %(default)s)")
    group.addoption("--kafka-brokers", type=int, default=int(os.environ.get("KIEL_KAFKA_BROKERS") or 1),
                    help="how many brokers the `kafka` fixture has (default: $KIEL_KAFKA_BROKERS or 1)")
    group.addoption("--skip-without-java", action="store_true",
                    help="skip tests of the `kafka` and `zookeeper` fixtures where Java or Maven is missing;"
                         " KIEL_STRICT=1 forbids that")


@contextlib.contextmanager
def _started(request, make):
    """A running server; where it can't run, the test is skipped, if that is wanted."""
    server = make()
    try:
        server.start()
    except MissingToolError as error:
        strict = os.environ.get("KIEL_STRICT", "") not in ("", "0")
        if strict or not request.config.getoption("--skip-without-java"):
            raise
        pytest.skip(str(error))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def fake_kafka():
    """A fake Kafka (:class:`kiel.testing.FakeKafka`) of this test alone."""
    with FakeKafka() as fake:
        yield fake


@pytest.fixture(scope="session")
def kafka(request):
    """A running Kafka cluster (:class:`kiel.testing.Kafka`), shared by the session."""
    option = request.config.getoption
    with _started(request, lambda: Kafka(
            option("--kafka-version"), brokers=option("--kafka-brokers"))) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def zookeeper(request):
    """A running ZooKeeper (:class:`kiel.testing.ZooKeeper`) on its own, shared by the session."""
    with _started(request, ZooKeeper) as server:
        yield server


@pytest.fixture
def topic(request):
    """Return a topic name of this test alone; the topic is not created."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name).strip("-")[:60]
    return "%s-%s" % (name, uuid.uuid4().hex[:8])
