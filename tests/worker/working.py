"""A worker on a member whose allocation the test decides, against a scripted broker."""
from __future__ import absolute_import

import json

from tornado import gen

from kiel.worker import Worker

from tests import loop
from tests.clients.grouping.members import make
from tests.fake import with_cluster


class Stage(object):
    """What a test needs: the cluster, a member and its worker, and what the handler was called with."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.consumer = self.worker = self.running = None
        #: (key, value) of each call of `note`
        self.calls = []

    def note(self, record):
        """A handler that is done at once."""
        self.calls.append((record.key, record.value))

    def start(self, handler=None, member=None, **settings):
        """Makes a worker and runs it."""
        self.make(handler, member, **settings)
        self.running = self.worker.run()

    def make(self, handler=None, member=None, **settings):
        """Makes a worker."""
        self.consumer = make(self.cluster, **dict(
            dict(autocommit=False, topics=["t"], deserializer=json.loads), **(member or {})))
        # a group whose allocation the test decides is made of one in ZooKeeper, which workers with a producer refuse
        self.consumer.committed.uses_zookeeper = False
        self.worker = Worker(self.consumer, handler or self.note, **settings)
        self.consumer.committed.uses_zookeeper = True
        return self.worker

    def put(self, *values, **options):
        """Writes values as JSON; ``key`` and ``partition`` may be given."""
        log = self.cluster.log("t", options.pop("partition", 0))
        for value in values:
            log.put(value if isinstance(value, bytes) else json.dumps(value).encode("ascii"), **options)

    def committed(self, partition=0):
        """The committed offset, None for none."""
        found = self.cluster.kafka_offsets.get(("g", "t", partition))
        return found and found[0]

    def values(self):
        """What the handler was called with, in order."""
        return [value for _, value in self.calls]

    @gen.coroutine
    def commits(self, offset, partition=0):
        """Waits until an offset is committed."""
        yield loop.until(lambda: self.committed(partition) == offset, seconds=5)

    @gen.coroutine
    def stop(self, timeout=5):
        """Drains the worker, if it runs."""
        if self.running is not None and not self.running.done():
            yield loop.within(timeout + 5, self.worker.drain(timeout))
        if self.running is not None:
            yield loop.within(5, self.running)


def with_stage(test=None, **settings):
    """Runs the test with a `Stage`, whose worker is drained at the end, and has to have ended well."""
    def decorate(test):
        @with_cluster(**dict(dict(topics={"t": 2}), **settings))
        def run(cluster, **kwargs):
            stage = Stage(cluster)
            yield gen.coroutine(test)(stage, **kwargs)
            yield stage.stop()
        run.__name__ = test.__name__
        return run
    return decorate if test is None else decorate(test)


class Gate(object):
    """A handler whose calls end when the test says so."""

    def __init__(self):
        #: value -> the Future that its call waits for, in the order in which they came
        self.open = {}
        #: every value it was called with
        self.begun = []

    def __call__(self, record):
        self.begun.append(record.value)
        future = self.open[record.value] = gen.Future()
        return future

    def let(self, *values):
        """Has calls end well."""
        for value in values:
            self.open.pop(value).set_result(None)

    def fail(self, value, error=None):
        """Has a call fail."""
        self.open.pop(value).set_exception(error or ValueError("not " + str(value)))
