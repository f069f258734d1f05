"""Trouble is told of once a minute, and once when it is over."""
from __future__ import absolute_import

import logging

import mock
import pytest
from tornado import gen

from kiel import exc, outage, periodic_refresh
from kiel.retry import Backoff

from tests import loop
from tests.clients.consuming import consumers
from tests.clients.producing import producers
from tests.fake import error, with_cluster


class Clock(object):
    """The time, as a test has it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Lines(logging.Handler):
    """The lines of kiel from a level on, as (level, text), and their records."""

    def __init__(self, level=logging.INFO):
        super(Lines, self).__init__(level)
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def told(self):
        return [(record.levelname, record.getMessage()) for record in self.records]

    def __enter__(self):
        self.before = logging.getLogger("kiel").level
        logging.getLogger("kiel").setLevel(logging.DEBUG)
        logging.getLogger("kiel").addHandler(self)
        return self

    def __exit__(self, *exc_info):
        logging.getLogger("kiel").setLevel(self.before)
        logging.getLogger("kiel").removeHandler(self)


@pytest.fixture
def clock():
    made = Clock()
    with mock.patch.object(outage, "monotonic", made):
        yield made


def test_it_is_told_once_a_minute_with_a_count_and_once_when_it_is_over(clock):
    mine = outage.Outage("me")
    with Lines() as lines:
        for _ in range(130):
            mine.warn("b", "Broker %s is away", 2, broker=2)
            clock.now += 1
        mine.over("b", "Broker %s is back", 2, broker=2)
        mine.over("b", "Broker %s is back", 2, broker=2)
    assert lines.told == [
        ("WARNING", "Broker 2 is away"),
        ("WARNING", "Broker 2 is away (and 59 more warnings within 60 s)"),
        ("WARNING", "Broker 2 is away (and 59 more warnings within 60 s)"),
        ("INFO", "Broker 2 is back, after 130.0 s (9 lines held back)"),
    ]
    assert [(record.client, record.broker) for record in lines.records] == [("me", 2)] * 4
    assert not mine.troubles and not mine.held


def test_what_may_pass_of_itself_is_a_warning_when_it_has_not(clock):
    mine = outage.Outage()
    with Lines() as lines:
        for _ in range(8):
            mine.tell(outage.log, "x", logging.WARNING, "fenced", (), {}, patience=5)
            clock.now += 1
    assert lines.told == [("INFO", "fenced"), ("WARNING", "fenced (and 4 more warnings within 5 s)")]


def test_what_was_quiet_for_long_begins_anew(clock):
    mine = outage.Outage()
    with Lines() as lines:
        mine.warn("x", "no")
        mine.warn("x", "no")
        clock.now += 100
        mine.warn("x", "no")
    assert lines.told == [("WARNING", "no")] * 2


def test_while_nobody_answers_all_is_one_trouble(clock):
    mine = outage.Outage()
    with Lines() as lines:
        mine.begin(exc.NoBrokersError("none"))
        for about in "abc":
            mine.warn(about, about)
        clock.now += 3
        mine.end()
        mine.end()
        mine.warn("a", "a")
    assert lines.told == [
        ("WARNING", "a"), ("INFO", "A broker answers again, after 3.0 s (2 lines held back)"), ("WARNING", "a")]


@with_cluster(brokers=2, topics={"t": 4})
def test_a_broker_that_is_killed_and_back_is_a_warning_and_a_line_for_each_client(cluster):
    producer = yield producers.connected(cluster, client_id="p")
    consumer = consumers.make(cluster, client_id="c")
    yield consumer.connect()
    yield producer.produce("t", b"first", partition=1)
    yield consumers.gather(consumer, 1)
    with Lines() as lines:
        cluster[2].stop()
        for log in cluster.topics["t"].values():
            log.leader = 1
        for number in range(20):
            yield producer.produce("t", b"%d" % number, partition=number % 4)
        yield consumers.gather(consumer, 20)
        yield [client.cluster.heal() for client in (producer, consumer)]
        cluster[2].start()
        for number in (1, 3):
            cluster.log("t", number).leader = 2
        for client in (producer, consumer):
            yield client.cluster.heal()
        for number in range(4):
            yield producer.produce("t", b"x", partition=number)
        yield consumers.gather(consumer, 4)
        yield loop.until(lambda: not producer.cluster.outage.troubles and not consumer.cluster.outage.troubles)
    warnings = [(record.client, record.broker) for record in lines.records if record.levelname == "WARNING"]
    assert warnings.count(("c", 2)) == 1 and len(warnings) == len(set(warnings)) and set(warnings) <= {
        ("c", 2), ("p", 2)}, lines.told  # the producer's, where it happens to ask that broker for metadata
    back = [record.client for record in lines.records if "answers again" in record.getMessage()]
    assert sorted(back) == sorted(client for client, _ in warnings), lines.told
    yield producer.close()
    yield consumer.close()


@mock.patch.object(periodic_refresh, "RETURN", Backoff(first=0.05, most=0.1, deadline=None))
@with_cluster(brokers=2, topics={"t": 4})
def test_a_broker_that_is_back_is_told_of_though_nobody_needs_it(cluster):
    consumer = consumers.make(cluster, client_id="c")
    yield consumer.connect()
    cluster.log("t", 1).put(b"x")
    yield consumers.gather(consumer, 1)
    yield loop.until(lambda: cluster[2].count("fetch") > 1)  # one waits for more
    with Lines() as lines:
        cluster[2].stop()
        for log in cluster.topics["t"].values():
            log.leader = 1
        cluster.listed.remove(2)
        yield loop.until(lambda: ("127.0.0.1", cluster[2].port) in consumer.cluster.outage.troubles)
        asked = cluster[1].count("metadata")
        yield loop.until(lambda: cluster[1].count("metadata") > asked + 2)
        cluster[2].start()
        cluster.listed.append(2)
        yield loop.until(lambda: not consumer.cluster.outage.troubles)
    assert any("Broker 2" in text and "answers again" in text for _, text in lines.told), lines.told
    refresh = consumer.cluster._refresh
    yield loop.until(lambda: refresh._timer is not None and not refresh._away)
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_partitions_that_are_read_and_written_again_say_so(cluster):
    producer = yield producers.connected(cluster, client_id="p")
    consumer = consumers.make(cluster, client_id="c")
    yield consumer.connect()
    with Lines() as lines:
        cluster[1].on("produce", error(6), times=4)
        cluster[1].on("fetch", error(74), times=4)
        yield producer.produce("t", b"x")
        yield consumers.gather(consumer, 1)
        yield loop.until(lambda: not producer.cluster.outage.troubles)
    told = [(record.levelname, record.client, record.topic, record.partition, record.getMessage().split(",")[0])
            for record in lines.records if getattr(record, "topic", None)]
    assert [line for line in told if line[1] == "p"][1] == ("INFO", "p", "t", 0, "t:0 is written again")
    assert [line for line in told if line[1] == "c"][-1] == ("INFO", "c", "t", 0, "t:0 is read again")
    assert len(told) == 4 and not [line for line in told if line[0] != "INFO"], told
    yield producer.close()
    yield consumer.close()


@with_cluster()
def test_a_topic_that_is_missing_is_a_line_and_another_when_it_is_there(cluster):
    consumer = consumers.make(cluster, max_wait_time=20, client_id="c")
    yield consumer.connect()
    with Lines() as lines:
        for _ in range(5):
            yield consumer.consume("later")
        cluster.create("later")
        yield loop.until(lambda: "later" in consumer.cluster.topics or consumer.consume("later") is None, 5)
        yield gen.moment
    told = [text.split(",")[0] for _, text in lines.told if "later" in text]
    assert all((record.client, record.topic) == ("c", "later") for record in lines.records
               if "later" in record.getMessage())
    assert told.count("Topic later does not exist (yet)") == 1 and told[-1] == "Topic later exists", lines.told
    yield consumer.close()
