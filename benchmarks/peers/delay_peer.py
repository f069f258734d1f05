"""kiel's tasks over and over, beside a callback that is due each millisecond: how late that one comes."""
from __future__ import absolute_import

import asyncio
import gc
import json
import sys
import time

from tornado import gen, ioloop

from benchmarks.peers import kiel_peer, task

#: seconds after which the callback is due again
PERIOD = 0.001

#: messages of a turn of `bare_json`
MANY = 2500


class Watched(task.Run):
    """A run whose clocks also watch the loop: from `begin` to `end` a callback comes again and again."""

    def __init__(self, options):
        super(Watched, self).__init__(options)
        self.seconds = options["seconds"]
        self.loop = ioloop.IOLoop.current()
        self.delays = []
        #: the most of each delay that this process itself can be the cause of: the processor time it took meanwhile
        self.own = []
        self.watched = 0.0
        self.done = 0
        #: seconds that each pass of the garbage collector took
        self.passes = [0.0]
        self._handle = None
        gc.callbacks.append(self._on_gc)

    def begin(self):
        """Starts the clocks, and the callback."""
        super(Watched, self).begin()
        self._again(task.cpu_time())

    def end(self):
        """Stops both."""
        result = super(Watched, self).end()
        self.loop.remove_timeout(self._handle)
        self.watched += result["wall"]
        self.done += self.count
        self.seen = 0
        return result

    def close(self):
        """Watches no more."""
        gc.callbacks.remove(self._on_gc)

    def _again(self, cpu):
        self._cpu = cpu
        self._due = self.loop.time() + PERIOD
        self._handle = self.loop.call_at(self._due, self._on_time)

    def _on_time(self):
        delay, cpu = self.loop.time() - self._due, task.cpu_time()
        self.delays.append(delay)
        self.own.append(min(delay, cpu - self._cpu))
        self._again(cpu)

    def _on_gc(self, phase, info):
        if phase == "start":
            self._gc_begun = time.perf_counter()
        else:
            self.passes.append(time.perf_counter() - self._gc_begun)


def nothing(this):
    """The callback alone."""
    async def work():
        this.begin()
        await gen.sleep(this.seconds)
        return this.end()
    return kiel_peer.run(work)


def bare_json(this):
    """No kiel at work: as many values as a `consume()` returns are read as JSON each turn, and held till the next."""
    values = [json.dumps({"n": n, "name": "x" * (this.size - 40), "on": True}).encode("ascii") for n in range(MANY)]

    async def work():
        this.begin()
        end = time.time() + this.seconds
        this.count = 0
        while time.time() < end:
            messages = [json.loads(value) for value in values]
            this.count += len(messages)
            await asyncio.sleep(0)
        return this.end()
    return kiel_peer.run(work)


def main():
    """Repeats a task until the callback was watched for long enough."""
    this = Watched(json.loads(sys.argv[2]))
    work = {"nothing": nothing, "bare_json": bare_json}.get(sys.argv[1]) or getattr(kiel_peer, sys.argv[1])
    if this.options.get("freeze"):  # as an application may do when it has started
        gc.collect()
        gc.freeze()
    while this.watched < this.seconds:
        work(this)
    result = task.latency(this.delays)
    result.update(
        count=this.done, wall=this.watched, own=task.latency(this.own)["p999"], worst=max(this.delays),
        gc=max(this.passes)
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
