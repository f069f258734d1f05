"""Members of groups that meet in ZooKeeper, on a real broker."""
from __future__ import absolute_import

import pytest
from tornado import gen, ioloop

from kiel import clients, events
from kiel.zookeeper.allocator import PartitionAllocator

from tests import loop
from tests.integration import members

#: seconds of a ZooKeeper session in these tests
SESSION = 2.0

#: seconds that a step may take
PATIENCE = 30

#: every kazoo client of the test that runs; one left running by a test that failed would keep the process from ending
open_clients = []


def run(body):
    loop.run(gen.coroutine(body), timeout=2 * PATIENCE)


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    while open_clients:
        client = open_clients.pop()()
        client.stop()
        client.close()


def hosts_of(kafka, zookeeper):
    """Where the members meet: Kafka's own ZooKeeper, or another beside a Kafka without."""
    return kafka.zk_hosts or [zookeeper.hosts]


def make(brokers, group, hosts, **settings):
    """A member whose death is noticed soon."""
    settings.setdefault("max_wait_time", 200)
    consumer = clients.GroupedConsumer(brokers, group, hosts, deserializer=bytes, **settings)
    consumer.allocator = PartitionAllocator(
        hosts, group, consumer.name, consumer.allocator.allocator_fn, session_timeout=SESSION,
    )
    open_clients.append(lambda: consumer.allocator.conn)
    return consumer


class Member(members.Reader):
    """A reader that may commit after each `consume`."""

    def __init__(self, kafka, group, hosts, topic, commit=False, **settings):
        settings.setdefault("metadata_max_age", 1)
        super(Member, self).__init__(make(kafka.bootstrap, group, hosts, **settings), topic)
        self.commit = commit

    def took(self, found):
        super(Member, self).took(found)
        return self.consumer.commit_offsets() if self.commit and found else None


def Source(kafka, topic, partitions):
    # brokers before 0.11 know no idempotent producer: with all replicas' acknowledgement, one that is dead would make
    # messages be written twice
    return members.Source(kafka, topic, partitions, PATIENCE, required_acks=1)


def sorted_numbers(values):
    return sorted(int(value) for value in values)


@gen.coroutine
def all_arrive(source, *members):
    """Waits until the members were handed all that was sent; then each message once."""
    yield loop.until(lambda: sum(len(member.got) for member in members) >= len(source.sent), PATIENCE)
    yield gen.sleep(0.3)  # for what should not come
    assert sorted_numbers(sum([member.got for member in members], [])) == sorted_numbers(source.sent)


@gen.coroutine
def shared_out(count, *members):
    """Waits until the members own so many partitions of the topic, each one of them, and nobody another's."""
    def done():
        owned = [item for member in members for item in member.owned]
        return sorted(owned) == list(range(count)) and all(member.owned for member in members)
    yield loop.until(done, PATIENCE)


def in_thread(function, *args):
    """Runs what blocks in a thread; gives a Future."""
    return events.run_blocking(ioloop.IOLoop.current(), function, *args)
