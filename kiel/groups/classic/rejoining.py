"""When a classic member joins: whenever there is a reason to, again and again until it is in."""
from __future__ import absolute_import

import datetime

from tornado import gen, locks

from kiel.retry import Backoff, monotonic


class Rejoining(object):
    """
    Has a member take part in one rebalance after the other, for as long as there is a reason to.

    :param member: the `kiel.groups.classic.member.ClassicAllocator`: its ``error`` ends it, its ``try_to_join`` takes
        part in one rebalance
    :param begun: called without arguments when the first is about to begin
    """

    def __init__(self, member, begun):
        self._member = member
        self._begun = begun
        #: stands for one run from `begin` to `end`; None when ended
        self.run = None
        #: why the member has to join (again); None while it need not
        self.reason = None
        #: `monotonic` time before which a refused member does not try again
        self.not_before = 0
        #: the Future of `_drive`; None before the first
        self.driver = None
        #: wakes `_drive`
        self._news = locks.Condition()

    def begin(self):
        """A run begins; nothing is done before the first `want`."""
        self.run = object()

    def end(self):
        """The run is over. Return the Future of what is still under way, or None."""
        self.run = self.reason = None
        self.wake()
        driver, self.driver = self.driver, None
        return driver

    def want(self, reason, stopping=None):
        """
        Have the member join, for that reason.

        :param stopping: the Future of a `stop` that comes first; None where there is none
        """
        self.note(reason)
        if self.driver is None or self.driver.done():
            self.driver = self._drive(self.run, stopping)
            self._member.spawn(self.driver)
        self.wake()

    def note(self, reason):
        """Remember a reason for the next rebalance; the first one counts."""
        self.reason = self.reason or reason

    def wake(self):
        """Something changed: look again."""
        self._news.notify_all()

    def _goes_on(self, run):
        """Return whether a run goes on."""
        return run is self.run and self._member.error is None

    @gen.coroutine
    def _drive(self, run, stopping):
        """Join whenever there is a reason to, until stopped."""
        yield stopping or gen.moment  # `driver` is set before anything happens
        clock = Backoff(deadline=None).start()
        if run is self.run:
            self._begun()
        while self._goes_on(run):
            if self.reason is None:
                yield self._news.wait()
                continue
            if self.not_before > monotonic():
                yield self._sleep(run, self.not_before - monotonic())
                continue
            reason, self.reason = self.reason, None
            if (yield self._member.try_to_join(run, reason, clock.attempts)):
                clock.reset()
            else:
                yield self._sleep(run, clock.delay())

    @gen.coroutine
    def _sleep(self, run, seconds):
        """Wait, unless stopped meanwhile."""
        until = monotonic() + seconds
        while self._goes_on(run) and monotonic() < until:
            yield self._news.wait(datetime.timedelta(seconds=max(0.001, until - monotonic())))
