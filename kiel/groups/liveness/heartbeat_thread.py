"""The heart's thread: one loop, one line to the coordinator, one request at a time."""
from __future__ import absolute_import

import atexit
import logging
import threading
import weakref

from tornado import concurrent, gen, ioloop

from kiel import events, exc
from kiel.groups.liveness.coordinator_connection import SIGNS, Line
from kiel.groups.liveness.loop_watchdog import IDLE_PERIOD, Watch
from kiel.protocol import errors
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: a beat that failed is tried again soon: sessions are short; while all is down, no more than once in two seconds,
#: since the application's own connections are tried too
RETRY = Backoff(first=0.1, most=2.0, deadline=None)

#: least seconds that a broker has to answer one of `kiel.groups.liveness.coordinator_connection.SIGNS`, and to connect
PATIENCE = 5.0

#: seconds in which a member that leaves by itself gets that through, or goes without a word
LEAVE_TIME = 5.0


class Pulse(object):
    """
    One life of the thread of a `kiel.groups.liveness.heartbeat.Heart`.

    All but `start` and `call` runs on that thread.
    """

    def __init__(self, heart):
        self.heart = heart
        self.loop = ioloop.IOLoop(make_current=False)
        #: a Future of the application's loop, done when the thread is about to end
        self.done = concurrent.Future()
        self.line = Line(heart.settings, heart.group, max(PATIENCE, 2 * heart.interval))
        period = min(IDLE_PERIOD, (heart.max_poll_interval or IDLE_PERIOD) / 4.0)
        self.watch = Watch(heart.io_loop, heart.slow_callback, period, "group %s" % heart.group)
        self.watch.on_look = self.look
        self.term = 0
        self.follow = None
        self.leave = None
        #: what goes out next: a request, a function of the last request and response, or None
        self.upcoming = None
        #: `monotonic` time when it does
        self.due = 0
        #: counts what was said, so that the answer to something older has no say in what comes next
        self.version = 0
        self.last = (None, None)
        self.busy = False
        #: whether what is under way may wait for other members
        self.waiting = False
        self.over = False
        #: the request that leaves the group, while it is on its way, and until when
        self.parting = None
        self.parting_until = 0
        self.idle_at = monotonic()
        self.clock = RETRY.start()
        self.timer = None
        self.thread = threading.Thread(target=self.run, name="kiel-heart-%s" % heart.group)
        self.thread.daemon = True

    # -- the thread --

    def start(self):
        """Starts the thread."""
        _living.add(self)
        self.thread.start()

    def call(self, fn, *args):
        """Has a method called on the thread; from any thread."""
        events.call_on_loop(self.loop, fn, *args)

    def run(self):
        """What the thread does."""
        try:
            self.loop.add_callback(self.watch.start, self.loop)
            self.loop.start()
        except Exception:
            log.exception("The heart of group %s failed", self.heart.group)
        finally:
            self.loop.close(all_fds=True)
            events.call_on_loop(self.heart.io_loop, events.settle, self.done)

    @gen.coroutine
    def end(self):
        """Closes everything and lets the thread end."""
        if self.over:
            return
        self.over = True
        self.watch.stop()
        self._disarm()
        self.line.close()
        # what waited for those connections ends within a few turns, but not a dial to a host that does not answer
        patience = monotonic() + 0.2
        yield gen.sleep(0.005)
        while self.busy and monotonic() < patience:
            yield gen.sleep(0.005)
        for _ in range(10):
            yield gen.moment
        self.loop.stop()

    # -- what the application says --

    def begin(self, term, address, others, first, follow, leave):
        """See `Heart.start`."""
        self.term = term
        self.line.turn_to(address, others)
        self.follow, self.leave = follow, leave
        self.parting = None
        self.last = (None, None)
        self.clock.reset()
        self.idle_at = monotonic()
        if first is None:
            self._plan(follow, self.heart.interval)
        else:
            self._plan(first, 0)

    def turn_to(self, term, request, follow, leave):
        """See `Heart.beat`."""
        if term == self.term and not self.heart.left:
            self.follow, self.leave = follow, leave
            self._plan(request, self.heart.interval)

    def say(self, term, request):
        """See `Heart.say`."""
        if term == self.term and not self.heart.left:
            self._plan(request, 0)

    def _plan(self, request, delay):
        """Sets what goes out next, and when."""
        self.version += 1
        self.upcoming = request
        self.heart.ended = False
        self._arm(delay)

    def _arm(self, delay):
        """Sets the time of the next beat."""
        self._disarm()
        self.due = monotonic() + max(0, delay)
        if not self.over and not self.busy:
            self.timer = self.loop.call_later(max(0, delay), self.beat)

    def _disarm(self):
        """Takes that back."""
        if self.timer is not None:
            self.loop.remove_timeout(self.timer)
            self.timer = None

    # -- beating --

    @gen.coroutine
    def beat(self):
        """Sends what is due and sees to what comes after."""
        self.timer = None
        if self.busy or self.over:
            return
        request = self.parting or self._made()
        if request is None:
            return
        self.busy = True
        self.waiting = request.api not in SIGNS
        term, version, sent = self.term, self.version, monotonic()
        try:
            answer = yield self._exchange(request)
        finally:
            self.busy = False
        if self.over:
            return
        if request is self.parting:
            self._parted(answer)
        else:
            self._answered(term, version, request, answer, sent)

    def _made(self):
        """The request that goes out next, where a function of the last answer stands for it, too."""
        if callable(self.upcoming):
            self.upcoming = self._asked(self.upcoming, *self.last)
            self.heart.ended = self.upcoming is None
        return self.upcoming

    @gen.coroutine
    def _exchange(self, request):
        """Sends a request to the coordinator; gives the response, or the `kiel.exc.KielError` in its place."""
        try:
            response = yield self.line.send(request)
        except exc.KielError as error:
            raise gen.Return(error)
        except Exception as error:
            log.exception("Group %s: a beat failed", self.heart.group)
            raise gen.Return(exc.KielError("a beat failed: %r" % error))
        raise gen.Return(response)

    def _answered(self, term, version, request, answer, sent):
        """Takes in the answer to a beat."""
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else exc.for_code(answer.error_code)
        if term == self.term:
            self._note(request, answer, failed, error)
        delay = sent + self.heart.interval - monotonic()
        if version != self.version:
            delay = self.due - monotonic()  # something newer was said meanwhile
        elif error is not None and error.retriable:
            self.upcoming = request
            delay = self.clock.delay()
        elif failed:  # such as a login refused: to be tried again, but not in haste
            self.upcoming = request
        else:
            self.upcoming = self._asked(self.follow, request, answer)
            if self.upcoming is None:
                self.heart.ended = True
            if request.api not in SIGNS:
                delay = self.heart.interval  # a session begins with the answer, which may have been long in coming
        self.heart.tell_answer(self, term, request, answer)
        if self.upcoming is not None or self.parting is not None:
            self._arm(delay)

    def _note(self, request, answer, failed, error):
        """Remembers what an answer says of the member and of the coordinator."""
        if not failed:
            self.last = (request, answer)
        if error is None or getattr(error, "code", None) == errors.rebalance_in_progress:
            self.heart.last_beat = monotonic()
            self.clock.reset()
        if failed or error is not None and error.cure == "coordinator":
            self.line.stray()

    def _asked(self, function, request, answer):
        """What a function of the last answer says; one that fails ends the beats, but not the thread."""
        try:
            return function(request, answer)
        except Exception:
            log.exception("Group %s: what follows upon %r can't be told: no more beats", self.heart.group, answer)
            return None

    # -- no progress --

    def look(self, late):
        """Called by the watch: leaves when there was no progress for too long, or when nobody is there any more."""
        heart = self.heart
        now = monotonic()
        if late or not heart.working:
            self.idle_at = now
        if self.over or self.parting is not None:
            return
        if self.watch.closed:
            log.info("Group %s: the application's IOLoop was closed without closing the consumer: its member leaves",
                     heart.group)
            self._part(self.upcoming is not None)
            return
        if not heart.max_poll_interval or self.upcoming is None or heart.left:
            return
        stalled = self.stalled(now)
        if stalled < heart.max_poll_interval:
            return
        with heart.lock:
            if heart.term != self.term or self.stalled(now) < heart.max_poll_interval:
                return
            heart.left = True
        held = "the IOLoop is held by %s" % self.watch.culprit if self.watch.culprit else "consume() was not called"
        log.warning(
            "Group %s: no progress for %.1f s (max_poll_interval is %g s), %s: the member leaves the group, "
            "and joins again when it goes on", heart.group, stalled, heart.max_poll_interval, held
        )
        self._part(True)

    def stalled(self, now):
        """Seconds without progress: while the application has work in hand, or while its loop does not turn."""
        since = now - self.watch.blocked
        if self.heart.working:
            since = min(since, self.idle_at if self.idle_at > self.heart.last_progress else self.heart.last_progress)
        return now - max(since, self.heart.last_progress)

    def _part(self, member):
        """Sends the request that leaves, if there is one; then tells."""
        self.version += 1
        self.upcoming = None
        self.heart.left = True
        self.parting = self.leave() if member and self.leave is not None else None
        self.parting_until = monotonic() + LEAVE_TIME
        if self.busy and self.waiting and self.parting is not None:
            self.line.hang_up()  # a broker reads nothing behind a request that waits for other members
        if self.parting is None:
            self._gone()
        else:
            self._arm(0)

    def _parted(self, answer):
        """Takes in the answer to the request that leaves; tries again where that is worth it."""
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else exc.for_code(answer.error_code)
        if failed or error is not None and error.cure == "coordinator":
            self.line.stray()
        if error is not None and error.retriable and monotonic() < self.parting_until:
            self._arm(self.clock.delay())
            return
        if error is not None:
            log.info("Group %s: leaving was answered by: %s", self.heart.group, error)
        self.parting = None
        self._gone()

    def _gone(self):
        """The member has left."""
        self.heart.tell_left(self, self.term)
        if self.watch.closed:
            self.end()


#: those whose thread may be running
_living = weakref.WeakSet()


def _end_all():
    """Ends the threads before Python takes the modules away from under them, which 2.7 does noisily."""
    pulses = list(_living)
    for pulse in pulses:
        pulse.call(pulse.end)
    for pulse in pulses:
        pulse.thread.join(1.0)


atexit.register(_end_all)
