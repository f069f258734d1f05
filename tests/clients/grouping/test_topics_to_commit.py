"""The set of topics with something to commit: changing it acts, as in kiel 0.9."""
from __future__ import absolute_import

import pytest

from tests.clients.grouping.members import commits, gather, stored, with_member

MANUAL = dict(autocommit=False)


@with_member(MANUAL, topics={"t": 1, "u": 1})
def test_a_topic_that_is_discarded_is_not_committed(cluster, consumer):
    for topic in "tu":
        cluster.log(topic).put(b"a")
        yield gather(consumer, 1, topic)
    assert consumer.topics_to_commit == {"t", "u"}
    consumer.topics_to_commit.discard("u")
    assert consumer.topics_to_commit == {"t"}
    yield consumer.commit_offsets()
    assert commits(cluster) == [{("t", 0): 1}]
    assert not consumer.topics_to_commit
    cluster.log("u").put(b"b")
    yield gather(consumer, 1, "u")
    yield consumer.commit_offsets()
    assert stored(cluster, topic="u") == 2


@pytest.mark.parametrize("change", ["add", "update", "|=", "="])
def test_a_topic_that_is_added_has_its_positions_committed(change):
    @with_member(MANUAL, topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield gather(consumer, 1)
        yield consumer.commit_offsets()
        cluster.kafka_offsets.clear()
        if change == "add":
            consumer.topics_to_commit.add("t")
        elif change == "update":
            consumer.topics_to_commit.update(["t"])
        elif change == "=":
            consumer.topics_to_commit = {"t"}
        else:
            consumer.topics_to_commit |= {"t"}
        assert "t" in consumer.topics_to_commit
        yield consumer.commit_offsets()
        assert stored(cluster) == 1
        assert not consumer.topics_to_commit
    check()


@pytest.mark.parametrize("change", ["clear", "=", "remove", "pop", "-="])
def test_an_emptied_set_commits_nothing(change):
    @with_member(MANUAL, topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(b"a")
        yield gather(consumer, 1)
        kept = consumer.topics_to_commit
        assert repr(kept) == repr({"t"}) and len(kept) == 1 and kept.copy() == {"t"}
        if change == "clear":
            kept.clear()
        elif change == "remove":
            kept.remove("t")
        elif change == "pop":
            assert kept.pop() == "t"
        elif change == "-=":
            consumer.topics_to_commit -= {"t"}
        else:
            consumer.topics_to_commit = set()
        assert not kept
        yield consumer.commit_offsets()
        assert commits(cluster) == []
    check()


@with_member(MANUAL, topics={"t": 1})
def test_a_topic_without_positions_stays_to_be_committed(cluster, consumer):
    consumer.topics_to_commit.add("t")
    yield consumer.commit_offsets()
    assert consumer.topics_to_commit == {"t"}
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield consumer.commit_offsets()
    assert stored(cluster) == 1
