"""Rounds of requests and their repetition; defects of 0.9 by their number."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.clients.client import Client
from kiel.protocol import fetch, metadata, offset
from kiel.retry import Backoff

from tests import fake, loop
from tests.fake import with_cluster


class Probe(Client):
    """A client that notes what it is answered."""

    def __init__(self, cluster, **settings):
        settings.setdefault("connect_timeout", 0.5)
        settings.setdefault("request_timeout", 0.5)
        settings.setdefault("retry", Backoff(first=0.01, most=0.05, deadline=0.5))
        super(Probe, self).__init__(cluster.bootstrap, **settings)
        self.settings.probe_timeout = 0.1
        self.lost = 0

    def handle_metadata_response(self, response):
        return sorted(topic.name for topic in response.topics)

    @gen.coroutine
    def handle_offset_response(self, response):
        yield gen.moment
        code = response.topics[0].partitions[0].error_code
        if code == 77:
            raise ValueError("handler")
        raise gen.Return(exc.for_code(code) or "fine")

    def lose_coordinator(self):
        self.lost += 1

    @gen.coroutine
    def wind_down(self):
        pass


def offsets(partition=0):
    return offset.OffsetRequest(topics=[offset.TopicRequest(name="t", partitions=[
        offset.PartitionRequest(partition_id=partition, time=-1)
    ])])


def every_topic():
    return metadata.MetadataRequest(topics=[])


@with_cluster(brokers=2, topics={"t": 2})
def test_one_round(cluster):
    client = Probe(cluster)
    yield client.connect()
    results = yield client.send({1: every_topic(), 2: every_topic()})
    assert results == {1: ["t"], 2: ["t"]}
    yield client.close()
    yield loop.until(lambda: not cluster[1].streams and not cluster[2].streams)


@with_cluster(brokers=2, topics={"t": 2})
def test_answers_go_to_a_handler_of_ones_own(cluster):
    class Names(object):
        def handle_metadata_response(self, response):
            return [topic.name.upper() for topic in response.topics]

    client = Probe(cluster)
    yield client.connect()
    results = yield client.send(request_by_broker={1: every_topic(), 2: every_topic()}, handler=Names())
    assert results == {1: ["T"], 2: ["T"]}
    # an api that only the client has a handler for is none of the other's
    yield loop.raises(exc.UnhandledResponseError, client.send({1: offsets()}, Names()), 1)
    yield client.close()


@with_cluster(topics={"t": 1})
def test_an_api_without_a_handler_sends_nothing(cluster):
    client = Probe(cluster)
    yield client.connect()
    yield loop.raises(exc.UnhandledResponseError, client.send({1: fetch.FetchRequest()}), 1)
    assert not cluster.count("fetch")
    yield client.close()


@pytest.mark.parametrize("fault", [fake.CLOSE, fake.CUT, fake.MUTE])
def test_d1_a_broker_whose_connection_is_lost_is_left_out(fault):
    @with_cluster(brokers=2, topics={"t": 2})
    def check(cluster):
        client = Probe(cluster)
        yield client.connect()
        cluster[2].on("offset", fault)
        before = cluster.count("metadata")
        results = yield loop.within(3, client.send({1: offsets(), 2: offsets()}))
        assert results == {1: "fine"}
        assert cluster.count("metadata") > before  # it looked for the cluster anew
        yield loop.until(lambda: 2 in client.cluster and not client.cluster[2].closing)
        yield client.close()
    check()


@with_cluster(topics={"t": 1})
def test_a_broker_that_is_not_known(cluster):
    client = Probe(cluster)
    yield client.connect()
    assert (yield loop.within(2, client.send({7: offsets()}))) == {}
    yield client.close()


@with_cluster(brokers=2, topics={"t": 2})
def test_d26_a_handler_that_raises_does_not_keep_others_from_their_answers(cluster):
    client = Probe(cluster)
    yield client.connect()
    handled = []
    plain = client.handle_offset_response

    @gen.coroutine
    def handle(response):
        result = yield plain(response)
        handled.append(result)
        raise gen.Return(result)

    client.handle_offset_response = handle
    cluster[1].on("offset", fake.error(77))
    cluster[2].on("offset", fake.delay(0.1))
    error = yield loop.raises(ValueError, client.send({1: offsets(0), 2: offsets(1)}), 2)
    assert str(error) == "handler" and handled == ["fine"]
    yield client.close()


@with_cluster(brokers=1, topics={"t": 1})
def test_d26_a_heal_that_fails_does_not_take_the_results_with_it(cluster):
    client = Probe(cluster)
    yield client.connect()

    def handle(response):
        client.heal_cluster = True
        cluster.stop()
        return "precious"

    client.handle_offset_response = handle
    assert (yield loop.within(3, client.send({1: offsets()}))) == {1: "precious"}
    yield client.close()


@with_cluster(topics={"t": 1})
def test_d27_an_unknown_error_code_is_an_error_with_its_number(cluster):
    client = Probe(cluster)
    yield client.connect()
    cluster[1].on("offset", fake.error(4711))
    result = (yield client.send({1: offsets()}))[1]
    assert type(result) is exc.BrokerError and result.code == 4711 and "4711" in str(result)
    yield client.close()


@with_cluster(topics={"t": 1})
def test_attempt_repeats_what_is_retriable_and_nothing_else(cluster):
    client = Probe(cluster)
    yield client.connect()
    rounds = []

    def one_round(wanted):
        rounds.append(sorted(wanted))
        if len(rounds) == 1:
            return {"good": 1, "fatal": exc.TopicAuthorizationFailedError(),
                    "late": exc.NotPartitionLeaderError()}
        return {"late": 2, "silent": 3}

    before = cluster.count("metadata")
    results = yield client.attempt(["good", "fatal", "late", "silent"], one_round)
    assert rounds == [["fatal", "good", "late", "silent"], ["late", "silent"]]
    assert results["good"] == 1 and results["late"] == 2 and results["silent"] == 3
    assert isinstance(results["fatal"], exc.TopicAuthorizationFailedError)
    assert cluster.count("metadata") == before + 1  # the cure
    yield client.close()


@with_cluster(topics={"t": 1})
def test_attempt_looks_for_the_coordinator_when_that_is_the_cure(cluster):
    client = Probe(cluster)
    yield client.connect()
    answers = [{"k": exc.NotCoordinatorError()}, {"k": None}]
    results = yield client.attempt(["k"], gen.coroutine(lambda wanted: answers.pop(0)))
    assert results == {"k": None} and client.lost == 1
    yield client.close()


@with_cluster(topics={"t": 1})
def test_d47_attempt_ends_at_its_deadline_with_the_last_error(cluster):
    client = Probe(cluster)
    yield client.connect()
    rounds = []

    def one_round(wanted):
        rounds.append(wanted)
        return {"k": exc.RequestTimedOutError("the %dth" % len(rounds))}

    results = yield loop.within(2, client.attempt(["k"], one_round))
    assert "the %dth" % len(rounds) in str(results["k"])
    assert 5 < len(rounds) < 60
    results = yield loop.within(1, client.attempt(["k"], one_round, deadline=0.05))
    assert isinstance(results["k"], exc.RequestTimedOutError)
    yield client.close()


@with_cluster(topics={"t": 1})
def test_attempt_ends_when_the_client_closes(cluster):
    client = Probe(cluster, retry=Backoff(first=0.01, most=0.05, deadline=60))
    yield client.connect()
    running = client.attempt(["k"], lambda wanted: {"k": exc.LeaderNotAvailableError()})
    yield gen.sleep(0.05)
    yield client.close()
    results = yield loop.within(2, running)
    assert isinstance(results["k"], exc.KielError)


@with_cluster(topics={"t": 1})
def test_attempt_with_a_round_that_raises(cluster):
    client = Probe(cluster)
    yield client.connect()
    answers = [exc.NoBrokersError("gone"), None]

    def one_round(wanted):
        error = answers.pop(0)
        if error is not None:
            raise error
        return dict.fromkeys(wanted, "ok")

    assert (yield client.attempt(["a", "b"], one_round)) == {"a": "ok", "b": "ok"}
    yield client.close()


@with_cluster(topics={"t": 1})
def test_d10_connect_twice(cluster):
    client = Probe(cluster)
    yield client.connect()
    yield client.connect()
    assert (yield client.send({1: every_topic()})) == {1: ["t"]}
    yield loop.until(lambda: len(cluster[1].streams) == 1)
    yield client.close()
    yield client.close()  # a second time does no harm


@with_cluster(topics={"t": 1})
def test_close_before_connect(cluster):
    client = Probe(cluster)
    yield client.close()


@with_cluster(topics={"t": 1})
def test_a_client_may_be_made_before_any_loop_runs(cluster):
    assert Probe(cluster).io_loop is None
    yield gen.moment


@with_cluster(topics={"t": 1})
def test_close_waits_for_what_is_being_dialled(cluster):
    client = Probe(cluster)
    yield client.connect()
    asked = client.cluster[1].send(fetch.FetchRequest(replica_id=-1, max_wait_time=1, min_bytes=1, topics=[]))
    lane = client.cluster[1].lanes["fetch"]
    assert lane.opening
    yield client.close()
    assert not lane.opening and lane.closing
    yield loop.raises(exc.BrokerConnectionError, asked, 1)
