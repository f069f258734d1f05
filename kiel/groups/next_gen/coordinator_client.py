"""What a next-generation member and its coordinator say to each other, and who that coordinator is."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen

from kiel import events, exc
from kiel.groups.next_gen import heartbeats as beats
from kiel.groups.liveness.heartbeat import Heart
from kiel.groups.next_gen.assignment import Holdings
from kiel.groups.next_gen.subscription import Subscription
from kiel.retry import Backoff

log = logging.getLogger(__name__)

API = beats.Beat.api

#: pauses between attempts to get in, or to find the name of a topic id
PATIENCE = Backoff(first=0.1, most=2.0, deadline=None)

#: seconds that leaving may take
LEAVE_TIME = 5.0


class Talk(object):
    """
    The member's side of the talk: all that a heartbeat says, and the heart that says it.

    :param client: the `kiel.clients.grouped.GroupedConsumer`
    :param membership: `kiel.groups.membership.Membership`
    """

    def __init__(self, client, membership):
        self.client = client
        self.membership = membership
        self.subscription = Subscription()
        self.holdings = Holdings()
        self.heart = None
        self.member_id = beats.make_member_id()
        #: the number of what was said last, and of what was answered last
        self.said = self.answered = 0
        #: grows the pauses between attempts; begins anew with every answer without an error
        self.clock = PATIENCE.start()
        self._own_id = True
        self._left = None

    @property
    def up_to_date(self):
        """Whether the coordinator has answered all that was said."""
        return self.answered >= self.said

    def open(self, io_loop, on_answer, on_left):
        """Gets a heart for that loop, if there is none; it does not beat yet."""
        if self.heart is None or self.heart.io_loop is not io_loop:
            self.heart = Heart(
                self.client.settings, io_loop, self.client.group_name, self.membership.heartbeat_interval,
                self.membership.slow_callback, self.membership.max_poll_interval
            )
        self.heart.on_answer = on_answer
        self.heart.on_left = on_left

    # -- getting in --

    @gen.coroutine
    def probe(self):
        """
        Asks the coordinator to let a member go that it does not know, to see whether it would let one in.

        :raises kiel.exc.UnsupportedVersionError: when it does not serve the protocol
        :raises kiel.exc.KielError: when there is none in time, or it refuses
        """
        found = yield self.client.attempt([API], self._probe)
        if isinstance(found[API], exc.KielError):
            raise found[API]

    @gen.coroutine
    def _probe(self, wanted):
        """One round of that."""
        broker_id = yield self.client.coordinator()
        broker = self.client.cluster[broker_id]
        request = beats.parting(self.beat(), beats.LEAVE)()
        request.instance_id = None
        broker.version(request)  # raises when there is no common one
        answer = yield broker.send(request)
        error = exc.for_code(answer.error_code, answer.error_message)
        if isinstance(error, (exc.UnknownMemberIdError, exc.GroupIdNotFoundError)):
            error = None
        raise gen.Return({API: error or True})

    @gen.coroutine
    def enter(self, wanted):
        """
        Finds the coordinator, and has the heart begin with epoch 0; whatever passes is waited for.

        :param wanted: tells whether that still is to be
        :raises kiel.exc.KielError: for an error that does not pass
        """
        group = self.client.group_name
        while wanted():
            try:
                broker_id = yield self.client.coordinator()
                broker = self.client.cluster[broker_id]
                broker.version(beats.Beat)  # raises when there is no common one
            except (exc.KielError, KeyError) as error:
                if isinstance(error, exc.KielError) and not error.retriable:
                    raise
                log.info("Group %s: no coordinator to join through yet: %s", group, error)
                yield self._look_around()
                continue
            if wanted():
                others = [(conn.host, conn.port) for conn in self.client.cluster.conns.values()]
                self.heart.start((broker.host, broker.port), others, self.beat(), beats.follow, self.goodbye())
            return

    @gen.coroutine
    def _look_around(self):
        """Waits a moment and asks the cluster anew."""
        yield gen.sleep(self.clock.delay())
        self.client.lose_coordinator()
        try:
            yield self.client.cluster.heal()
        except exc.KielError as error:
            log.info("Group %s: the cluster could not be asked again: %s", self.client.group_name, error)

    # -- what is said --

    def beat(self):
        """A heartbeat that says everything; its epoch is that of joining until it is its turn."""
        membership = self.membership
        beat = beats.Beat(
            group_id=self.client.group_name, member_id=self.member_id, member_epoch=beats.JOIN,
            instance_id=membership.instance_id, rack_id=membership.rack_id,
            rebalance_timeout=int(membership.rebalance_timeout * 1000),
            subscribed_topic_names=sorted(self.subscription.wanted), server_assignor=membership.assignors,
            topic_partitions=self.holdings.as_topic_partitions()
        )
        beat.serial = self.said
        beat.own_id = self._own_id
        return beat

    def say(self):
        """Tells the coordinator everything, at once."""
        self.said += 1
        self.heart.say(beats.turn(self.beat()))

    def goodbye(self):
        """A function that makes the request to leave; a static member says that it will be back."""
        return beats.parting(self.beat(), beats.LEAVE if self.membership.instance_id is None else beats.COME_BACK)

    @gen.coroutine
    def leave(self):
        """Leaves, and waits for the answer, but not too long."""
        self._left = concurrent.Future()
        self.heart.say(self.goodbye())
        try:
            yield events.within(min(LEAVE_TIME, self.client.settings.request_timeout), self._left)
        except gen.TimeoutError:
            log.info("Group %s was left without an answer; the member's session ends by itself",
                     self.client.group_name)
        self._left = None

    # -- what is answered --

    def hear(self, request, answer):
        """Takes in an answer without an error."""
        self.member_id, self._own_id = answer.member_id or request.member_id, False
        self.subscription.told = frozenset(request.subscribed_topic_names)
        self.answered = request.serial
        self.clock.reset()
        seconds = answer.heartbeat_interval / 1000.0
        if seconds > 0 and seconds != self.heart.interval:
            self.heart.interval = seconds
            if self.up_to_date:  # else the next goes out at once, and those after it are in time
                self.heart.beat(beats.follow, beats.follow, self.goodbye())

    def hear_of_leaving(self, answer):
        """Takes in the answer to the request that leaves; an error in it is as good as none."""
        if self._left is not None and not isinstance(answer, exc.KielError) and not self._left.done():
            self._left.set_result(None)
