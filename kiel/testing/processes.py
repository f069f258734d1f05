"""
Processes that never outlive the run that started them.

Every process started here carries the run's token on its command line. They are ended in three
ways: by their owner's ``stop()``; at exit of the interpreter; and, when the run dies without a word
(SIGKILL, SIGTERM, a crash), by :mod:`kiel.testing.watchdog`. (PR_SET_PDEATHSIG would not do: it
fires when the *thread* that started the process ends.)
"""
from __future__ import absolute_import

import atexit
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from kiel.testing import errors, watchdog


_lock = threading.Lock()
_run = {"pid": None, "token": None, "watchdog": None}
_owners = []


def wait_until(condition, timeout, pause=0.02):
    """Ask again and again until the condition is true, at most ``timeout`` seconds; return its last value."""
    deadline = time.time() + timeout
    while True:
        value = condition()
        if value or time.time() > deadline:
            return value
        time.sleep(pause)


def tell(text):
    """Say on standard error what is being done."""
    sys.stderr.write("kiel.testing: %s\n" % text)
    sys.stderr.flush()


def close_on_exec(fd):
    """Keep a file from being inherited by children (Python 2 hands down everything)."""
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)


def _popen(command, **options):
    # A session of its own: Ctrl-C in the terminal is for the test run, which then ends its brokers in good order.
    if sys.version_info[0] == 2:
        options["preexec_fn"] = os.setsid
    else:
        options["start_new_session"] = True
    return subprocess.Popen(command, close_fds=True, **options)


def _token():
    """This run's token; the first call starts the watchdog."""
    with _lock:
        if _run["pid"] != os.getpid():  # the first call, or a forked child, which is a run of its own
            _run.update(pid=os.getpid(), token="kiel-%s" % uuid.uuid4().hex)
            del _owners[:]
            with open(os.devnull, "wb") as null:
                _run["watchdog"] = _popen(
                    [sys.executable, os.path.abspath(watchdog.__file__).replace(".pyc", ".py"), str(os.getpid())],
                    stdin=subprocess.PIPE, stdout=null, stderr=null, cwd="/")
            close_on_exec(_run["watchdog"].stdin.fileno())
            _note(_run["token"])
            atexit.register(_at_exit)
        return _run["token"]


def _note(line):
    _run["watchdog"].stdin.write(line.encode("utf-8") + b"\n")
    _run["watchdog"].stdin.flush()


def spawn(command, **options):
    """Start a Java command (a list of words) as a process that ends with this run at the latest."""
    return _popen([command[0], "-Dkiel.testing=" + _token()] + list(command[1:]), **options)


def temporary_directory(prefix):
    """Return a new directory that is removed with this run at the latest."""
    _token()
    directory = tempfile.mkdtemp(prefix="kiel-%s-" % prefix)
    with _lock:
        _note(directory)
    return directory


def remove_directory(directory):
    """Remove a directory of :func:`temporary_directory` now."""
    shutil.rmtree(directory, ignore_errors=True)


def own(owner):
    """Have ``owner.stop()`` called at exit, unless :func:`disown` comes first."""
    _token()
    _owners.append(owner)


def disown(owner):
    """The owner has stopped by itself."""
    if owner in _owners:
        _owners.remove(owner)


def _at_exit():
    if _run["pid"] != os.getpid():
        return  # a forked child: the brokers are its parent's
    for owner in reversed(list(_owners)):
        try:
            owner.stop()
        except Exception as error:  # the others still have to be stopped
            tell("while stopping %r: %s" % (owner, error))
    _run["watchdog"].stdin.close()
    wait_until(lambda: _run["watchdog"].poll() is not None, 5)


def _all_stopped(pid):
    """Return whether every thread of the process stands still (where the system can tell; else a moment has passed)."""
    tasks = "/proc/%d/task" % pid
    if not os.path.isdir(tasks):
        time.sleep(0.1)
        return True
    for task in os.listdir(tasks):
        try:
            with open("%s/%s/stat" % (tasks, task), "rb") as source:
                state = source.read().rsplit(b")", 1)[1].split()[0]
        except (IOError, OSError):
            continue  # the thread has ended
        if state not in (b"T", b"t", b"X", b"Z"):
            return False
    return True


class Process(object):
    """One Java process with its log file: started, stopped, killed, paused, resumed and started again."""

    def __init__(self, name, directory):
        self.name = name
        self.log_file = os.path.join(directory, name + ".log")
        self.paused = False
        self._popen = None

    def start(self, command, env=None):
        """Start the command; what it prints goes to the log file."""
        if self.running:
            raise errors.HarnessError("%s runs already" % self.name)
        with open(self.log_file, "ab") as log, open(os.devnull, "rb") as null:
            self._popen = spawn(command, stdin=null, stdout=log, stderr=subprocess.STDOUT, env=env,
                                cwd=os.path.dirname(self.log_file))
        self.paused = False

    @property
    def pid(self):
        """The process id, or None when it does not run."""
        return self._popen.pid if self.running else None

    @property
    def running(self):
        """Whether the process is there, paused or not."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def live(self):
        """Whether the process is there and not paused."""
        return self.running and not self.paused

    @property
    def exit_code(self):
        """The exit code, or None when it runs or never ran."""
        return None if self._popen is None else self._popen.poll()

    def _signal(self, number):
        if self.running:
            try:
                os.kill(self._popen.pid, number)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise

    def stop(self, timeout=20):
        """End the process in good order (SIGTERM); by SIGKILL when it takes more than ``timeout`` seconds."""
        if self.paused:
            self.resume()
        self._signal(signal.SIGTERM)
        if self._popen is not None and not wait_until(lambda: not self.running, timeout):
            self.kill()

    def kill(self):
        """End the process at once (SIGKILL); returns when it is gone."""
        self._signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()
        self.paused = False

    def pause(self):
        """Stop the process where it stands (SIGSTOP): its connections stay open, and mute."""
        self._signal(signal.SIGSTOP)
        self.paused = True
        # The signal reaches each thread in its own time: an answer could still be on its way.
        if self.running and not wait_until(lambda: _all_stopped(self._popen.pid), 5):
            raise errors.HarnessError("%s did not pause" % self.name)

    def resume(self):
        """Let a paused process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)
        self.paused = False

    def log(self, tail=None):
        """Return what the process printed, from all its starts, as text; only the last ``tail`` lines when given."""
        try:
            with open(self.log_file, "rb") as source:
                text = source.read().decode("utf-8", "replace")
        except IOError:
            return ""
        return text if tail is None else "\n".join(text.splitlines()[-tail:])

    def wait_ready(self, ready, timeout, what):
        """
        Wait until ``ready()`` is true; raise :class:`StartError` with the log's tail when the
        process ends or the time does.
        """
        deadline = time.time() + timeout
        told = time.time() + 8
        while not ready():
            if not self.running:
                raise errors.StartError("%s ended (exit code %s) before it was up. The end of its log:\n%s" % (
                    what, self._popen.returncode if self._popen else None, self.log(40)))
            if time.time() > deadline:
                raise errors.StartError("%s is not up after %d s. The end of its log:\n%s" % (
                    what, timeout, self.log(40)))
            if time.time() > told:
                tell("still waiting for %s (%s)" % (what, (self.log(1) or "its log is empty").strip()[:160]))
                told += 8
            time.sleep(0.03)
