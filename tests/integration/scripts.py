"""Programs that run beside a test: the examples, and what the documentation shows."""
from __future__ import absolute_import

import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: seconds that a script may take for a step
PATIENCE = 60


class Script(object):
    """A Python program that runs beside the test; what it prints is collected."""

    def __init__(self, *command):
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-u"] + list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=dict(os.environ, PYTHONPATH=ROOT), cwd=ROOT,
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.daemon = True
        self.reader.start()

    def read(self):
        for line in iter(self.process.stdout.readline, b""):
            self.lines.append(line.decode("utf-8").rstrip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait_for(self, pattern):
        """Waits for a printed line that matches."""
        deadline = time.time() + PATIENCE
        while not any(re.search(pattern, line) for line in list(self.lines)):
            assert self.process.poll() is None, "it ended with %s:\n%s" % (self.process.returncode, self.text)
            assert time.time() < deadline, "no %r in:\n%s" % (pattern, self.text)
            time.sleep(0.05)

    def end(self):
        """Waits for the end; gives the exit code."""
        deadline = time.time() + PATIENCE
        while self.process.poll() is None:
            assert time.time() < deadline, "it does not end:\n%s" % self.text
            time.sleep(0.05)
        self.reader.join(5)
        return self.process.returncode

    def terminate(self):
        """Sends SIGTERM; the program has to end in order."""
        self.interrupt(signal.SIGTERM)

    def interrupt(self, number=signal.SIGINT):
        """Sends Ctrl-C; the program has to end in order."""
        self.process.send_signal(number)
        assert self.end() == 0, self.text
        assert "Traceback" not in self.text


def example(name, *arguments):
    return Script(os.path.join("examples", name), *arguments)
