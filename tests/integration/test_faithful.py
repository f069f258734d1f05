"""
The uses of `tests.faithful.uses` that need real brokers or a ZooKeeper, on a Kafka of 2016's ways.

2.4.1 with the message format of 0.9.0, since kiel 0.9.3 still works with that: ``make faithful`` puts it to the same.
"""
from __future__ import absolute_import

import sys

import pytest

from tests.faithful import checking, service, uses
from tests.integration import peer

USES = uses.load()


@pytest.fixture(scope="module")
def kafka():
    cluster = peer.cluster_of("2.4.1", mode="zk", settings=checking.SETTINGS)
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("name", sorted(name for name in USES if USES[name][1]))
def test_use(kafka, name):
    checking.check(name, kafka.bootstrap, [kafka.zookeeper.hosts])


def test_the_application_of_2016(kafka):
    here = sys.executable, False
    assert service.play(kafka.bootstrap, [kafka.zookeeper.hosts], here, here) == 120
