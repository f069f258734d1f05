#!/usr/bin/env python
"""
A web service that takes events, with probes for who watches it and an end in good order upon SIGTERM.

    python examples/web.py localhost:9092 events --port 8888
    curl -d '{"id": 1}' localhost:8888/events
    curl localhost:8888/health/ready

examples/test_web.py has its tests, without a broker and with one.
"""
from __future__ import absolute_import, print_function

import argparse
import json
import logging
import sys

from tornado import gen, ioloop, web

from kiel import clients, exc
from kiel.service import GracefulStop, HealthHandler


class EventHandler(web.RequestHandler):
    """Takes an event; the answer comes when a broker has it."""

    def initialize(self, producer, topic):
        self.producer, self.topic = producer, topic

    @gen.coroutine
    def post(self):
        try:
            event = json.loads(self.request.body.decode("utf-8"))
            key = str(event["id"])
        except (ValueError, KeyError, TypeError):
            raise web.HTTPError(400, "an event is a JSON object with an id")
        try:
            written = yield self.producer.produce_and_wait(self.topic, event, key=key, timeout=5)
        except exc.KielError as error:
            logging.warning("An event could not be written: %s", error)
            raise web.HTTPError(503)
        self.set_status(201)
        self.finish({"partition": written.partition, "offset": written.offset})


def application(producer, topic):
    """The application; tests hand it a producer of their own."""
    return web.Application([
        (r"/events", EventHandler, dict(producer=producer, topic=topic)),
        (r"/health/(live|ready)", HealthHandler, dict(clients=[producer])),
    ])


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="A web service that takes events, until SIGTERM or Ctrl-C.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("topic", metavar="TOPIC", help="where events go")
    parser.add_argument("--port", type=int, default=8888, help="where to listen (default: %(default)s)")
    return parser.parse_args()


@gen.coroutine
def run(args):
    """Serves until a signal comes."""
    producer = clients.Producer(args.brokers.split(","), linger=0.005)
    stop = GracefulStop(seconds=25)
    server = application(producer, args.topic).listen(args.port, "127.0.0.1")
    yield producer.connect(timeout=60)  # brokers may come up later than this; /health/ready says 503 meanwhile
    print("ready")
    sys.stdout.flush()
    # no new connections, then what has come goes out, then the connections
    stop.then(server.stop, producer.close)
    yield stop.wait()
    print("closed")


def main():
    """Runs the service on this thread's IOLoop."""
    args = arguments()
    logging.basicConfig(level=logging.INFO)
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
