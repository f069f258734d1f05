"""How a member of a classic group talks to its coordinator: through its heart, so that a blocked loop is no silence."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen

from kiel import events, exc
from kiel.groups.classic.requests import refusal
from kiel.groups.liveness.heartbeat import Heart
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: seconds of failing after which the client looks for the coordinator, which knows more brokers than the heart does
PATIENCE = 5.0

#: seconds in which a goodbye has to be through
LEAVE_TIME = 5.0


class Talk(object):
    """
    Questions and answers, and the signs of life between them.

    :param client: the `kiel.clients.grouped.GroupedConsumer`
    :param membership: `kiel.groups.membership.Membership`
    :param requests: `kiel.groups.classic.requests.Requests`
    :param goodbye: function that makes the request which leaves for want of progress; pure
    :param on_beat: called with (request, error or None) after each sign of life
    :param on_left: called after the heart left the group by itself
    """

    def __init__(self, client, membership, requests, goodbye, on_beat, on_left):
        self.client = client
        self.membership = membership
        self.requests = requests
        self.goodbye = goodbye
        self.on_beat = on_beat
        self.on_left = on_left
        #: the `kiel.groups.liveness.heartbeat.Heart`; None while there is no membership
        self.heart = None
        #: whether the heart has to begin anew, at the coordinator that the client finds
        self.cold = True
        #: since when the coordinator has not been reached; None while it can be
        self.failing_since = None
        #: (request, Future) of the question under way
        self._asked = None
        #: changes with each `abandon`
        self._turn = object()

    @property
    def waiting(self):
        """The Future of the question under way; None when there is none."""
        return None if self._asked is None else self._asked[1]

    @gen.coroutine
    def ask(self, request):
        """
        Sends a request and gives the good answer; what passes is tried again.

        :raises kiel.exc.KielError: what the answer says, or what has lasted for `PATIENCE`
        """
        turn = self._turn
        broker = None
        if self.cold:
            broker = yield self._coordinator()
            if turn is not self._turn:
                raise exc.ClosedError("group %s: nobody waits for the answer any more" % self.client.group_name)
        future = concurrent.Future()
        self._asked = request, future
        self.failing_since = None
        if broker is None:
            self.heart.say(request)
        else:
            self._begin(broker, request)
        answer = yield future
        raise gen.Return(answer)

    def beat(self, member_id, generation):
        """Gives a sign of life at once."""
        if self.heart is not None:
            self.heart.say(self.requests.beat(member_id, generation))

    def abandon(self, error):
        """Whoever waits for an answer gets this error."""
        self._turn = object()
        if self._asked is not None:
            future, self._asked = self._asked[1], None
            future.set_exception(error)

    @gen.coroutine
    def find_coordinator(self):
        """Has the client find the coordinator before the next question; that it can't shows then."""
        self.cold = True
        self.client.lose_coordinator()
        try:
            yield self.client.cluster.heal()
        except exc.KielError as error:
            log.info("Group %s: the cluster could not be asked again: %s", self.client.group_name, error)

    @gen.coroutine
    def go_after(self, beat):
        """Brings the heart to where the coordinator is now; ``beat`` gives the request to begin with, or None."""
        turn = self._turn
        yield self.find_coordinator()
        broker = None
        try:
            broker = yield self._coordinator()
        except exc.KielError as error:
            log.info("Group %s has no coordinator: %s", self.client.group_name, error)
        request = beat()
        if turn is self._turn and self._asked is None and request is not None:
            if broker is not None:
                self._begin(broker, request)
            else:  # the heart looks on, and the client again in a while
                self.cold = False
                self.failing_since = monotonic()

    @gen.coroutine
    def _coordinator(self):
        """Gives the coordinator's `kiel.broker.Broker`."""
        coordinator = yield self.client.coordinator()
        broker = self.client.cluster.conns.get(coordinator)
        if broker is None:
            raise exc.CoordinatorNotAvailableError("broker %s has just gone" % coordinator)
        raise gen.Return(broker)

    @gen.coroutine
    def depart(self, request):
        """Says goodbye to the coordinator, if there is a request for that, and ends the heart."""
        heart, self.heart = self.heart, None
        self.cold = True
        self.abandon(exc.ClosedError("group %s: the member has left" % self.client.group_name))
        clock = Backoff(deadline=min(LEAVE_TIME, self.client.settings.request_timeout)).start()
        while request is not None:
            try:
                broker = yield events.within(clock.left, self._coordinator())
                answer = yield events.within(clock.left, broker.send(request))
                error = exc.for_code(answer.error_code)
            except gen.TimeoutError:
                error = exc.KielError("no answer in time")
            except exc.KielError as failure:
                error = failure
            delay = clock.delay()
            if error is None or not error.retriable or delay is None:
                if error is not None:
                    log.info("Group %s: leaving failed, the session will run out: %s", self.client.group_name, error)
                break
            self.client.lose_coordinator()
            yield gen.sleep(delay)
        if heart is not None:
            yield heart.stop()

    def _begin(self, broker, request):
        """Has the heart begin with a request, at the coordinator."""
        membership = self.membership
        if self.heart is None:
            self.heart = Heart(
                self.client.settings, self.client.io_loop, self.client.group_name, membership.heartbeat_interval,
                membership.slow_callback, membership.max_poll_interval,
            )
            self.heart.on_answer = self._on_answer
            self.heart.on_left = self.on_left
        self.cold = False
        self.failing_since = None
        others = [(conn.host, conn.port) for conn in self.client.cluster.conns.values()]
        self.heart.start((broker.host, broker.port), others, request, self.requests.follow, self.goodbye)

    def _on_answer(self, request, answer):
        """The heart has got an answer, or the `kiel.exc.KielError` in its place."""
        if isinstance(answer, exc.KielError):
            error = answer
        else:
            error = refusal(answer, "group %s" % self.client.group_name)
        failing = error is not None and error.retriable
        if not failing:
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = monotonic()
        if self._asked is not None and self._asked[0] is request:
            if failing and not self.failed_long:
                log.info("Group %s: the coordinator can't be asked yet: %s", self.client.group_name, error)
                return
            future, self._asked = self._asked[1], None
            if error is None:
                future.set_result(answer)
            else:
                error.answer = answer
                future.set_exception(error)
        elif request.api == "heartbeat":
            self.on_beat(request, error)

    @property
    def failed_long(self):
        """Whether the coordinator could not be reached for so long that the heart may be looking in the wrong place."""
        return self.failing_since is not None and monotonic() - self.failing_since > PATIENCE
