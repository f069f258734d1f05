"""Members of classic groups on a real broker, in this process and in others."""
from __future__ import absolute_import

import collections
import os
import subprocess
import sys

from tornado import gen, ioloop

from kiel import clients, events
from kiel.groups.classic.states import STABLE
from kiel.testing.releases import numbers

from tests import loop
from tests.integration import members

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: seconds of a session in these tests; brokers are told to allow that
SESSION = 2.0

#: before 0.10.1 a session's time is a rebalance's, too: enough for one on a busy machine
SESSION_OF_OLD = 5.0
SETTINGS = {"group.min.session.timeout.ms": 500, "offsets.topic.num.partitions": 4}

#: seconds that a step may take
PATIENCE = 30

#: seconds for an answer
REQUEST_TIMEOUT = 8


def run(body, timeout=2 * PATIENCE):
    loop.run(gen.coroutine(body), timeout=timeout)


def in_thread(function, *args):
    """Runs what blocks in a thread; gives a Future."""
    return events.run_blocking(ioloop.IOLoop.current(), function, *args)


def session_of(kafka):
    """The session's time that suits a release."""
    return SESSION if numbers(kafka.version) >= (0, 10, 1) else SESSION_OF_OLD


def make(brokers, group, **settings):
    """A member whose death is noticed soon."""
    # Kafka 0.9 drops what came on other connections together with a question for versions, which it does not know
    # ("Processor got uncaught exception" in its log): such a request is never answered, and sent again after this
    settings.setdefault("request_timeout", REQUEST_TIMEOUT)
    settings.setdefault("max_wait_time", 100)
    settings.setdefault("session_timeout", SESSION)
    settings.setdefault("heartbeat_interval", 0.2)
    settings.setdefault("rebalance_timeout", 10)
    settings.setdefault("group_protocol", "classic")
    settings.setdefault("autocommit", "processed")
    settings.setdefault("slow_callback", None)
    return clients.GroupedConsumer(brokers, group, deserializer=bytes, **settings)


class Member(members.Reader):
    """A reader; ``told`` are its callbacks, ``work`` is called with what it was handed."""

    def __init__(self, kafka, group, topic, mode="range", **settings):
        self.told = []
        settings.setdefault("session_timeout", session_of(kafka))
        super(Member, self).__init__(make(
            kafka.bootstrap, group, topics=[topic], assignors=[mode], on_rebalance=self.rebalanced, on_lost=self.lost,
            **settings
        ), topic)
        self.work = lambda messages: None

    def rebalanced(self, revoked, assigned):
        self.told.append((sorted(revoked.get(self.topic, ())), sorted(assigned.get(self.topic, ()))))

    def lost(self, lost):
        self.told.append(("lost", sorted(lost.get(self.topic, ()))))

    def took(self, found):
        super(Member, self).took(found)
        self.work(found)

    @property
    def allocator(self):
        return self.consumer.allocator

    @property
    def generation(self):
        return self.allocator.identity[1]

    @property
    def losses(self):
        return [entry for entry in self.told if entry[0] == "lost"]


def Source(kafka, topic, partitions):
    return members.Source(kafka, topic, partitions, PATIENCE, request_timeout=REQUEST_TIMEOUT)


def counted(*members):
    return collections.Counter(int(value) for member in members for value in member.got)


@gen.coroutine
def all_arrive(source, *members):
    """Waits until the members were handed all that was sent; then each message once."""
    yield loop.until(lambda: len(counted(*members)) >= len(source.sent), PATIENCE)
    yield gen.sleep(0.3)  # for what should not come
    twice = sorted(number for number, times in counted(*members).items() if times > 1)
    assert not twice and len(counted(*members)) == len(source.sent)


@gen.coroutine
def shared_out(count, *members):
    """Waits until the members own all partitions of the topic, each one of them, and nobody another's."""
    def done():
        owned = [item for member in members for item in member.owned]
        return (
            sorted(owned) == list(range(count)) and all(member.owned for member in members) and
            all(member.allocator.state == STABLE for member in members) and
            len(set(member.generation for member in members)) == 1
        )
    try:
        yield loop.until(done, PATIENCE)
    except AssertionError:
        raise AssertionError([(member.owned, member.allocator.state, member.generation) for member in members])


CHILD = """
import sys
from tornado import gen, ioloop
from tests.integration.classic import make

def say(*words):
    print(" ".join(str(word) for word in words))
    sys.stdout.flush()

brokers, group, topic, mode, slow, session_timeout = sys.argv[1:]

@gen.coroutine
def on_rebalance(revoked, assigned):
    say("rebalance", len(revoked.get(topic, ())), len(assigned.get(topic, ())))
    if revoked:
        yield gen.sleep(float(slow))

consumer = make(
    brokers, group, topics=[topic], assignors=[mode], autocommit=True, on_rebalance=on_rebalance,
    session_timeout=float(session_timeout),
    on_lost=lambda lost: say("lost", len(lost.get(topic, ()))),
)

@gen.coroutine
def main():
    yield consumer.connect()
    while True:
        messages = yield consumer.consume(topic)
        if messages:
            say(*["handed"] + [message.decode() for message in messages])

ioloop.IOLoop.current().run_sync(main)
"""


class Child(object):
    """A member that is a process of its own, so that it can be killed and paused."""

    def __init__(self, kafka, group, topic, mode, path, slow=0):
        self.path = str(path)
        with open(self.path, "w") as target:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD, ",".join(kafka.bootstrap), group, topic, mode, str(slow),
                 str(session_of(kafka))],
                stdout=target, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1"),
            )

    @property
    def lines(self):
        with open(self.path) as lines:
            return [line.split() for line in lines if line.endswith("\n")]

    def handed(self, since=0):
        return [int(number) for line in self.lines[since:] if line[0] == "handed" for number in line[1:]]

    @property
    def owns(self):
        owned = 0
        for line in self.lines:
            if line[0] == "rebalance":
                owned += int(line[2]) - int(line[1])
            elif line[0] == "lost":
                owned -= int(line[1])
        return owned

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
