"""How a member of a classic group reaches its coordinator: by the heartbeat thread, so that it answers in time."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen, ioloop

from kiel import events, exc
from kiel.groups.classic.requests import NO_GENERATION, refusal
from kiel.groups.liveness.heartbeat import Heartbeat
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: seconds of failing after which the cluster is asked for the coordinator: it knows more brokers than the heartbeat
PATIENCE = 5.0

#: seconds within which the request to leave has to be answered
LEAVE_TIME = 5.0


class ClassicCoordinatorClient(object):
    """
    Sends a member's requests, one at a time, and its heartbeats between them.

    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param membership: `kiel.groups.membership.Membership`
    :param settings: `kiel.settings.Settings` of the connections
    :param requests: `kiel.groups.classic.requests.Requests`
    :param on_beat: called with (request, error or None) after each heartbeat
    :param on_left: called after the member left by itself, for want of progress
    """

    def __init__(self, coordinator, membership, settings, requests, on_beat, on_left):
        self.coordinator = coordinator
        self.group = coordinator.key
        self.membership = membership
        self.settings = settings
        self.requests = requests
        self.on_beat = on_beat
        self.on_left = on_left
        #: the `kiel.groups.liveness.heartbeat.Heartbeat`; None while there is no membership
        self.heartbeat = None
        #: whether the heartbeat has to start anew, at the coordinator that is found then
        self.must_start = True
        #: `monotonic` time since which the coordinator was not reached; None while it can be
        self.failing_since = None
        #: (request, Future) of the question that is on its way; None while none is
        self._asked = None
        #: a new object with each `fail_pending`: whoever has an older one must not go on
        self._term = object()

    @property
    def pending(self):
        """The Future of the question that is on its way; None while none is."""
        return None if self._asked is None else self._asked[1]

    @property
    def failed_long(self):
        """Whether the coordinator was not reached for so long that the heartbeat may be looking in the wrong place."""
        return self.failing_since is not None and monotonic() - self.failing_since > PATIENCE

    @gen.coroutine
    def ask(self, request):
        """
        Send a request. Return a Future of the answer; what fails in a passing way is tried again.

        :raises kiel.exc.KielError: what the answer says, or what has lasted for `PATIENCE`
        """
        term = self._term
        broker = None
        if self.must_start:
            broker = yield self.coordinator.broker()
            if term is not self._term:
                raise exc.ClosedError("group %s: nobody waits for the response any more" % self.group)
        future = concurrent.Future()
        self._asked = request, future
        self.failing_since = None
        if broker is None:
            self.heartbeat.say(request)
        else:
            self._start(broker, request)
        answer = yield future
        raise gen.Return(answer)

    @gen.coroutine
    def join(self, topics, owned_for, reason, expect):
        """
        Send JoinGroup, twice where the broker assigns an id first (KIP-394); return a Future of the answer.

        :param topics: names to subscribe to
        :param owned_for: function of an assignor, see `kiel.groups.classic.requests.Requests.join`
        :param reason: text for the broker's log
        :param expect: a function that raises when the rebalance was overtaken while this waited
        """
        while True:
            request = self.requests.join(self.requests.identity[0], topics, owned_for, reason)
            try:
                joined = yield self.ask(request)
            except exc.MemberIdRequiredError as error:
                expect()
                if self.requests.identity[0] or not error.answer.member_id:
                    raise
                self.requests.identity = (error.answer.member_id, NO_GENERATION)
            else:
                expect()
                raise gen.Return(joined)

    @gen.coroutine
    def learn_id(self):
        """
        Wait for the answer to a first JoinGroup, since only that tells the id to leave with.

        Else the group would wait for a member that is not there.
        """
        if self.requests.identity[0] or self.pending is None or self.failing_since is not None:
            return
        try:
            answer = yield self.pending
        except exc.MemberIdRequiredError as error:
            answer = error.answer
        except exc.KielError:
            return
        self.requests.identity = (answer.member_id, NO_GENERATION)

    def beat(self, member_id, generation):
        """Send a heartbeat at once."""
        if self.heartbeat is not None:
            self.heartbeat.say(self.requests.beat(member_id, generation))

    def fail_pending(self, error):
        """Have whoever waits for an answer get this error."""
        self._term = object()
        if self._asked is not None:
            future, self._asked = self._asked[1], None
            events.settle(future, error=error)

    @gen.coroutine
    def lose_coordinator(self):
        """Have the coordinator looked up before the next question. That it can't be found shows then."""
        self.must_start = True
        self.coordinator.lose()
        try:
            yield self.coordinator.cluster.heal()
        except exc.KielError as error:
            self.coordinator.tell_trouble(log, "Group %s: metadata refresh failed: %s", self.group, error)

    @gen.coroutine
    def follow_coordinator(self, make_request):
        """
        Look the coordinator up, and move the heartbeat to it.

        :param make_request: a function that returns the request to go on with, or None where there is nothing to say
        """
        term = self._term
        yield self.lose_coordinator()
        broker = None
        try:
            broker = yield self.coordinator.broker()
        except exc.KielError as error:
            self.coordinator.tell_trouble(log, "Group %s has no coordinator: %s", self.group, error)
        request = make_request()
        if term is not self._term or self._asked is not None or request is None:
            return
        if broker is not None:
            self._start(broker, request)
        else:  # the heartbeat thread goes on looking, and after `PATIENCE` this is called again
            self.must_start = False
            self.failing_since = monotonic()

    @gen.coroutine
    def leave(self, request):
        """Send the request that leaves, unless it is None, and end the heartbeat. Return whether it was heard."""
        heartbeat, self.heartbeat = self.heartbeat, None
        self.must_start = True
        self.fail_pending(exc.ClosedError("group %s: the member has left" % self.group))
        clock = Backoff(deadline=min(LEAVE_TIME, self.settings.request_timeout)).start()
        error = None
        while request is not None:
            error = yield self._try_to_leave(request, clock.left)
            delay = clock.delay()
            if error is None:
                break
            if not error.retriable or delay is None:
                log.info("Group %s: leaving failed, the session will expire: %s", self.group, error)
                break
            self.coordinator.lose()
            yield gen.sleep(delay)
        if heartbeat is not None:
            yield heartbeat.stop()
        raise gen.Return(error is None)

    @gen.coroutine
    def _try_to_leave(self, request, seconds):
        """Send the request that leaves. Return the error, or None."""
        try:
            broker = yield events.within(seconds, self.coordinator.broker())
            answer = yield events.within(seconds, broker.send(request))
        except gen.TimeoutError:
            raise gen.Return(exc.KielError("no answer in time"))
        except exc.KielError as error:
            raise gen.Return(error)
        raise gen.Return(exc.for_code(answer.error_code, None, answer.api, group=self.group))

    def _start(self, broker, request):
        """Have the heartbeat start with a request, at the coordinator."""
        if self.heartbeat is None:
            membership = self.membership
            self.heartbeat = Heartbeat(
                self.settings, ioloop.IOLoop.current(), self.group, membership.heartbeat_interval,
                membership.slow_callback, membership.max_poll_interval,
            )
            self.heartbeat.on_answer = self._on_answer
            self.heartbeat.on_left = self.on_left
        self.must_start = False
        self.failing_since = None
        others = [(conn.host, conn.port) for conn in self.coordinator.cluster.conns.values()]
        self.heartbeat.start(
            (broker.host, broker.port), others, request, self.requests.follow, self.requests.leave_unasked
        )

    def _on_answer(self, request, answer):
        """The heartbeat got an answer, or the `kiel.exc.KielError` in its place."""
        if isinstance(answer, exc.KielError):
            error = answer
        else:
            error = refusal(answer, "group %s" % self.group, self.group)
        failing = error is not None and error.retriable
        if not failing:
            self.failing_since = None
            self.coordinator.trouble_over()
        elif self.failing_since is None:
            self.failing_since = monotonic()
        if self._asked is not None and self._asked[0] is request:
            if failing and not self.failed_long:
                self.coordinator.tell_trouble(log, "Group %s: the coordinator can't be asked yet: %s", self.group,
                                              error)
                return
            future, self._asked = self._asked[1], None
            if error is not None:
                error.answer = answer
            events.settle(future, answer, error)
        elif request.api == "heartbeat":
            self.on_beat(request, error)
