"""A short form of ``python -m tests.churn``: members come, go, die and stand still, and the ledger tells the rest."""
from __future__ import absolute_import

import os
import random

import pytest
from tornado import ioloop

from tests.churn import run, work
from tests.integration import peer


@pytest.fixture(scope="module")
def kafka():
    cluster = peer.cluster_of("4.4.0", settings=run.BROKER)
    yield cluster
    cluster.stop()


def without_problems(main):
    """Runs a churn on a loop of its own; gives its checker, which has found nothing wrong."""
    loop = ioloop.IOLoop(make_current=False)
    try:
        checker = loop.run_sync(main)
    finally:
        loop.close()
    print(", ".join("%d %s" % (checker.counts[name], name) for name in sorted(checker.counts)))
    assert not checker.problems, "\n".join(checker.problems[:50])
    return checker


@pytest.mark.parametrize("protocol,assignors", [("classic", ["cooperative-sticky"]), ("consumer", None)])
def test_nothing_is_lost_and_nobody_does_anothers_work(kafka, tmpdir, protocol, assignors):
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(10 ** 6))
    print("KIEL_SEED=%d, or python -m tests.churn --seed %d --seconds 12 --protocol %s --members 4 --partitions 8"
          " --pace 1.2" % (seed, seed, protocol))
    churn = run.Run(
        kafka, str(tmpdir), dict(group_protocol=protocol, assignors=assignors), seed, seconds=12, slots=4,
        partitions=8, pace=1.2, rate=100, topic="churned-" + protocol, group="churning-" + protocol)
    checker = without_problems(churn.main)
    assert checker.counts["done"] > 500 and checker.counts["closing"]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_workers_lose_nothing_and_keep_order(kafka, tmpdir, protocol):
    """Workers come, go and die, and the broker is started anew; a long run is ``python -m tests.churn.work``."""
    calm = [step for step in work.PLAN if step[1] not in ("kill", "restart") and step[0] != .80]
    plan = work.PLAN if protocol == "consumer" else calm
    working = work.Work(
        kafka, str(tmpdir), dict(group_protocol=protocol), seconds=8.0 if protocol == "consumer" else 4.0, plan=plan,
        name="worked-" + protocol)
    check = without_problems(working.main)
    assert check.counts["done"] > 300 and check.counts["dead"] and check.counts["failed"]
    assert protocol == "consumer" or not check.counts["twice"]


@peer.on_python_3()
def test_workers_with_a_producer_work_exactly_once(kafka, tmpdir):
    """One is killed, one leaves, others come; ``python -m tests.churn.work --once`` does so for long, and more."""
    plan = work.PLAN if peer.LONG else [
        (.0, "start", 0), (.0, "start", 1), (.4, "kill", 1), (.5, "start", 1), (.7, "start", 2), (.9, "leave", 0)]
    working = work.Work(
        kafka, str(tmpdir), dict(group_protocol="consumer"), seconds=20.0 if peer.LONG else 4.0, plan=plan,
        name="worked-once", once=True)
    check = without_problems(working.main)
    assert check.counts["results"] > 300 and check.counts["dead"] and not check.counts["dead twice"]
