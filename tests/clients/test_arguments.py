"""Arguments that all clients have, and those of an admin's calls: converted where it is plain what is meant."""
from __future__ import absolute_import

import datetime
import re

import pytest
from tornado import gen

from kiel import clients, retry
from kiel.clients.admin import Admin

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
