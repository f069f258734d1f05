"""What a client may be given for its brokers."""
from __future__ import absolute_import

import pytest

from kiel.addresses import broker_list


@pytest.mark.parametrize("given", [
    "a:1,b:2", u"a:1,b:2", b"a:1,b:2", " a:1 , b:2 ,", ["a:1", "b:2"], ("a:1", u"b:2"), ["a:1,b:2"], [b"a:1", "b:2"],
    [("a", 1), ("b", 2)], [["a", 1], "b:2"], ["kafka://a:1", "kafka://b:2/"], "PLAINTEXT://a:1,PLAINTEXT://b:2",
    "SASL_PLAINTEXT://a:1,plaintext://b:2",
])
def test_the_forms(given):
    assert broker_list(given) == ["a:1", "b:2"]
    assert broker_list(given, secure=False) == ["a:1", "b:2"]


@pytest.mark.parametrize("given,found", [
    ("SSL://a:1", ["a:1"]), ("sasl_ssl://[::1]:9093", ["[::1]:9093"]), ([("::1", 9092)], ["[::1]:9092"]),
    ("fe80::1%eth0", ["fe80::1%eth0"]), ("kafka", ["kafka"]), ({"a:1"}, ["a:1"]),
])
def test_the_forms_with_tls_and_ipv6(given, found):
    assert broker_list(given) == found


@pytest.mark.parametrize("given", [
    None, 9092, {"a": 1}, object(), [None], [9092], [("a", "1")], [(None, 1)], [("a", 1, 2)],
])
def test_what_is_no_address(given):
    with pytest.raises(TypeError) as caught:
        broker_list(given)
    assert "brokers" in str(caught.value)


@pytest.mark.parametrize("given", [
    "", [], " , ", [""], "a:b", "a:99999", "a:0", "http://a:1", "a b:1", "a:1;b:2", "kafka://", "a:1/chroot", "a:1:2",
    "host:9092:9093", "[::1", "kafka:9092@x", [("a", 70000)],
])
def test_what_is_malformed(given):
    with pytest.raises(ValueError) as caught:
        broker_list(given)
    assert "brokers" in str(caught.value)


@pytest.mark.parametrize("given,secure", [
    ("SSL://a:1", False), ("SASL_SSL://a:1", False), ("PLAINTEXT://a:1", True), ("SASL_PLAINTEXT://a:1", True),
])
def test_a_protocol_that_does_not_fit(given, secure):
    assert broker_list(given) == broker_list(given, not secure) == ["a:1"]
    with pytest.raises(ValueError) as caught:
        broker_list(given, secure)
    assert "ssl=" in str(caught.value)
