"""Which protocol a member takes by itself on a real broker that does not let it have the newest."""
from __future__ import absolute_import

import uuid

import pytest
from tornado import gen, ioloop

from kiel import clients, exc, testing
from kiel.groups.classic.member import ClassicAllocator

from tests import loop
from tests.integration import peer

pytestmark = peer.on_python_3()

#: setting -> its value: no upgrade of classic groups, and no next-generation groups at all
BROKERS = {
    "group.consumer.migration.policy": "disabled",
    "group.coordinator.rebalance.protocols": "classic",
}


@pytest.fixture(scope="module", params=sorted(BROKERS))
def kafka(request):
    with testing.Kafka("4.4.0", settings={request.param: BROKERS[request.param]}) as cluster:
        cluster.setting = request.param
        yield cluster


def member(kafka, group, **settings):
    return clients.GroupedConsumer(
        kafka.bootstrap, group, deserializer=bytes, max_wait_time=200, session_timeout=10, **settings
    )


@gen.coroutine
def shared(topic, *members):
    """Waits until each member has one of the two partitions."""
    deadline = ioloop.IOLoop.current().time() + 30
    while sorted(one.allocation.get(topic) for one in members if one.allocation) != [[0], [1]]:
        assert ioloop.IOLoop.current().time() < deadline, [one.allocation for one in members]
        yield [one.consume(topic) for one in members]


@pytest.mark.parametrize("at_once", (True, False))
def test_it_joins_a_classic_group(kafka, at_once):
    @gen.coroutine
    def check():
        topic = uuid.uuid4().hex
        kafka.create_topic(topic, partitions=2)
        old = member(kafka, topic, topics=[topic], group_protocol="classic")
        new = member(kafka, topic, topics=[topic] if at_once else ())
        yield old.connect()
        yield new.connect()
        yield shared(topic, old, new)
        assert isinstance(new.allocator, ClassicAllocator)
        yield [old.close(), new.close()]

        if at_once and kafka.setting == "group.coordinator.rebalance.protocols":
            pinned = member(kafka, topic, topics=[topic], group_protocol="consumer")
            with pytest.raises(exc.UnsupportedVersionError):
                yield pinned.connect()
            yield pinned.close()
    loop.run(check, 60)
