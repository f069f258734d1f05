"""The command on a terminal, which is a pty here: colours, bars, Ctrl-C, a password; completion, bench, full disks."""
from __future__ import absolute_import

import contextlib
import errno
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest
import six
from tornado import ioloop

from kiel import command

from tests.integration import peer
from tests.needs import needed
from tests.schemas import registry

pytestmark = peer.on_python_3()

#: seconds until something has to be seen on the terminal
PATIENCE = 30

MESSAGES = 20000


@pytest.fixture(scope="module")
def kafka():
    cluster = peer.shared("4.4.0")
    cluster.create_topic("colors", 1)
    assert kiel(cluster, "bench", "produce", "colors", "-c", str(MESSAGES), "--json")[0] == 0
    return cluster


def kiel(kafka, *args):
    """Run the command in this process; return its exit code and what it wrote."""
    out = io.TextIOWrapper(io.BytesIO())
    code = command.main(list(args) + ["-b", kafka.bootstrap[0]], out if six.PY3 else out.buffer)
    out.flush()
    return code, out.buffer.getvalue().decode("utf-8")


class Terminal(object):
    """
    The command on a terminal of its own.

    :param streams: where standard input, output or error do not go to the terminal
    """

    def __init__(self, kafka, args, environ=(), **streams):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # lines and columns

        def take():  # so that Ctrl-C comes as a signal, and a password is asked for here
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
        environment = dict(os.environ, KIEL_BROKERS=kafka.bootstrap[0], TERM="xterm", NO_COLOR="")
        environment.update(environ)
        for name in "stdin", "stdout", "stderr":
            streams.setdefault(name, theirs)
        self.process = subprocess.Popen([sys.executable, "-m", "kiel"] + args, env=environment, preexec_fn=take,
                                        **streams)
        os.close(theirs)
        self.number = ours
        self.shown = b""

    def until(self, text):
        """Read until a text is shown."""
        deadline = time.time() + PATIENCE
        while text not in self.shown:
            assert time.time() < deadline and self._read(), self.shown
        return self.shown

    def type(self, keys):
        os.write(self.number, keys)

    def end(self):
        """Read until the command ends; return its exit code and all that was shown."""
        while self._read():
            pass
        os.close(self.number)
        return self.process.wait(), self.shown.replace(b"\r\n", b"\n")

    def _read(self):
        try:
            block = os.read(self.number, 65536)
        except EnvironmentError as error:
            if error.errno != errno.EIO:  # which is how Linux says that nobody has the other end any more
                raise
            return False
        self.shown += block
        return bool(block)


def test_colours_are_for_terminals_that_want_them(kafka):
    assert Terminal(kafka, ["topics", "list"]).end()[1].startswith(b"\x1b[1mTOPIC ")
    assert b"\x1b" not in Terminal(kafka, ["topics", "list"], {"NO_COLOR": "1"}).end()[1]
    assert "\x1b" not in kiel(kafka, "topics", "list")[1]


def test_a_bar_shows_how_far_it_is(kafka, tmpdir):
    needed("tqdm", "pip install kiel[command]")
    path = tmpdir.join("values")
    with open(str(path), "wb") as target:
        code, shown = Terminal(kafka, ["consume", "colors", "-e"], stdout=target).end()
    assert code == 0 and b"msg/s" in shown and len(path.read("rb").splitlines()) == MESSAGES
    assert shown.endswith(b" \r"), shown[-80:]  # and it is gone at the end
    with open(str(path), "rb") as source:
        code, shown = Terminal(kafka, ["produce", "copies"], stdin=source).end()
    assert code == 0 and b"B/s" in shown and shown.endswith(b"%d messages were written.\n" % MESSAGES)


def test_ctrl_c_ends_it_in_good_order(kafka):
    terminal = Terminal(kafka, ["consume", "colors", "-o", "-1", "-f", "%o is the last\\n"])
    terminal.until(b"is the last")
    terminal.type(b"\x03")
    assert terminal.end() == (130, b"%d is the last\n^C" % (MESSAGES - 1))  # and no bar, where messages are shown


def test_a_password_is_asked_for_and_not_shown(kafka):
    terminal = Terminal(kafka, ["topics", "list", "--sasl", "PLAIN", "--user", "alice", "--timeout", "2"])
    terminal.until(b"Password of alice: ")
    with open("/proc/%d/cmdline" % terminal.process.pid, "rb") as line:
        assert b"alice" in line.read()
    terminal.type(b"of-the-tests\n")
    code, shown = terminal.end()
    assert code == 1 and b"no SASL login" in shown and b"of-the-tests" not in shown
    assert b"\x1b[31mkiel:\x1b[0m " in shown


def test_lag_is_watched_on_a_terminal(kafka):
    assert kiel(kafka, "consume", "colors", "-G", "watched", "-c", "5")[0] == 0
    terminal = Terminal(kafka, ["groups", "lag", "watched", "--watch", "0.1"])
    terminal.until(b", +0 in 0.1 s")
    terminal.type(b"\x03")
    code, shown = terminal.end()
    assert code == 130 and b"Total lag: %d in 1 partitions" % (MESSAGES - 5) in shown


def test_a_full_disk_is_told(kafka):
    with open("/dev/full", "wb") as full:
        failed = subprocess.Popen([sys.executable, "-m", "kiel", "topics", "list", "-b", kafka.bootstrap[0]],
                                  stdout=full, stderr=subprocess.PIPE)
        assert re.match(br"kiel: .*No space left on device.*\n$", failed.communicate()[1])
        assert failed.returncode == 1


def test_names_are_completed(kafka, monkeypatch):
    needed("argcomplete", "pip install kiel[command]")
    monkeypatch.setenv("KIEL_BROKERS", kafka.bootstrap[0])
    for line, wanted in (
        ("kiel consume col", {"colors "}), ("kiel consume colors --only", {"--only-key "}),
    ):
        assert completed(line) == wanted, line


def completed(line):
    """Return what a shell is told for a line."""
    read, write = os.pipe()
    environment = dict(os.environ, _ARGCOMPLETE="1", _ARGCOMPLETE_SHELL="bash", COMP_LINE=line, COMP_TYPE="9",
                       COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS="\n", _ARGCOMPLETE_COMP_WORDBREAKS=" ")

    def as_shells_do():
        os.dup2(write, 8)
    shell = subprocess.Popen(
        [sys.executable, "-m", "kiel"], env=environment, preexec_fn=as_shells_do, close_fds=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.close(write)
    with os.fdopen(read, "rb") as answers:
        found = answers.read().decode("utf-8")
    shell.communicate()
    return set(found.split("\n"))


def test_messages_of_a_registry_go_round(kafka, tmpdir):
    """JSON in, Avro in the topic, JSON out."""
    needed("fastavro", "pip install kiel[avro]")
    path = tmpdir.join("lines")
    path.write('{"value": {"n": 1}}\n{"key": "k", "value": null}\n{"value": {"n": 2}}\n')
    kafka.create_topic("points", 1)
    with served_registry() as server:
        server.add("points-value", {"schema": json.dumps(
            {"type": "record", "name": "Point", "fields": [{"name": "n", "type": "int"}]})})
        ours = "points", "-r", server.url
        assert kiel(kafka, "produce", *(ours + ("--json", "--quiet", "-i", str(path)))) == (0, "")
        assert kiel(kafka, "consume", "points", "-e", "-f", "%S ") == (0, "6 -1 6 ")
        assert kiel(kafka, "consume", "-e", *ours) == (0, '{"n": 1}\n\n{"n": 2}\n')
        code, text = kiel(kafka, "consume", "-e", "-J", *ours)
        assert code == 0 and [json.loads(line)["value"] for line in text.splitlines()] == [{"n": 1}, None, {"n": 2}]
        path.write("plain\n")
        assert kiel(kafka, "produce", "points", "--quiet", "-i", str(path)) == (0, "")
        code, text = kiel(kafka, "consume", "-e", *ours)  # what came before is written, and it says where it ends
        assert code == 1 and text.count("\n") == 3
        assert kiel(kafka, "produce", *(ours + ("-i", str(path)))) == (2, "")


@contextlib.contextmanager
def served_registry():
    """A schema registry on a thread of its own."""
    loops, servers, ready = [], [], threading.Event()

    def begin():
        servers.append(registry.Server())
        ready.set()

    def serve():
        loops.append(ioloop.IOLoop(make_current=False))
        loops[0].add_callback(begin)
        loops[0].start()
        servers[0].stop()
        loops[0].close(all_fds=True)
    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield servers[0]
    finally:
        loops[0].add_callback(loops[0].stop)
        thread.join()


def test_a_load_is_measured(kafka):
    kafka.create_topic("load", 2)
    code, text = kiel(kafka, "bench", "produce", "load", "-c", "1200", "--size", "10", "--rate", "6000", "-z", "gzip",
                      "--json")
    row = json.loads(text)
    assert code == 0 and (row["messages"], row["bytes"], row["failed"]) == (1200, 12000, 0)
    assert row["messages_per_second"] < 7000 and 0 < row["latency_ms"]["median"] <= row["latency_ms"]["most"]
    code, text = kiel(kafka, "bench", "consume", "load", "--json")
    row = json.loads(text)
    assert code == 0 and (row["messages"], row["bytes"]) == (1200, 12000) and row["first_ms"] >= 0
    code, text = kiel(kafka, "bench", "consume", "load")
    assert code == 0 and text.startswith("1200 messages, 12000 bytes in ")
    for args, wanted in ((["produce", "gone"], 1), (["consume", "gone"], 1), (["produce", "load", "-c", "0"], 2)):
        assert kiel(kafka, "bench", *args) == (wanted, "")
