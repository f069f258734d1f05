"""Consumers and brokers that hang up, keep silent, refuse or are not there."""
from __future__ import absolute_import

import logging
import time

import pytest

from kiel import exc
from kiel.clients.single import SingleConsumer

from tests import fake, loop
from tests.clients.consuming.consumers import gather, make, with_consumer
from tests.fake import with_cluster


@with_consumer(topics={"t": 1})
def test_d1_a_broker_that_closes_on_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.CLOSE, times=2)
    assert (yield gather(consumer, 1)) == [b"a"]


@with_consumer(topics={"t": 1})
def test_d1_a_broker_that_always_closes_on_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.CLOSE)
    assert (yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))) == []
    assert isinstance(consumer.last_error, exc.BrokerConnectionError)


@with_consumer(topics={"t": 1})
def test_d2_a_broker_that_never_answers_a_fetch(cluster, consumer):
    cluster.log("t").put(b"a")
    cluster[1].on("fetch", fake.MUTE, times=1)
    assert (yield gather(consumer, 1)) == [b"a"]
    assert not consumer.last_error


@with_consumer(dict(max_wait_time=30000), topics={"t": 1})
def test_d3_close_ends_a_consume(cluster, consumer):
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("fetch"))
    yield loop.within(1, consumer.close())
    assert (yield loop.within(1, consuming)) is None
    assert (yield loop.within(0.1, consumer.consume("t"))) is None


@with_consumer(topics={"t": 1})
def test_d3_close_ends_a_look_up(cluster, consumer):
    cluster[1].on("offset", fake.MUTE)
    consuming = consumer.consume("t")
    yield loop.until(lambda: cluster.count("offset"))
    yield loop.within(1, consumer.close())
    assert (yield loop.within(1, consuming)) is None


@with_consumer(dict(max_wait_time=30000), topics={"t": 1})
def test_a_mistake_in_an_answer_s_handling_ends_a_consume(cluster, consumer):
    def broken(response, fetch):
        raise LookupError("a mistake")
    consumer._fetcher.responses.handle = broken
    cluster.log("t").put(b"a")
    with pytest.raises(LookupError):
        yield loop.within(1, consumer.consume("t", SingleConsumer.BEGINNING))
    del consumer._fetcher.responses.handle
    assert (yield gather(consumer, 1)) == [b"a"]


@with_consumer(topics={"t": 2}, brokers=2)
def test_d4_all_brokers_stop_and_come_back(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    cluster.stop()
    outcomes = []
    begun = time.time()
    while time.time() - begun < 1.2:
        try:
            outcomes.append((yield loop.within(3, consumer.consume("t"))))
        except exc.NoBrokersError as error:
            outcomes.append(error)
    assert any(isinstance(outcome, exc.NoBrokersError) for outcome in outcomes)
    assert len(outcomes) < 15  # it does not spin
    cluster.start()
    cluster.log("t").put(b"b")
    messages = []
    for _ in range(50):
        try:
            messages.extend((yield loop.within(3, consumer.consume("t"))))
        except exc.NoBrokersError:
            pass
        if messages:
            break
    assert messages == [b"b"]


@pytest.mark.parametrize("api", ["fetch", "offset"])
def test_d27_an_unknown_error_code_reaches_the_caller(api):
    @with_consumer(topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        cluster[1].on(api, fake.error(4711))
        errors = []
        for _ in range(3):
            try:
                yield loop.within(2, consumer.consume("t", SingleConsumer.BEGINNING))
            except exc.BrokerError as error:
                errors.append(error)
        assert errors and errors[0].code == 4711 and "4711" in str(errors[0])
        cluster[1].on(api, None)
        try:
            messages = yield gather(consumer, 1)
        except exc.BrokerError:  # that of a request which was under way by then
            messages = yield gather(consumer, 1)
        assert messages == [b"a"]
    check()


@with_consumer(topics={"t": 1})
def test_d27_a_missing_permission_reaches_the_caller(cluster, consumer):
    cluster[1].on("fetch", fake.error(29))
    yield loop.raises(exc.TopicAuthorizationFailedError, consumer.consume("t"), 2)


@pytest.mark.parametrize("fault", [
    fake.CLOSE, fake.error(3), fake.error(6), fake.error(29), fake.error(4711), fake.error(1),
])
def test_d32_an_endless_loop_does_not_spin(fault):
    @with_consumer(dict(max_wait_time=50), topics={"t": 1})
    def check(cluster, consumer):
        cluster[1].on("fetch", fault)
        errors, calls = [], 0
        begun = time.time()
        while time.time() - begun < 1:
            calls += 1
            try:
                yield consumer.consume("t")
            except exc.KielError as error:
                errors.append(error)
            if consumer.last_error is not None:
                errors.append(consumer.last_error)
        assert errors
        assert calls < 60
        assert sum(len(broker.requests) for broker in cluster.brokers.values()) < 100
    check()


@with_cluster()
def test_no_broker_at_all(cluster):
    cluster.stop()
    consumer = make(cluster)
    error = yield loop.raises(exc.NoBrokersError, consumer.connect(), 6)
    assert str(cluster[1].port) in str(error)
    yield consumer.close()


@with_cluster()
def test_a_tls_port_spoken_to_in_plain_text(cluster):
    cluster[1].on("accept", b"\x15\x03\x03\x00\x02\x02\x46")
    consumer = make(cluster)
    error = yield loop.raises(exc.NoBrokersError, consumer.connect(), 6)
    assert "TLS" in str(error)
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_a_mute_bootstrap_host(cluster):
    cluster[1].on("accept", fake.MUTE)
    consumer = make(cluster)
    yield loop.raises(exc.NoBrokersError, consumer.connect(), 6)
    yield consumer.close()


@with_cluster(brokers=3, topics={"t": 6})
def test_a_cluster_that_is_gone_is_told_of_now_and_then(cluster):
    """Once for each thing that fails until none is left to ask, then once a minute for all."""
    with Lines() as lines:
        consumer = SingleConsumer(
            cluster.bootstrap, deserializer=bytes, max_wait_time=50, request_timeout=0.2, connect_timeout=1
        )
        yield consumer.connect()
        yield consumer.consume("t")
        cluster.stop()
        outage, failed = consumer.cluster.outage, 0
        while failed < 3 or outage.since is None or outage.held < 3:
            try:
                yield loop.within(5, consumer.consume("t"))
            except exc.NoBrokersError:
                failed += 1
        yield consumer.close()
    assert 1 <= len(lines.got) <= 7, lines.got


class Lines(logging.Handler):
    """Collects the warnings and errors of kiel."""

    def __init__(self):
        super(Lines, self).__init__(logging.WARNING)
        self.got = []

    def emit(self, record):
        self.got.append(record.getMessage())

    def __enter__(self):
        logging.getLogger("kiel").addHandler(self)
        return self

    def __exit__(self, *exc_info):
        logging.getLogger("kiel").removeHandler(self)
