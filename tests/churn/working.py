"""One worker, as a process: ``python -m tests.churn.working BOOTSTRAP GROUP TOPIC NAME LEDGER OPTIONS``."""
from __future__ import absolute_import

import json
import logging
import os
import random
import sys
import time

from tornado import gen, ioloop

from kiel import clients
from kiel.retry import Backoff
from kiel.service import GracefulStop
from kiel.worker import Output, Worker

from tests.churn import ledger


class Working(object):
    """Writes down when each message is begun, and whether it was done or failed."""

    def __init__(self, bootstrap, group, topic, name, path, options):
        self.name = name
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.rnd = random.Random(name)
        order, once = options.pop("order"), options.pop("once", False)
        #: where results go; None where there are none
        self.target = topic + ".out" if once else None
        brokers, producer = bootstrap.split(","), None
        if once:
            options["isolation_level"] = "read_committed"
            # one that is started again in the same place ends what its killed predecessor has left open
            producer = clients.Producer(brokers, transactional_id="%s-%s" % (group, name.partition(".")[0]),
                                        transaction_timeout=10, linger=.005, retry=Backoff(deadline=60))
        consumer = clients.GroupedConsumer(
            brokers, group, topics=[topic], autocommit=False, max_wait_time=200, retry=Backoff(deadline=60), **options)
        self.worker = Worker(
            consumer, self.handle, concurrency=8, order=order, retry=Backoff(first=.02, most=.1, deadline=1),
            dead_letters=topic + ".dead", timeout=5, producer=producer)

    def write(self, event, record):
        """Adds an entry to the ledger."""
        ledger.append(self.fd, t=time.time(), m=self.name, e=event, p=record.partition, o=record.offset)

    @gen.coroutine
    def handle(self, record):
        """Takes some time, and fails where the message says so, or by chance."""
        self.write("begin", record)
        number = self.rnd.random()
        if number < .3:
            yield gen.sleep(number / 10)
        if record.value["how"] == "fails" or number > .95:
            self.write("failed", record)
            raise ValueError("a message that fails" if number <= .95 else "by chance")
        if number > .8:
            yield gen.moment
        self.write("done", record)
        if self.target is not None:
            raise gen.Return(Output(self.target, {"p": record.partition, "o": record.offset}, key=record.key))

    @gen.coroutine
    def run(self):
        """Works until SIGTERM."""
        stop = GracefulStop(seconds=20)
        stop.watch(self.worker.run())
        stop.then(lambda: self.worker.drain(15))
        yield stop.wait()
        logging.info("%s", self.worker.numbers)


def main(bootstrap, group, topic, name, path, options):
    """Runs one worker to its end."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s.%(msecs)03d %(levelname).1s %(name)s %(message)s",
        datefmt="%H:%M:%S")
    logging.getLogger("kiel.worker.worker").setLevel(logging.CRITICAL)  # messages that fail are what is wanted
    loop = ioloop.IOLoop.current()
    # the driver's end is this process's end too
    loop.add_handler(0, lambda fd, events: os._exit(3), ioloop.IOLoop.READ)
    loop.run_sync(Working(bootstrap, group, topic, name, path, json.loads(options)).run)


if __name__ == "__main__":
    main(*sys.argv[1:])
