"""
Brokers that die, stand still and come back: the client that was there before goes on, and nothing is lost.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas, of 4.4.0 and 2.8.2.
"""
from __future__ import absolute_import

import collections
import logging
import resource
import time
import uuid

import mock
import pytest
from tornado import gen, ioloop

from kiel import clients, events, exc, periodic_refresh
from kiel.retry import Backoff

from tests import loop
from tests.integration import peer
from tests.test_outage import Lines

#: what makes the controller notice soon that a broker is gone
QUICK = {
    "4.4.0": {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500},
    "2.8.2": {"zookeeper.session.timeout.ms": 2000},
}
PATIENCE = 60


@pytest.fixture(scope="module")
def three():
    kafka = peer.cluster_of("4.4.0", brokers=3, settings=QUICK["4.4.0"])
    yield kafka
    kafka.stop()


@pytest.fixture(scope="module", params=peer.only("2.8.2"))
def one(request):
    kafka = peer.cluster_of(request.param, settings=QUICK[request.param])
    yield kafka
    kafka.stop()


@pytest.fixture
def topic():
    return "back-" + uuid.uuid4().hex[:8]


class Work(object):
    """A producer and a consumer that go on whatever happens; ``sent`` is what was acknowledged, ``got`` what came."""

    def __init__(self, producer, consumer, topic, partitions):
        self.producer = producer
        self.consumer = consumer
        self.topic = topic
        self.partitions = partitions
        self.sent = []
        self.got = []
        self.errors = []
        self.number = 0
        self.stopping = False
        self.running = [self.produce(), self.consume()]

    @gen.coroutine
    def produce(self):
        while not self.stopping:
            number, self.number = self.number, self.number + 1
            try:
                delivery = yield self.producer.produce(self.topic, b"%d" % number if bytes is not str else str(number),
                                                       partition=number % self.partitions)
                yield delivery
            except exc.KielError as error:
                self.errors.append(error)
            else:
                self.sent.append(number)
            yield gen.sleep(0.02)

    @gen.coroutine
    def consume(self):
        while True:
            try:
                found = yield self.consumer.consume(self.topic, self.consumer.BEGINNING)
            except exc.NoBrokersError as error:
                self.errors.append(error)
                continue
            if found is None:
                return
            self.got.extend(int(value) for value in found)

    @gen.coroutine
    def more(self, count=20, seconds=PATIENCE):
        """Waits until so many more were acknowledged, and all that were have come."""
        goal = len(self.sent) + count
        yield loop.until(lambda: len(self.sent) >= goal, seconds)
        sent = list(self.sent)
        yield loop.until(lambda: set(self.got).issuperset(sent), seconds)

    @gen.coroutine
    def stop(self):
        self.stopping = True
        yield loop.within(PATIENCE, self.running[0])
        yield loop.until(lambda: set(self.got).issuperset(self.sent), PATIENCE)
        yield self.consumer.close()
        yield loop.within(5, self.running[1])
        # each partition in its order, but for messages that were written twice since their answer was lost
        for partition in range(self.partitions):
            numbers = [number for number in self.got if number % self.partitions == partition]
            seen = set()
            first = [number for number in numbers if not (number in seen or seen.add(number))]
            assert first == sorted(first)
            assert set(numbers).issuperset(number for number in self.sent if number % self.partitions == partition)


def at_work(kafka, topic, body, partitions=3, timeout=120, brokers=None, **settings):
    """Runs ``body(work, in_thread)`` beside a producer and a consumer."""
    settings.setdefault("request_timeout", 3)

    def main(writer, start):
        brokers_ = brokers or kafka.bootstrap
        producer = yield start(clients.Producer, brokers=brokers_, serializer=lambda value: value,
                               delivery_timeout=PATIENCE, client_id="producer")
        consumer = yield start(clients.SingleConsumer, brokers=brokers_, deserializer=bytes, max_wait_time=500,
                               client_id="consumer")
        work = Work(producer, consumer, topic, partitions)

        def in_thread(function, *args, **kwargs):
            return events.run_blocking(consumer.io_loop, function, *args, **kwargs)

        try:
            yield work.more()
            yield gen.coroutine(body)(work, in_thread)
            yield work.more()
        finally:
            yield work.stop()
        assert not work.producer.closing
    peer.with_clients(kafka, main, timeout=timeout, **settings)


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def start_again(kafka):
    """Starts all processes of a cluster that was killed."""
    if kafka.mode == "zk":
        for broker in kafka.brokers:
            broker.start()
        return
    for node in kafka.nodes:
        node.launch()
    for broker in kafka.brokers:
        broker.wait_ready(kafka.start_timeout)


# -- three brokers --

@gen.coroutine
def read(consumer, topic):
    """Reads on until the consumer is closed."""
    while (yield consumer.consume(topic, consumer.BEGINNING)) is not None:
        pass


def matter(record):
    """
    Whose line of the log it is, and what it is about: a client warns of that once.

    Of more than the broker that is gone: what another can't answer before it has learned of that, such as a commit
    that is to be replicated to it, may take longer than the request's time.
    """
    return tuple(getattr(record, name, None) for name in ("client", "broker", "topic", "partition"))


def told_of(lines):
    """What was told, by whom and when, as a text."""
    return "\n" + "\n".join("%.3f %-8s %-7s %s" % (
        record.created, matter(record)[0], record.levelname, record.getMessage()) for record in lines.records)


@mock.patch.object(periodic_refresh, "RETURN", Backoff(first=0.5, most=0.5, deadline=None))
def test_a_leader_is_killed(three, topic):
    """Work goes on at the others, and three clients have little to say of it, and that it is over."""
    three.create_topic(topic, partitions=3, replicas=3)

    def body(work, in_thread):
        member = clients.GroupedConsumer(three.bootstrap, topic, client_id="member", topics=[topic], max_wait_time=500,
                                         request_timeout=3)
        yield member.connect()
        yield peer.gather(member, topic, 1, start=member.BEGINNING)
        reading = read(member, topic)
        everybody = (work.producer, work.consumer, member)
        leader = three.brokers[work.consumer.cluster.get_leader(topic, 0)]
        killed = time.time()
        with Lines() as lines:
            leader.kill()
            yield work.more(seconds=20)
            assert time.time() - killed < 20
            assert work.consumer.cluster.get_leader(topic, 0) != leader.id
            yield in_thread(leader.start)
            # nobody needs it any more, and it is looked for nevertheless
            yield loop.until(lambda: not any(client.cluster.outage.troubles for client in everybody), 30)
        said = told_of(lines)
        warned = collections.Counter(matter(record) for record in lines.records if record.levelno >= logging.WARNING)
        over = set(record.client for record in lines.records if "answers again" in record.getMessage())
        assert any(broker == leader.id for _, broker, _, _ in warned), said
        assert not [what for what, count in warned.items() if count > 1], said
        assert not set(client for client, _, _, _ in warned) - over, said
        assert len(lines.records) <= 30, said
        yield member.close()
        yield reading
    at_work(three, topic, body)


@pytest.mark.skipif(not peer.LONG, reason="an orderly restart takes its time: with KIEL_LONG=1")
def test_an_orderly_restart_is_no_warning(three, topic):
    three.create_topic(topic, partitions=3, replicas=3)

    def body(work, in_thread):
        leader = three.brokers[work.consumer.cluster.get_leader(topic, 0)]
        with Lines() as lines:
            yield in_thread(leader.stop)
            yield work.more(seconds=20)
            yield in_thread(leader.start)
            yield work.more(seconds=20)
        assert not [text for level, text in lines.told if level != "INFO" and "closed the connection" not in text]
        assert len([level for level, _ in lines.told if level != "INFO"]) <= 2, lines.told
    at_work(three, topic, body)


def test_a_leader_stands_still(three, topic):
    three.create_topic(topic, partitions=3, replicas=3)

    def body(work, in_thread):
        leader = three.brokers[work.consumer.cluster.get_leader(topic, 0)]
        leader.pause()
        try:
            yield work.more(seconds=30)
            assert work.consumer.cluster.get_leader(topic, 0) != leader.id
        finally:
            leader.resume()
        yield work.more()
    at_work(three, topic, body)


def test_the_bootstrap_host_is_gone(three, topic):
    """
    The client knows the others, and finds them again when they, too, were gone for a while.

    The topic is kept by those others, since a cluster that loses all of its replicas serves nothing.
    """
    three.create_topic(topic, assignment={0: [1, 2], 1: [2, 1]})
    gone, others = three.brokers[0], three.brokers[1:]

    def body(work, in_thread):
        gone.kill()
        yield work.more(seconds=30)
        for broker in others:
            broker.kill()
        yield gen.sleep(2)
        for broker in others:
            broker.launch()
        for broker in others:
            yield in_thread(broker.wait_ready, 60)
        yield work.more()
        yield in_thread(gone.start)
    at_work(three, topic, body, partitions=2, brokers=three.bootstrap[:1])


# -- all of it --

def all_gone(kafka, topic, partitions, replicas, everybody):
    """Kills the cluster, measures what the wait costs, starts the cluster again."""
    kafka.create_topic(topic, partitions=partitions, replicas=replicas)

    def body(work, in_thread):
        for node in everybody:
            node.kill()
        yield gen.sleep(1.5)
        before, sent = cpu(), len(work.sent)
        yield gen.sleep(5)
        used = cpu() - before
        assert used < 0.5, "%.2f s of CPU in 5 s without a broker" % used
        assert len(work.sent) == sent
        # the consumer says that nobody is there
        yield loop.until(lambda: any(isinstance(error, exc.NoBrokersError) for error in work.errors), 10)
        yield in_thread(start_again, kafka)
        begun = time.time()
        yield work.more(5)
        assert time.time() - begun < 30
    at_work(kafka, topic, body, partitions)


def test_the_whole_cluster_goes_and_comes_back(three, topic):
    all_gone(three, topic, 3, 3, three.nodes)


def test_a_single_broker_goes_and_comes_back(one, topic):
    all_gone(one, topic, 2, 1, one.brokers)


def test_a_single_broker_stands_still(one, topic):
    """Longer than the request time-out: there is nobody else to ask, and nothing is lost."""
    one.create_topic(topic, partitions=2)

    def body(work, in_thread):
        one.brokers[0].pause()
        try:
            yield gen.sleep(1)
            before, sent = cpu(), len(work.sent)
            yield gen.sleep(5)
            used = cpu() - before
            assert used < 0.5, "%.2f s of CPU in 5 s" % used
            assert len(work.sent) == sent
        finally:
            one.brokers[0].resume()
        begun = time.time()
        yield work.more(5)
        assert time.time() - begun < 20
    at_work(one, topic, body, partitions=2)


def test_a_client_that_begins_while_nobody_is_there(one, topic):
    """`connect` says so in time, and the same object connects once somebody is."""
    one.create_topic(topic)
    one.brokers[0].kill()

    def body():
        consumer = clients.SingleConsumer(one.bootstrap, deserializer=bytes, max_wait_time=200)
        failed = yield loop.raises(exc.NoBrokersError, consumer.connect(), 5)
        assert one.bootstrap[0] in str(failed)
        yield events.run_blocking(ioloop.IOLoop.current(), one.brokers[0].start)
        deadline = time.time() + 20
        while True:
            try:
                yield consumer.connect()
                break
            except exc.NoBrokersError:
                assert time.time() < deadline
                yield gen.sleep(0.1)
        assert (yield consumer.consume(topic, consumer.BEGINNING)) == []
        assert (yield consumer.end_offsets(topic)) == {0: 0}
        yield consumer.close()

    loop.run(gen.coroutine(body), timeout=60)
