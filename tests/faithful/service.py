"""
The application of 2016, ``examples/service.py``, in two processes that share a group: each on the kiel of its Python.

One works, another comes, the first is told to go: every event has to be worked on once.
"""
from __future__ import absolute_import

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from six.moves import urllib

from kiel.testing import ports
from tests.faithful.uses.world import World

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: seconds for any step
PATIENCE = 60


class Process(object):
    """One process of the service; ``events`` are the ids that it has worked on."""

    def __init__(self, python, world, topic, group, old):
        # a copy elsewhere, so that 0.9.3 is what `import kiel` finds there
        self.place = tempfile.mkdtemp("service")
        shutil.copy(os.path.join(ROOT, "examples", "service.py"), self.place)
        self.port, = self.ports = ports.take(1)
        self.lines = []
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
        environment.pop("PYTHONPATH", None)
        if not old:
            environment["PYTHONPATH"] = ROOT
        self.process = subprocess.Popen(
            [python, "service.py", "--port=%d" % self.port, "--brokers=" + ",".join(world.brokers), "--group=" + group,
             "--zk_hosts=" + ",".join(world.zk_hosts), "--topic=" + topic, "--status_interval=0.2"],
            cwd=self.place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read)
        self.reader.daemon = True
        self.reader.start()

    def read(self):
        for line in iter(self.process.stdout.readline, b""):
            self.lines.append(line.decode("utf-8", "replace").rstrip())

    @property
    def events(self):
        return [int(line.split()[1]) for line in list(self.lines) if re.match("event [0-9]+$", line)]

    @property
    def partitions(self):
        """How many it said last that it has."""
        said = [line for line in list(self.lines) if line.startswith("partitions ")]
        return len(json.loads(re.search(r"\[.*\]", said[-1]).group())) if said else 0

    def post(self, number):
        data = json.dumps({"id": number}).encode("ascii")
        answer = urllib.request.urlopen("http://127.0.0.1:%d/events" % self.port, data, PATIENCE)
        assert answer.getcode() == 202, answer.getcode()

    def end(self):
        """Tell it to stop by SIGTERM, and see that it does so in order."""
        self.process.send_signal(signal.SIGTERM)
        wait(lambda: self.process.poll() is not None, lambda: self.text)
        self.reader.join(PATIENCE)
        assert self.process.returncode == 0 and "stopped" in self.lines, self.text

    @property
    def text(self):
        return "exit code %s\n%s" % (self.process.poll(), "\n".join(self.lines[-60:]))

    def clean(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.place)
        ports.give_back(self.ports)


def wait(condition, told):
    deadline = time.time() + PATIENCE
    while not condition():
        assert time.time() < deadline, told()
        time.sleep(0.05)


def play(brokers, zk_hosts, first, second):
    """
    The whole play on two Pythons, each as ``(python, whether it has 0.9.3)``; give the number of events.

    What is in a process's hands when it stops must be committed before: so each step waits for the one before it.
    """
    world = World(brokers, zk_hosts)
    topic, group = world.topic(4), world.name("group")
    for partition in range(4):
        world.commit(group, topic, 0, partition)
    processes = []
    number = 0

    def start(python, old):
        processes.append(Process(python, world, topic, group, old))
        return processes[-1]

    def told():
        return "\n\n".join(process.text for process in processes)

    def seen():
        return sorted(event for process in processes for event in process.events)

    def exchange(*through):
        """Post 40 events through these and see each once."""
        for _ in range(40):
            through[exchange.count % len(through)].post(exchange.count)
            exchange.count += 1
        wait(lambda: len(seen()) >= exchange.count, told)
        assert seen() == list(range(exchange.count)), told()
        ends = [len(world.log(topic, partition)) for partition in range(4)]
        wait(lambda: [world.committed(group, topic, partition) for partition in range(4)] == ends, told)

    exchange.count = number
    try:
        one = start(*first)
        wait(lambda: one.partitions == 4, told)
        exchange(one)
        two = start(*second)
        wait(lambda: (one.partitions, two.partitions) == (2, 2), told)
        exchange(one, two)
        assert two.events, told()
        one.end()
        wait(lambda: two.partitions == 4, told)
        exchange(two)
        two.end()
        return len(seen())
    finally:
        for process in processes:
            process.clean()
