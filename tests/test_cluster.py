"""The cluster's metadata against brokers that misbehave; defects of 0.9 by their number."""
from __future__ import absolute_import

import logging
import time

import mock
import pytest
from tornado import gen, testing

from kiel import exc, outage
from kiel.cluster import Cluster, split_host
from kiel.connection import Settings
from kiel.protocol import messages, metadata, produce, response

from tests import fake, loop
from tests.fake import with_cluster


def make(cluster, bootstrap=None, metadata_max_age=300, create_topics=True, **settings):
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("probe_timeout", 0.1)
    hosts = cluster.bootstrap if bootstrap is None else bootstrap
    return Cluster(hosts, Settings(**settings), metadata_max_age, create_topics)


def closed_port():
    sock, port = testing.bind_unused_port()
    sock.close()
    return port


@with_cluster(brokers=2, topics={"t": 3, "u": 1})
def test_what_the_cluster_is_known_to_be(cluster):
    mine = make(cluster)
    yield mine.start()
    assert sorted(mine) == [1, 2] and 1 in mine and 3 not in mine
    assert dict(mine.topics) == {"t": [0, 1, 2], "u": [0]}
    assert mine.leaders["t"] == {0: 1, 1: 2, 2: 1}
    assert mine.get_leader("t", 1) == 2
    assert mine.topic_ids == cluster.topic_ids
    assert mine.leader_epochs["t"] == {0: 0, 1: 0, 2: 0}
    assert mine[2].port == cluster[2].port
    with pytest.raises(KeyError):
        mine.get_leader("t", 9)
    with pytest.raises(KeyError):
        mine[3]
    mine.stop()
    yield loop.until(lambda: not cluster[1].streams and not cluster[2].streams)


@pytest.mark.parametrize("release", sorted(fake.VERSIONS))
def test_a_large_answer_is_read_with_turns_for_the_loop(release, monkeypatch):
    monkeypatch.setattr(response, "LARGE", 0)
    monkeypatch.setattr("kiel.fairness.Turn.over", lambda self, now: True)
    topics = dict(("t%d" % number, number % 4 + 1) for number in range(50))

    @with_cluster(brokers=2, topics=topics, versions=release)
    def check(cluster):
        mine, plain = make(cluster), make(cluster)
        yield mine.start()
        turns = [0]
        heal = mine.heal()
        while not heal.done():
            yield gen.moment
            turns[0] += 1
        assert turns[0] > len(topics)
        before = dict(mine.topics)
        yield mine.heal()
        assert all(mine.topics[name] is before[name] for name in topics)
        monkeypatch.setattr(response, "LARGE", 1 << 20)
        yield plain.start()
        assert dict(mine.topics) == dict((name, list(range(count))) for name, count in topics.items())
        for book in ("topics", "leaders", "leader_epochs", "topic_ids", "topic_errors"):
            assert getattr(mine, book) == getattr(plain, book), book
        mine.stop()
        plain.stop()
    check()


def test_a_large_answer_that_makes_no_sense(monkeypatch):
    """The next broker is asked, as when the connection itself comes upon it."""
    walk, broken = metadata.MetadataResponse.walk, []

    def wreck(name, buff, offset, version):
        broken.append(version)
        return walk(name, buff[:-9] if len(broken) == 1 else buff, offset, version)

    @with_cluster(brokers=2, topics={"t": 1})
    def check(cluster):
        mine = make(cluster)
        yield mine.start()
        before = cluster.count("metadata")
        monkeypatch.setattr(response, "LARGE", 0)
        monkeypatch.setattr(metadata.MetadataResponse, "walk", staticmethod(wreck))
        yield loop.within(2, mine.heal())
        assert len(broken) == 2 == cluster.count("metadata") - before
        assert dict(mine.topics) == {"t": [0]} and sorted(mine) == [1, 2]
        mine.stop()
    check()


@with_cluster(brokers=2, topics={"t": 2})
def test_d4_the_bootstrap_hosts_are_asked_again_when_all_is_lost(cluster):
    mine = make(cluster)
    yield mine.start()
    cluster.stop()
    yield loop.until(lambda: all(mine[i].stream.closed() for i in mine))
    yield loop.raises(exc.NoBrokersError, mine.heal(), 3)
    assert mine.last_error is not None and mine.down_since is not None
    cluster.start()

    @gen.coroutine
    def healed():
        while True:  # an address that failed rests for a moment
            try:
                yield mine.heal()
            except exc.NoBrokersError:
                yield gen.sleep(0.05)
            else:
                break
    yield loop.within(4, healed())
    yield loop.until(lambda: sorted(mine) == [1, 2])
    assert mine.down_since is None
    yield loop.within(1, mine[1].send(ask(["t"])))
    mine.stop()


def ask(topics):
    return metadata.MetadataRequest(topics=topics)


@pytest.mark.parametrize("fault", [fake.CLOSE, fake.MUTE, b"HTTP/1.1 400\r\n\r\n"])
def test_d5_a_bad_first_bootstrap_host_does_not_spoil_the_second(fault):
    @with_cluster(brokers=2, topics={"t": 1})
    def check(cluster):
        cluster[1].on("accept", fault)
        cluster.listed = [2]
        cluster.log("t").leader = 2
        mine = make(cluster)
        yield loop.within(3, mine.start())
        assert dict(mine.topics) == {"t": [0]} and list(mine) == [2]
        mine.stop()
    check()


@with_cluster(topics={"t": 1})
def test_d5_a_first_bootstrap_host_that_refuses(cluster):
    mine = make(cluster, ["127.0.0.1:%d" % closed_port()] + cluster.bootstrap)
    yield loop.within(2, mine.start())
    assert list(mine) == [1]
    mine.stop()


@with_cluster(topics={"t": 1})
def test_d5_a_first_bootstrap_host_that_never_answers_metadata(cluster):
    other = fake.FakeCluster().start()
    other[1].on("metadata", fake.MUTE)
    mine = make(cluster, other.bootstrap + cluster.bootstrap)
    yield loop.within(3, mine.start())
    assert dict(mine.topics) == {"t": [0]}
    mine.stop()
    other.stop()


def test_no_bootstrap_host_answers():
    @gen.coroutine
    def body():
        port = closed_port()
        mine = make(None, ["127.0.0.1:%d" % port])
        error = yield loop.raises(exc.NoBrokersError, mine.start(), 2)
        assert str(port) in str(error) and "refused" in str(error).lower()
        mine.stop()
    loop.run(body)


@with_cluster(brokers=1, topics={"t": 2, "u": 1})
def test_d6_a_dead_broker_in_the_metadata_blocks_nobody(cluster):
    cluster.extra_brokers = [(9, "127.0.0.1", closed_port())]
    cluster.log("t", 1).leader = 9
    mine = make(cluster)
    yield loop.within(4, mine.start())
    assert mine.topics["t"] == [0, 1]
    assert mine.leaders["t"] == {0: 1} and mine.leaders["u"] == {0: 1}
    assert 1 in mine and 9 not in mine
    before = cluster.count("metadata")
    assert before < 15
    for _ in range(3):
        yield loop.within(4, mine.heal())
    assert cluster.count("metadata") - before < 45
    mine.stop()


@with_cluster(brokers=1, topics={"t": 1})
def test_d6_a_broker_that_drops_packets_does_not_hold_up_the_rest(cluster):
    cluster.extra_brokers = [(9, "10.255.255.1", 9092)]  # may be refused at once, too
    mine = make(cluster, connect_timeout=5)
    begun = time.time()
    yield loop.within(4, mine.start())
    assert time.time() - begun < 3.5
    assert mine.leaders["t"] == {0: 1}
    mine.stop()


@with_cluster(brokers=2, topics={"t": 3})
def test_d7_a_partition_without_a_leader_blocks_nobody(cluster):
    cluster.log("t", 1).leader = -1
    mine = make(cluster)
    yield loop.within(3, mine.start())
    assert mine.topics["t"] == [0, 1, 2]
    assert mine.leaders["t"] == {0: 1, 2: 1}
    assert cluster.count("metadata") < 15
    cluster.log("t", 1).leader = 2
    yield loop.within(3, mine.heal())
    assert mine.leaders["t"] == {0: 1, 1: 2, 2: 1}
    mine.stop()


@with_cluster(topics={"t": 1})
def test_d7_error_9_with_a_live_leader_is_no_failure(cluster):
    def under_replicated(call):
        from tests import answers
        answer = answers.metadata(call)
        for topic in answer["topics"]:
            for partition in topic["partitions"]:
                partition["error_code"] = 9
        return answer
    cluster[1].on("metadata", under_replicated)
    mine = make(cluster)
    yield loop.within(1, mine.start())
    assert mine.leaders["t"] == {0: 1}
    assert cluster.count("metadata") <= 2
    mine.stop()


@with_cluster(host="::1", topics={"t": 1})
def test_d9_ipv6_all_the_way(cluster):
    mine = make(cluster)
    yield mine.start()
    assert mine[1].host == "::1"
    mine.stop()


@with_cluster(brokers=2)
def test_d9_a_plain_string_of_hosts(cluster):
    mine = make(cluster, ", ".join(cluster.bootstrap))
    assert mine.bootstrap_hosts == cluster.bootstrap
    yield mine.start()
    assert sorted(mine) == [1, 2]
    mine.stop()


@pytest.mark.parametrize("text,parts", [
    ("kafka", ("kafka", 9092)), ("kafka:1", ("kafka", 1)), ("[::1]:9093", ("::1", 9093)),
    ("[::1]", ("::1", 9092)), ("::1", ("::1", 9092)), (u"h:2", ("h", 2)),
])
def test_d9_the_forms_of_an_address(text, parts):
    assert split_host(text) == parts


@pytest.mark.parametrize("text", ["kafka:port", ":9092", "[::1", "[::1]9092", "kafka:99999", ""])
def test_d9_a_malformed_address_is_refused_at_once(text):
    with pytest.raises(ValueError):
        Cluster([text] if text else [])


@with_cluster(brokers=2, topics={"t": 2})
def test_d10_a_second_start_leaves_one_connection_per_broker(cluster):
    mine = make(cluster)
    yield mine.start()
    first = dict((i, mine[i]) for i in mine)
    yield mine.start()
    assert dict((i, mine[i]) for i in mine) == first
    yield loop.until(lambda: [len(cluster[i].streams) for i in (1, 2)] == [1, 1])
    mine.stop()


@with_cluster(brokers=3, topics={"t": 3})
def test_d10_two_heals_at_once_share_one_run(cluster):
    cluster.listed = [1, 2]
    mine = make(cluster)
    yield mine.start()
    for partition in range(3):
        cluster.log("t", partition).leader = 3
    cluster.listed = [1, 2, 3]
    before = cluster.count("metadata")
    yield [mine.heal() for _ in range(10)]
    assert cluster.count("metadata") == before + 1
    assert cluster[3].accepted == 1
    mine.stop()


@with_cluster(brokers=2, topics={"t": 1})
def test_d10_a_broker_no_longer_named_is_aborted_and_forgotten(cluster):
    mine = make(cluster)
    yield mine.start()
    gone = mine[2]
    cluster.listed = [1]
    yield mine.heal()
    assert gone.closing and list(mine) == [1]
    mine.stop()


@with_cluster(brokers=2, topics={"t": 1})
def test_a_broker_that_moved_is_followed(cluster):
    mine = make(cluster)
    yield mine.start()
    cluster[2].stop()
    cluster[2].port = 0
    cluster[2].start()
    yield mine.heal()
    assert mine[2].port == cluster[2].port and not mine[2].closing
    mine.stop()


@with_cluster(topics={"t": 1})
def test_stop_during_a_heal_leaves_nothing_open(cluster):
    mine = make(cluster)
    yield mine.start()
    cluster[1].on("metadata", fake.delay(0.1))
    healing = mine.heal()
    yield gen.sleep(0.02)
    mine.stop()
    try:
        yield loop.within(2, healing)
    except exc.KielError:
        pass
    yield loop.until(lambda: not cluster[1].streams)
    yield gen.sleep(0.2)
    assert not cluster[1].streams


@with_cluster(topics={"a": 1, "b": 1, "c": 1})
def test_d24_healing_one_topic_keeps_the_others(cluster):
    mine = make(cluster)
    yield mine.start()
    cluster.log("b").leader = -1  # so that "b" alone is asked for again
    yield mine.heal()
    asked = [[topic.name for topic in call.request.topics or ()] for call in cluster[1].requests
             if call.api == "metadata"]
    assert ["b"] in asked
    assert sorted(mine.topics) == ["a", "b", "c"]
    assert mine.leaders["a"] == mine.leaders["c"] == {0: 1}
    response = yield mine.get_metadata(["b"])
    mine.process_topics(response.topics, ["b"])
    assert sorted(mine.topics) == ["a", "b", "c"]
    assert mine.leaders["a"] == mine.leaders["c"] == {0: 1}
    cluster.log("b").leader = 1
    del cluster.topics["c"]
    yield mine.heal()
    assert sorted(mine.topics) == ["a", "b"]
    # asked for and answered with "unknown": gone
    del cluster.topics["b"]
    assert not (yield mine.ensure("b", 0.1))
    assert sorted(mine.topics) == ["a"]
    mine.stop()


@pytest.mark.parametrize("release", ["0.8", "0.10", "4.4"])
def test_d33_a_topic_is_made_by_a_question_that_names_it(release):
    @with_cluster(topics={"t": 1}, auto_create=True, versions=release)
    def check(cluster):
        mine = make(cluster)
        yield mine.start()
        assert (yield loop.within(2, mine.ensure("new"))) is True
        assert mine.leaders["new"] == {0: 1}
        assert sorted(mine.topics) == ["new", "t"]
        mine.stop()
    check()


@with_cluster(topics={"t": 1})
def test_d33_a_topic_that_is_not_made(cluster):
    mine = make(cluster)
    yield mine.start()
    before = cluster.count("metadata")
    assert (yield loop.within(1, mine.ensure("new", 0.3))) is False
    assert mine.topic_errors["new"].code == 3
    assert 2 <= cluster.count("metadata") - before < 10
    cluster[1].on("metadata", fake.error(17, "bad name"))
    yield loop.raises(exc.InvalidTopicError, mine.ensure("bad name"), 1)
    mine.stop()


@with_cluster(topics={"t": 1})
def test_a_topic_that_is_not_there_is_asked_for_less_and_less_often_over_all_calls(cluster):
    mine = make(cluster)
    yield mine.start()
    before = cluster.count("metadata")
    begun = time.time()
    calls = 0
    while time.time() - begun < 1.5:
        assert (yield mine.ensure("new", 0.1)) is False
        calls += 1
    assert calls >= 5 and cluster.count("metadata") - before < 8
    # others, and the same one once it is there, are not held up by that
    cluster.create("other", 1)
    assert (yield loop.within(1, mine.ensure("other"))) is True
    waiting = mine.ensure("new", 10)
    cluster.create("new", 1)
    yield mine.heal()  # somebody else learns of it
    assert (yield loop.within(1.5, waiting)) is True
    mine.stop()


@pytest.mark.parametrize("release", ["0.8", "0.10", "0.11", "4.4"])
@pytest.mark.parametrize("create", [True, False])
def test_only_a_first_use_makes_a_topic_and_only_where_it_may(release, create):
    @with_cluster(topics={"t": 3, "u": 1}, auto_create=True, versions=release)
    def check(cluster):
        mine = make(cluster, create_topics=create)
        yield mine.start()
        assert (yield mine.ensure("new", 0.3)) is create
        assert ("new" in cluster.topics) is create
        del cluster.topics["t"]  # whoever did that does not want it back
        yield mine.heal()
        for _ in range(3):
            assert (yield mine.ensure("t", 0.1)) is False
            yield mine.heal()
            yield mine.get_metadata(["t"], create=False)
        assert "t" not in cluster.topics and "t" not in mine.topics
        mine.stop()
    check()


@with_cluster(brokers=3, topics={"t": 3})
def test_while_all_brokers_are_down_there_is_a_warning_a_minute_with_a_count(cluster):
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("kiel")
    logger.addHandler(handler)
    mine = make(cluster)
    try:
        yield mine.start()
        cluster.stop()
        yield loop.until(lambda: all(mine[i].stream.closed() for i in mine))
        for _ in range(8):
            yield loop.raises(exc.NoBrokersError, mine.heal(), 3)
            mine.warn("The cluster could not be asked again")
            yield gen.sleep(0.05)
        assert 1 <= len(lines) <= 8, lines  # each broker's first, and that none is left
        with mock.patch.object(outage, "PERIOD", 0):
            mine.warn("still down")
        assert "still down (and " in lines[-1] and "more warnings" in lines[-1]
    finally:
        logger.removeHandler(handler)
        mine.stop()


@with_cluster(topics={"t": 1})
def test_d34_metadata_is_refreshed_without_an_error(cluster):
    mine = make(cluster, metadata_max_age=0.1)
    heard = []
    mine.listeners.append(lambda: heard.append(list(mine.topics["t"])))
    yield mine.start()
    cluster.create("t", 2)
    yield loop.until(lambda: mine.leaders["t"] == {0: 1, 1: 1}, 1)
    assert heard[-1] == [0, 1]
    cluster.stop()  # a refresh that fails is tried again
    yield gen.sleep(0.3)
    cluster.start()
    cluster.create("t", 3)
    yield loop.until(lambda: mine.topics["t"] == [0, 1, 2], 4)
    mine.stop()


@with_cluster(topics={"t": 1, "u": 1})
def test_d27_an_unknown_error_code_in_metadata(cluster):
    cluster[1].on("metadata", fake.error(4711, "u"))
    mine = make(cluster)
    yield loop.within(3, mine.start())
    assert mine.leaders["t"] == {0: 1}
    assert mine.topic_errors["u"].code == 4711
    assert cluster.count("metadata") < 15
    mine.stop()


@with_cluster(brokers=2, topics={"t": 2})
def test_a_mute_broker_is_passed_over_for_metadata(cluster):
    mine = make(cluster)
    yield mine.start()
    for broker_id in (1, 2):  # whichever is asked first, the other answers
        cluster[broker_id].on("metadata", fake.MUTE)
        yield loop.within(3, mine.heal())
        cluster[broker_id].on("metadata", None)
        yield loop.until(lambda: sorted(mine) == [1, 2])
    mine.stop()


@with_cluster(versions="0.8")
def test_an_empty_0_8_cluster_names_no_brokers(cluster):
    # so a real one answers before any topic exists: a question that names one makes brokers and topic appear
    cluster.auto_create = True
    cluster.listed = []
    mine = make(cluster)
    yield loop.within(2, mine.start())
    cluster.listed = [1]
    assert (yield loop.within(2, mine.ensure("first"))) is True
    assert list(mine) == [1]
    mine.stop()


@gen.coroutine
def sent_without_an_answer(cluster):
    """A cluster's connections, with a message on the way that nobody acknowledges."""
    mine = make(cluster)
    yield mine.start()
    batch = messages.encode_batch([(None, b"x", None, 1)], 2, 0, 1)
    yield mine[1].send(produce.ProduceRequest(required_acks=0, timeout=100, topics=[
        produce.TopicRequest(name="t", topic_id=mine.topic_ids["t"], partitions=[
            produce.PartitionRequest(partition_id=0, message_set=messages.MessageSet.raw(batch))
        ])
    ]))
    raise gen.Return(mine)


@with_cluster(topics={"t": 1})
def test_a_broker_has_read_what_asked_for_no_answer_before_the_connection_closes(cluster):
    mine = yield sent_without_an_answer(cluster)
    yield mine.drain()
    assert [call.api for call in cluster[1].requests][-2:] == ["produce", "offset"]
    assert cluster.log("t", 0).end == 1
    yield mine.drain()  # all is answered: nothing to ask
    assert cluster[1].count("offset") == 1
    mine.stop()


@with_cluster(topics={"t": 1})
def test_a_broker_that_does_not_answer_holds_nobody_up(cluster):
    mine = yield sent_without_an_answer(cluster)
    cluster[1].on("offset", fake.MUTE)
    begun = time.time()
    yield mine.drain()
    assert time.time() - begun < 1.5
    mine.stop()
