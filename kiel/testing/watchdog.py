"""
The last line against processes left behind: run as a script beside a test run, it waits until that
run is gone.

Standard input is a pipe whose other end only the test run holds: first a line with the run's token,
then a line for each directory to remove. Its end means that the run is over, even by SIGKILL.
Whatever still has the token on its command line is then killed, and the directories are removed. It
imports nothing of kiel, so that it starts at once.
"""
from __future__ import absolute_import

import os
import select
import shutil
import signal
import subprocess
import sys
import time


def carrying(token):
    """Return the ids of the processes that have the token on their command line."""
    found = []
    if os.path.isdir("/proc/self"):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/cmdline" % name, "rb") as source:
                        if token in source.read():
                            found.append(int(name))
                except (IOError, OSError):
                    pass
        return found
    listing = subprocess.Popen(["ps", "-A", "-o", "pid=,args="], stdout=subprocess.PIPE).communicate()[0]
    for line in listing.splitlines():
        if token in line:
            found.append(int(line.split()[0]))
    return found


def wait(parent):
    """Read until the run is over; give its token and its directories."""
    data = b""
    while True:
        # The pipe alone would do, if no child of the run ever inherited its end: so the parent is watched too.
        if select.select([0], [], [], 0.5)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            data += chunk
        if os.getppid() != parent:
            break
    lines = data.split(b"\n")
    return lines[0], [line for line in lines[1:] if line]


def main():
    """Wait for the end of the run, then clear up after it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    token, directories = wait(int(sys.argv[1]))
    quiet = 0
    deadline = time.time() + 30
    # One look is not enough: a process forked in the run's last moment has its command line only a moment later.
    while token and quiet < 2 and time.time() < deadline:
        pids = carrying(token)
        quiet = 0 if pids else quiet + 1
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.05)
    for directory in directories:
        shutil.rmtree(directory.decode("utf-8"), ignore_errors=True)


if __name__ == "__main__":
    main()
