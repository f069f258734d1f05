"""What `kiel.testing.FakeKafka` does, on a real broker: see `tests.any_kafka`."""
from __future__ import absolute_import

import pytest

from tests.integration import peer
from tests.integration.next_gen import RELEASES, started

pytest.register_assert_rewrite("tests.any_kafka")

from tests.any_kafka import *  # noqa: E402,F401,F403

pytestmark = peer.on_python_3()


@pytest.fixture(scope="module", params=[name for name in RELEASES if name.startswith("4.")])
def kafka(request):
    with started(request.param) as cluster:
        yield cluster
