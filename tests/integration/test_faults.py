"""
The fault suite in its short form: two faults on a real cluster of three brokers, counted as `tests.faults` does.

The long form is ``make faults``; what each fault does and what is counted is told in docs/faults.rst.
"""
from __future__ import absolute_import

import random

import pytest

from tests import loop
from tests.faults import report, world
from tests.faults.cluster import FaultyKafka
from tests.faults.faults import FAULTS
from tests.integration import peer

pytestmark = peer.on_python_3()

#: messages of each fault, and messages a second
MESSAGES, RATE = 4000, 1000


@pytest.fixture(scope="module")
def kafka():
    cluster = FaultyKafka("4.4.0")
    with cluster:
        yield cluster


@pytest.mark.parametrize("name", ["leader-killed", "links-cut"])
def test_nothing_is_lost_twice_or_out_of_order(kafka, name):
    row = loop.run(
        lambda: world.run_fault(kafka, FAULTS[name], MESSAGES, RATE, random.Random(1)), timeout=120)
    print(report.line(row))
    assert row.acknowledged >= MESSAGES and row.consumed >= row.acknowledged
    assert (row.lost, row.duplicated, row.reordered, row.strangers, row.unknown) == (0, 0, 0, 0, 0), row.examples
    assert (row.consumer_lost, row.consumer_reordered) == (0, 0), row.examples
    assert row.idempotent and report.counts(row) and row.retries > 0
    assert row.gap < 30 and row.consumer_gap < 40
