"""The driver: starts a Kafka, a producer and the members' processes, and does to them what a seed says."""
from __future__ import absolute_import

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

from tornado import gen, ioloop

from kiel import testing

from tests.churn import ledger
from tests.integration.peer import Writer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: seconds of silence after which a member is taken for dead, and between its signs of life
SESSION, HEARTBEAT = 6.0, 1.0

#: seconds of standing still from which on a member may be taken for dead
PATIENCE = SESSION - 2 * HEARTBEAT

#: what the broker is told for next-generation groups, whose members can't choose
BROKER = {
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000, "group.consumer.session.timeout.ms": int(1000 * SESSION),
    "group.consumer.min.heartbeat.interval.ms": 500, "group.consumer.heartbeat.interval.ms": int(1000 * HEARTBEAT),
    # what a worker that was killed has left open is ended soon after its time, not up to ten seconds later
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
}

#: seconds after the last message in which all have to be processed: deaths have to be noticed first
SETTLE = 60


def schedule(seed, seconds, slots, pace):
    """
    What happens to which slot when: a sorted list of (second, slot, what); the same for the same numbers.

    At least two slots have a member that is neither dead nor standing still.

    :param pace: seconds between two things, on average
    """
    rnd = random.Random(seed)
    events = [(.3 * slot, slot, "start") for slot in range((slots + 1) // 2)]
    up = dict((slot, 0) for _, slot, _ in events)  # slot -> when it moves again
    now = 3.0
    while now < seconds:
        awake = [slot for slot in sorted(up) if up[slot] <= now]
        down = [slot for slot in range(slots) if slot not in up]
        slot = rnd.choice(down if len(awake) <= 2 and down else awake + down)
        what = rnd.choice(("leave",) * 7 + ("kill",) * 5 + ("blink",) * 3 + ("pause",) * 5)
        if slot in down:
            events.append((now, slot, "start"))
            up[slot] = now + 2
        elif len(awake) > 2:
            if what in ("leave", "kill"):
                events.append((now, slot, what))
                del up[slot]
            else:
                length = rnd.uniform(.2, 1) if what == "blink" else SESSION + rnd.uniform(1, 4)
                events += [(now, slot, "pause"), (now + length, slot, "resume")]
                up[slot] = now + length
        now += rnd.expovariate(1.0 / pace)
    return sorted(events)


class Slot(object):
    """A place for one member at a time; the processes of earlier ones may still be saying goodbye."""

    def __init__(self, run, number):
        self.run = run
        self.number = number
        self.born = 0
        self.name = self.process = None

    def start(self):
        """Starts a new member."""
        self.born += 1
        self.name = "%d.%d" % (self.number, self.born)
        path = os.path.join(self.run.directory, self.name)
        python = self.run.pythons[self.number % len(self.run.pythons)]
        with open(path + ".log", "wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "tests.churn.member", ",".join(self.run.kafka.bootstrap), self.run.group,
                 self.run.topic, self.name, path + ".ledger", json.dumps(self.run.options)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, close_fds=True)
        self.run.processes[self.name] = self.process

    def leave(self):
        """Has the member leave in good order."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        """Ends the member without a word."""
        self.run.note("kill", self.name)
        self.run.killed.add(self.name)
        self.process.kill()

    def pause(self):
        """Has the member stand still."""
        self.run.note("pause", self.name)
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Has it go on."""
        self.run.note("resume", self.name)
        self.process.send_signal(signal.SIGCONT)


class Run(object):
    """
    One run; `main` gives the `tests.churn.ledger.Checker`.

    :param kafka: a started cluster with the settings `BROKER`
    :param directory: for ledgers and logs, empty
    :param options: of the members' `kiel.clients.GroupedConsumer`
    :param pythons: interpreters, used in turn
    """

    def __init__(self, kafka, directory, options, seed, seconds, slots=8, partitions=24, pace=2.0, rate=200,
                 pythons=(sys.executable,), topic="churned", group="churning"):
        self.topic = topic
        self.group = group
        self.kafka = kafka
        self.directory = directory
        self.options = dict(
            session_timeout=SESSION, heartbeat_interval=HEARTBEAT,
            # the messages of one consume() have to be done with in that time, also when there is much to catch up
            rebalance_timeout=30, max_bytes=16 * 1024, **options)
        self.events = schedule(seed, seconds, slots, pace)
        self.seconds = seconds
        self.partitions = partitions
        self.rate = rate
        self.pythons = pythons
        self.slots = [Slot(self, number) for number in range(slots)]
        self.processes = {}
        self.killed = set()
        #: partition -> messages written
        self.ends = collections.Counter()
        self.fd = os.open(os.path.join(directory, "driver.ledger"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, event, member):
        """Adds to the driver's ledger."""
        ledger.append(self.fd, t=time.time(), m=member, e=event)

    @gen.coroutine
    def main(self):
        """Runs it all."""
        self.kafka.create_topic(self.topic, self.partitions)
        writer = Writer(self.kafka.plaintext, request_timeout=10)
        try:
            yield writer.connect()
            yield [self.write(writer), self.disturb()]
            yield self.settle()
        finally:
            yield self.end()
            yield writer.close()
        checker = self.check()
        codes = dict((name, process.returncode) for name, process in self.processes.items())
        for name in sorted(codes):
            begun = os.path.exists(os.path.join(self.directory, name + ".ledger"))
            if codes[name] == -signal.SIGTERM and not begun:
                continue  # told to leave while it still was importing
            if codes[name] and name not in self.killed:
                checker.problems.append("%s ended with %s" % (name, codes[name]))
        raise gen.Return(checker)

    @gen.coroutine
    def write(self, writer):
        """Writes batches of a few messages to one partition after the other."""
        rnd = random.Random(0)
        begun = time.time()
        written = 0
        while time.time() < begun + self.seconds:
            if written > (time.time() - begun) * self.rate:
                yield gen.sleep(.01)
                continue
            partition, count = rnd.randrange(self.partitions), rnd.randint(1, 9)
            # of now: what is old by its time would be deleted under the members' eyes
            now = int(1000 * time.time())
            first = yield writer.put(self.topic, partition, [b"x" * 20] * count, [now] * count)
            self.ends[partition] = first + count
            written += count

    @gen.coroutine
    def disturb(self):
        """Does what the schedule says."""
        begun = time.time()
        for second, slot, what in self.events:
            yield gen.sleep(max(0, begun + second - time.time()))
            getattr(self.slots[slot], what)()

    @gen.coroutine
    def settle(self):
        """Waits until all is processed, or too long."""
        deadline = time.time() + SETTLE
        while time.time() < deadline:
            yield gen.sleep(1)
            done = set((entry["p"], entry["o"]) for entry in self.entries() if entry["e"] == "done")
            if len(done) >= sum(self.ends.values()):
                return

    @gen.coroutine
    def end(self):
        """Has all members leave, in good order if they can."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        deadline = time.time() + 20
        while time.time() < deadline and any(process.poll() is None for process in self.processes.values()):
            yield gen.sleep(.1)
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()
        os.close(self.fd)

    def entries(self):
        """The ledger so far."""
        names = [name for name in os.listdir(self.directory) if name.endswith(".ledger")]
        return ledger.load([os.path.join(self.directory, name) for name in names])

    def check(self):
        """What the checker says."""
        return ledger.Checker(self.entries(), self.ends, PATIENCE)


def churn(directory, version="4.4.0", **settings):
    """Starts a Kafka and runs once against it; gives the checker."""
    with testing.Kafka(version, settings=BROKER) as kafka:
        run = Run(kafka, directory, **settings)
        return ioloop.IOLoop.current().run_sync(run.main)
