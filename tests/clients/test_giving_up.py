"""Calls of an Admin, and others that are coroutines, given up at each of their waits: they go on without a word."""
from __future__ import absolute_import

import sys

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients.administering import acls, users
from kiel.clients.administering.transactions import ActiveProducer

from tests import loop
from tests.clients.grouping import members
from tests.clients.test_administering import KNOWN
from tests.fake import MUTE, error, with_cluster

pytestmark = pytest.mark.skipif(sys.version_info < (3,), reason="Futures can be cancelled on asyncio only")

RULE = acls.Rule("topic", "t", "User:a", "read")

#: call -> its arguments
CALLS = {
    "abort_transaction": (("t", 0), ActiveProducer(7, 1, 0, 0, -1, 5)),
    "alter_client_quotas": ({users.Entity(user="a"): {"producer_byte_rate": 1}},),
    "alter_configs": ({("topic", "t"): {"retention.ms": "1"}},),
    "alter_reassignments": ({("t", 0): [1]},),
    "alter_scram_users": ([users.NoCredential("a")],),
    "beginning_offsets": ("t",),
    "committed_offsets": ("g",),
    "create_acls": ([RULE],),
    "create_delegation_token": (),
    "create_partitions": ({"t": 2},),
    "create_topics": (["u"],),
    "delete_acls": ([acls.Filter()],),
    "delete_group": ("g",),
    "delete_offsets": ("g", [("t", 0)]),
    "delete_records": ({("t", 0): 1},),
    "delete_topics": (["t"],),
    "describe_acls": (),
    "describe_client_quotas": (),
    "describe_cluster": (),
    "describe_configs": ([("topic", "t")],),
    "describe_delegation_tokens": (),
    "describe_features": (),
    "describe_groups": (["g"],),
    "describe_log_dirs": (),
    "describe_producers": ([("t", 0)],),
    "describe_quorum": (),
    "describe_scram_users": (),
    "describe_topics": (["nope"],),
    "describe_transactions": (["x"],),
    "elect_leaders": (),
    "end_offsets": ("nope",),
    "expire_delegation_token": (b"YWJj",),
    "lag": ("g",),
    "list_groups": (),
    "list_reassignments": (),
    "list_topics": (),
    "list_transactions": (),
    "offsets_for_times": ("t", 5),
    "remove_members": ("g",),
    "renew_delegation_token": (b"YWJj",),
    "reset_offsets": ("g", clients.END),
    "update_features": ({"x": 1},),
}

#: what a client has besides calls that make requests
OTHERS = {"connect", "close", "send", "attempt", "group", "wind_down", "metrics", "health", "lose_coordinator"}

#: turns of the loop after which a call is given up
TURNS = (0, 1, 2, 4, 8, 16)


def test_no_call_is_left_out():
    names = set(name for name in dir(clients.Admin) if not name.startswith(("_", "handle_")))
    callables = set(name for name in names if callable(getattr(clients.Admin, name)))
    assert callables - OTHERS == set(CALLS)


@gen.coroutine
def given_up(call, turns):
    future = call()
    for _ in range(turns):
        yield gen.moment
    future.cancel()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_of_an_admin_that_is_given_up(name):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        admin = clients.Admin(cluster.bootstrap)
        yield admin.connect()
        for turns in TURNS:
            yield given_up(lambda: getattr(admin, name)(*CALLS[name]), turns)
            assert (yield loop.within(3, admin.end_offsets("t"))) == {0: 0}
        yield loop.within(3, admin.close())
    check()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_of_an_admin_that_is_given_up_while_no_answer_comes(name):
    @with_cluster(topics={"t": 1}, versions=KNOWN)
    def check(cluster):
        admin = clients.Admin(cluster.bootstrap, request_timeout=0.1)
        yield admin.connect()
        for api in KNOWN:
            if api not in ("api_versions", "metadata"):
                cluster[1].on(api, MUTE)
        for turns in TURNS:
            yield given_up(lambda: getattr(admin, name)(*CALLS[name]), turns)
        yield loop.within(3, admin.close())
        yield loop.until(lambda: not cluster[1].streams)
    check()


@pytest.mark.parametrize("turns", TURNS)
def test_a_commit_that_is_given_up_is_done_or_due(turns):
    @members.with_member(members.MANUAL, topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield members.gather(consumer, 1)
        yield given_up(consumer.commit_offsets, turns)
        yield consumer.commit_offsets()
        assert members.stored(cluster) == 1
    check()


@pytest.mark.parametrize("turns", TURNS)
def test_a_flush_that_is_given_up_leaves_the_messages_under_way(turns):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        producer = clients.Producer(cluster.bootstrap, serializer=bytes, linger=60)
        yield producer.connect()
        failing = yield producer.produce("t", b"x")
        cluster[1].on("produce", error(87), 1)
        yield given_up(producer.flush, turns)
        yield loop.raises(exc.KielError, failing.future())
        delivery = yield producer.produce("t", b"y")
        yield producer.flush()
        assert delivery.done()
        yield producer.close()
    check()
