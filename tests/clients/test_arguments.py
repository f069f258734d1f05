"""Arguments that all clients have, and those of an admin's calls: converted where it is plain what is meant."""
from __future__ import absolute_import

import datetime
import re

import pytest
from tornado import gen

from kiel import clients, retry
from kiel.clients.admin import Admin
from kiel.clients.administering import topics, users

from tests.fake import with_cluster

CLIENTS = {
    "Producer": lambda brokers, **settings: clients.Producer(brokers, **settings),
    "SingleConsumer": lambda brokers, **settings: clients.SingleConsumer(brokers, **settings),
    "GroupedConsumer": lambda brokers, **settings: clients.GroupedConsumer(brokers, "g", **settings),
    "Admin": Admin,
}

#: argument -> values that are refused
SETTINGS = {
    "client_id": (5, None, "", ["x"], b"\xff" if str is not bytes else 5),
    "connect_timeout": ("1", None, -1, 0, True, float("nan"), float("inf")),
    "request_timeout": ("1", None, -1, 0, True, float("nan"), float("inf")),
    "metadata_max_age": ("x", None, -1, 0, True, float("nan")),
    "retry": (5, "3", True, [1]),
    "ssl": ("ca.pem", {"ca_certs": "ca.pem"}, 1, ""),
    "sasl": (("u", "p"), "PLAIN", {"user": "u"}),
    "proxy": (5, "ftp://host:1", "host:1080", ""),
}

#: what stands for the same host and port
BROKERS = ("host:9092", b"host:9092", ["host:9092"], ("host:9092",), [b"host:9092"], "kafka://host:9092",
           ["PLAINTEXT://host:9092"], " host:9092 ", "host:9092,host:9092")


@pytest.mark.parametrize("name", sorted(CLIENTS))
@pytest.mark.parametrize(
    "argument,value", [(key, each) for key in sorted(SETTINGS) for each in SETTINGS[key]], ids=repr)
def test_a_wrong_setting_is_refused_by_name(name, argument, value):
    with pytest.raises((TypeError, ValueError)) as caught:
        CLIENTS[name](["nowhere:1"], **{argument: value})
    assert argument in str(caught.value)


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_what_means_the_same_is_taken(name):
    client = CLIENTS[name](["nowhere:1"], client_id=b"me", connect_timeout=datetime.timedelta(seconds=2),
                           request_timeout=3, metadata_max_age=datetime.timedelta(minutes=1), retry=retry.Backoff())
    assert client.settings.client_id == "me"
    assert (client.settings.connect_timeout, client.settings.request_timeout) == (2, 3)
    assert client.cluster.metadata_max_age == 60


@pytest.mark.parametrize("name", sorted(CLIENTS))
@pytest.mark.parametrize("brokers", BROKERS, ids=repr)
def test_addresses_in_whatever_form(name, brokers):
    assert set(CLIENTS[name](brokers).cluster.bootstrap_hosts) == {"host:9092"}


@pytest.mark.parametrize("name", sorted(CLIENTS))
@pytest.mark.parametrize("brokers", [None, [], "", 9092, [9092], ["host:port"], ["host:99999"], [""]], ids=repr)
def test_addresses_that_are_none(name, brokers):
    with pytest.raises((TypeError, ValueError)):
        CLIENTS[name](brokers)


#: call of an `Admin` -> its wrong arguments, each with the word that the error has
NO_NAME = (5, None, "", ["g"])
CALLS = [
    ("list_groups", (5,), "states"), ("list_groups", ([1],), "states"), ("list_groups", (None, 5), "types"),
    ("describe_groups", (5,), "names"), ("describe_groups", ([5],), "names"), ("describe_groups", ([""],), "names"),
    ("describe_groups", (None,), "names"), ("describe_groups", ({"g": 1},), "names"),
    ("committed_offsets", ("g", 5), "topics"), ("committed_offsets", ("g", [None]), "topics"),
    ("lag", ("g", [5]), "topics"),
    ("delete_offsets", ("g", "t"), "partitions"), ("delete_offsets", ("g", ["t"]), "partitions"),
    ("delete_offsets", ("g", [("t", "0")]), "partitions"), ("delete_offsets", ("g", [("t", -1)]), "partitions"),
    ("delete_offsets", ("g", [(5, 0)]), "partitions"), ("delete_offsets", ("g", None), "partitions"),
    ("reset_offsets", ("g", {"t": 5}), "to"), ("reset_offsets", ("g", {("t", 0): "5"}), "to"),
    ("reset_offsets", ("g", {("t", 0): -5}), "to"), ("reset_offsets", ("g", None), "to"),
    ("reset_offsets", ("g", True), "to"), ("reset_offsets", ("g", 0, 5), "topics"),
    ("beginning_offsets", (5,), "topic"), ("end_offsets", (["t"],), "topic"), ("end_offsets", (None,), "topic"),
    ("offsets_for_times", (None, 0), "topic"), ("offsets_for_times", ("t", "yesterday"), None),
    ("remove_members", (5,), "group"), ("remove_members", ("g", [5]), "members"),
    ("remove_members", ("g", None, [""]), "instances"), ("remove_members", ("g", ["m"], None, 5), "reason"),
    ("list_topics", (False, "x"), "timeout"),
    ("describe_topics", (5,), "names"), ("describe_topics", ([None],), "names"),
    ("create_topics", (5,), "topics"), ("create_topics", ([5],), "topics"), ("create_topics", ({"t": 1},), "topics"),
    ("create_topics", (["t"], "x"), "timeout"), ("create_topics", (["t"], -1), "timeout"),
    ("delete_topics", ([5],), "names"), ("delete_topics", (["t"], True), "timeout"),
    ("create_partitions", ("t",), "counts"), ("create_partitions", ({"t": 0},), "count"),
    ("create_partitions", ({"t": "3"},), "count"), ("create_partitions", ({5: 3},), "counts"),
    ("describe_configs", ("t",), "resources"), ("describe_configs", (["t"],), "resource"),
    ("describe_configs", ([("topics", "t")],), "kind"), ("describe_configs", ([("topic", "")],), "name"),
    ("describe_configs", ([("broker", "x")],), "name"), ("describe_configs", ([("topic", "t")] * 2,), "resources"),
    ("describe_configs", ([("topic", "t")], [5]), "names"),
    ("alter_configs", ([("topic", "t")],), "changes"), ("alter_configs", ({("topic", "t"): "a=b"},), "changes"),
    ("alter_configs", ({("topic", "t"): {}},), "changes"), ("alter_configs", ({("topic", "t"): {5: "a"}},), "changes"),
    ("alter_configs", ({("topic", "t"): {"a": ["b"]}},), "changes"),
    ("delete_records", ([("t", 0)],), "offsets"), ("delete_records", ({("t", 0): "5"},), "offsets"),
    ("delete_records", ({("t", 0): -2},), "offsets"), ("delete_records", ({"t": 5},), "offsets"),
    ("elect_leaders", ("t",), "partitions"), ("elect_leaders", ([("t", -1)],), "partitions"),
    ("alter_reassignments", ([("t", 0)],), "moves"), ("alter_reassignments", ({("t", 0): []},), "moves"),
    ("alter_reassignments", ({("t", 0): [1, 1]},), "moves"), ("alter_reassignments", ({("t", 0): "1"},), "moves"),
    ("list_reassignments", (["t"],), "partitions"),
    ("describe_cluster", (False, "x"), "timeout"), ("describe_log_dirs", ("1",), "brokers"),
    ("describe_log_dirs", (["1"],), "brokers"), ("describe_log_dirs", (None, ["t"]), "partitions"),
    ("update_features", (["f"],), "levels"), ("update_features", ({"f": -1},), "levels"),
    ("update_features", ({"f": 1}, "down"), "upgrade"),
    ("describe_scram_users", (5,), "users"), ("alter_scram_users", (["u"],), "changes"),
    ("alter_scram_users", ({"u": "p"},), "changes"),
    ("describe_client_quotas", ("u",), "components"), ("describe_client_quotas", ({"client-id": "u"},), "components"),
    ("describe_client_quotas", ({"user": 5},), "components"),
    ("alter_client_quotas", ({"u": {"a": 1}},), "changes"),
    ("alter_client_quotas", ({users.Entity("u"): {"a": "1"}},), "changes"),
    ("alter_client_quotas", ({users.Entity("u"): {}},), "changes"),
    ("list_transactions", (5,), "states"), ("list_transactions", (None, ["1"]), "producer_ids"),
    ("list_transactions", (None, None, "x"), "longer_than"), ("list_transactions", (None, None, None, ""), "pattern"),
    ("describe_transactions", ([5],), "transactional_ids"), ("describe_producers", (["t"],), "partitions"),
    ("abort_transaction", ("t", None), "partition"), ("abort_transaction", (("t", 0), None), "producer"),
] + [(call, (wrong,) + more, "group") for wrong in NO_NAME for call, more in (
    ("committed_offsets", ()), ("lag", ()), ("delete_group", ()), ("delete_offsets", ([("t", 0)],)),
    ("reset_offsets", (0,)),
)]


@pytest.mark.parametrize("call,given,word", CALLS, ids=["%s %r" % entry[:2] for entry in CALLS])
def test_a_wrong_argument_of_an_admin(call, given, word):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        admin = Admin(cluster.bootstrap)
        yield admin.connect()
        try:
            with pytest.raises((TypeError, ValueError)) as caught:
                yield gen.maybe_future(getattr(admin, call)(*given))
            assert word is None or re.search(r"\b%s\b" % word, str(caught.value))
        finally:
            yield admin.close()
    check()


@pytest.mark.parametrize("make,given,word", [
    (topics.NewTopic, dict(name=""), "name"), (topics.NewTopic, dict(name="t", partitions=0), "partitions"),
    (topics.NewTopic, dict(name="t", partitions="1"), "partitions"),
    (topics.NewTopic, dict(name="t", replication_factor=40000), "replication_factor"),
    (topics.NewTopic, dict(name="t", partitions=1, assignment={0: [1]}), "assignment"),
    (topics.NewTopic, dict(name="t", assignment={1: [1]}), "assignment"),
    (topics.NewTopic, dict(name="t", assignment={0: []}), "assignment"),
    (topics.NewTopic, dict(name="t", configs=["a"]), "configs"),
    (topics.NewTopic, dict(name="t", configs={"a": None}), "configs"),
    (topics.NewPartitions, dict(count=3, assignment=[0]), "assignment"),
    (users.Entity, dict(), "entity"), (users.Entity, dict(user="u", ip="::1"), "ip"),
    (users.Entity, dict(user=""), "user"),
    (users.Credential, dict(user="u", password=""), "password"),
    (users.Credential, dict(user="", password="p"), "user"),
    (users.Credential, dict(user="u", password="p", mechanism="PLAIN"), "mechanism"),
    (users.Credential, dict(user="u", password="p", iterations=1), "iterations"),
    (users.NoCredential, dict(user="u", mechanism=1), "mechanism"),
])
def test_a_wrong_value(make, given, word):
    with pytest.raises((TypeError, ValueError)) as caught:
        make(**given)
    assert word in str(caught.value)
