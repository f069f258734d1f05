"""
A TCP proxy that passes on every byte so many milliseconds later, in each direction:
``python -m benchmarks.proxy PORT TARGET MILLISECONDS``.

It runs in a process of its own, kept to the first core, as clients are kept to the last.
"""
from __future__ import absolute_import, print_function

import asyncio
import contextlib
import os
import selectors
import subprocess
import sys

from benchmarks import runs


class End(asyncio.Protocol):
    """One end of a connection: what comes in goes out at the other end, after the delay."""

    def __init__(self, delay):
        self.delay = delay
        self.transport = None
        self.other = None
        self.waiting = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        asyncio.get_running_loop().call_later(self.delay, self.pass_on, data)

    def pass_on(self, data):
        """The delay is over."""
        if self.other is None:
            self.waiting.append(data)
        elif not self.other.transport.is_closing():
            self.other.transport.write(data)

    def join(self, other):
        """The other end is there."""
        self.other = other
        for data in self.waiting:
            other.transport.write(data)

    def connection_lost(self, error):
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.delay, self.other.transport.close)


class Entrance(End):
    """The end towards the client, which dials the broker."""

    def __init__(self, delay, target):
        super().__init__(delay)
        self.target = target

    def connection_made(self, transport):
        super().connection_made(transport)
        asyncio.ensure_future(self.dial())

    async def dial(self):
        """Connects to the broker, and joins both ends."""
        loop = asyncio.get_running_loop()
        try:
            _, other = await loop.create_connection(lambda: End(self.delay), "127.0.0.1", self.target)
        except OSError:
            self.transport.close()
            return
        other.join(self)
        self.join(other)


async def serve(port, target, milliseconds):
    """Runs until it is killed."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Entrance(milliseconds / 1000.0, target), "127.0.0.1", port)
    print("ready")
    sys.stdout.flush()
    await server.serve_forever()


@contextlib.contextmanager
def running(port, target, milliseconds):
    """A proxy in a process of its own, as a context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.proxy", str(port), str(target), str(milliseconds)],
        stdout=subprocess.PIPE, cwd=runs.ROOT)
    try:
        if not process.stdout.readline().startswith(b"ready"):
            raise RuntimeError("the proxy did not start")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # epoll waits whole milliseconds: with half of one in each direction, a round trip would take more than two
    asyncio.SelectorEventLoop(selectors.SelectSelector()).run_until_complete(
        serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
