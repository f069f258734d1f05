"""A sample of the sweep; the whole of it is `make sweep`."""
from __future__ import absolute_import

import pytest

from tests import loop
from tests.sweep.cases import APIS, run

#: a code of each kind: unknown, passing, of the metadata, of a right, and one that nobody knows
SAMPLE = (-1, 6, 7, 29, 9999)


@pytest.mark.parametrize("code", SAMPLE)
@pytest.mark.parametrize("client,api", [(client, api) for client, apis in APIS.items() for api in apis[-1:]])
def test_a_sample(client, api, code):
    outcomes = []

    def body():
        future = run(client, api, code, True)
        future.add_done_callback(lambda done: outcomes.append(done.result()))
        return future
    loop.run(body, 20)
    assert outcomes[0].complaint is None, outcomes[0].complaint
