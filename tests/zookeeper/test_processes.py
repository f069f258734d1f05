"""Members in processes of their own: forked, stopped, killed, and of another Python."""
from __future__ import absolute_import

import json
import os
import signal
import subprocess
import sys
import time

from kazoo import client
import pytest

from kiel import allocation
from kiel.zookeeper import party

from .world import topics

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: a member that prints, each 5 ms, the clock and what it may fetch now
CHILD = """
import json, sys, time
from tornado import gen, ioloop
from kiel import allocation
from kiel.zookeeper import allocator

hosts, group, name, session_timeout, count = sys.argv[1:]
member = allocator.PartitionAllocator(
    [hosts], group, name, allocation.naive_allocator, session_timeout=float(session_timeout))

def show():
    owned = {} if member.paused else member.allocation
    # looked at again after the clock: what is printed was true at that time
    now = time.time()
    print(json.dumps([now, {} if member.paused else owned, member.consumer_name]))
    sys.stdout.flush()

@gen.coroutine
def main():
    yield member.start({"t": list(range(int(count)))})
    ioloop.PeriodicCallback(show, 5).start()

loop = ioloop.IOLoop.current()
loop.add_callback(main)
loop.start()
"""


#: a member whose application is stopped by Ctrl-C, and calls 0.9's `close` with the loop left; or forgets even that
LEFT = """
import os, signal, sys
from tornado import gen, ioloop
from kiel import allocation
from kiel.zookeeper import allocator

hosts, group, closes = sys.argv[1:]
member = allocator.PartitionAllocator([hosts], group, "host:1", allocation.naive_allocator, session_timeout=20.0)

@gen.coroutine
def main():
    yield member.start({"t": [0]})
    print("in")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGINT)

loop = ioloop.IOLoop.current()
loop.add_callback(main)
try:
    loop.start()
except KeyboardInterrupt:
    if closes == "True":
        member.stop()
"""


class Child(object):
    """A member in a process."""

    def __init__(self, zk, group, name, tmpdir, session_timeout=2.0, count=4, python=sys.executable):
        self.out = str(tmpdir.join(name.replace(":", "-")))
        environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1")
        with open(self.out, "w") as out:
            self.process = subprocess.Popen(
                [python, "-c", CHILD, zk.hosts, group, name, str(session_timeout), str(count)],
                stdout=out, env=environment, cwd=ROOT,
            )

    def samples(self):
        """[(clock, set of items, name)]; a last line that is not whole yet is left out."""
        with open(self.out) as lines:
            found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [(at, allocation.flatten(owned), name) for at, owned, name in found]

    @property
    def items(self):
        samples = self.samples()
        return samples[-1][1] if samples else set()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def children():
    running = []
    yield running
    for child in running:
        child.end()


def wait(condition, seconds=15.0):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "waited %s s in vain" % seconds
        time.sleep(0.02)


def text(path):
    with open(path) as source:
        return source.read()


def owned_by(*members):
    return sorted(item for child in members for item in child.items)


def spans(samples, gap=0.05):
    """[(item, begin, end)]: from when to when each item was owned; a silence longer than the gap is no owning."""
    found, open_spans, last = [], {}, None
    for at, items, _ in samples:
        for item in list(open_spans):
            if item not in items or at - last > gap:
                found.append((item, open_spans.pop(item), last))
        for item in items:
            open_spans.setdefault(item, at)
        last = at
    return found + [(item, begin, last) for item, begin in open_spans.items()]


def overlaps(one, other):
    """Where both say at the same time that they own an item: [(item, time)]."""
    others = spans(other.samples())
    return [
        (item, begin) for item, begin, end in spans(one.samples())
        for other_item, other_begin, other_end in others
        if item == other_item and begin < other_end and other_begin < end
    ]


def test_the_overlap_check_can_fail():
    samples = [(0.00, set("a"), ""), (0.01, set("a"), ""), (0.02, set("ab"), ""), (0.03, set("b"), ""),
               (0.04, set("b"), ""), (1.00, set("b"), ""), (1.01, set("b"), "")]
    assert sorted(spans(samples)) == [("a", 0.00, 0.02), ("b", 0.02, 0.04), ("b", 1.00, 1.01)]


def test_d52_a_member_that_stood_still_never_shares_a_partition(zk, group, children, tmpdir):
    """SIGSTOP for longer than the session: the other takes over, the stopped one wakes up and must know."""
    one, two = [Child(zk, group, "host:%d" % number, tmpdir) for number in (1, 2)]
    children.extend([one, two])
    everything = sorted(allocation.flatten(topics(4)))
    wait(lambda: owned_by(one, two) == everything and one.items and two.items)
    for _ in range(2):
        one.signal(signal.SIGSTOP)
        wait(lambda: sorted(two.items) == everything)
        one.signal(signal.SIGCONT)
        wait(lambda: len(one.items) == len(two.items) == 2)
        assert owned_by(one, two) == everything
    assert overlaps(one, two) == []
    # the check can fail
    assert overlaps(one, one) != []


def test_a_killed_member_frees_its_partitions(zk, group, children, tmpdir):
    one, two = [Child(zk, group, "host:%d" % number, tmpdir) for number in (1, 2)]
    children.extend([one, two])
    everything = sorted(allocation.flatten(topics(4)))
    wait(lambda: owned_by(one, two) == everything and one.items and two.items)
    one.signal(signal.SIGKILL)
    one.process.wait()
    wait(lambda: sorted(two.items) == everything)
    assert overlaps(one, two) == []


def test_d55_forked_processes_have_different_names(zk, group):
    """The name is made before the fork, as at import time; each process then joins."""
    name = "host:%d" % id(zk)
    pipes = []
    for _ in range(3):
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                conn = client.KazooClient(hosts=zk.hosts, timeout=4.0)
                conn.start()
                joined = party.Party(conn, name, "/kiel/groups/%s/members" % group, lambda names: None).join()
                os.write(writer, joined.encode("ascii"))
                os.close(writer)
                time.sleep(60)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        pipes.append((pid, reader))
    try:
        names = [os.read(reader, 1000).decode("ascii") for _, reader in pipes]
        conn = client.KazooClient(hosts=zk.hosts)
        conn.start()
        try:
            assert sorted(conn.get_children("/kiel/groups/%s/members" % group)) == sorted(names)
        finally:
            conn.stop()
            conn.close()
    finally:
        for pid, reader in pipes:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)
    assert len(set(names)) == 3
    assert name in names
    for joined in names:
        host, number = joined.split(":")
        assert host == "host" and number.isdigit()


#: a member whose program ends without stop() once ZooKeeper is gone
CARELESS = """
import sys
from tornado import gen, ioloop
from kiel import allocation
from kiel.zookeeper import allocator

member = allocator.PartitionAllocator(
    [sys.argv[1]], "careless", "host:1", allocation.naive_allocator, session_timeout=2.0)

@gen.coroutine
def main():
    yield member.start({"t": [0]})
    print("in")
    sys.stdout.flush()
    while not member.paused:
        yield gen.sleep(0.01)
    yield gen.sleep(3)

ioloop.IOLoop.current().run_sync(main)
print("out")
"""


def test_a_program_that_does_not_stop_its_member_ends_all_the_same(own_zk, tmpdir):
    out = str(tmpdir.join("out"))
    with open(out, "w") as target:
        process = subprocess.Popen(
            [sys.executable, "-c", CARELESS, own_zk.hosts], stdout=target, cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1"),
        )
    try:
        wait(lambda: text(out) == "in\n")
        own_zk.kill()
        wait(lambda: process.poll() is not None, 20)
        assert (process.returncode, text(out)) == (0, "in\nout\n")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def other_python():
    """An interpreter of the other line that has what a member needs; from $KIEL_OTHER_PYTHON, if set."""
    return os.environ.get("KIEL_OTHER_PYTHON")


@pytest.mark.skipif(not other_python(), reason="KIEL_OTHER_PYTHON names no second interpreter")
def test_d40_python_2_and_3_share_a_group(zk, group, children, tmpdir):
    one = Child(zk, group, "host:1", tmpdir)
    two = Child(zk, group, "host:2", tmpdir, python=other_python())
    children.extend([one, two])
    everything = sorted(allocation.flatten(topics(4)))
    wait(lambda: owned_by(one, two) == everything and one.items and two.items)
    mapping = allocation.naive_allocator(["host:1", "host:2"], everything)
    assert one.items == allocation.flatten(mapping["host:1"])
    assert two.items == allocation.flatten(mapping["host:2"])


@pytest.mark.parametrize("closes", [True, False])
def test_a_member_stopped_by_ctrl_c_is_out_at_once(zk, group, closes):
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen([sys.executable, "-c", LEFT, zk.hosts, group, str(closes)], stdout=subprocess.PIPE,
                               env=environment, cwd=ROOT)
    try:
        out, _ = process.communicate()
        assert out.strip() == b"in"
        conn = client.KazooClient(hosts=zk.hosts)
        conn.start()
        try:
            assert conn.get_children("/kiel/groups/%s/members" % group) == []
            assert conn.get_children("/kiel/groups/%s/owners" % group) == []
        finally:
            conn.stop()
            conn.close()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


#: a consumer that is closed when its loop has been left, in a program that goes on with something else
GOES_ON = """
import sys
from tornado import gen, ioloop
from kiel.clients import grouped
from kiel.zookeeper import allocator

hosts, group, protocol = sys.argv[1:]
consumer = grouped.GroupedConsumer(["nowhere:1"], group, [hosts], group_protocol=protocol or None)
loop = ioloop.IOLoop.current()
consumer.io_loop = loop

@gen.coroutine
def join():
    follower = getattr(consumer.allocator, "follower", consumer.allocator)
    yield follower.start({"t": [0]})

loop.run_sync(join)
print("in")
sys.stdout.flush()
sys.stdin.readline()
consumer.close()
print("closed")
sys.stdout.flush()
sys.stdin.readline()
"""


@pytest.mark.parametrize("protocol", ["", "classic"], ids=["alone", "on its way to Kafka"])
def test_a_consumer_closed_without_a_loop_is_out_while_the_program_goes_on(zk, group, protocol):
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen([sys.executable, "-c", GOES_ON, zk.hosts, group, protocol], stdout=subprocess.PIPE,
                               stdin=subprocess.PIPE, env=environment, cwd=ROOT)
    conn = client.KazooClient(hosts=zk.hosts)
    conn.start()
    try:
        assert process.stdout.readline().strip() == b"in"
        assert len(conn.get_children("/kiel/groups/%s/members" % group)) == 1
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == b"closed"
        assert conn.get_children("/kiel/groups/%s/members" % group) == []
        assert conn.get_children("/kiel/groups/%s/owners" % group) == []
        assert process.poll() is None
    finally:
        process.communicate(b"\n")
        conn.stop()
        conn.close()
    assert process.returncode == 0
