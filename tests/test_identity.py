"""Another cluster, or another broker, at an address that is known."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import Producer, SingleConsumer
from kiel.protocol import metadata

from tests import loop
from tests.fake import with_cluster
from tests.test_cluster import make

#: by ApiVersions; and by Metadata
RELEASES = ("4.4", "2.4", "0.11")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("what", ["cluster", "node"])
def test_a_broker_that_is_another_one_is_refused_at_the_next_connection(release, what):
    @with_cluster(brokers=2, topics={"t": 2}, versions=release)
    def check(cluster):
        mine = make(cluster)
        yield mine.start()
        assert mine.cluster_id == "fake"
        if what == "cluster":
            cluster.cluster_id = "other"
        else:  # the two have changed places
            cluster[1].id, cluster[2].id = 2, 1
            cluster.brokers[1], cluster.brokers[2] = cluster[2], cluster[1]
        for broker in (cluster[1], cluster[2]):
            broker.hang_up()
        yield loop.until(lambda: all(mine[number].stream.closed() for number in mine))
        conn = mine.conns[1]
        error = yield loop.raises(exc.WrongBrokerError, conn.connect(), 2)
        assert error.retriable and error.cure == "metadata" and "127.0.0.1:%d" % conn.port in str(error)
        yield loop.raises(exc.BrokerConnectionError, conn.send(metadata.MetadataRequest(topics=["t"])), 1)
        if what == "cluster":
            error = yield loop.raises(exc.NoBrokersError, mine.heal(), 3)
            assert "other" in str(error) and "fake" in str(error)
            assert not list(mine) or all(mine[number].closing for number in mine)
            # it is back
            cluster.cluster_id = "fake"
        yield loop.until(lambda: healed(mine), 4)
        mine.stop()

    def healed(mine):
        mine.heal()
        return sorted(mine) == [1, 2] and not any(mine[number].closing for number in mine) and \
            all(mine[number].lanes["quick"].ready for number in mine)
    check()


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_is_written_to_another_cluster_and_nothing_read_from_it(release):
    @with_cluster(topics={"t": 1}, versions=release)
    def check(cluster):
        settings = dict(connect_timeout=1, request_timeout=1)
        producer = Producer(cluster.bootstrap, delivery_timeout=1, **settings)
        consumer = SingleConsumer(cluster.bootstrap, deserializer=None, max_wait_time=100, **settings)
        yield [producer.connect(), consumer.connect()]
        yield producer.produce("t", "1")
        yield loop.until(lambda: cluster.log("t").end == 1)
        cluster.cluster_id = "other"
        cluster[1].hang_up()
        yield loop.raises(exc.DeliveryTimeoutError, producer.produce("t", "2"), 4)
        try:
            assert not (yield loop.within(3, consumer.consume("t", start=-2)))
        except exc.KielError:
            pass
        assert cluster.log("t").end == 1
        # who closes and connects again takes what there is
        yield [producer.close(0.1), consumer.close()]
        yield producer.connect()
        assert producer.cluster.cluster_id == "other"
        yield producer.close()
    check()


@with_cluster(topics={"t": 1}, versions="0.8")
def test_old_brokers_have_no_identity(cluster):
    mine = make(cluster)
    yield mine.start()
    assert mine.cluster_id is None
    yield gen.moment
    mine.stop()
