"""What is committed: less than was handed out, by an application's own commit_offsets, after the end."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import GroupedConsumer

from tests import loop
from tests.clients.grouping.members import commits, gather, stored, with_member
from tests.fake import error

MODES = (True, False, "processed")


# -- less than was handed out --

@pytest.mark.parametrize("mode", MODES)
def test_what_was_sought_is_what_is_committed_next(mode):
    @with_member(dict(autocommit=mode), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(*[b"%d" % number for number in range(5)])
        assert len((yield gather(consumer, 5))) == 5
        consumer.seek("t", 0, 2)
        yield consumer.commit_offsets()
        assert stored(cluster) == 2
        assert (yield gather(consumer, 3)) == [b"2", b"3", b"4"]
        yield consumer.commit_offsets()
        assert stored(cluster) == 5
    check()


@pytest.mark.parametrize("mode", MODES)
def test_the_next_consume_does_not_commit_what_was_handed_out_before_seeking(mode):
    @with_member(dict(autocommit=mode, max_wait_time=50), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(*[b"%d" % number for number in range(5)])
        yield gather(consumer, 5)
        consumer.pause("t")
        consumer.seek("t", 0, 2)
        assert (yield consumer.consume("t")) == []
        assert stored(cluster) == (None if mode is False else 2)
    check()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start,offset", [(GroupedConsumer.BEGINNING, 0), (GroupedConsumer.END, 5)])
def test_a_position_sought_by_name_is_committed_once_it_is_known(mode, start, offset):
    @with_member(dict(autocommit=mode, max_wait_time=50), topics={"t": 1})
    def check(cluster, consumer):
        cluster.log("t").put(*[b"%d" % number for number in range(5)])
        yield gather(consumer, 5)
        cluster.kafka_offsets.clear()
        consumer.seek("t", 0, start)
        yield consumer.commit_offsets()
        assert stored(cluster) is None
        consumer.pause("t")
        yield consumer.consume("t")
        yield loop.until(lambda: consumer.position("t", 0) == offset)
        yield consumer.commit_offsets()
        assert stored(cluster) == offset
    check()


@with_member(dict(autocommit=False), topics={"t": 1})
def test_what_was_sought_is_committed_at_the_end_of_the_term_only(cluster, consumer):
    cluster.log("t").put(b"a", b"b")
    yield gather(consumer, 2)
    consumer.seek("t", 0, 1)
    yield consumer.allocator.give()
    yield consumer.allocator.give(t=[0])
    yield consumer.commit_offsets()
    assert commits(cluster) == []


# -- an application's own commit_offsets --

class Database(GroupedConsumer):
    """Keeps its offsets elsewhere, as in 2016."""

    def __init__(self, *args, **kwargs):
        super(Database, self).__init__(*args, **kwargs)
        self.rows = []

    @gen.coroutine
    def commit_offsets(self, metadata=None):
        yield gen.moment
        self.rows.append(dict((topic, dict(parts)) for topic, parts in self.offsets.items()))


class Counting(GroupedConsumer):
    """Counts its commits."""

    def __init__(self, *args, **kwargs):
        super(Counting, self).__init__(*args, **kwargs)
        self.count = 0

    @gen.coroutine
    def commit_offsets(self, metadata=None):
        self.count += 1
        yield super(Counting, self).commit_offsets("mine")


def with_own(kind, **member):
    """Like `with_member`, with a consumer of one's own."""
    return with_member(dict(member, kind=kind), topics={"t": 2})


@with_own(Database)
def test_offsets_kept_elsewhere_are_kept_wherever_kiel_commits_by_itself(cluster, consumer):
    cluster.log("t", 0).put(b"a")
    yield gather(consumer, 1)
    assert [row["t"][0] for row in consumer.rows] == [1]
    assert not consumer.topics_to_commit
    yield consumer.consume("t")
    assert len(consumer.rows) == 1
    assert commits(cluster) == []


@pytest.mark.parametrize("mode", [True, "processed"])
def test_they_are_on_revocation_and_on_closing(mode):
    @with_own(Database, autocommit=mode)
    def check(cluster, consumer):
        kept = consumer
        cluster.log("t", 0).put(b"a")
        yield gather(consumer, 1)
        if mode == "processed":
            assert consumer.rows == []
            consumer.progress.done_with("t")
        yield consumer.allocator.give(t=[1])
        assert kept.rows[-1]["t"][0] == 1
        cluster.log("t", 1).put(b"b")
        yield gather(consumer, 1)
        if mode == "processed":
            consumer.progress.done_with("t")
        yield consumer.close()
        assert kept.rows[-1]["t"][1] == 1
        assert len(kept.rows) == 2
    check()


@pytest.mark.parametrize("mode", [True, "processed"])
def test_kiels_own_is_called_by_it(mode):
    @with_own(Counting, autocommit=mode)
    def check(cluster, consumer):
        cluster.log("t", 0).put(b"a")
        cluster.log("t", 1).put(b"b")
        yield gather(consumer, 2)
        yield consumer.consume("t")
        assert consumer.count >= 1
        assert (stored(cluster, 0), stored(cluster, 1)) == (1, 1)
        assert cluster.kafka_offsets["g", "t", 0][1] == "mine"
        assert not consumer.topics_to_commit
    check()


def test_it_does_not_commit_what_another_loop_works_on():
    @with_own(Counting, autocommit="processed")
    def check(cluster, consumer):
        cluster.create("u", 1)
        yield consumer.cluster.heal()
        yield consumer.allocator.give(t=[0, 1], u=[0])
        cluster.log("t", 0).put(b"a")
        cluster.log("u").put(b"b")
        yield gather(consumer, 1, "t")
        yield gather(consumer, 1, "u")
        yield consumer.consume("t")
        assert (stored(cluster, 0), stored(cluster, topic="u")) == (1, None)
        yield consumer.commit_offsets()  # the application says so
        assert stored(cluster, topic="u") == 1
    check()


def failing(consumer, error):
    """Gives the consumer a commit_offsets of its own that fails once; gives the list of its calls."""
    calls = []

    def fail(metadata=None):
        calls.append(metadata)
        if len(calls) == 1:
            raise error
    consumer.commit_offsets = fail
    return calls


@with_own(Counting)
def test_what_kiels_own_raises_within_it_is_tried_again(cluster, consumer):
    cluster[1].on("offset_commit", error(30))
    cluster.log("t", 0).put(b"a")
    assert (yield gather(consumer, 1)) == [b"a"]
    assert consumer.count == 1 and consumer.topics_to_commit == {"t"}
    cluster[1].on("offset_commit", None)
    yield consumer.consume("t")
    assert consumer.count == 2 and stored(cluster, 0) == 1
    assert not consumer.topics_to_commit


@pytest.mark.parametrize("mode", [True, "processed"])
@pytest.mark.parametrize("error", [ValueError("full"), exc.NoBrokersError("none")])
def test_what_another_raises_comes_out_and_nothing_is_lost(mode, error):
    @with_own(GroupedConsumer, autocommit=mode)
    def check(cluster, consumer):
        calls = failing(consumer, error)
        cluster.log("t", 0).put(b"a")
        if mode == "processed":
            assert (yield gather(consumer, 1)) == [b"a"]
        yield loop.raises(type(error), loop.within(5, consumer.consume("t")))
        if mode is True:
            assert (yield gather(consumer, 1)) == [b"a"]
        else:
            assert (yield consumer.consume("t")) == []
        assert len(calls) == 2
        assert not consumer.topics_to_commit
    check()


@pytest.mark.parametrize("when", ["released", "closed"])
def test_where_there_is_nobody_to_raise_it_to_it_is_logged(when, caplog):
    @with_own(GroupedConsumer, autocommit="processed")
    def check(cluster, consumer):
        calls = failing(consumer, ValueError("full"))
        cluster.log("t", 0).put(b"a")
        yield gather(consumer, 1)
        consumer.progress.done_with("t")
        yield (consumer.close() if when == "closed" else consumer.allocator.give())
        assert len(calls) == 1
    check()
    assert any("own commit_offsets" in record.getMessage() for record in caplog.records)


# -- the end --

@with_member(dict(autocommit=False), topics={"t": 1})
def test_nothing_is_committed_after_closing(cluster, consumer):
    cluster.log("t").put(b"a")
    yield gather(consumer, 1)
    yield consumer.close()
    yield loop.raises(exc.ClosedError, consumer.commit_offsets())
    yield loop.raises(exc.ClosedError, consumer.commit_offsets(offsets={"t": {0: 1}}))
