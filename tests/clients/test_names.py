"""Arguments that there are not: the error names the class and what may be meant; how clients show themselves."""
from __future__ import absolute_import

import inspect

import pytest
import six

from kiel import clients
from kiel.clients import names

from tests import loop
from tests.clients.grouping import members
from tests.fake import with_cluster


@pytest.mark.parametrize("kind, given, meant", [
    ("Producer", dict(brokers="a", acks="all"), "required_acks"),
    ("Producer", dict(brokers="a", linger_ms=5), "linger, in seconds"),
    ("Producer", {"brokers": "a", "linger.ms": 5}, "linger, in seconds"),
    ("Producer", dict(bootstrap_servers="a"), "brokers"),
    ("Producer", {"bootstrap.servers": "a"}, "brokers"),
    ("Producer", dict(brokers="a", group="g"), "GroupedConsumer"),
    ("Producer", dict(brokers="a", group_id="g"), "group of GroupedConsumer"),
    ("Producer", dict(brokers="a", compresion="gzip"), "compression"),
    ("Producer", dict(brokers="a", value_serializer=bytes), "serializer"),
    ("Producer", dict(brokers="a", request_timeout_ms=1), "request_timeout, in seconds"),
    ("Producer", dict(brokers="a", security_protocol="SSL"), "ssl and sasl"),
    ("Producer", dict(brokers="a", api_version=(2, 8)), "agreed on"),
    ("Producer", dict(brokers="a", zzz=1, acks=1), "and no zzz"),
    ("SingleConsumer", dict(brokers="a", max_poll_records=5), "max_records"),
    ("SingleConsumer", dict(brokers="a", group="g"), "GroupedConsumer"),
    ("SingleConsumer", dict(brokers="a", auto_offset_reset="latest"), "start= of consume()"),
    ("GroupedConsumer", dict(brokers="a", group_id="g"), "group"),
    ("GroupedConsumer", dict(brokers="a", group="g", enable_auto_commit=True), "autocommit"),
    ("GroupedConsumer", dict(brokers="a", group="g", session_timeout_ms=5), "session_timeout, in seconds"),
    ("GroupedConsumer", dict(brokers="a", group="g", serializer=bytes), "Producer"),
    ("Admin", dict(bootstrap_servers="a"), "brokers"),
    ("Admin", dict(brokers="a", bogus=1), "it takes"),
], ids=str)
def test_the_error_names_the_class_and_what_is_meant(kind, given, meant):
    with pytest.raises(TypeError) as caught:
        getattr(clients, kind)(**given)
    text = str(caught.value)
    assert text.startswith("%s takes no " % kind) and meant in text
    for name in given:
        if name not in ("brokers", "group") or kind != "GroupedConsumer" and name == "group":
            assert name in text


def test_a_constructor_of_ones_own_takes_what_it_likes():
    class Own(clients.Producer):
        """Takes other names, and hands some on."""

        def __init__(self, acks, **settings):
            super(Own, self).__init__("a", required_acks=acks, **settings)

    assert Own(acks=1).required_acks == 1
    with pytest.raises(TypeError) as caught:
        Own(acks=1, group_id="g")
    assert "Own takes no group_id" in str(caught.value)


def test_what_is_meant_is_there():
    kinds = [getattr(clients, name) for name in ("Producer", "SingleConsumer", "GroupedConsumer", "Admin")]
    there = set().union(*[names.accepted(kind) for kind in kinds])
    for meant in names.ELSEWHERE.values():
        word = (meant or "brokers").split("=")[0].split(" ")[0].rstrip(",")
        assert word in there | set(["start", "records'"]), word


def test_every_name_of_a_constructor_can_be_seen():
    assert "brokers" in names.accepted(clients.Admin)
    if six.PY2:
        assert inspect.getargspec(clients.SingleConsumer.__init__).args[:3] == ["self", "brokers", "deserializer"]
    else:
        signature = inspect.signature(clients.SingleConsumer.__init__)
        assert list(signature.parameters)[:3] == ["self", "brokers", "deserializer"]


@with_cluster(topics={"t": 1})
def test_how_they_show_themselves(cluster):
    brokers = ",".join(cluster.bootstrap)
    for kind in clients.Producer, clients.SingleConsumer, clients.Admin:
        client = kind(cluster.bootstrap)
        name = kind.__name__
        assert repr(client) == "<%s %s not connected>" % (name, brokers)
        connecting = client.connect()
        assert repr(client) == "<%s %s connecting>" % (name, brokers)
        yield connecting
        assert repr(client) == "<%s %s connected>" % (name, brokers)
        closing = client.close()
        assert repr(client) == "<%s %s closing>" % (name, brokers)
        yield closing
        assert repr(client) == "<%s %s closed>" % (name, brokers)
    member = members.make(cluster)
    assert repr(member) == "<GroupedConsumer %s group='g' not connected>" % brokers
    yield loop.within(5, member.connect())
    assert repr(member) == "<GroupedConsumer %s group='g' connected>" % brokers
    member.allocator.state = "stable"
    assert repr(member) == "<GroupedConsumer %s group='g' connected (stable)>" % brokers
    yield member.close()
    assert repr(object.__new__(clients.GroupedConsumer)) == "<GroupedConsumer ? group=None not connected>"


@pytest.mark.skipif(six.PY2, reason="types are Python 3's")
def test_annotations_may_name_what_is_consumed():
    if not hasattr(type, "__class_getitem__") and not hasattr(list, "__class_getitem__"):
        pytest.skip("needs Python 3.9")
    assert clients.SingleConsumer[bytes] is clients.SingleConsumer
    assert clients.GroupedConsumer[bytes] is clients.GroupedConsumer
    assert clients.Record[bytes]
