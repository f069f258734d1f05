"""Members of next-generation groups on a real broker, in this process and in others, and who writes for them."""
from __future__ import absolute_import

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time

from tornado import gen

from kiel import clients, testing

from tests import loop
from tests.integration import members

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: those with the protocol
RELEASES = [name for name in (os.environ.get("KIEL_KAFKA") or "4.4.0").split(",")
            if name in ("4.4.0", "4.0.2", "3.9.1", "3.7.2")]

#: seconds of a session, and that a step may take
SESSION = 2.5
PATIENCE = 30
SETTINGS = {
    "group.consumer.min.heartbeat.interval.ms": 200, "group.consumer.heartbeat.interval.ms": 300,
    "group.consumer.min.session.timeout.ms": 1000, "group.consumer.session.timeout.ms": int(SESSION * 1000),
    # how long the broker waits for more members before it shares out (4.4)
    "group.consumer.min.assignment.interval.ms": 100, "group.consumer.assignment.interval.ms": 100,
}


def started(version, **options):
    settings = dict(SETTINGS, **options.pop("settings", {}))
    if version.startswith("3."):
        settings["group.coordinator.rebalance.protocols"] = "classic,consumer"
    return testing.Kafka(version, settings=settings, **options)


def run(body, timeout=4 * PATIENCE):
    loop.run(gen.coroutine(body), timeout=timeout)


class Member(members.Reader):
    """
    A member that reads a topic in a loop of its own.

    ``got`` is what it was handed, ``ledger`` when partitions came and went: (time, "assigned" or "revoked" or "lost",
    partition), by its own callbacks.
    """

    def __init__(self, kafka, group, topic, **settings):
        settings.setdefault("group_protocol", "consumer")
        settings.setdefault("autocommit", "processed")
        settings.setdefault("slow_callback", None)
        self.ledger = []
        super(Member, self).__init__(clients.GroupedConsumer(
            kafka.bootstrap, group, topics=[topic], deserializer=bytes, max_wait_time=100, metadata_max_age=1,
            on_rebalance=self.rebalanced, on_lost=self.lost, **settings
        ), topic)

    @gen.coroutine
    def rebalanced(self, revoked, assigned):
        for partition in revoked.get(self.topic, ()):
            self.ledger.append((time.time(), "revoked", partition))
        yield gen.sleep(0.05)
        for partition in assigned.get(self.topic, ()):
            self.ledger.append((time.time(), "assigned", partition))

    def lost(self, lost):
        for partition in lost.get(self.topic, ()):
            self.ledger.append((time.time(), "lost", partition))

    def took(self, found):
        self.got.extend(int(value) for value in found)

    @gen.coroutine
    def stop(self):
        yield loop.within(PATIENCE, self.consumer.close())
        for partition in self.owned_by_ledger():
            self.ledger.append((time.time(), "revoked", partition))
        if self.running is not None:
            yield loop.within(5, self.running)

    def owned_by_ledger(self):
        owned = set()
        for _, what, partition in self.ledger:
            (owned.add if what == "assigned" else owned.discard)(partition)
        return owned

    def happened(self, what):
        return [partition for _, each, partition in self.ledger if each == what]


class Source(object):
    """Writes numbers, the next one each time, to the partitions in turn."""

    def __init__(self, kafka, topic, partitions):
        self.producer = clients.Producer(kafka.bootstrap, serializer=lambda message: message, linger=0.005)
        self.topic = topic
        self.partitions = partitions
        self.sent = 0
        self.going = False

    @gen.coroutine
    def put(self, count):
        yield self.producer.connect()
        deliveries = []
        for _ in range(count):
            value = str(self.sent).encode("ascii")
            deliveries.append((yield self.producer.produce(self.topic, value, partition=self.sent % self.partitions)))
            self.sent += 1
        yield [loop.within(PATIENCE, gen.convert_yielded(delivery)) for delivery in deliveries]

    @gen.coroutine
    def flow(self):
        """Writes on and on until ``going`` is set to False."""
        self.going = True
        while self.going:
            yield self.put(self.partitions)
            yield gen.sleep(0.05)

    @gen.coroutine
    def stop(self):
        yield self.producer.close()


@gen.coroutine
def all_arrive(source, *members, **options):
    """Waits until the members were handed all that was sent; each message once, unless a crash repeats some."""
    repeats = options.pop("repeats", False)

    def got():
        return sum([member.got for member in members], [])

    yield loop.until(lambda: len(set(got())) == source.sent, PATIENCE)
    yield gen.sleep(0.3)  # for what should not come
    assert sorted(set(got())) == list(range(source.sent))
    if not repeats:
        assert len(got()) == source.sent, collections.Counter(got()).most_common(5)


@gen.coroutine
def shared_out(count, *members):
    """Waits until the members own so many partitions, each one of them, and nobody another's."""
    def done():
        owned = [partition for member in members for partition in member.owned]
        return sorted(owned) == list(range(count)) and all(member.owned for member in members)
    yield loop.until(done, PATIENCE)


def no_two_owners(*members):
    """By the members' own records, nobody has a partition before the one before has let it go."""
    events = sorted(entry + (member,) for member in members for entry in member.ledger)
    owners = {}
    for when, what, partition, member in sorted(events, key=lambda entry: entry[0]):
        if what == "assigned":
            assert partition not in owners, (when, partition)
            owners[partition] = member
        else:
            assert owners.pop(partition, None) in (member, None), (when, what, partition)


class Child(object):
    """A member in a process of its own; what it is handed, owns and loses, it prints."""

    def __init__(self, kafka, group, topic, **settings):
        settings.setdefault("group_protocol", "consumer")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps([kafka.bootstrap, group, topic, settings])],
            stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1"),
        )
        self.lines = []
        self.topic = topic
        thread = threading.Thread(target=self.read)
        thread.daemon = True
        thread.start()

    def read(self):
        for line in iter(self.process.stdout.readline, b""):
            self.lines.append(json.loads(line.decode("ascii")))

    def said(self, what):
        return [value for name, value in list(self.lines) if name == what]

    @property
    def got(self):
        return sum(self.said("got"), [])

    @property
    def owned(self):
        return (self.said("owns") or [[]])[-1]

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


CHILD = """
import json, sys, time
from tornado import gen, ioloop
from kiel import clients, exc
brokers, group, topic, settings = json.loads(sys.argv[1])
pauses = settings.pop("pauses", [])

def say(what, value):
    sys.stdout.write(json.dumps([what, value]) + "\\n")
    sys.stdout.flush()

@gen.coroutine
def main():
    consumer = clients.GroupedConsumer(
        brokers, group, topics=[topic], deserializer=bytes, max_wait_time=100, autocommit="processed",
        on_lost=lambda lost: say("lost", lost.get(topic)),
        on_rebalance=lambda revoked, assigned: say("changed", [revoked.get(topic), assigned.get(topic)]), **settings
    )
    yield consumer.connect()
    owned = None
    while True:
        found = yield consumer.consume(topic)
        if consumer.allocation.get(topic, []) != owned:
            owned = consumer.allocation.get(topic, [])
            say("owns", owned)
        if found:
            say("got", [int(value) for value in found])
        if pauses and found:
            say("blocks", time.time())
            time.sleep(pauses.pop())
            say("goes on", time.time())

ioloop.IOLoop.current().run_sync(main)
"""


class Described(object):
    """A group as its coordinator describes it."""

    def __init__(self, kafka, group, topic):
        self.admin = clients.Admin(kafka.bootstrap)
        self.group = group
        self.topic = topic
        self.shares = {}

    @gen.coroutine
    def settled(self, count, members):
        """Waits until so many members have so many partitions, each once, and are to have no others."""
        yield self.admin.connect()
        deadline = time.time() + PATIENCE
        while True:
            found = (yield self.admin.describe_groups([self.group]))[self.group]
            self.shares = dict((member.client_id, member.assignment.get(self.topic, [])) for member in found.members)
            owned = sorted(sum(self.shares.values(), []))
            still = all(member.assignment == member.target for member in found.members)
            if still and len(found.members) == members and owned == list(range(count)) and all(self.shares.values()):
                return
            assert time.time() < deadline, found
            yield gen.sleep(0.2)
