"""Committed offsets, their two stores and the coordinator, against a scripted broker; defects of 0.9 by number."""
from __future__ import absolute_import

import logging

import pytest
from tornado import gen, ioloop

from kiel import exc
from kiel.clients.grouping import committer
from kiel.retry import Backoff

from tests import fake, loop
from tests.clients.grouping.members import commits, gather, make, requests, stored, with_member
from tests.fake import CLOSE, MUTE, error, with_cluster

#: seconds of a commit that fails, in these tests
SHORT = 0.3


@pytest.fixture(autouse=True)
def short_commits(monkeypatch):
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", SHORT)


# -- where offsets live --

BOTH = ("0.8", "0.9", "0.10", "0.11", "2.4", "2.8", "3.9")


@pytest.mark.parametrize("release", BOTH)
def test_both_stores_are_written_where_there_are_two(release):
    @with_member(versions=release, topics={"t": 2})
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a", b"b")
        cluster.log("t", 1).put(b"c")
        yield gather(consumer, 3)
        for store in ("kafka", "zookeeper"):
            assert stored(cluster, 0, store=store) == 2
            assert stored(cluster, 1, store=store) == 1
        assert cluster.kafka_offsets["g", "t", 0][1] == u"committed by %s" % consumer.name
    check()


@with_member(versions="4.4", topics={"t": 1})
def test_kafkas_store_alone_where_version_0_is_gone(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    assert stored(cluster) == 1
    assert not cluster.zookeeper_offsets
    assert set(call.version for call in requests(cluster, "offset_commit")) == {10}


@pytest.mark.parametrize("kafka,zookeeper,begin", [(3, 5, 5), (5, 3, 5), (None, 4, 4), (4, None, 4), (0, 2, 2)])
def test_the_higher_position_of_both_counts(kafka, zookeeper, begin):
    @with_member(versions="2.8", topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(*[b"%d" % number for number in range(7)])
        if kafka is not None:
            cluster.kafka_offsets["g", "t", 0] = kafka, ""
        if zookeeper is not None:
            cluster.zookeeper_offsets["g", "t", 0] = zookeeper, ""
        assert (yield gather(consumer, 1))[0] == b"%d" % begin
        assert stored(cluster) == stored(cluster, store="zookeeper") == 7
    check()


@with_member(versions="2.8", topics={"t": 1})
def test_a_broker_whose_zookeeper_is_away_is_asked_again(cluster, consumer):
    """Seen when every broker's session had expired (tests/faults): error -1, which is no passing one otherwise."""
    def away(call):
        if call.version == 0:
            call.error_at = (-1, None, None)
    cluster[1].on("offset_fetch", away, times=4)
    cluster.zookeeper_offsets["g", "t", 0] = 1, ""
    cluster.log("t").put(b"a", b"b")
    assert (yield gather(consumer, 1)) == [b"b"]


@with_cluster(versions="3.9", topics={"t": 1})
def test_version_0_listed_and_refused_as_kraft_3_9_does(cluster):
    def refuse(call):
        if call.version == 0:
            call.error_at = (35, None, None)
    cluster[1].on("offset_fetch", refuse)
    cluster[1].on("offset_commit", refuse)
    cluster.kafka_offsets["g", "t", 0] = 1, ""
    cluster.log("t").put(b"a", b"b")
    consumer = make(cluster)
    yield consumer.connect()
    assert (yield gather(consumer, 1)) == [b"b"]
    assert stored(cluster) == 2
    cluster.log("t").put(b"c")
    yield gather(consumer, 1)
    assert stored(cluster) == 3
    # once is enough to know
    assert cluster[1].count("offset_fetch", 0) + cluster[1].count("offset_commit", 0) == 1
    yield consumer.close()


@with_member(versions="2.8", topics={"t": 2})
def test_an_error_of_one_store_does_not_let_the_other_decide(cluster, consumer):
    cluster.log("t", 0).put(b"0", b"1", b"2")
    cluster.kafka_offsets["g", "t", 0] = 2, ""
    cluster.zookeeper_offsets["g", "t", 0] = 1, ""
    failures = []

    def fail(call):
        if call.version and len(failures) < 3:
            failures.append(call)
            call.error_at = (14, "t", 0)
    cluster[1].on("offset_fetch", fail)
    assert (yield gather(consumer, 1)) == [b"2"]
    assert len(failures) == 3


@pytest.mark.parametrize("release", ["0.8", "0.9", "2.8", "4.4"])
def test_metadata_that_is_too_large_is_left_away(release):
    @with_member(dict(autocommit=False), versions=release, topics={"t": 1})
    def check(cluster, consumer):
        def refuse(call):
            if call.request.topics[0].partitions[0].metadata:
                call.error_at = (12, None, None)
        cluster[1].on("offset_commit", refuse)
        cluster.log("t").put(b"a")
        yield gather(consumer, 1)
        yield consumer.commit_offsets(u"a long story")
        assert cluster.kafka_offsets["g", "t", 0] == (1, "")
        assert not consumer.topics_to_commit
    check()


# -- D43 to D47 --

@pytest.mark.parametrize("start,expected", [(None, [b"a", b"b"]), (-2, [b"a", b"b"]), (-1, [])])
@pytest.mark.parametrize("release", ["0.8", "0.10", "2.8", "4.4"])
def test_d43_a_fresh_group_starts_at_its_start(release, start, expected):
    # version 0 says error 3 where nothing is committed, later ones -1 without an error
    @with_member(versions=release, topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a", b"b")
        messages = yield gather(consumer, len(expected), start=start)
        assert messages == expected
        yield consumer.consume("t", start)
        cluster.log("t").put(b"c")
        assert (yield gather(consumer, 1, start=start)) == [b"c"]
        assert cluster.count("offset_fetch") <= 2  # one for each store
    check()


LOST = {
    "closes": lambda cluster: cluster[1].on("offset_commit", CLOSE, times=1),
    "mute": lambda cluster: cluster[1].on("offset_commit", MUTE, times=1),
    "not coordinator": lambda cluster: setattr(cluster, "coordinator", 2),
    "answers not coordinator": lambda cluster: cluster[1].on("offset_commit", error(16), times=1),
    "loads": lambda cluster: cluster[1].on("offset_commit", error(14), times=1),
}


@pytest.mark.parametrize("trouble", sorted(LOST))
def test_d45_a_commit_survives_trouble_with_the_coordinator(trouble, monkeypatch):
    monkeypatch.setattr(committer, "AUTOCOMMIT_TIME", 2)

    @with_member(brokers=2, topics={"t": 2})
    def check(cluster, consumer):
        LOST[trouble](cluster)
        cluster.log("t", 0).put(b"a")
        cluster.log("t", 1).put(b"b")
        assert sorted((yield gather(consumer, 2))) == [b"a", b"b"]
        yield consumer.consume("t")
        assert stored(cluster, 0) == stored(cluster, 1) == 1
        assert not consumer.topics_to_commit
    check()


@pytest.mark.parametrize("trouble", ["closes", "not coordinator", "answers not coordinator"])
def test_d45_a_look_up_survives_trouble_with_the_coordinator(trouble):
    @with_member(brokers=2, topics={"t": 1})
    def check(cluster, consumer):
        if trouble == "closes":
            cluster[1].on("offset_fetch", CLOSE, times=2)
        elif trouble == "answers not coordinator":
            cluster[1].on("offset_fetch", error(16), times=2)
        else:
            cluster.coordinator = 2
        cluster.kafka_offsets["g", "t", 0] = 1, ""
        cluster.log("t").put(b"a", b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
    check()


@with_member(brokers=2, topics={"t": 1})
def test_d45_a_coordinator_that_left_the_cluster(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    # 2 takes over everything, 1 is not in the metadata any more
    cluster.log("t").leader = 2
    cluster.log("t").epoch += 1
    cluster.coordinator = 2
    cluster.listed = [2]
    cluster[1].stop()
    cluster.log("t").put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    yield consumer.consume("t")
    assert consumer.coordinator_id == 2
    assert stored(cluster) == 2


@with_cluster(topics={"t": 1})
def test_d45_not_found_at_connect_and_found_later(cluster):
    cluster[1].on("group_coordinator", error(15))
    cluster.log("t").put(b"a")
    consumer = make(cluster, retry=Backoff(first=0.01, most=0.1, deadline=0.2))
    yield consumer.connect()
    assert consumer.coordinator_id is None
    assert isinstance(consumer.last_error, exc.CoordinatorNotAvailableError)
    assert (yield consumer.consume("t")) == []
    cluster[1].on("group_coordinator", None)
    assert (yield gather(consumer, 1)) == [b"a"]
    assert stored(cluster) == 1
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_d45_a_fatal_answer_reaches_the_caller(cluster):
    cluster[1].on("group_coordinator", error(30))
    cluster.log("t").put(b"a")
    consumer = make(cluster)
    yield consumer.connect()
    assert consumer.coordinator_id is None
    yield loop.raises(exc.GroupAuthorizationFailedError, consumer.consume("t"))
    yield consumer.close()


@pytest.mark.parametrize("trouble", [CLOSE, error(30), error(15), error(16), error(-1), error(12345)])
def test_d45_messages_are_handed_over_when_the_commit_fails(trouble):
    @with_member(topics={"t": 1})
    def check(cluster, consumer):
        cluster[1].on("offset_commit", trouble)
        cluster.log("t").put(b"a")
        assert (yield gather(consumer, 1)) == [b"a"]
        cluster.log("t").put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
        assert isinstance(consumer.last_error, (exc.KielError, type(None)))
        assert consumer.topics_to_commit == {"t"}
        cluster[1].on("offset_commit", None)
        assert (yield consumer.consume("t")) == []
        assert stored(cluster) == 2
    check()


@with_cluster(topics={"t": 1})
def test_d46_the_coordinator_is_looked_up_with_pauses(cluster):
    cluster[1].on("group_coordinator", error(15))
    consumer = make(cluster, retry=Backoff(first=0.05, most=0.2, deadline=1))
    found = consumer.connect()
    yield gen.sleep(0.6)
    assert 2 <= cluster.count("group_coordinator") <= 10
    cluster[1].on("group_coordinator", None)
    yield loop.within(1, found)
    assert consumer.coordinator_id == 1
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_d46_the_look_up_ends(cluster):
    cluster[1].on("group_coordinator", error(15))
    consumer = make(cluster, retry=Backoff(first=0.05, most=0.2, deadline=0.5))
    begun = ioloop.IOLoop.current().time()
    yield consumer.connect()
    assert (yield consumer.determine_coordinator()) is False
    assert ioloop.IOLoop.current().time() - begun < 1.5
    yield consumer.close()


@pytest.mark.parametrize("code", [15, 16, 14, 7])
def test_d47_commit_offsets_ends_and_raises(code):
    @with_member(dict(autocommit=False, retry=Backoff(first=0.05, most=0.2, deadline=0.6)), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield gather(consumer, 1)
        cluster[1].on("offset_commit", error(code))
        caught = yield loop.raises(exc.BrokerError, consumer.commit_offsets(), seconds=2)
        assert caught.code == code
        assert 2 <= cluster.count("offset_commit") <= 10
        cluster[1].on("offset_commit", None)
        yield consumer.commit_offsets()
        assert stored(cluster) == 1
    check()


# -- D59 --

@with_member(topics={"t": 2})
def test_d59_what_failed_is_committed_by_the_next_commit(cluster, consumer):
    cluster[1].on("offset_commit", error(30, "t", 1))
    cluster.log("t", 0).put(b"a")
    cluster.log("t", 1).put(b"b")
    yield gather(consumer, 2)
    assert (stored(cluster, 0), stored(cluster, 1)) == (1, None)
    assert consumer.topics_to_commit == {"t"}
    cluster[1].on("offset_commit", None)
    cluster.log("t", 0).put(b"c")
    yield gather(consumer, 1)
    assert (stored(cluster, 0), stored(cluster, 1)) == (2, 1)
    assert not consumer.topics_to_commit


def test_d59_log_lines_carry_their_facts(caplog):
    @with_member(topics={"colors": 4})
    def check(cluster, consumer):
        cluster[1].on("offset_commit", error(30))
        cluster.log("colors", 3).put(b"a")
        yield gather(consumer, 1, "colors")
        cluster[1].on("offset_commit", None)
        cluster[1].on("group_coordinator", error(30))
        yield consumer.determine_coordinator()
        cluster[1].on("group_coordinator", None)

    with caplog.at_level(logging.INFO):
        check()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("kiel")]
    assert any("colors:3 at 1" in line and "group_authorization_failed" in line for line in lines), lines
    assert any("coordinator" in line and "group_authorization_failed" in line for line in lines), lines
    assert not any(" object at 0x" in line for line in lines), lines


# -- the rest --

def test_versions_of_both_stores_have_the_fake_behind_them():
    assert set(BOTH) < set(fake.VERSIONS)


@with_member(dict(autocommit=False), topics={"t": 1})
def test_commits_do_not_overtake_each_other(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    cluster[1].on("offset_commit", fake.delay(0.2), times=1)
    first = consumer.commit_offsets()
    yield loop.until(lambda: cluster.count("offset_commit") == 1)
    cluster.log("t").put(b"b")
    yield gather(consumer, 1)
    yield consumer.commit_offsets()
    yield first
    assert commits(cluster) == [{("t", 0): 1}, {("t", 0): 2}]
    assert stored(cluster) == 2


def leaving_out(call):
    """An answer of OffsetFetch that names no topic."""
    return dict(topics=[]) if call.version < 8 else dict(groups=[dict(group_id=u"g", topics=[])])


@pytest.mark.parametrize("times,begin", [(1, 1), (2, 1), (None, 0)])
def test_an_answer_that_leaves_a_topic_out_is_asked_for_again_and_believed_at_last(caplog, times, begin):
    @with_member(versions="2.8", topics={"t": 1, "u": 1})
    def check(cluster, consumer):
        cluster.kafka_offsets["g", "t", 0] = 1, ""
        for broker in cluster.brokers.values():
            broker.on("offset_fetch", leaving_out, times=times)
        cluster.log("t").put(b"0", b"1")
        assert (yield gather(consumer, 2 - begin)) == [b"0", b"1"][begin:]
    check()
    assert (times is None) == ("OffsetFetch responses lack t:0 of" in caplog.text)
