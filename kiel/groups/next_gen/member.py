"""
A member of a next-generation group (KIP-848): the broker assigns partitions, the member follows.

There is one request, the heartbeat. Its answers have an epoch and, when it changed, the partitions that the member may
have. The member gives up what is not among them, says so, and takes what is new; the broker assigns a partition only
once it is free. All heartbeats go through `kiel.groups.liveness.heartbeat`, so that a blocked loop does not cost the
membership.
"""
from __future__ import absolute_import

import logging

from tornado import gen, ioloop

from kiel import events, exc
from kiel.allocation import Allocator, log_change
from kiel.fields import of_member
from kiel.groups import refusals
from kiel.groups.next_gen.assignment import from_answer
from kiel.groups.next_gen.coordinator_client import NextGenCoordinatorClient
from kiel.groups.next_gen.reconciliation import Reconciliation
from kiel.groups.next_gen.states import ALIVE, FAILED, FENCED, INSIDE, JOINING, LEFT, OUT, STABLE, TRANSITIONS
from kiel.protocol import errors
from kiel.retry import monotonic

log = logging.getLogger(__name__)


class ConsumerAllocator(Allocator):
    """
    A member of a next-generation group.

    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param membership: `kiel.groups.membership.Membership`; ``assignors`` is the name of the broker's assignor
        ("uniform", "range") or None for its default. The broker says how often heartbeats are sent and how long a
        session lasts; ``session_timeout`` is how long the member trusts what it owns without hearing from it.
    :param settings: `kiel.settings.Settings` of the connections
    """

    by_topic = True

    def __init__(self, coordinator, membership, settings):
        self.coordinator = coordinator
        self.cluster = coordinator.cluster
        #: the group's name
        self.group = coordinator.key
        self.membership = membership
        self.instance_id = membership.instance_id
        self.settings = settings
        self._log = of_member(log, settings, self)
        #: one of `TRANSITIONS`
        self.state = OUT
        self.allocation = {}
        #: (member id, epoch)
        self.identity = ("", -1)
        self.error = None
        #: the application's IOLoop; None before `start`
        self.io_loop = None
        self._coordinator_client = NextGenCoordinatorClient(coordinator, membership, settings)
        self._subscription = self._coordinator_client.subscription
        self._assignment = self._coordinator_client.assignment
        self._reconciliation = Reconciliation(self, self._coordinator_client)
        #: the `kiel.retry.Clock` of waiting for an instance id that another member still has; None while none does
        self._unreleased = None
        #: `monotonic` time of the last answer; None while the member is out
        self._heard_at = None
        #: the Future of the last `stop`; None before the first
        self._stopping = None
        #: the Future of leaving after an error; None before the first
        self._ending = None
        #: whether the coordinator may still have the member that ended with an error
        self._to_leave = False
        #: answers in a row with an error that nobody expects
        self._unexpected = 0
        #: delays between refusals; begins anew with every answer without an error
        self._pauses = refusals.PAUSES.start()
        #: `monotonic` time before which a refused member does not try again
        self._not_before = 0

    @property
    def heartbeat(self):
        """The `kiel.groups.liveness.heartbeat.Heartbeat` that keeps the member alive; None before `start`."""
        return self._coordinator_client.heartbeat

    @property
    def is_in(self):
        """False after the member left by itself, or was refused in a way that may pass; `subscribe` brings it back."""
        return self.state != LEFT and not self.refused

    @property
    def refused(self):
        """Whether the member was refused in a way that may pass."""
        return self.error is not None and refusals.may_pass(self.error)

    @property
    def paused(self):
        """
        True while ownership is in doubt: the member is about to leave by itself, or has not heard from the coordinator
        for ``session_timeout``, as after the process stood still.
        """
        if self.heartbeat is None or self.state == OUT:
            return False
        if self.heartbeat.left:
            return True
        last = self.heartbeat.last_beat
        return bool(self._assignment.owned) and last is not None and monotonic() - last > self._trust

    @property
    def _trust(self):
        """Seconds of silence after which ownership is in doubt; more than a few beats of the broker's choosing."""
        return max(self.membership.session_timeout, 3 * self.heartbeat.interval)

    def event(self, event):
        """Go from state to state by the table."""
        before, self.state = self.state, TRANSITIONS[self.state][event]
        if before != self.state:
            self._log.debug("Group %s: %s, so this member is %s, not %s", self.group, event, self.state, before)

    # -- what the consumer asks --

    @gen.coroutine
    def start(self, partitions):
        """
        Make sure that the coordinator serves this protocol; join once something is subscribed to.

        :raises kiel.exc.UnsupportedVersionError: when it does not, or the group is one of classic members that it does
            not upgrade
        :raises kiel.exc.KielError: when there is no coordinator, or it refuses
        """
        self.io_loop = ioloop.IOLoop.current()
        self._coordinator_client.open(self.io_loop, self._on_answer, self._on_left)
        if self._subscription.topics:
            yield self.subscribe(self._subscription.topics)
        else:
            yield self._coordinator_client.probe()

    def subscribe(self, topics):
        """
        Add topics. Return a Future that is done when the coordinator knows them and the member has its assignment.

        Also brings a member back that left by itself, or was refused in a way that may pass.
        """
        new, future = self._subscription.add(topics)
        if self.state == FAILED and not self.refused:
            self._subscription.end(self.error)
        elif self.state in (OUT, LEFT, FAILED):
            self.error = None
            self.event("subscribed")
            self.spawn(self._join())
        elif new and self.state in ALIVE:
            self.event("told")
            self._coordinator_client.say()
        self.resolve_waiters()
        return future

    @gen.coroutine
    def update(self, partitions, gone=()):
        """Check whether the topics that the member is to have are known by now; the broker sees to all else."""
        self._reconciliation.check()

    def rejoin(self, error):
        """A commit was refused: ask the coordinator at once what it takes this member for."""
        if self.state in INSIDE:
            self._log.info("Group %s: a commit was refused (%s)", self.group, error)
            self.event("told")
            self._coordinator_client.say()

    def stop(self):
        """
        Leave the group; return a Future. A static member tells that it will be back, and keeps its partitions till its
        session is over.
        """
        if self._stopping is None or self._stopping.done():
            self._stopping = self._stop()
        return self._stopping

    # -- joining --

    @gen.coroutine
    def _join(self):
        """Have the heartbeat start, once there is a coordinator."""
        life = self._assignment.life
        self._log.info("Group %s: %s joins", self.group, self._coordinator_client.member_id or "a new member")
        if self._ending is not None:
            yield self._ending
        if self._not_before > monotonic():
            yield gen.sleep(self._not_before - monotonic())
        try:
            yield self._coordinator_client.join(lambda: self.state == JOINING and life is self._assignment.life)
        except exc.KielError as error:
            self._fail(error)

    # -- what the heartbeat tells --

    def _on_answer(self, request, answer):
        """Take in the answer to a heartbeat; after the loop was blocked they come here one after the other."""
        if request.member_epoch < 0:
            self._coordinator_client.note_left(answer)
            return
        if self.state not in ALIVE:
            return
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else exc.for_code(
            answer.error_code, answer.error_message or "group %s" % self.group, answer.api, group=self.group
        )
        if error is not None:
            self._refused(request, error)
            return
        self.coordinator.trouble_over()
        self._coordinator_client.note_answer(request, answer)
        if self.identity[1] != answer.member_epoch:
            self._log.info("Group %s: epoch %d, member %s", self.group, answer.member_epoch,
                           self._coordinator_client.member_id)
        self.identity = (self._coordinator_client.member_id, answer.member_epoch)
        self._unreleased = None
        self._to_leave = False
        self._unexpected = 0
        self._pauses.reset()
        self._end_doubt()
        target = from_answer(answer)
        if target is not None:
            self._assignment.target = target
        self.event("heard" if self._coordinator_client.up_to_date else "answered")
        self._reconciliation.check()
        self.resolve_waiters()

    def _end_doubt(self):
        """The coordinator was heard; tell who was told to pause because it had not been for too long."""
        heard, self._heard_at = self._heard_at, monotonic()
        if heard is not None and self._heard_at - heard > self._trust and self.on_pause is not None:
            self.on_pause(False)

    def _refused(self, request, error):
        """An error came in place of an answer, or in it."""
        if error.retriable:
            self.coordinator.tell_trouble(
                self._log, "Group %s: a heartbeat failed and will be sent again: %s", self.group, error
            )
            return
        code = getattr(error, "code", None)
        if code in (errors.fenced_member_epoch, errors.unknown_member_id) or (
                code == errors.group_id_not_found and request.member_epoch > 0):
            self._log.info("Group %s no longer has this member: %s", self.group, error)
            self.spawn(self._fenced())
        elif code == errors.unreleased_instance_id:
            self._wait_for_release(error)
        elif refusals.is_unexpected(error) and self._unexpected < refusals.ATTEMPTS:
            self._unexpected += 1
            self._log.warning("Group %s: a heartbeat failed and will be sent again: %s", self.group, error)
            self.io_loop.call_later(self._coordinator_client.clock.delay(), self._say_again, self._assignment.life)
        elif code == errors.group_id_not_found:
            self._fail(exc.UnsupportedVersionError(
                "group %s has classic members, and the broker does not upgrade it: %s" % (self.group, error)
            ))
        else:
            self._fail(error)

    def _wait_for_release(self, error):
        """A member that was killed still has this one's instance id, until its session is over."""
        if self._unreleased is None:
            self._unreleased = self.settings.retry.start()
            self._log.info("Group %s: %s", self.group, error)
        delay = self._coordinator_client.clock.delay()
        if self._unreleased.over:
            self._fail(error)
        else:
            self.io_loop.call_later(delay, self._join_again, self._assignment.life)

    def _say_again(self, life):
        """Say everything again after an error that nobody expects."""
        if self.state in ALIVE and life is self._assignment.life:
            self.event("told")
            self._coordinator_client.say()

    def _join_again(self, life):
        """Try once more to join."""
        if self.state == JOINING and life is self._assignment.life:
            self.spawn(self._join())

    @gen.coroutine
    def _fenced(self):
        """The member is out of the group: what it had is lost; it joins anew."""
        self.event("fenced")
        yield self._lose()
        pause = self._coordinator_client.clock.delay()
        if self.state == FENCED and self._coordinator_client.clock.attempts > 1:  # it was fenced before it got in
            yield gen.sleep(pause)
        if self.state == FENCED:
            self.event("rejoined")
            yield self._join()

    def _on_left(self):
        """The member left the group by itself."""
        if self.state in ALIVE:
            self.event("went")
            self.spawn(self._lose())
            self._subscription.end()

    def _fail(self, error):
        """End the membership by an error; if that may pass, the next `subscribe` tries again after a pause."""
        self._log.error("Group %s: membership ends: %s", self.group, error)
        # it may be in even where it was refused by a code that says nothing of members
        member = self.state in INSIDE or (refusals.is_unexpected(error) and self.state in ALIVE)
        self.event("failed")
        self.error = error
        self._unexpected = 0
        self._not_before = monotonic() + refusals.pause(self._pauses, error)
        self._ending = self._end(member)
        self.spawn(self._ending)
        self.spawn(self._lose())
        self._subscription.end(error)

    @gen.coroutine
    def _end(self, member):
        """Leave after an error, so that the others need not wait for the end of the session."""
        if member:
            self._to_leave = not (yield self._coordinator_client.leave())
        yield self.heartbeat.stop()

    @gen.coroutine
    def _lose(self):
        """Lose everything at once, and tell the consumer."""
        lost = self._assignment.clear()
        self.allocation = {}
        self.identity = ("", -1)
        self._heard_at = None
        if not lost:
            return
        if self.on_lost is None:
            yield self.tell(self.changed(lost, {}), "on_change")
            return
        try:
            yield self.tell(gen.maybe_future(self.on_lost(lost)), "on_lost")
        except Exception:
            self._log.exception("on_lost(%s) failed", lost)

    @gen.coroutine
    def tell(self, future, name):
        """Wait for a hook, but not longer than members have to give partitions up."""
        try:
            yield events.within(self.membership.rebalance_timeout, future)
        except gen.TimeoutError:
            self._log.warning("Group %s: %s did not finish within %g s; the rebalance goes on without it",
                              self.group, name, self.membership.rebalance_timeout)

    def resolve_waiters(self):
        """Resolve the Futures of those who wait for a subscription, if it holds."""
        if self.state == STABLE:
            self._subscription.hold()

    # -- the end --

    @gen.coroutine
    def _stop(self):
        """The work of `stop`."""
        if self.state == OUT:
            self._subscription.clear()
            if self.heartbeat is not None:
                yield self.heartbeat.stop()
            return
        member = self.state in ALIVE and not self.heartbeat.left
        self.event("stopped")
        self._subscription.end(exc.ClosedError("group %s is being left" % self.group))
        released, self.allocation = self.allocation, {}
        self._log.info("Group %s: %s leaves", self.group, self.identity[0] or "the member")
        if self._reconciliation.under_way is not None:
            yield self.tell(self._reconciliation.under_way, "on_change")
        log_change(self.group, released, {}, self.identity)
        yield self.tell(self.changed(released, {}), "on_change")
        if member:
            if (yield self._coordinator_client.leave()):
                self._log.info("Group %s: %s has left", self.group, self.identity[0])
        elif self._ending is not None:
            yield self._ending
        yield self.heartbeat.stop()
        if self._to_leave:
            self._to_leave = False
            yield self._coordinator_client.leave_at_last()
        self._assignment.clear()
        self._subscription.clear()
        self.identity = ("", -1)
        self._heard_at = None
        self.event("gone")
        self._subscription.end(exc.ClosedError("group %s is left" % self.group))

    def spawn(self, future):
        """Let a coroutine run by itself; what goes wrong in it is logged."""
        self.io_loop.add_future(future, lambda done: done.result())
