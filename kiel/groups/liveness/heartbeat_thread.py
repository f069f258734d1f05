"""The heartbeat thread: one loop, one connection to the coordinator, one request at a time."""
from __future__ import absolute_import

import atexit
import logging
import threading
import weakref

from tornado import concurrent, gen, ioloop

from kiel import events, exc
from kiel.groups.liveness.coordinator_connection import IMMEDIATE, RETRY, CoordinatorConnection
from kiel.groups.liveness.leaving import Leaving
from kiel.groups.liveness.loop_watchdog import IDLE_PERIOD, LoopWatchdog
from kiel.groups.liveness.poll_timer import PollTimer
from kiel.groups.liveness.relay import Relay
from kiel.groups.liveness.states import BEATING, LEFT
from kiel.protocol import errors
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: least seconds that a broker has to answer one of `kiel.groups.liveness.coordinator_connection.IMMEDIATE`, and to
#: connect
PATIENCE = 5.0

#: seconds that the end of the process waits for a member to leave
EXIT_TIME = 1.0


class HeartbeatThread(object):
    """
    One life of the thread of a `kiel.groups.liveness.heartbeat.Heartbeat`.

    All but `start` and `call` runs on that thread. Nothing here refers to the application's objects but by a weak
    reference, so that a consumer which the application has dropped can be collected; its member leaves then.

    :param heartbeat: the `kiel.groups.liveness.heartbeat.Heartbeat`
    """

    def __init__(self, heartbeat):
        self.heartbeat = weakref.ref(heartbeat)
        self.liveness = heartbeat.liveness
        self.group = heartbeat.group
        self.io_loop = heartbeat.io_loop
        self.max_poll_interval = heartbeat.max_poll_interval
        #: this thread's own loop
        self.loop = ioloop.IOLoop(make_current=False)
        #: a Future of the application's loop, done when the thread is about to end
        self.done = concurrent.Future()
        #: tells the client's hooks; None where nobody listens
        self.hooks = Relay.to(heartbeat.settings.hooks, heartbeat.io_loop)
        self.connection = CoordinatorConnection(
            heartbeat.settings, heartbeat.group, max(PATIENCE, 2 * heartbeat.interval), self.hooks
        )
        period = min(IDLE_PERIOD, (self.max_poll_interval or IDLE_PERIOD) / 4.0)
        self.watchdog = LoopWatchdog(heartbeat.io_loop, heartbeat.slow_callback, period, "group %s" % self.group)
        #: of the lines in the log, see `kiel.fields`
        self.fields = dict(client=heartbeat.settings.client_id, group=self.group)
        self.watchdog.fields = self.fields
        self.watchdog.on_check = self.check_progress
        if self.hooks is not None:
            self.watchdog.on_turning = self._tell_blocked
        #: the number of the `Heartbeat.start` that this thread works for
        self.term = 0
        #: pure functions of the application, see `Heartbeat.start`
        self.follow = None
        self.leave = None
        #: what is sent next: a request, a function of the last request and response, or None
        self.upcoming = None
        #: counts changes of `upcoming`: the answer to something older has no say in what comes next
        self.version = 0
        #: (request, response) answered last in this term; both None before
        self.last = (None, None)
        #: the request that is on its way; None while none is
        self.in_flight = None
        #: the request that leaves the group
        self.leaving = Leaving(self.group, self.connection)
        #: how long the application has not gone on
        self.poll_timer = PollTimer(self.liveness, self.watchdog, self.max_poll_interval)
        #: delays between attempts that failed; begins anew with every answer that takes the member for alive
        self.clock = RETRY.start()
        #: `monotonic` time at which the next request is sent, and the timer for it
        self.due = 0
        self.timer = None
        #: True when the process is about to end
        self.exiting = False
        #: True from `close` on
        self.closed = False
        self.thread = threading.Thread(target=self.run, name="kiel-heartbeat-%s" % self.group)
        self.thread.daemon = True

    # -- the thread --

    def start(self):
        """Start the thread."""
        _running.add(self)
        self.thread.start()

    def call(self, fn, *args):
        """Have a method called on the thread; from any thread."""
        events.call_on_loop(self.loop, fn, *args)

    def run(self):
        """Run the thread's loop until `close`."""
        try:
            self.loop.add_callback(self.watchdog.start, self.loop)
            self.loop.start()
        except Exception:
            log.exception("Group %s: the heartbeat thread failed", self.group)
        finally:
            self.loop.close(all_fds=True)
            events.call_on_loop(self.io_loop, events.settle, self.done)

    @gen.coroutine
    def close(self):
        """Close all connections and let the thread end."""
        if self.closed:
            return
        self.closed = True
        self.watchdog.stop()
        self._disarm()
        self.connection.close()
        # what waited for those connections ends within a few turns, but not a dial to a host that does not answer
        patience = monotonic() + 0.2
        yield gen.sleep(0.005)
        while self.in_flight is not None and monotonic() < patience:
            yield gen.sleep(0.005)
        for _ in range(10):
            yield gen.moment
        self.loop.stop()

    # -- what the application says --

    def begin(self, term, address, others, first, follow, leave):
        """See `Heartbeat.start`."""
        self.term = term
        self.connection.use(address, others)
        self.follow, self.leave = follow, leave
        self.leaving.forget()
        self.last = (None, None)
        self.clock.reset()
        self.poll_timer.restart()
        if first is None:
            self._plan(follow, self.liveness.interval)
        else:
            self._plan(first, 0)

    def continue_with(self, term, request, follow, leave):
        """See `Heartbeat.beat`."""
        if term == self.term and not self.liveness.left:
            self.follow, self.leave = follow, leave
            self._plan(request, self.liveness.interval)

    def say(self, term, request):
        """See `Heartbeat.say`."""
        if term == self.term and not self.liveness.left:
            self._plan(request, 0)

    def _plan(self, request, delay):
        """Set what is sent next, and when."""
        self.version += 1
        self.upcoming = request
        # The application's thread took this step already. It is taken again for the sequence: the application says
        # something; an answer that came before ends the heartbeats here; what was said arrives here.
        self.liveness.change("end" if request is None else "say", self.term)
        self._arm(delay)

    def _arm(self, delay):
        """Set the time of the next request."""
        self._disarm()
        self.due = monotonic() + max(0, delay)
        if not self.closed and self.in_flight is None:
            self.timer = self.loop.call_later(max(0, delay), self.send_due)

    def _disarm(self):
        if self.timer is not None:
            self.loop.remove_timeout(self.timer)
            self.timer = None

    # -- sending --

    @gen.coroutine
    def send_due(self):
        """Send the request that is due, and take in its answer."""
        self.timer = None
        if self.in_flight is not None or self.closed:
            return
        request = self.leaving.request or self._next_request()
        if request is None:
            return
        term, version, sent = self.term, self.version, monotonic()
        self.in_flight = request
        try:
            answer = yield self._exchange(request)
        finally:
            self.in_flight = None
        if self.closed:
            return
        if request is self.leaving.request:
            self._leave_answered(answer)
        else:
            self._answered(term, version, request, answer, sent)

    def _next_request(self):
        """Return the request that is sent next, made from the last answer where a function stands for it."""
        if callable(self.upcoming):
            self._continue(self.upcoming, *self.last)
        return self.upcoming

    def _continue(self, function, request, answer):
        """Have a function of the application say what comes next; one that fails ends the heartbeats only."""
        try:
            self.upcoming = function(request, answer)
        except Exception:
            log.exception("Group %s: no more heartbeats: the answer %r could not be handled", self.group, answer)
            self.upcoming = None
        if self.upcoming is None:
            self.liveness.change("end", self.term)

    @gen.coroutine
    def _exchange(self, request):
        """Send a request to the coordinator. Return the response, or the `kiel.exc.KielError` in its place."""
        try:
            response = yield self.connection.send(request)
        except exc.KielError as error:
            raise gen.Return(error)
        except Exception as error:
            log.exception("Group %s: a heartbeat could not be sent", self.group)
            raise gen.Return(exc.KielError("a heartbeat could not be sent: %r" % error))
        raise gen.Return(response)

    def _answered(self, term, version, request, answer, sent):
        """Take in an answer: whether the member is alive, and what is sent next."""
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else exc.for_code(answer.error_code, None, answer.api, group=self.group)
        if term == self.term:
            self._note(request, answer, failed, error)
        interval = self.liveness.interval
        delay = sent + interval - monotonic()
        if version != self.version:
            delay = self.due - monotonic()  # something newer was said meanwhile
        elif error is not None and error.retriable:
            self.upcoming = request
            delay = self.clock.delay()
        elif failed:  # such as a refused login: tried again, but without haste
            self.upcoming = request
        else:
            self._continue(self.follow, request, answer)
            if request.api not in IMMEDIATE:
                delay = interval  # a session begins with the answer, which may have been long in coming
        self._tell(term, "on_answer", request, answer)
        if self.upcoming is not None or self.leaving.request is not None:
            self._arm(delay)

    def _note(self, request, answer, failed, error):
        """Remember what an answer says of the member and of the coordinator."""
        if not failed:
            self.last = (request, answer)
        if error is None or getattr(error, "code", None) == errors.rebalance_in_progress:
            if self.hooks is not None:
                self._tell_late(request)
            self.liveness.last_beat = monotonic()
            self.clock.reset()
        if error is not None and (failed or error.cure == "coordinator"):
            self.connection.coordinator_moved()

    def _tell_late(self, request):
        """Tell the hooks of a heartbeat that came late; other requests may wait for other members."""
        last, interval = self.liveness.last_beat, self.liveness.interval
        if request.api in IMMEDIATE and last is not None and monotonic() - last > 2 * interval:
            self.hooks.tell("heartbeat_late", group=self.group, seconds=monotonic() - last, interval=interval)

    def _tell_blocked(self, culprit, seconds):
        self.hooks.tell("loop_blocked", group=self.group, seconds=seconds, culprit=culprit)

    def _tell(self, term, hook, *args):
        """Have a hook called on the application's loop, unless the heartbeat has turned to something else by then."""
        events.call_on_loop(self.io_loop, _deliver, self.heartbeat, self, term, hook, *args)

    # -- leaving by itself --

    def check_progress(self, late):
        """
        Leave the group after too long without progress, or when nobody is there any more.

        Called by the watchdog after each of its checks.

        :param late: seconds by which this thread itself was late, so that silence proves nothing
        """
        self.poll_timer.check(late)
        if self.closed or self.leaving.request is not None:
            return
        if self.abandoned:
            self._leave_abandoned()
        elif self.poll_timer.expired() and self.liveness.change("leave", self.term, self.poll_timer.expired):
            self._warn_of_leaving(self.poll_timer.stalled)
            self._leave()

    def leave_at_exit(self):
        """The process is about to end: leave the group, and end the thread."""
        self.exiting = True
        self.watchdog.stop()  # the application's loop does not turn any more, and nobody is to blame
        if not self.closed and self.leaving.request is None:
            self._leave_abandoned()

    @property
    def abandoned(self):
        """Whether nobody will close this member: its consumer was dropped, its loop closed, or the process ends."""
        return self.exiting or self.watchdog.closed or self.heartbeat() is None

    def _warn_of_leaving(self, stalled):
        if self.watchdog.culprit:
            reason = "the IOLoop is blocked by %s" % self.watchdog.culprit
        else:
            reason = "consume() was not called (max_records= bounds what a call has to be worked on)"
        log.warning(
            "Group %s: no progress for %.1f s (max_poll_interval is %g s), %s: the member leaves the group, "
            "and rejoins once there is progress", self.group, stalled, self.max_poll_interval, reason, extra=self.fields
        )

    def _leave_abandoned(self):
        """Leave for good."""
        if self.exiting:
            log.info("Group %s: the process ends without closing the consumer: its member leaves", self.group)
        elif self.watchdog.closed:
            log.info("Group %s: the application's IOLoop was closed without closing the consumer: its member leaves",
                     self.group)
        else:
            log.error("Group %s: the consumer was dropped without being closed: its member leaves; "
                      "`yield consumer.close()` leaves at once", self.group, extra=self.fields)
        if self.liveness.state == BEATING:
            self.liveness.change("leave")
            self._leave()
        else:
            self._gone()

    def _leave(self):
        """Send the request that leaves, if there is one; then tell."""
        self.version += 1
        self.upcoming = None
        if not self.leaving.begin(self.leave):
            self._gone()
            return
        if self.in_flight is not None and self.in_flight.api not in IMMEDIATE:
            self.connection.disconnect()  # a broker reads nothing behind a request that waits for other members
        self._arm(0)

    def _leave_answered(self, answer):
        """Take in the answer to the request that leaves; try again where that is worth it."""
        delay = self.leaving.answered(answer)
        if delay is None:
            self._gone()
        else:
            self._arm(delay)

    def _gone(self):
        """The member is out of the group, as far as it can tell."""
        if self.liveness.state != LEFT:
            self.liveness.change("gone")
        self._tell(self.term, "on_left")
        if self.abandoned:
            self.close()


def _deliver(reference, *args):
    """Call a hook of a heartbeat on the application's loop; it may have been dropped meanwhile."""
    heartbeat = reference()
    if heartbeat is not None:
        heartbeat.receive(*args)


#: those whose thread may be running
_running = weakref.WeakSet()


def _close_all():
    """
    End the threads before Python takes the modules away from under them, which 2.7 does noisily.

    Members that nobody has closed, as after Ctrl-C with the loop left, leave their groups: else the others would wait
    for their sessions' time-outs.
    """
    threads = list(_running)
    for thread in threads:
        thread.call(thread.leave_at_exit)
    for thread in threads:
        thread.thread.join(EXIT_TIME)


atexit.register(_close_all)
