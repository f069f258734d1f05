"""A sample of the sweep; the whole of it is `make sweep`."""
from __future__ import absolute_import

import pytest

from tests import loop
from tests.sweep.cases import APIS, run

#: a code of each kind: unknown, passing, of the metadata, of a right, and one that nobody knows
SAMPLE = (-1, 6, 7, 29, 9999)


#: each client with one api that it uses, and two more
APIS_OF_IT = [(client, api) for client, apis in APIS.items() for api in apis[-1:]] + [
    ("member of a classic group", "sync_group"), ("member of a next-generation group", "consumer_group_heartbeat")]

#: the clients for which all of `SAMPLE` are tried
WHOLE = ("producer with several batches under way", "idempotent producer", "consumer that fetches ahead")


@pytest.mark.parametrize("client,api,code", [
    (client, api, code) for client, api in APIS_OF_IT for code in (SAMPLE if client in WHOLE else SAMPLE[::3])])
def test_a_sample(client, api, code):
    outcomes = []

    def body():
        future = run(client, api, code, True)
        future.add_done_callback(lambda done: outcomes.append(done.result()))
        return future
    loop.run(body, 20)
    assert outcomes[0].complaint is None, outcomes[0].complaint
