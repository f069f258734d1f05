"""Members of groups whose allocation a test decides, against a scripted broker."""
from __future__ import absolute_import

from tornado import gen, ioloop

from kiel import allocation
from kiel.clients import grouped
from kiel.retry import Backoff

from tests import answers, loop
from tests.fake import with_cluster

#: partitions as an allocator gives them
ALL = object()

#: arguments of members that commit what is processed, and of those that commit when they are told to
PROCESSED = dict(autocommit="processed")
MANUAL = dict(autocommit=False)


class Given(allocation.Allocator):
    """An allocator that owns what it is told to."""

    def __init__(self, owned=ALL):
        self.owned = owned
        self.allocation = {}
        self.updates = []
        self.stopped = 0

    @gen.coroutine
    def start(self, partitions):
        self.allocation = dict((topic, list(ids)) for topic, ids in partitions.items()) \
            if self.owned is ALL else dict(self.owned)
        yield self.changed({}, self.allocation)

    @gen.coroutine
    def stop(self):
        self.stopped += 1
        revoked, self.allocation = self.allocation, {}
        yield self.changed(revoked, {})

    def update(self, partitions, gone=()):
        self.updates.append((partitions, set(gone)))
        return gen.maybe_future(None)

    def give(self, **owned):
        """Changes what is owned, at once; gives the Future of those who were told."""
        before, self.allocation = self.allocation, owned
        return self.changed(difference(before, owned), difference(owned, before))

    def doubt(self, doubt):
        """Ownership gets into doubt, or out of it."""
        self.paused = doubt
        self.on_pause(doubt)


def difference(more, less):
    """What is in the first allocation and not in the second."""
    found = dict((topic, [i for i in ids if i not in less.get(topic, ())]) for topic, ids in more.items())
    return dict((topic, ids) for topic, ids in found.items() if ids)


def make(cluster, owned=ALL, kind=grouped.GroupedConsumer, **settings):
    """A member of group "g" that is not connected yet."""
    settings.setdefault("deserializer", bytes)
    settings.setdefault("max_wait_time", 200)
    settings.setdefault("connect_timeout", 0.5)
    settings.setdefault("request_timeout", 0.5)
    settings.setdefault("retry", Backoff(first=0.01, most=0.1, deadline=2))
    consumer = kind(cluster.bootstrap, "g", ["nowhere:1"], **settings)
    consumer.settings.probe_timeout = 0.1
    consumer.allocator = Given(owned)
    return consumer


def with_member(member=None, **settings):
    """Runs the test with a cluster and a connected member; afterwards nothing is left open."""
    def decorate(test):
        @with_cluster(**settings)
        def run(cluster):
            consumer = make(cluster, **(member or {}))
            yield consumer.connect()
            try:
                yield gen.coroutine(test)(cluster, consumer)
            finally:
                yield consumer.close()
            yield loop.until(lambda: not any(broker.streams for broker in cluster.brokers.values()))
        run.__name__ = test.__name__
        return run
    return decorate


@gen.coroutine
def gather(consumer, count, topic="t", start=None, seconds=5):
    """Consumes until so many messages came; fails after the time."""
    messages = []
    deadline = ioloop.IOLoop.current().time() + seconds
    while len(messages) < count:
        assert ioloop.IOLoop.current().time() < deadline, messages
        messages.extend((yield loop.within(seconds, consumer.consume(topic, start))))
    raise gen.Return(messages)


def requests(cluster, api):
    """All requests of an api, by any broker, as they came."""
    calls = [call for broker in cluster.brokers.values() for call in broker.requests if call.api == api]
    return sorted(calls, key=lambda call: call.time)


def commits(cluster, version=None):
    """What each commit said: a list of {(topic, partition): offset}."""
    return [
        dict(((answers.named(call, topic), part.partition_id), part.offset)
             for topic in call.request.topics for part in topic.partitions)
        for call in requests(cluster, "offset_commit") if version in (None, call.version)
    ]


def fetched_from(cluster, topic="t", partition=0):
    """The offsets that fetches asked for."""
    return [
        part.offset for call in requests(cluster, "fetch") if call.request is not None
        for asked in call.request.topics if answers.named(call, asked) == topic
        for part in asked.partitions if part.partition_id == partition
    ]


def stored(cluster, partition=0, topic="t", store="kafka"):
    """The committed offset in a store, None for none."""
    found = getattr(cluster, store + "_offsets").get(("g", topic, partition))
    return found and found[0]


def slow(seconds, bad=b"slow"):
    """Arguments of a member for whom a message takes its time: it does not deserialise, and `on_error` waits."""
    def deserializer(value):
        if value == bad:
            raise ValueError("not so fast")
        return value

    return dict(deserializer=deserializer, on_error=lambda record, failure: gen.sleep(seconds))
