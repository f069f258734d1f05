#!/usr/bin/env python
"""
Writes events as Avro with a schema in a registry, and reads them back, as a later version of their schema has them.

    pip install kiel[avro]
    python examples/schemas.py localhost:9092 http://localhost:8081 sightings
"""
from __future__ import absolute_import, print_function

import argparse

from tornado import gen, ioloop

from kiel import clients, schemas

FIELDS = [
    {"name": "bird", "type": "string"},
    {"name": "count", "type": "int"},
]
#: what is written
SIGHTING = {"type": "record", "name": "Sighting", "namespace": "birds", "fields": FIELDS}
#: what is read: those that were written before there was a place get its default
LATER = dict(SIGHTING, fields=FIELDS + [{"name": "place", "type": "string", "default": "unknown"}])


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Write sightings of birds as Avro, and read them back.")
    parser.add_argument("brokers", metavar="BROKERS", help="comma-separated host:port of some brokers")
    parser.add_argument("registry", metavar="URL", help="the schema registry's address")
    parser.add_argument("topic", metavar="TOPIC", help="where sightings are")
    parser.add_argument("--messages", type=int, default=10, help="how many are written (default: %(default)d)")
    return parser.parse_args()


@gen.coroutine
def write(args, registry):
    """Writes; the first message has the registry asked, and the others follow it in their order."""
    producer = clients.Producer(
        args.brokers.split(","), serializer=schemas.AvroSerializer(registry, SIGHTING), linger=0.01
    )
    yield producer.connect()
    try:
        for number in range(args.messages):
            yield producer.produce(args.topic, {"bird": "wren", "count": number})
        yield producer.produce(args.topic, {"bird": "wren", "count": "many"})
    except schemas.SerializationError as error:
        print("not written: %s" % error)
    finally:
        yield producer.close()


@gen.coroutine
def read(args, registry):
    """Reads what there is, and stops."""
    consumer = clients.SingleConsumer(
        args.brokers.split(","), deserializer=schemas.AvroDeserializer(registry, LATER)
    )
    yield consumer.connect()
    try:
        stream = consumer.stream(args.topic, start=consumer.BEGINNING, until=consumer.END)
        while (yield stream.more()):
            sighting = yield stream.next()
            print("%(count)d x %(bird)s, place %(place)s" % sighting)
    finally:
        yield consumer.close()


@gen.coroutine
def run(args):
    """Writes, then reads."""
    registry = schemas.Registry(args.registry)
    yield write(args, registry)
    print("%s would take the later schema: %s" % (
        args.topic, bool((yield registry.check(args.topic + "-value", LATER)))))
    yield read(args, registry)


def main():
    """Runs it on this thread's IOLoop."""
    args = arguments()
    ioloop.IOLoop.current().run_sync(lambda: run(args))


if __name__ == "__main__":
    main()
