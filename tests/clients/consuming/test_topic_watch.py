"""Topics that are deleted and made again at once, so that no answer says that they were gone."""
from __future__ import absolute_import

import pytest

from kiel.clients import SingleConsumer

from tests import loop
from tests.clients.consuming.consumers import gather, with_consumer
from tests.clients.consuming.test_positions import make_again
from tests.fake import with_cluster


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("release", ["0.9", "0.11", "2.4", "2.8"])
def test_the_end_of_the_log_tells(release, caplog):
    @with_consumer(dict(max_records=2), topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").put(*[b"%d" % number for number in range(9)])
        assert (yield gather(consumer, 2)) == [b"0", b"1"]
        consumer.seek("t", 0, 2)
        make_again(cluster)
        cluster.log("t").put(b"new 0", b"new 1", b"new 2")
        found = yield gather(consumer, 3 if release == "2.8" else 1)
        yield loop.until(lambda: lines(caplog), 5)
        if release == "2.8":
            assert found == [b"new 0", b"new 1", b"new 2"]
            assert lines(caplog) == ["Topic t was deleted and recreated: it is read from its beginning"]
        else:
            assert found == [b"new 2"]
            line, = lines(caplog)
            assert "partition 0 ended at 9 and ends at 3 now: either it was deleted and recreated" in line
    check()


class Named(SingleConsumer):
    """A subclass with attributes by names that are kiel's today."""

    fetcher = positions = reader = "mine"


@with_cluster(topics={"t": 1}, versions="0.11")
def test_a_subclass_with_such_names_of_its_own_reads_a_log_that_was_cut(cluster):
    consumer = Named(cluster.bootstrap, bytes, max_wait_time=200, max_records=2)
    yield consumer.connect()
    try:
        cluster.log("t").put(*[b"%d" % number for number in range(9)])
        stream = consumer.stream("t", consumer.BEGINNING)
        assert (yield loop.within(5, stream.next())) == b"0"
        make_again(cluster)
        cluster.log("t").put(b"new 0", b"new 1", b"new 2")
        consumer.seek("t", 0, 2)
        assert (yield loop.within(5, stream.next())) == b"new 2"
        assert consumer.last_error is None
    finally:
        yield consumer.close()


@with_consumer(dict(max_records=2), topics={"t": 1}, versions="0.11")
def test_an_end_that_a_new_leader_had_not_heard_of_is_no_news(cluster, consumer):
    cluster.log("t").put(b"0", b"1", b"2")
    assert (yield gather(consumer, 2)) == [b"0", b"1"]
    cursor, = consumer.fetcher.of("t")
    watch = consumer.positions.watch
    assert watch.compare_ends(cursor, 2)
    told = []
    watch._tell = lambda topic, doubts: told.extend(doubts)
    watch.topics_changed()  # it is where it was by now
    assert not told and not watch._doubtful


@pytest.mark.parametrize("release", ["0.11", "2.4"])
def test_the_epochs_of_messages_tell(release, caplog):
    @with_consumer(topics={"t": 1}, versions=release)
    def check(cluster, consumer):
        cluster.log("t").epoch = 4
        cluster.log("t").put(b"0", b"1")
        assert (yield gather(consumer, 2)) == [b"0", b"1"]
        make_again(cluster)
        cluster.log("t").put(b"new 0", b"new 1", b"new 2")
        assert (yield gather(consumer, 1)) == [b"new 2"]
        yield loop.until(lambda: lines(caplog), 5)
        assert "partition 0 has messages of leader epoch 0 at 2, behind others of epoch 4" in lines(caplog)[-1]
    check()


@with_consumer(topics={"t": 1}, versions="0.11")
def test_a_position_behind_the_end_names_the_possibility(cluster, consumer):
    import logging

    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logging.getLogger("kiel").addHandler(handler)
    try:
        cluster.log("t").put(b"0", b"1", b"2")
        assert len((yield gather(consumer, 3))) == 3
        make_again(cluster)
        cluster.log("t").put(b"new 0")
        assert (yield gather(consumer, 1)) == [b"new 0"]
        yield consumer.cluster.heal()
    finally:
        logging.getLogger("kiel").removeHandler(handler)
    assert [line for line in told if "recreated" in line] == [
        "t:0: offset 3 is out of range, reading goes on at 0: 3 offsets are read again, or their messages are gone: "
        "the log ends before it, so it has lost its end, or the topic was deleted and recreated"]
