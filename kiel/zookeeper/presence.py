"""How a member enters its group in ZooKeeper, comes back after a lost session, and leaves."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events, exc, retry

log = logging.getLogger(__name__)


class Presence(object):
    """
    Has a member be in its group from `start` to `stop`, however many sessions that takes.

    :param allocator: the `kiel.zookeeper.allocator.PartitionAllocator`, which knows how one session is entered and left
    """

    def __init__(self, allocator):
        self.allocator = allocator
        self.group = allocator.group_name
        #: stands for one run from `start` to `stop`; None when stopped
        self.run = None
        #: the Futures of the last `start` and `stop`; None before the first
        self._started = None
        self._stopped = None

    def start(self):
        """Enter the group. Return a Future, the same for all calls of one run."""
        if self.run is None:
            self.run = object()
            self._started = self._start(self.run)
        return self._started

    @gen.coroutine
    def _start(self, run):
        if self._stopped is not None:
            yield self._stopped
        self.allocator.error = None
        clock = retry.Backoff(deadline=self.allocator.timeout).start()
        while True:
            failure = yield self._enter(run)
            if failure is None:
                return
            delay = clock.delay() if run is self.run and failure.retriable else None
            if delay is None:
                if run is self.run:
                    self.end(None)
                raise failure
            yield gen.sleep(delay)

    @gen.coroutine
    def _enter(self, run):
        """Try once, from the connection to the first claims. Return the error, if any."""
        allocator = self.allocator
        if run is not self.run:
            raise gen.Return(exc.ZooKeeperError(allocator.hosts, "stopped while joining %s" % self.group))
        session = None
        try:
            session = yield allocator.connect()
            yield allocator.join_over(session)
        except Exception as error:
            failure = error
        else:
            raise gen.Return(None)
        if session is not None:
            allocator.leave_session(session)
            yield session.close(self.allocator.timeout)
        if not isinstance(failure, exc.ZooKeeperError):
            failure = exc.ZooKeeperError(allocator.hosts, "joining group %s failed" % self.group, failure)
        raise gen.Return(failure)

    @gen.coroutine
    def come_back(self, session):
        """Enter the group again with a new session, however long it takes."""
        run = self.run
        yield session.close(self.allocator.timeout)
        clock = retry.Backoff(deadline=None).start()
        while run is self.run:
            failure = yield self._enter(run)
            if failure is None:
                log.info("Group %s: rejoined as %s", self.group, self.allocator.consumer_name)
                return
            if not failure.retriable:
                log.error("Group %s: %s could not rejoin: %s", self.group, self.allocator.consumer_name, failure)
                self.end(failure)
                return
            log.warning("Group %s: could not rejoin, will try again: %s", self.group, failure)
            yield gen.sleep(clock.delay())

    def end(self, error):
        """End the run without leaving: the member is not in."""
        self.allocator.error, self.run = error, None
        self.allocator.end_doubt()

    def stop(self):
        """Leave the group, whatever fails on the way. Return a Future that raises nothing."""
        if self.run is not None or self.allocator.session is not None:
            self.run = None
            self._stopped = self._stop()
        return self._stopped or gen.maybe_future(None)

    @gen.coroutine
    def _stop(self):
        allocator, session = self.allocator, self.allocator.session
        if session is not None:
            log.info("Group %s: %s leaves", self.group, allocator.consumer_name)
            try:
                yield events.within(allocator.timeout, allocator.give_up(session))
            except Exception as error:
                log.warning("Group %s: leaving failed, the ZooKeeper session will expire: %s", self.group,
                            str(error) or type(error).__name__)
            dropped = allocator.leave_session(session)
            yield session.close(self.allocator.timeout)
            try:
                yield events.within(self.allocator.timeout, dropped)
            except gen.TimeoutError:
                log.warning("Group %s: on_change did not finish within %g s while leaving", self.group,
                            allocator.timeout)
            log.info("Group %s: %s has left", self.group, allocator.consumer_name)
        allocator.end_doubt()
