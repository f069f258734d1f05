"""Messages are taken, as many as there is room for, each to its partition."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen, ioloop

from kiel import events, exc
from kiel.retry import Backoff
from kiel.worker.part import Part

# these lines are the worker's, whose logger applications may have set up
log = logging.getLogger("kiel.worker.worker")

#: the pauses after a `consume` that failed in passing
PATIENCE = Backoff(first=0.1, most=2.0, deadline=None)


class Intake(object):
    """
    Takes messages of some topics, and keeps the partitions that they belong to.

    :param consumer: the `kiel.clients.grouped.GroupedConsumer`
    :param settings: `kiel.worker.settings.Settings`, of which this reads ``topics``, ``start``, ``order``, ``window``
    :param parts: ``{(topic, partition): kiel.worker.part.Part}`` of those that are this member's; changed here
    :param bench: the `kiel.worker.bench.Bench` that messages are worked on at
    :param commits: the `kiel.worker.commits.Commits`
    :param failed: called with an error that the worker can't go on after
    :param closed: called when somebody else has closed the consumer
    """

    def __init__(self, consumer, settings, parts, bench, commits, failed, closed):
        self.consumer = consumer
        self._topics = settings.topics
        self._start = settings.start
        self._order = settings.order
        self._window = settings.window
        self._parts = parts
        self._bench = bench
        self._commits = commits
        self._failed = failed
        self._closed = closed
        #: the partitions that are paused, since too many of theirs wait for one before them
        self._paused = set()
        #: whether no more messages are to be taken
        self._stopping = False
        #: Futures of those who rest before they try again
        self._resting = []

    def begin(self):
        """Take messages of all topics until `stop`, or the consumer is closed. Return a Future for each topic."""
        return [self._take(topic) for topic in self._topics]

    def stop(self):
        """Take no more."""
        self._stopping = True
        self._window.open()
        for resting in self._resting:
            events.settle(resting)

    @gen.coroutine
    def _take(self, topic):
        """Take messages of a topic as long as there is room for them."""
        clock = PATIENCE.start()
        while not self._stopping:
            if self._window.full:
                yield self._window.wait()
                continue
            try:
                records = yield self.consumer._consume_raw(
                    topic, max(1, self._window.room // len(self._topics)), self._start)
            except exc.KielError as error:
                if not error.retriable and not isinstance(error, exc.LogTruncationError):
                    self._failed(error)
                    return
                log.warning("Reading topic %s failed, retrying: %s", topic, error)
                yield self._pause(clock.delay())
                continue
            except Exception as error:
                self._failed(error)
                return
            clock.reset()
            if records is None:
                self._closed()
            elif not self._stopping:
                self._took(topic, records)

    @gen.coroutine
    def _pause(self, seconds):
        """Wait, unless it is to stop."""
        resting = concurrent.Future()
        self._resting.append(resting)
        io_loop = ioloop.IOLoop.current()
        timer = io_loop.call_later(seconds, events.settle, resting)
        if self._stopping:
            events.settle(resting)
        yield resting
        io_loop.remove_timeout(timer)
        self._resting.remove(resting)

    def _took(self, topic, records):
        """Messages came."""
        touched = {}
        for record in records:
            part = touched.get(record.partition)
            if part is None:
                part = touched[record.partition] = self._part(record)
            if part.leaving:
                continue
            self._bench.add(part.take(record, self._lane(record)))
        for part in list(touched.values()) if records else [
                part for part in self._parts.values() if part.topic == topic and not part.jobs]:
            part.read_up_to(self.consumer.position(topic, part.partition))
            if len(part.jobs) >= self._window.most and part.key not in self._paused:
                self._paused.add(part.key)
                self.consumer.pause(*part.key)
            if part.due and not part.jobs:
                self._commits.mark()
        self._bench.pump()

    def _part(self, record):
        """Return the part that a message belongs to: a new one after the position was moved."""
        key = record.topic, record.partition
        part = self._parts.get(key)
        if part is not None and not part.leaving and not part.follows(record.offset):
            self.lose(part)  # the application sought back: what was taken comes again
            self.resume(key)
            part = None
        if part is None:
            part = self._parts[key] = Part(key[0], key[1], self._window.holds)
        return part

    def _lane(self, record):
        """Return what no two messages of may be at work at once."""
        if self._order == "key":
            return None if record.key is None else (record.topic, record.key)
        return (record.topic, record.partition) if self._order == "partition" else None

    def settled(self, part):
        """A message of a partition is done."""
        if part.settle():
            self._commits.mark()
        if part.key in self._paused and len(part.jobs) <= self._window.most // 2:
            self.resume(part.key)

    def resume(self, key):
        """
        Read a partition on that was paused here.

        One that is going, or has gone, the consumer does not resume: it is done when it comes again.
        """
        if key in self._paused and key[1] in (self.consumer.allocation.get(key[0]) or ()):
            self._paused.discard(key)
            self.consumer.resume(*key)

    def resume_all(self):
        """Leave no partition paused."""
        for key in list(self._paused):
            self.resume(key)

    def lose(self, part):
        """A partition is gone, and with it what is not committed."""
        if self._parts.get(part.key) is part:
            del self._parts[part.key]
        self._bench.lose(part)
