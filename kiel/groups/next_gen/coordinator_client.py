"""What a next-generation member and its coordinator say to each other, and who that coordinator is."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen

from kiel import events, exc
from kiel.groups.liveness.heartbeat import Heartbeat
from kiel.groups.next_gen import heartbeats
from kiel.groups.next_gen.assignment import NextGenAssignment
from kiel.groups.next_gen.subscription import NextGenSubscription
from kiel.protocol import errors
from kiel.retry import Backoff

log = logging.getLogger(__name__)

#: pauses between attempts to get in, or to find the name of a topic id
PATIENCE = Backoff(first=0.1, most=2.0, deadline=None)

#: seconds that leaving may take
LEAVE_TIME = 5.0


class NextGenCoordinatorClient(object):
    """
    All that a member's heartbeats say, and the heartbeat that says it.

    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param membership: `kiel.groups.membership.Membership`
    :param settings: `kiel.settings.Settings` of the connections
    """

    def __init__(self, coordinator, membership, settings):
        self.coordinator = coordinator
        self.group = coordinator.key
        self.membership = membership
        self.settings = settings
        self.subscription = NextGenSubscription()
        self.assignment = NextGenAssignment()
        #: the `kiel.groups.liveness.heartbeat.Heartbeat`; None before `open`
        self.heartbeat = None
        self.member_id = heartbeats.make_member_id()
        #: the number of what was said last, and of what was answered last
        self.said = self.answered = 0
        #: grows the pauses between attempts; begins anew with every answer without an error
        self.clock = PATIENCE.start()
        #: whether no coordinator has accepted the member id yet, which the member made itself
        self._own_id = True
        #: a Future that is done when the request to leave was answered; None while there is none
        self._left = None

    @property
    def up_to_date(self):
        """Whether the coordinator has answered all that was said."""
        return self.answered >= self.said

    def open(self, io_loop, on_answer, on_left):
        """Make a heartbeat for that loop, if there is none; it does not beat yet."""
        if self.heartbeat is None or self.heartbeat.io_loop is not io_loop:
            self.heartbeat = Heartbeat(
                self.settings, io_loop, self.group, self.membership.heartbeat_interval,
                self.membership.slow_callback, self.membership.max_poll_interval
            )
        self.heartbeat.on_answer = on_answer
        self.heartbeat.on_left = on_left

    # -- getting in --

    @gen.coroutine
    def probe(self):
        """
        Find out whether the coordinator would let this member in: ask it to let one go that it does not know.

        :raises kiel.exc.UnsupportedVersionError: when it does not serve the protocol
        :raises kiel.exc.KielError: when there is none in time, or it refuses
        """
        yield self.coordinator.ask(self._probe)

    @gen.coroutine
    def _probe(self, broker):
        request = heartbeats.make_leave(self.full_heartbeat(), heartbeats.LEAVE)()
        request.instance_id = None
        broker.version(request)  # raises when there is no common one
        answer = yield broker.send(request)
        error = exc.for_code(answer.error_code, answer.error_message, answer.api, group=self.group)
        if isinstance(error, (exc.UnknownMemberIdError, exc.GroupIdNotFoundError)):
            error = None
        raise gen.Return(error or True)

    @gen.coroutine
    def join(self, wanted):
        """
        Find the coordinator, and have the heartbeat start with epoch 0; whatever passes is waited for.

        :param wanted: a function that returns whether that still is to be
        :raises kiel.exc.KielError: for an error that does not pass
        """
        while wanted():
            try:
                broker = yield self.coordinator.broker()
                broker.version(heartbeats.MemberHeartbeat)  # raises when there is no common one
            except exc.KielError as error:
                if not error.retriable:
                    raise
                log.info("Group %s: no coordinator to join through yet: %s", self.group, error)
                yield self._retry_later()
                continue
            if wanted():
                others = [(conn.host, conn.port) for conn in self.coordinator.cluster.conns.values()]
                self.heartbeat.start((broker.host, broker.port), others, self.full_heartbeat(), heartbeats.follow,
                                     self.leave_request())
            return

    @gen.coroutine
    def _retry_later(self):
        """Wait a moment, then refresh the metadata."""
        yield gen.sleep(self.clock.delay())
        self.coordinator.lose()
        try:
            yield self.coordinator.cluster.heal()
        except exc.KielError as error:
            log.info("Group %s: metadata refresh failed: %s", self.group, error)

    # -- what is said --

    def full_heartbeat(self):
        """Return a heartbeat that says everything; its epoch is that of joining until it is its turn."""
        membership = self.membership
        full = heartbeats.MemberHeartbeat(
            group_id=self.group, member_id=self.member_id, member_epoch=heartbeats.JOIN,
            instance_id=membership.instance_id, rack_id=membership.rack_id,
            rebalance_timeout=int(membership.rebalance_timeout * 1000),
            subscribed_topic_names=sorted(self.subscription.topics), server_assignor=membership.assignors,
            topic_partitions=self.assignment.as_topic_partitions()
        )
        full.serial = self.said
        full.own_id = self._own_id
        return full

    def say(self):
        """Tell the coordinator everything, at once."""
        self.said += 1
        self.heartbeat.say(heartbeats.make_next(self.full_heartbeat()))

    def leave_request(self):
        """Return a function that makes the request to leave; a static member says that it will be back."""
        epoch = heartbeats.LEAVE if self.membership.instance_id is None else heartbeats.COME_BACK
        return heartbeats.make_leave(self.full_heartbeat(), epoch)

    @gen.coroutine
    def leave(self):
        """Leave, and wait for the answer, but not too long. Return whether the coordinator let the member go."""
        self._left = concurrent.Future()
        self.heartbeat.say(self.leave_request())
        gone = False
        try:
            gone = yield events.within(min(LEAVE_TIME, self.settings.request_timeout), self._left)
        except gen.TimeoutError:
            log.info("Group %s: leaving was not answered; the member's session will expire", self.group)
        self._left = None
        raise gen.Return(gone)

    @gen.coroutine
    def leave_at_last(self):
        """Ask once more to be let go, after the heartbeat has stopped."""
        try:
            yield events.within(min(LEAVE_TIME, self.settings.request_timeout), self._ask_to_leave())
        except (exc.KielError, gen.TimeoutError) as error:
            log.info("Group %s: leaving failed, the member's session will expire: %s", self.group,
                     str(error) or "no answer in time")

    @gen.coroutine
    def _ask_to_leave(self):
        self.coordinator.lose()  # it may have moved since
        broker = yield self.coordinator.broker()
        answer = yield broker.send(self.leave_request()())
        if not _lets_go(answer):
            raise exc.for_code(answer.error_code, answer.error_message, answer.api, group=self.group)

    # -- what is answered --

    def note_answer(self, request, answer):
        """Take in an answer without an error."""
        self.member_id, self._own_id = answer.member_id or request.member_id, False
        self.subscription.told = frozenset(request.subscribed_topic_names)
        self.answered = request.serial
        self.clock.reset()
        seconds = answer.heartbeat_interval / 1000.0
        if seconds > 0 and seconds != self.heartbeat.interval:
            self.heartbeat.interval = seconds
            if self.up_to_date:  # else the next goes out at once, and those after it are in time
                self.heartbeat.beat(heartbeats.follow, heartbeats.follow, self.leave_request())

    def note_left(self, answer):
        """Take in the answer to the request that leaves; where that may pass, the heartbeat sends it again."""
        if self._left is None or isinstance(answer, exc.KielError):
            return
        error = exc.for_code(answer.error_code)
        if error is None or not error.retriable:
            events.settle(self._left, _lets_go(answer))


def _lets_go(answer):
    """Return whether the coordinator does not have the member any more, by an answer to the request that leaves."""
    return answer.error_code in (errors.no_error, errors.unknown_member_id, errors.group_id_not_found)
