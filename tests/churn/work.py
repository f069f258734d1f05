"""
Workers under churn, and what their ledgers say: ``python -m tests.churn.work``.

Workers come, go and die, and the broker is started anew, while messages of some keys are written, among them some that
always fail and some that do not deserialise. In the end each message has been done, or is a dead letter; those of a key
in their order and never two at once; and what was done twice was so because a worker was killed.
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from tornado import gen, ioloop

from kiel import clients, testing

from tests.churn import ledger, run
from tests.integration.peer import Writer

#: what happens when, in a run of so many seconds: (part of the time, what, slot)
PLAN = (
    (.00, "start", 0), (.00, "start", 1), (.15, "start", 2), (.30, "leave", 0), (.40, "kill", 1), (.45, "start", 0),
    (.60, "restart", None), (.80, "start", 1), (.90, "leave", 2),
)

#: seconds for what is left at the end: a death has to be noticed first
SETTLE = 60


class Check(object):
    """
    Decides on the ledgers: ``problems`` is a list of sentences, empty if all is well; ``counts`` tells what there was.

    :param records: all that was written, raw
    :param dead: all dead letters, raw
    :param entries: the ledgers' entries, in order; "kill" is the driver's
    :param again: whether messages may be worked on again, and by two at once, though nobody was killed: where results
        are committed with their offsets, that is of no harm, and what could not be committed in time is done again
    """

    def __init__(self, records, dead, entries, order="key", again=False):
        self.records = dict(((record.partition, record.offset), record) for record in records)
        self.entries = entries
        self.problems = []
        self.counts = collections.Counter(entry["e"] for entry in entries)
        self.killed = dict((entry["m"], entry["t"]) for entry in entries if entry["e"] == "kill")
        #: (partition, offset) -> [(time, member)], of what ended well
        self.done = collections.defaultdict(list)
        #: [(begin, end, partition, offset, member)] of each call of a handler
        self.calls = []
        self._follow()
        self._check_dead(dead)
        self._check_lost()
        self._check_twice(again)
        if again:
            return
        self._check_order((lambda key: self.records[key].key) if order == "key" else (lambda key: key[0]))

    def _follow(self):
        under_way = {}
        for entry in self.entries:
            if "p" not in entry:
                continue
            key = entry["p"], entry["o"]
            call = (entry["m"],) + key
            if entry["e"] == "begin":
                if call in under_way:
                    self.problems.append("%s began %s:%s twice at once" % call)
                under_way[call] = entry["t"]
                continue
            begun = under_way.pop(call, None)
            if begun is None:
                self.problems.append("%s ended %s:%s, which it had not begun" % call)
                continue
            self.calls.append((begun, entry["t"]) + key + (entry["m"],))
            if entry["e"] == "done":
                self.done[key].append((entry["t"], entry["m"]))
        for (member, partition, offset), begun in under_way.items():
            if member not in self.killed:
                self.problems.append("%s never ended %s:%s" % (member, partition, offset))
            else:
                self.calls.append((begun, self.killed[member], partition, offset, member))
        self.calls.sort()

    def _check_dead(self, dead):
        """Each message that fails for good is a dead letter, whole."""
        self.dead = collections.Counter()
        for letter in dead:
            told = dict(letter.headers)
            key = int(told["kiel.error.partition"]), int(told["kiel.error.offset"])
            self.dead[key] += 1
            record = self.records.get(key)
            if record is None or (letter.key, letter.value) != (record.key, record.value):
                self.problems.append("the dead letter of %s:%s is not what was written" % key)
            if not (told["kiel.error.type"] == b"ValueError" or b"JSON" in told["kiel.error.type"]):
                self.problems.append("%s:%s is dead of %s" % (key + (told["kiel.error.type"],)))
        wanted = set(key for key, record in self.records.items() if how(record) != "fine")
        missing, beyond = wanted - set(self.dead), set(self.dead) - wanted
        if missing:
            self.problems.append("no dead letters: %s" % sorted(missing)[:10])
        if beyond:
            self.problems.append("dead, and not meant to be: %s" % sorted(beyond)[:10])
        self.counts["dead"] = len(self.dead)

    def _check_lost(self):
        lost = sorted(key for key in self.records if key not in self.done and key not in self.dead)
        if lost:
            self.problems.append("%d of %d messages lost: %s" % (len(lost), len(self.records), lost[:10]))

    def _check_twice(self, again):
        """What was done twice was done before by one that was killed."""
        for key, times in sorted(self.done.items()):
            if len(times) > 1:
                self.counts["twice"] += 1
                if not again and any(member not in self.killed for _, member in times[:-1]):
                    self.problems.append("%s:%s was done by %s" % (key + (times,)))
        twice = [key for key, number in self.dead.items() if number > 1]
        self.counts["dead twice"] = len(twice)
        if twice and not self.killed:
            self.problems.append("dead letters written twice, though nobody was killed: %s" % twice)

    def _check_order(self, lane):
        """Of what has an order, never two were at work at once, and each was ended before the next was begun."""
        lanes = collections.defaultdict(list)
        for call in self.calls:
            lanes[lane(call[2:4])].append(call)
        for name, calls in sorted(lanes.items(), key=repr):
            first, highest = {}, None
            for before, after in zip(calls, calls[1:]):
                if after[0] < before[1]:
                    self.problems.append("%r: %s was begun while %s was at work" % (name, after, before))
            for begun, ended, partition, offset, member in calls:
                if (partition, offset) in first:
                    continue
                first[partition, offset] = begun
                if highest is not None and offset < highest:
                    self.problems.append("%r: %s:%s was begun after %s" % (name, partition, offset, highest))
                highest = offset


def once(records, results, dead):
    """
    Return what is wrong with the results of workers that work exactly once, as sentences.

    :param records: all that was written, raw
    :param results: what a ``read_committed`` consumer gets of their results, in the order of each partition
    :param dead: the same of the dead letters
    """
    problems = []
    origins = [json.loads(result.value.decode("ascii")) for result in results]
    found = collections.Counter((origin["p"], origin["o"]) for origin in origins)
    found.update((int(told["kiel.error.partition"]), int(told["kiel.error.offset"]))
                 for told in (dict(letter.headers) for letter in dead))
    wanted = set((record.partition, record.offset) for record in records)
    for text, wrong in [
            ("without a result", wanted - set(found)), ("with a result, and not written", set(found) - wanted),
            ("with several results", [key for key, number in found.items() if number > 1])]:
        if wrong:
            problems.append("%d messages %s: %s" % (len(wrong), text, sorted(wrong)[:10]))
    last = {}
    for result, origin in zip(results, origins):
        if last.get(result.key, -1) >= origin["o"]:
            problems.append("%r: the result of %s came after that of %s" % (result.key, origin["o"], last[result.key]))
        last[result.key] = origin["o"]
    return problems


def how(record):
    """What becomes of a message: "fine", "fails" or "poison"."""
    try:
        return json.loads(record.value.decode("utf-8"))["how"]
    except ValueError:
        return "poison"


class Work(object):
    """
    One run; `main` gives the `Check`.

    :param kafka: a started cluster with the settings of `tests.churn.run.BROKER`
    :param directory: for ledgers and logs, empty
    :param plan: as `PLAN`
    """

    def __init__(self, kafka, directory, options, seed=0, seconds=10.0, partitions=6, keys=40, rate=150, plan=PLAN,
                 order="key", pythons=(sys.executable,), name="worked", once=False):
        self.kafka = kafka
        self.directory = directory
        self.options = dict(
            session_timeout=run.SESSION, heartbeat_interval=run.HEARTBEAT, rebalance_timeout=30, order=order, once=once,
            **options)
        self.once = once
        self.rnd = random.Random(seed)
        self.seconds = seconds
        self.partitions = partitions
        self.keys = [("k%d" % number).encode("ascii") for number in range(keys)]
        self.rate = rate
        self.plan = plan
        self.order = order
        self.pythons = pythons
        self.topic = self.group = name
        self.written = 0
        self.disturbed = False
        self.born = 0
        #: slot -> (name, process), and all processes by name
        self.slots, self.processes = {}, {}
        self.fd = os.open(os.path.join(directory, "driver.ledger"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @gen.coroutine
    def main(self):
        """Runs it all."""
        self.kafka.create_topic(self.topic, self.partitions)
        self.kafka.create_topic(self.topic + ".dead", 2)
        self.kafka.create_topic(self.topic + ".out", 3)
        writer = Writer(self.kafka.plaintext, request_timeout=10)
        try:
            yield writer.connect()
            yield [self.write(writer), self.disturb()]
            records = yield self.read(self.topic)
            yield self.settle(records)
        finally:
            yield self.end()
            yield writer.close()
        dead = yield self.read(self.topic + ".dead")
        check = Check(records, dead, self.entries(), self.order,
                      again=self.once and any(step[1] in ("restart", "pause") for step in self.plan))
        if self.once:
            results = yield self.read(self.topic + ".out")
            check.problems.extend(once(records, results, dead))
            check.counts["results"] = len(results)
        for name, process in sorted(self.processes.items()):
            if process.returncode == -signal.SIGTERM and not any(entry["m"] == name for entry in check.entries):
                continue  # told to leave while it still was importing
            if process.returncode and name not in check.killed:
                check.problems.append("%s ended with %s" % (name, process.returncode))
        raise gen.Return(check)

    @gen.coroutine
    def write(self, writer):
        """Writes messages of one key after the other, each key to one partition."""
        begun = time.time()
        while time.time() < begun + self.seconds or not self.disturbed:
            if self.written > (time.time() - begun) * self.rate:
                yield gen.sleep(.01)
                continue
            number = self.rnd.randrange(len(self.keys))
            values = [self.value() for _ in range(self.rnd.randint(1, 5))]
            yield writer.put(self.topic, number % self.partitions, values, [int(1000 * time.time())] * len(values),
                             key=self.keys[number])
            self.written += len(values)

    def value(self):
        """One message."""
        number = self.rnd.random()
        if number < .01:
            return b"{poison"
        return json.dumps({"how": "fails" if number < .02 else "fine"}).encode("ascii")

    @gen.coroutine
    def disturb(self):
        """Does what the plan says."""
        begun = time.time()
        for part, what, slot in self.plan:
            yield gen.sleep(max(0, begun + part * self.seconds - time.time()))
            if what == "restart":
                node = self.kafka.nodes[0]
                node.stop()  # killed, it would wait for its own session to end
                node.start()
            else:
                if what not in ("start", "resume"):
                    yield self.begun(slot)
                elif what == "start" and self.once and slot in self.slots:  # two with one id would fence each other
                    yield self.left(slot)
                getattr(self, what)(slot)
        self.disturbed = True

    @gen.coroutine
    def begun(self, slot):
        """Waits until a worker is at work, or at least has had the time for it."""
        deadline = time.time() + 20
        path = os.path.join(self.directory, self.slots[slot][0] + ".ledger")
        while time.time() < deadline and not (os.path.exists(path) and os.path.getsize(path)):
            yield gen.sleep(.05)

    @gen.coroutine
    def left(self, slot):
        """Waits until a worker that was told to leave has."""
        while self.slots[slot][1].poll() is None:
            yield gen.sleep(.05)

    def start(self, slot):
        """Starts a worker."""
        self.born += 1
        name = "%d.%d" % (slot, self.born)
        path = os.path.join(self.directory, name)
        with open(path + ".log", "wb") as log:
            process = subprocess.Popen(
                [self.pythons[self.born % len(self.pythons)], "-m", "tests.churn.working",
                 ",".join(self.kafka.bootstrap), self.group, self.topic, name, path + ".ledger",
                 json.dumps(self.options)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=run.ROOT, close_fds=True)
        self.slots[slot] = name, process
        self.processes[name] = process

    def leave(self, slot):
        """Has a worker leave in good order."""
        self.slots[slot][1].send_signal(signal.SIGTERM)

    def kill(self, slot):
        """Ends a worker without a word."""
        name, process = self.slots[slot]
        process.kill()
        process.wait()
        ledger.append(self.fd, t=time.time(), m=name, e="kill")

    def pause(self, slot):
        """Has a worker stand still, for long enough that others take its partitions."""
        self.slots[slot][1].send_signal(signal.SIGSTOP)

    def resume(self, slot):
        """Has it go on, with a transaction open."""
        self.slots[slot][1].send_signal(signal.SIGCONT)

    @gen.coroutine
    def read(self, topic):
        """All records of a topic, raw."""
        consumer = clients.SingleConsumer(self.kafka.bootstrap, deserializer=bytes, max_wait_time=200,
                                          isolation_level="read_committed")
        yield consumer.connect(timeout=30)
        records, ends = [], (yield consumer.end_offsets(topic))
        while any((consumer.position(topic, partition) or 0) < end for partition, end in ends.items()):
            records.extend((yield consumer.consume_records(topic, start=consumer.BEGINNING)))
        yield consumer.close()
        raise gen.Return(records)

    @gen.coroutine
    def settle(self, records):
        """Waits until all that can be done is, or too long; what is left then the check tells."""
        wanted = set((record.partition, record.offset) for record in records if how(record) == "fine")
        wrong = sum(how(record) != "fine" for record in records)
        deadline = time.time() + SETTLE
        while time.time() < deadline:
            done = set((entry["p"], entry["o"]) for entry in self.entries() if entry["e"] == "done")
            if self.once:
                results = yield self.read(self.topic + ".out")
                done &= set((one["p"], one["o"]) for one in (
                    json.loads(result.value.decode("ascii")) for result in results))
            if wanted <= done and len((yield self.read(self.topic + ".dead"))) >= wrong:
                return
            yield gen.sleep(.3)

    @gen.coroutine
    def end(self):
        """Has all workers leave, in good order if they can."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        deadline = time.time() + 30
        while time.time() < deadline and any(process.poll() is None for process in self.processes.values()):
            yield gen.sleep(.05)
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()
        os.close(self.fd)

    def entries(self):
        """The ledgers so far."""
        names = [name for name in os.listdir(self.directory) if name.endswith(".ledger")]
        return ledger.load([os.path.join(self.directory, name) for name in names])


def at_random(seed, seconds, slots, pace, kills=True, restarts=True, pauses=False):
    """A plan of a long run: two workers at least are always there."""
    rnd = random.Random(seed)
    plan = [(0.0, "start", 0), (0.0, "start", 1)]
    up, now = {0, 1}, 3.0
    while now < seconds:
        slot = rnd.randrange(slots)
        if pauses and rnd.random() < .25 and len(up) > 2 and slot in up and now < seconds - 10:
            plan += [(now / seconds, "pause", slot), ((now + 3 * run.SESSION) / seconds, "resume", slot)]
            now += 3 * run.SESSION
        elif rnd.random() < .1 and restarts:
            plan.append((now / seconds, "restart", None))
            now += 5
        elif slot not in up:
            plan.append((now / seconds, "start", slot))
            up.add(slot)
        elif len(up) > 2:
            plan.append((now / seconds, rnd.choice(("leave", "kill")) if kills else "leave", slot))
            up.discard(slot)
        now += rnd.expovariate(1.0 / pace)
    return plan


def main():
    """Reads the options, runs, and ends with 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.churn.work", description="Workers under churn.")
    parser.add_argument("--seed", type=int, help="of what happens when; printed, and at random by default")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="consumer")
    parser.add_argument("--order", choices=("key", "partition"), default="key")
    parser.add_argument("--workers", type=int, default=5, help="at most")
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--pace", type=float, default=3.0, help="seconds between two disturbances, on average")
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--once", action="store_true", help="exactly once, with a producer")
    parser.add_argument("--no-kills", action="store_true", help="then nothing may be done twice")
    parser.add_argument("--pauses", action="store_true", help="workers stand still, too; with --once")
    parser.add_argument("--kafka", default="4.4.0")
    parser.add_argument("--python", action="append", help="interpreters of the workers, in turn; default: this one")
    args = parser.parse_args()
    seed = random.randrange(10 ** 6) if args.seed is None else args.seed
    directory = tempfile.mkdtemp(prefix="work-")
    print("--seed %d; ledgers in %s" % (seed, directory))
    sys.stdout.flush()
    with testing.Kafka(args.kafka, settings=run.BROKER) as kafka:
        work = Work(
            kafka, directory, dict(group_protocol=args.protocol), seed, args.seconds, args.partitions, rate=args.rate,
            order=args.order, once=args.once, pythons=args.python or [sys.executable],
            plan=at_random(seed, args.seconds, args.workers, args.pace, kills=not args.no_kills,
                           pauses=args.pauses))
        check = ioloop.IOLoop.current().run_sync(work.main)
    print(", ".join("%d %s" % (check.counts[name], name) for name in sorted(check.counts)))
    for problem in check.problems[:40]:
        print(problem)
    print("%d problems" % len(check.problems))
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
