"""The messages that are taken: which is begun, tried again, given up, or left to others."""
from __future__ import absolute_import

import logging
import time

from tornado import concurrent, gen

from kiel import events
from kiel.callbacks import callback_failure, safe_text
from kiel.fairness import Turn
from kiel.retry import monotonic
from kiel.worker.errors import Reject
from kiel.worker.job import AT_WORK, BURYING, DONE, GIVEN_BACK, RESTING, WAITING
from kiel.worker.lanes import Lanes

# these lines are the worker's, whose logger applications may have set up
log = logging.getLogger("kiel.worker.worker")


class Bench(object):
    """
    Has messages worked on.

    :param handler: `kiel.worker.handler.Handler`
    :param dead_letters: where messages go that fail for good, see `kiel.worker.dead_letters`; None for nowhere
    :param retry: a `kiel.retry.Backoff`, or None
    :param concurrency: how many messages may be at work at once
    :param window: the `kiel.worker.window.Window` that they are counted in
    :param settled: called with the `kiel.worker.part.Part` of which a message is done
    :param failed: called with an error that the worker can't go on after
    """

    def __init__(self, handler, dead_letters, retry, concurrency, window, settled, failed):
        self.retry = retry
        self.concurrency = concurrency
        self._handler = handler
        self._dead_letters = dead_letters
        self._window = window
        self._settled = settled
        self._failed = failed
        self._lanes = Lanes()
        #: messages that a handler has, and that are on their way to the dead letters
        self._at_work, self._burying = set(), set()
        #: what has been done with messages so far
        self.counts = dict.fromkeys(("done", "retried", "dead", "given_back"), 0)
        #: whether nothing is tried again that need not be
        self.stopping = False
        #: when what is at work has to be done (`kiel.retry.monotonic`); None for no end
        self.deadline = None
        #: the loop; set by the worker
        self.io_loop = None
        self._turn = Turn()
        self._pumping = self._pump_due = False
        #: (condition, Future) of those who wait for work to end
        self._watchers = []

    @property
    def busy(self):
        """The messages that a handler has, or the dead letters are about to."""
        return self._at_work | self._burying

    def add(self, job):
        """A message was taken."""
        self._window.add(job)
        self._lanes.add(job)

    def pump(self):
        """Begin with as many messages as may be at work; the loop has its turn in between."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while len(self._at_work) < self.concurrency:
                job = self._lanes.next()
                if job is None:
                    break
                if self._turn.over(time.time()):
                    self._lanes.again(job)
                    if not self._pump_due:
                        self._pump_due = True
                        self.io_loop.add_callback(self._pump_on)
                    break
                self._begin(job)
        finally:
            self._pumping = False

    def _pump_on(self):
        self._pump_due = False
        self.pump()

    def _begin(self, job):
        """Have a message worked on."""
        job.become(AT_WORK)
        job.attempts += 1
        if job.begun is None:
            job.begun = monotonic()
        if job.attempts > 1:
            self.counts["retried"] += 1
        self._at_work.add(job)
        self._handler.call(job, self.io_loop, self._worked)

    def _worked(self, job, error, final):
        """A handler has ended."""
        if job.state == GIVEN_BACK:
            self._lanes.leave(job)
            self.pump()
            return
        self._at_work.discard(job)
        if error is None:
            self.counts["done"] += 1
            self._finish(job)
        elif (self.stopping or job.part.leaving) and not (job.part.limit or 0) > job.offset:
            self._hand_over(job)  # its next owner tries it again
            self._lanes.leave(job)
        else:
            delay = self._next_attempt(job, error, final)
            if delay is None:
                self._bury(job, error)
            else:
                job.become(RESTING)
                job.timer = self.io_loop.call_later(delay, self._rested, job)
        self.check()
        self.pump()

    def _next_attempt(self, job, error, final):
        """Return the seconds until a message is tried again; None for never."""
        if final or self.retry is None or isinstance(error, Reject):
            return None
        if job.clock is None:
            job.clock = self.retry.start()
        return job.clock.delay()

    def _rested(self, job):
        """It is time for the next attempt."""
        job.timer = None
        job.become(WAITING)
        self._lanes.again(job)
        self.pump()

    def _bury(self, job, error):
        """A message has failed for good."""
        part = job.part
        # that a handler gave a message up is told in a line; anything else with the place where it came from
        where = None if isinstance(error, Reject) else (type(error), error, getattr(error, "__traceback__", None))
        log.error("Message %s:%s at %s failed for good, attempt %d: %s: %s", part.topic, part.partition, job.offset,
                  job.attempts, type(error).__name__, safe_text(error), exc_info=where)
        if self._dead_letters is None:
            self._hand_over(job)
            self._lanes.leave(job)
            self._failed(error)
            return
        job.become(BURYING)
        self._burying.add(job)
        try:
            future = self._dead_letters.put(job, error)
        except BaseException as failure:
            self._buried(job, callback_failure(failure))
        else:
            self.io_loop.add_future(future, lambda done: self._put(job, done))

    def _put(self, job, future):
        """The dead letters have a message, or could not take it."""
        error = None
        try:
            future.result()
        except BaseException as failure:
            error = callback_failure(failure)
        self._buried(job, error)

    def _buried(self, job, error):
        """A message is where those go that fail for good, or could not go there."""
        if job.state == GIVEN_BACK:
            self._lanes.leave(job)
            self.pump()
            return
        self._burying.discard(job)
        if error is None:
            self.counts["dead"] += 1
            self._finish(job)
        else:
            self._hand_over(job)
            self._lanes.leave(job)
            self._failed(error)
        self.check()
        self.pump()

    def _finish(self, job):
        """A message is done."""
        job.become(DONE)
        self._window.finish(job)
        self._lanes.leave(job)
        self._settled(job.part)

    # -- giving them back --

    def _hand_over(self, job):
        """A message is left to its partition's next owner."""
        job.become(GIVEN_BACK)
        self.counts["given_back"] += 1
        self._window.remove(job)

    def give_back(self, part, all_of_it=False):
        """
        Leave to the next owner what was not begun, or rests between two attempts.

        But not what lies before a message that is done or at work, unless that has taken too long: it is done now, so
        that nothing has to be done twice.
        """
        limit = None if all_of_it else part.limit
        for job in part.jobs:
            kept = limit is not None and job.offset < limit
            if job.state == RESTING:
                self.io_loop.remove_timeout(job.timer)
                job.timer = None
                if kept:
                    job.become(WAITING)
                    self._lanes.again(job)
                    continue
                self._hand_over(job)
                self._lanes.leave(job)
            elif job.state == WAITING and not kept:
                self._hand_over(job)  # the lanes forget it by themselves

    def forsake_all(self):
        """Time is over: what is at work is left to others, and ended where that can be done."""
        for job in self.busy:
            self._forsake(job, cancel=True)

    def _forsake(self, job, cancel=False):
        """A message at work is another member's by now, or will be: what it ends with is of no interest."""
        self._at_work.discard(job)
        self._burying.discard(job)
        attempt = job.attempt
        self._hand_over(job)
        if cancel and attempt is not None:
            attempt.cancel()

    def lose(self, part):
        """A partition is gone, and with it what is not committed."""
        self.give_back(part, all_of_it=True)
        for job in part.jobs:
            if job.busy:
                self._forsake(job)
        while part.ready:  # done, and not committed: of no use any more
            self._window.release(part.ready.popleft())
        self.check()

    # -- waiting for what is at work --

    @gen.coroutine
    def until(self, condition, seconds=None):
        """Wait until a condition holds, or some time or the deadline is over. Return whether in vain."""
        future = concurrent.Future()
        self._watchers.append((condition, future))
        timer = None if seconds is None else self.io_loop.call_later(seconds, events.settle, future)
        self.check()
        yield future
        if timer is not None:
            self.io_loop.remove_timeout(timer)
        self._watchers.remove((condition, future))
        raise gen.Return(not condition())

    def check(self):
        """Something ended: those go on who wait for it."""
        over = self.deadline is not None and self.deadline <= monotonic()
        for condition, future in list(self._watchers):
            if over or condition():
                events.settle(future)
