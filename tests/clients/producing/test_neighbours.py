"""A message with a wrong time stamp, key or header fails alone, whatever is in its batch."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc

from tests import loop
from tests.clients.producing.producers import connected, values
from tests.fake import with_cluster

#: name -> arguments of produce() of which one is wrong
WRONG = {
    "timestamp beyond 64 bits": {"timestamp": 2 ** 63},
    "timestamp far beyond": {"timestamp": 10 ** 30},
    "timestamp below": {"timestamp": -2 ** 63 - 1},
    "timestamp text": {"timestamp": "now"},
    "key number": {"key": 5},
    "key list": {"key": [b"a"]},
    "headers number": {"headers": 5},
    "header value": {"headers": [("a", 5)]},
    "header name": {"headers": [(5, b"a")]},
}

ERRORS = (TypeError, ValueError, OverflowError, exc.KielError)

#: release -> the message format that it takes
FORMATS = {"0.9": 0, "0.10": 1, "4.4": 2}


@pytest.mark.parametrize("release", sorted(FORMATS))
@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_message_fails_alone(name, release):
    @with_cluster(versions=release, topics={"t": 1})
    def body(cluster):
        producer = yield connected(cluster)
        good = [producer.produce("t", b"1"), producer.produce("t", b"2")]
        bad = failure(lambda: producer.produce("t", b"x", **WRONG[name]))
        good += [producer.produce("t", b"3")]
        yield loop.within(5, gen.multi(good))
        yield loop.raises(ERRORS, bad)
        assert values(cluster) == [b"1", b"2", b"3"]
        yield producer.close()

    body()


@pytest.mark.parametrize("key", [5, [b"a"], 1.5, object()], ids=lambda key: type(key).__name__)
def test_a_wrong_key_of_many_fails_alone(key):
    @with_cluster(topics={"t": 1})
    def body(cluster):
        producer = yield connected(cluster)
        deliveries = yield producer.produce_many("t", [b"1", b"2", b"3"], keys=[b"a", key, b"c"])
        yield loop.raises(TypeError, deliveries[1].future())
        yield [deliveries[0].future(), deliveries[2].future()]
        assert values(cluster) == [b"1", b"3"]
        yield producer.close()

    body()


@gen.coroutine
def failure(call):
    """Call, and raise what it raises at once or later."""
    yield call()
