"""What many uses need: a client that is connected, and consuming until so many messages have come."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients


@gen.coroutine
def connected(world, client):
    """The client once it has connected; it is closed when the use ends."""
    yield world.closing(client).connect()
    raise gen.Return(client)


@gen.coroutine
def take(consumer, topic, count, **options):
    """What `consume` gives until there are ``count`` messages of it, in a bounded number of calls."""
    found = []
    for _ in range(60):
        if len(found) >= count:
            break
        messages = yield consumer.consume(topic, **options)
        found.extend(messages)
    raise gen.Return(found)


@gen.coroutine
def single(world, broker, cls=clients.SingleConsumer, **options):
    """A connected consumer of a scripted broker that need not wait long."""
    options.setdefault("max_wait_time", 100)
    consumer = yield connected(world, cls([broker.address], **options))
    raise gen.Return(consumer)


@gen.coroutine
def grouped(world, group, cls=clients.GroupedConsumer, broker=None, **options):
    """A connected member of a group in the real ZooKeeper, on the real brokers or a scripted one."""
    options.setdefault("max_wait_time", 100)
    brokers = [broker.address] if broker else world.brokers
    consumer = yield connected(world, cls(brokers, group, world.zk_hosts, **options))
    raise gen.Return(consumer)


@gen.coroutine
def producer(world, broker, cls=clients.Producer, **options):
    """A connected producer to a scripted broker."""
    client = yield connected(world, cls([broker.address], **options))
    raise gen.Return(client)
