"""A scripted cluster that subscribes to numbers, and keeps what it is told."""
from __future__ import absolute_import

import functools
import sys

import pytest

from kiel import compression

from tests.fake import VERSIONS, with_cluster
from tests.telemetry.reading import Numbers

SERVED = dict(VERSIONS["4.4"], get_telemetry_subscriptions=(0, 0), push_telemetry=(0, 0))

#: for tests that read what was pushed
reads = pytest.mark.skipif(sys.version_info < (3, 9), reason="opentelemetry-proto is tried on newer Pythons")

#: the id that the cluster gives to clients
GIVEN = b"0123456789abcdef"


class Push(object):
    """
    What was pushed once: ``request``, ``broker_id``, and ``time`` on the loop; `numbers` when they are looked at.

    :param call: a `tests.fake.Call`
    """

    def __init__(self, call):
        self.request = call.request
        self.broker_id = call.broker.id
        self.time = call.time

    @property
    def data(self):
        codec, data = self.request.compression_type, self.request.metrics
        return compression.decompress(codec, data) if codec else data

    @property
    def numbers(self):
        return Numbers(self.data)


class Receiver(object):
    """
    Answers a `FakeCluster`'s clients, on all brokers.

    ``subscription`` are fields of the answer, ``answers`` error codes of the next pushes, oldest first, or `CLOSE`, and
    ``refusals`` error codes of the next questions.
    """

    def __init__(self, cluster, **subscription):
        self.subscription = dict(
            dict(subscription_id=7, accepted_compression_types=[], push_interval=30, telemetry_max_bytes=1000000,
                 delta_temporality=False, requested_metrics=[""]), **subscription)
        self.answers = []
        self.refusals = []
        self.asked = []
        self.pushes = []
        self.refused = []
        for broker in cluster.brokers.values():
            broker.on("get_telemetry_subscriptions", self._tell)
            broker.on("push_telemetry", self._take)

    def _tell(self, call):
        self.asked.append(call.request.client_instance_id)
        if self.refusals:
            return dict(throttle_time=0, error_code=self.refusals.pop(0), push_interval=0)
        known = call.request.client_instance_id != b"\0" * 16
        return dict(dict(throttle_time=0, error_code=0, client_instance_id=b"\0" * 16 if known else GIVEN),
                    **self.subscription)

    def _take(self, call):
        code = self.answers.pop(0) if self.answers else 0
        (self.refused if code else self.pushes).append(Push(call))
        return code if isinstance(code, str) else dict(throttle_time=0, error_code=code)


def with_receiver(**settings):
    """Runs the test, a generator function of a started `FakeCluster` and a `Receiver`; see `with_cluster`."""
    subscription = settings.pop("subscription", {})
    settings.setdefault("topics", {"t": 2})

    def decorate(test):
        @with_cluster(versions=SERVED, **settings)
        @functools.wraps(test)
        def run(cluster, **kwargs):
            return test(cluster, Receiver(cluster, **subscription), **kwargs)
        run.__name__ = test.__name__
        return run
    return decorate
