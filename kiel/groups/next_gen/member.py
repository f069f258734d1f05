"""
A member of a next-generation group (KIP-848): the broker shares partitions out, the member follows.

There is one request, the heartbeat. Its answers give an epoch and, when it changed, the partitions that the member may
have. The member gives up what is not among them, says so, and takes what is new; the broker offers a partition only
once it is free. All heartbeats go through `kiel.groups.liveness.heartbeat`, so that a blocked loop does not cost the
membership.
"""
from __future__ import absolute_import

import logging

from tornado import gen, ioloop

from kiel import events, exc
from kiel.allocation import Allocator
from kiel.groups.next_gen.assignment import from_answer
from kiel.groups.next_gen.states import (
    ALIVE, FAILED, FENCED, INSIDE, JOINING, LEFT, OUT, RECONCILING, STABLE, TRANSITIONS
)
from kiel.groups.next_gen.coordinator_client import PATIENCE, Talk
from kiel.protocol import errors
from kiel.retry import monotonic

log = logging.getLogger(__name__)


class ConsumerAllocator(Allocator):
    """
    A member of a next-generation group.

    :param client: the `kiel.clients.grouped.GroupedConsumer`, for its cluster, its settings and its coordinator
    :param membership: `kiel.groups.membership.Membership`; ``assignors`` is the name of the broker's assignor
        ("uniform", "range") or None for its default. The broker says how often the heart beats and how long a session
        lasts; ``session_timeout`` is how long the member trusts what it owns without hearing from it.
    """

    by_topic = True

    def __init__(self, client, membership):
        self.client = client
        self.membership = membership
        self.instance_id = membership.instance_id
        #: one of `TRANSITIONS`
        self.state = OUT
        self.allocation = {}
        #: (member id, epoch)
        self.identity = ("", -1)
        self.error = None
        self.io_loop = None
        self._talk = Talk(client, membership)
        self._subscription = self._talk.subscription
        self._holdings = self._talk.holdings
        #: changes when partitions are lost, so that what is under way with them ends
        self._life = object()
        self._reconciling = None
        self._resolving = False
        self._unreleased = None
        self._heard_at = None
        self._stopping = None

    @property
    def heart(self):
        """The `kiel.groups.liveness.heartbeat.Heart` that keeps the member alive; None before `start`."""
        return self._talk.heart

    @property
    def is_in(self):
        """False after the member left by itself; `subscribe` brings it back."""
        return self.state != LEFT

    @property
    def paused(self):
        """
        True while ownership is in doubt: the member is about to leave by itself, or has not heard from the coordinator
        for ``session_timeout``, as after the process stood still.
        """
        if self.heart is None or self.state == OUT:
            return False
        if self.heart.left:
            return True
        last = self.heart.last_beat
        return bool(self._holdings.owned) and last is not None and monotonic() - last > self._trust

    @property
    def _trust(self):
        """Seconds of silence after which ownership is in doubt; more than a few beats of the broker's choosing."""
        return max(self.membership.session_timeout, 3 * self.heart.interval)

    def _on(self, event):
        """Moves to the next state."""
        before, self.state = self.state, TRANSITIONS[self.state][event]
        if before != self.state:
            log.debug("Group %s: %s, so this member is %s, not %s", self.client.group_name, event, self.state, before)

    # -- what the consumer asks --

    @gen.coroutine
    def start(self, partitions):
        """
        Makes sure that the coordinator serves this protocol; joins once something is subscribed to.

        :raises kiel.exc.UnsupportedVersionError: when it does not, or the group is one of classic members that it does
            not upgrade
        :raises kiel.exc.KielError: when there is no coordinator, or it refuses
        """
        self.io_loop = ioloop.IOLoop.current()
        self._talk.open(self.io_loop, self._on_answer, self._on_left)
        if self._subscription.wanted:
            yield self.subscribe(self._subscription.wanted)
        else:
            yield self._talk.probe()

    def subscribe(self, topics):
        """
        Adds topics; gives a Future that is done when the coordinator knows them and the member has its share.

        Brings back a member that left by itself or was refused.
        """
        new, future = self._subscription.add(topics)
        if self.state in (OUT, LEFT, FAILED):
            self.error = None
            self._on("subscribed")
            self._spawn(self._enter())
        elif new and self.state in ALIVE:
            self._on("told")
            self._talk.say()
        self._settle()
        return future

    @gen.coroutine
    def update(self, partitions, gone=()):
        """Looks whether topics that the member is to have are known by now; the broker sees to all else."""
        self._look()

    def rejoin(self, error):
        """A commit was refused: the coordinator is asked at once what it takes this member for."""
        if self.state in INSIDE:
            log.info("Group %s: a commit was refused (%s)", self.client.group_name, error)
            self._on("told")
            self._talk.say()

    def stop(self):
        """
        Leaves the group; gives a Future. A static member tells that it will be back, and keeps its partitions till its
        session is over.
        """
        if self._stopping is None or self._stopping.done():
            self._stopping = self._stop()
        return self._stopping

    # -- getting in --

    @gen.coroutine
    def _enter(self):
        """Has the heart begin, once there is a coordinator."""
        life = self._life
        try:
            yield self._talk.enter(lambda: self.state == JOINING and life is self._life)
        except exc.KielError as error:
            self._fail(error)

    # -- what the heart tells --

    def _on_answer(self, request, answer):
        """Takes in the answer to a heartbeat; those of a blocked time come here one after the other."""
        if request.member_epoch < 0:
            self._talk.hear_of_leaving(answer)
            return
        if self.state not in ALIVE:
            return
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else exc.for_code(
            answer.error_code, answer.error_message or "group %s" % self.client.group_name
        )
        if error is not None:
            self._refused(request, error)
            return
        self._talk.hear(request, answer)
        self.identity = (self._talk.member_id, answer.member_epoch)
        self._unreleased = None
        heard, self._heard_at = self._heard_at, monotonic()
        if heard is not None and self._heard_at - heard > self._trust and self.on_pause is not None:
            self.on_pause(False)  # the doubt is over
        target = from_answer(answer)
        if target is not None:
            self._holdings.target = target
        self._on("heard" if self._talk.up_to_date else "answered")
        self._look()
        self._settle()

    def _refused(self, request, error):
        """An error came in place of an answer, or in it."""
        group = self.client.group_name
        if error.retriable:
            log.info("Group %s: a heartbeat failed and is sent again: %s", group, error)
            return
        code = getattr(error, "code", None)
        if code in (errors.fenced_member_epoch, errors.unknown_member_id) or (
                code == errors.group_id_not_found and request.member_epoch > 0):
            log.info("Group %s does not have this member any more: %s", group, error)
            self._spawn(self._fenced())
        elif code == errors.unreleased_instance_id:
            # one that was killed still has the name, until its session is over
            if self._unreleased is None:
                self._unreleased = self.client.retry.start()
                log.info("Group %s: %s", group, error)
            delay = self._talk.clock.delay()
            if self._unreleased.over:
                self._fail(error)
            else:
                self.io_loop.call_later(delay, self._enter_again, self._life)
        elif code == errors.group_id_not_found:
            self._fail(exc.UnsupportedVersionError(
                "group %s has classic members, and the broker does not upgrade it: %s" % (group, error)
            ))
        else:
            self._fail(error)

    def _enter_again(self, life):
        """Tries once more to get in."""
        if self.state == JOINING and life is self._life:
            self._spawn(self._enter())

    @gen.coroutine
    def _fenced(self):
        """The member is out: what it had is lost; it joins anew."""
        self._on("fenced")
        yield self._lose()
        pause = self._talk.clock.delay()
        if self.state == FENCED and self._talk.clock.attempts > 1:  # it was fenced before it was in
            yield gen.sleep(pause)
        if self.state == FENCED:
            self._on("rejoined")
            yield self._enter()

    def _on_left(self):
        """The heart left the group."""
        if self.state in ALIVE:
            self._on("went")
            self._spawn(self._lose())
            self._subscription.end()

    def _fail(self, error):
        """The member is refused for good."""
        self._on("failed")
        self.error = error
        self._spawn(self.heart.stop())
        self._spawn(self._lose())
        self._subscription.end(error)

    @gen.coroutine
    def _lose(self):
        """Everything is lost at once; says so."""
        lost = self._holdings.clear()
        self._life = object()
        self.allocation = {}
        self.identity = ("", -1)
        self._heard_at = None
        if not lost:
            return
        if self.on_lost is None:
            yield self._tell(self.changed(lost, {}), "on_change")
            return
        try:
            yield self._tell(gen.maybe_future(self.on_lost(lost)), "on_lost")
        except Exception:
            log.exception("on_lost(%s) failed", lost)

    # -- what the member has, and is to have --

    def _look(self):
        """Sees whether there is something to give up or to take over."""
        holdings = self._holdings
        if self.state not in INSIDE:
            return
        holdings.learn(self.client.cluster.topic_ids)
        if holdings.nameless and not self._resolving:
            self._resolving = True
            self._spawn(self._resolve())
        if not holdings.settled:
            self._on("assigned")
            if self._reconciling is None:
                self._reconciling = self._reconcile()
                self._spawn(self._reconciling)

    @gen.coroutine
    def _resolve(self):
        """Asks for metadata until every topic that the member is to have has a name."""
        clock = PATIENCE.start()
        try:
            while self.state in INSIDE and self._holdings.nameless:
                try:
                    yield self.client.cluster.heal()
                except exc.KielError as error:
                    log.info("Group %s: no names of new topics yet: %s", self.client.group_name, error)
                self._look()
                yield gen.sleep(clock.delay())
        finally:
            self._resolving = False

    @gen.coroutine
    def _reconcile(self):
        """Gives up what is not to be ours, tells the coordinator, takes over what is new; until it is all done."""
        yield gen.moment  # `_reconciling` is set before anything changes
        holdings = self._holdings
        try:
            while self.state == RECONCILING and not holdings.settled:
                life, revoked, assigned = self._life, holdings.revoked, holdings.assigned
                if revoked:
                    holdings.revoking, assigned = revoked, {}
                else:
                    holdings.take(assigned)
                self.allocation = holdings.allocation
                changed = self.changed(holdings.by_name(revoked), holdings.by_name(assigned))
                yield self._tell(changed, "on_change")
                if life is self._life:
                    holdings.release()
                    if self.state == RECONCILING:
                        self._talk.say()
        finally:
            self._reconciling = None
        # with partitions lost and the member in again meanwhile, `settled` may have to wait for the next answer
        if self.state == RECONCILING:
            self._on("settled" if self._talk.up_to_date else "reconciled")
            self._look()
            self._settle()

    @gen.coroutine
    def _tell(self, future, name):
        """Waits for a hook, but not longer than members have to give partitions up."""
        try:
            yield events.within(self.membership.rebalance_timeout, future)
        except gen.TimeoutError:
            log.warning("Group %s: %s was not done within %g s; the rebalance goes on without it",
                        self.client.group_name, name, self.membership.rebalance_timeout)

    def _settle(self):
        """Tells who waits for a subscription that it holds."""
        if self.state == STABLE:
            self._subscription.hold()

    # -- the end --

    @gen.coroutine
    def _stop(self):
        """The work of `stop`."""
        if self.state == OUT:
            self._subscription.clear()
            if self.heart is not None:
                yield self.heart.stop()
            return
        member = self.state in ALIVE and not self.heart.left
        self._on("stopped")
        self._subscription.end(exc.ClosedError("group %s is being left" % self.client.group_name))
        released, self.allocation = self.allocation, {}
        if self._reconciling is not None:
            yield self._tell(self._reconciling, "on_change")
        yield self._tell(self.changed(released, {}), "on_change")
        if member:
            yield self._talk.leave()
        yield self.heart.stop()
        self._life = object()
        self._holdings.clear()
        self._subscription.clear()
        self.identity = ("", -1)
        self._heard_at = None
        self._on("gone")
        self._subscription.end(exc.ClosedError("group %s is left" % self.client.group_name))

    def _spawn(self, future):
        """Lets a coroutine run by itself; what goes wrong in it is logged."""
        self.io_loop.add_future(future, lambda done: done.result())
