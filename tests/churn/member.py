"""One member of the group, as a process: ``python -m tests.churn.member BOOTSTRAP GROUP TOPIC NAME LEDGER OPTIONS``."""
from __future__ import absolute_import

import json
import logging
import os
import random
import signal
import sys
import time

from tornado import gen, ioloop

from kiel import clients, exc

from tests.churn import ledger

#: seconds between two looks at the clock
TICK = 0.2


class Member(object):
    """Consumes, processes one message after the other, and writes down what happens."""

    def __init__(self, bootstrap, group, topic, name, path, options):
        self.topic = topic
        self.name = name
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.loop = ioloop.IOLoop.current()
        self.rnd = random.Random(name)
        self.stopping = self.closed = False
        self.looked = time.time()
        self.consumer = clients.GroupedConsumer(
            bootstrap.split(","), group, topics=[topic], deserializer=bytes, autocommit="processed", max_wait_time=200,
            on_rebalance=self.on_rebalance, on_lost=self.on_lost, **options)

    def write(self, event, **more):
        """Adds an entry to the ledger; there are none after "closing"."""
        if self.closed:
            return
        self.closed = event == "closing"
        ledger.append(self.fd, t=time.time(), m=self.name, e=event, **more)

    def on_rebalance(self, revoked, assigned):
        """The hook of the consumer."""
        for event, topics in (("revoked", revoked), ("assigned", assigned)):
            if topics.get(self.topic):
                self.write(event, p=sorted(topics[self.topic]))

    def on_lost(self, lost):
        """The hook of the consumer."""
        if lost.get(self.topic):
            self.write("lost", p=sorted(lost[self.topic]))

    def look(self):
        """Notices that the process has stood still."""
        now = time.time()
        if now - self.looked > TICK + 0.5:
            self.write("stall", since=self.looked)
        self.looked = now

    @gen.coroutine
    def run(self):
        """Works until it is told to stop, or dies."""
        yield self.consumer.connect()
        while not self.stopping:
            records = (yield self.consumer.consume_records(self.topic)) or []
            batches = {}
            for record in records:
                first, last = batches.get(record.partition, (record.offset, record.offset))
                batches[record.partition] = min(first, record.offset), max(last, record.offset)
            for partition, (first, last) in sorted(batches.items()):
                self.write("took", p=partition, first=first, last=last)
            for record in records:
                yield self.process(record)
        try:
            yield self.consumer.commit_offsets()
        except exc.KielError as error:  # the ledger tells whether that matters
            logging.warning("the last commit failed: %s", error)
        self.write("closing")
        yield self.consumer.close()

    @gen.coroutine
    def process(self, record):
        """Takes some time, in one way or another, and seldom much."""
        number = self.rnd.random()
        if number < .01:
            yield gen.sleep(.5)
        elif number < .02:
            time.sleep(.3)
        elif number < .3:
            yield gen.sleep(.002)
        self.write("done", p=record.partition, o=record.offset)

    def stop(self, *_):
        """SIGTERM: leaves in good order."""
        self.stopping = True


def main(bootstrap, group, topic, name, path, options):
    """Runs one member to its end."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s.%(msecs)03d %(levelname).1s %(name)s %(message)s",
        datefmt="%H:%M:%S")
    member = Member(bootstrap, group, topic, name, path, json.loads(options))
    signal.signal(signal.SIGTERM, member.stop)
    # the driver's end is this process's end too
    member.loop.add_handler(0, lambda fd, events: os._exit(3), ioloop.IOLoop.READ)
    ioloop.PeriodicCallback(member.look, TICK * 1000).start()
    member.loop.run_sync(member.run)


if __name__ == "__main__":
    main(*sys.argv[1:])
