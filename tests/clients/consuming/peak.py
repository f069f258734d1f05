"""
What a consumer takes of memory for one message: ``python -m tests.clients.consuming.peak ADDRESS [CAFILE]`` prints it.

A process of its own, so that nothing else counts; brokers are in another.
"""
from __future__ import absolute_import, print_function

import json
import resource
import sys

from tornado import gen, ioloop

import kiel
from kiel.clients import SingleConsumer

try:
    import tracemalloc
except ImportError:
    tracemalloc = None  # Python 2.7


def high_water():
    """Return the most bytes that this process has had so far."""
    try:
        with open("/proc/self/status") as status:
            # unlike ru_maxrss it does not begin with what the parent had
            return 1024 * int([line for line in status if line.startswith("VmHWM:")][0].split()[1])
    except EnvironmentError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@gen.coroutine
def main(address, cafile=None):
    """Consume what a message of topic "small" and one of topic "large" hold, and print how much memory that took."""
    consumer = SingleConsumer([address], deserializer=bytes, ssl=cafile and kiel.ssl(cafile=cafile))
    yield consumer.connect()
    small = yield consumer.consume("small", consumer.BEGINNING)  # all is imported, and every table made
    if tracemalloc is not None:
        tracemalloc.start()
    before = high_water()
    messages = []
    while not messages:
        messages = yield consumer.consume("large", consumer.BEGINNING)
    traced = tracemalloc.get_traced_memory()[1] if tracemalloc is not None else None
    found = dict(sizes=[len(small[0]), len(messages[0])], peak=high_water() - before, traced=traced)
    yield consumer.close()
    print(json.dumps(found))


if __name__ == "__main__":
    ioloop.IOLoop.current().run_sync(lambda: main(*sys.argv[1:]))
