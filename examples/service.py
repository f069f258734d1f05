#!/usr/bin/env python
"""
A web service and a worker in one process, as they were written for kiel 0.9; it runs unchanged on both.

Events that are posted are produced; the events of the topic, shared with every other process of the group, are worked
on and then committed. SIGTERM or Ctrl-C ends it in order.

    python examples/service.py --brokers=localhost:9092 --zk_hosts=localhost:2181 --topic=events --port=8888
    curl -d '{"id": 1}' localhost:8888/events
"""
from __future__ import absolute_import, print_function

import json
import logging
import signal
import sys

from tornado import gen, ioloop, options, web

from kiel import clients, exc

options.define("port", default=8888, help="where to listen")
options.define("brokers", default="localhost:9092", help="comma-separated host:port of some brokers")
options.define("zk_hosts", default="localhost:2181", help="comma-separated host:port of ZooKeeper")
options.define("topic", default="events", help="where events go and come from")
options.define("group", default="service", help="the group that shares the events")
options.define("status_interval", default=10.0, help="seconds between lines about the state")

log = logging.getLogger("service")


class EventHandler(web.RequestHandler):
    """Produces what is posted."""

    def initialize(self, producer):
        self.producer = producer

    @gen.coroutine
    def post(self):
        event = json.loads(self.request.body.decode("utf-8"))
        try:
            yield self.producer.produce(options.options.topic, event)
        except exc.NoBrokersError:
            self.set_status(503)
        else:
            self.set_status(202)


class Service(web.Application):
    """The web application, its producer and its worker."""

    def __init__(self):
        brokers = options.options.brokers.split(",")
        self.producer = clients.Producer(brokers, key_maker=lambda event: str(event["id"]))
        super(Service, self).__init__([("/events", EventHandler, {"producer": self.producer})])
        self.consumer = clients.GroupedConsumer(
            brokers, options.options.group, options.options.zk_hosts.split(","), autocommit=False, max_wait_time=500)
        self.done = 0
        self.stopping = False

    @gen.coroutine
    def start(self):
        yield self.producer.connect()
        yield self.consumer.connect()
        self.server = self.listen(options.options.port, "127.0.0.1")
        self.status = ioloop.PeriodicCallback(self.report, options.options.status_interval * 1000)
        self.status.start()
        self.report()
        ioloop.IOLoop.current().add_callback(self.work)

    def report(self):
        """What this process has, and has done."""
        partitions = sorted(self.consumer.allocation.get(options.options.topic, []))
        print("partitions %s, done %d" % (partitions, self.done))
        sys.stdout.flush()

    @gen.coroutine
    def work(self):
        while not self.stopping:
            events = yield self.consumer.consume(options.options.topic)
            for event in events or []:
                print("event %d" % event["id"])
                self.done += 1
            if events:
                yield self.consumer.commit_offsets()
                sys.stdout.flush()

    @gen.coroutine
    def stop(self):
        self.stopping = True
        self.status.stop()
        self.server.stop()
        yield self.consumer.close()
        yield self.producer.close()
        print("stopped")
        sys.stdout.flush()
        ioloop.IOLoop.current().stop()


def main():
    options.parse_command_line()
    loop = ioloop.IOLoop.current()
    service = Service()

    def on_signal(number, frame):
        loop.add_callback_from_signal(service.stop)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    loop.run_sync(service.start)
    loop.start()


if __name__ == "__main__":
    main()
