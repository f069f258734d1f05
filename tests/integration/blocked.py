"""
A member in a process of its own, whose handler blocks the IOLoop when a message tells it to.

Its arguments are one JSON object; what it saw goes to standard output, a JSON object a line with an ``event`` and the
time. It ends when its file ``stop`` is there.
"""
from __future__ import absolute_import

import json
import logging
import os
import sys
import time

from tornado import gen, ioloop

from kiel import clients

#: the message that makes the handler block
BLOCK = b"block"


def tell(event, **fields):
    """Writes one line."""
    fields.update(event=event, at=time.time())
    sys.stdout.write(json.dumps(fields, sort_keys=True) + "\n")
    sys.stdout.flush()


class Lines(logging.Handler):
    """Tells of log lines."""

    def emit(self, record):
        tell("log", level=record.levelname, name=record.name, text=record.getMessage())


def handler_that_sleeps(seconds, password="pa55word"):
    """Blocks as a call of a library does that waits."""
    time.sleep(seconds)


def handler_that_computes(seconds, password="pa55word"):
    """Blocks by pure Python, which on 2.7 lets other threads in by chance only."""
    until = time.time() + seconds
    number = 0
    while time.time() < until:
        number = (number * 31 + 7) % 1000003


HANDLERS = {"sleep": handler_that_sleeps, "compute": handler_that_computes}


@gen.coroutine
def main(given):
    """Consumes, blocks, and consumes again."""
    handler, seconds, topic = HANDLERS[given["handler"]], given["seconds"], given["topic"]
    consumer = clients.GroupedConsumer(
        given["brokers"], given["group"], deserializer=bytes, topics=[topic], autocommit="processed",
        on_rebalance=lambda revoked, assigned: tell("rebalance", revoked=revoked, assigned=assigned),
        on_lost=lambda lost: tell("lost", lost=lost), max_wait_time=100, **given["settings"]
    )
    yield consumer.connect()
    health, told = None, 0
    while not os.path.exists(given["stop"]):
        found = yield consumer.consume(topic)
        values = [int(value) for value in found if value != BLOCK]
        if values:
            tell("got", values=values)
        if BLOCK in found:
            tell("blocks", health=consumer.health())
            handler(seconds)
            tell("goes on", health=consumer.health())
        before, health = health, consumer.health()
        facts = [health[name] for name in ("state", "member_id", "generation", "allocation")]
        if before is None or facts != [before[name] for name in ("state", "member_id", "generation", "allocation")] \
                or time.time() - told > 1:
            told = time.time()
            tell("health", health=health)
    yield consumer.close()
    tell("ends")


if __name__ == "__main__":
    lines = Lines()
    logging.getLogger().addHandler(lines)
    logging.getLogger("kiel").setLevel(logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: main(json.loads(sys.argv[1])))
