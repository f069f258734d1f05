"""Members of a group that meet in Kafka by the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup."""
from __future__ import absolute_import

import logging

from tornado import gen, ioloop

from kiel import allocation, events, exc
from kiel.callbacks import safe_text
from kiel.fields import of_member
from kiel.groups import refusals
from kiel.groups.classic.assignment import ClassicAssignment
from kiel.groups.classic.coordinator_client import ClassicCoordinatorClient
from kiel.groups.classic.leader import Leader, from_assignment, without
from kiel.groups.classic.rejoining import Rejoining
from kiel.groups.classic.requests import MARGIN, NO_GENERATION, Requests
from kiel.groups.classic.session import Session
from kiel.groups.classic.states import AWAY, FAILED, JOINING, OUT, REVOKING, STABLE, SYNCING, TRANSITIONS
from kiel.groups.classic.subscription import ClassicSubscription
from kiel.retry import monotonic

log = logging.getLogger(__name__)


class Overtaken(exc.ClosedError):
    """A rebalance is off: while it waited, the member left, was put out, or failed."""


class ClassicAllocator(allocation.Allocator):
    """
    Takes part in a classic consumer group, beside members of any other client.

    All requests are sent by the member's `kiel.groups.liveness.heartbeat.Heartbeat`, so that a blocked IOLoop does not
    end the membership, not even in the midst of a rebalance.

    Where all assignors of the membership are cooperative (KIP-429), partitions that stay are kept through a rebalance,
    and those that go are given up after it, followed by another; else all are given up before each.

    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param membership: `kiel.groups.membership.Membership`
    :param settings: `kiel.settings.Settings` of the connections
    """

    by_topic = True

    def __init__(self, coordinator, membership, settings):
        self.coordinator = coordinator
        #: the group's name
        self.group = coordinator.key
        self.membership = membership
        self.settings = settings
        self._log = of_member(log, settings, self)
        self.instance_id = membership.instance_id
        self.cooperative = all(assignor.cooperative for assignor in membership.assignors)
        self.error = None
        #: one of `kiel.groups.classic.states.TRANSITIONS`
        self.state = OUT
        #: whether this member is the leader, who assigns the partitions
        self.is_leader = False
        #: how many members there are, as the leader is told
        self.member_count = None
        self._requests = Requests(self.group, membership)
        self._coordinator_client = ClassicCoordinatorClient(
            coordinator, membership, settings, self._requests, self._on_beat, self._on_left
        )
        self._session = Session(self, self._coordinator_client, membership.session_timeout)
        self._assignment = ClassicAssignment(self, self._release_time)
        self._subscription = ClassicSubscription()
        self._leader = Leader(
            coordinator.cluster, dict((assignor.name, assignor) for assignor in membership.assignors)
        )
        #: has this member join whenever there is a reason to, from `start` to `stop`
        self._rejoining = Rejoining(self, self._session.start)
        #: the Future of the last `stop`; None before the first
        self._stopping = None
        #: what this member was assigned last, and in which generation: sticky assignors go by it
        self._last = {}, NO_GENERATION
        #: delays between refusals; begins anew with every generation that the member is in
        self._pauses = refusals.PAUSES.start()

    def _event(self, name):
        """Go from state to state by the table."""
        before, self.state = self.state, TRANSITIONS[self.state][name]
        self._log.debug("Group %s: %s, so this member is %s, not %s", self.group, name, self.state, before)

    @property
    def identity(self):
        """(member id, generation)."""
        return self._requests.identity

    @property
    def allocation(self):
        """Topic -> sorted partition ids that this member owns now."""
        return self._assignment.owned

    @property
    def has_partitions(self):
        """Whether there is anything that can be lost: partitions owned, or being given up."""
        return bool(self._assignment)

    @property
    def rebalancing(self):
        """Whether the member waits for the group to form anew; it sends no heartbeats then."""
        return self.state in (JOINING, SYNCING)

    @property
    def heartbeat(self):
        """The `kiel.groups.liveness.heartbeat.Heartbeat`; None while there is no membership."""
        return self._coordinator_client.heartbeat

    @property
    def is_in(self):
        """False after the member left by itself, or was refused in a way that may pass; `subscribe` brings it back."""
        return self.state != AWAY and not self.refused

    @property
    def refused(self):
        """Whether the member was refused in a way that may pass."""
        return self.error is not None and refusals.may_pass(self.error)

    @property
    def paused(self):
        """Whether the partitions may be somebody else's by now: the coordinator was not heard for too long."""
        return self._session.in_doubt

    # -- what the consumer says --

    def start(self, partitions):
        """See `kiel.allocation.Allocator.start`; without a subscription there is nothing to join for yet."""
        if self._rejoining.run is None:
            self._rejoining.begin()
            self.error = None
            if self._subscription.topics:
                self._want("joins")
        return self._subscription.wait(self._subscription.topics, self.error)

    def subscribe(self, topics):
        """See `kiel.allocation.Allocator.subscribe`; also brings a member back that left by itself."""
        new = self._subscription.add(topics)
        if self._rejoining.run is not None and self.refused:
            self._want_again()
        elif self._rejoining.run is not None and self.error is None:
            if new:
                self._want("subscribes to %s" % ", ".join(sorted(new)))
            elif self.state == AWAY:
                self._want("goes on")
        return self._subscription.wait(topics, self.error)

    def _want_again(self):
        """Try to join again after a refusal, once its pause is over."""
        error, self.error = self.error, None
        self._event("retry")
        self._want("was refused before: %s" % error)

    def update(self, partitions, gone=()):
        """See `kiel.allocation.Allocator.update`; the leader has topics that have grown assigned anew."""
        self._check_topics(gone)
        return gen.maybe_future(None)

    def rejoin(self, error):
        """
        A commit was refused: ask at once whether this member still is one.

        The commit may have been signed with an older generation than the present one, so its error proves nothing.
        """
        if self.state == STABLE:
            self._log.info("Group %s: a commit was refused: %s", self.group, error)
            self._coordinator_client.beat(*self.identity)

    def stop(self):
        """
        Give the partitions up and leave the group; a static member does not leave, so that it can come back.

        Done within about the request time-out; raises nothing. `start` may be called again.
        """
        if self._rejoining.run is not None:
            driver = self._rejoining.end()
            self._subscription.clear()
            self._subscription.end(exc.ClosedError("group %s: the member leaves" % self.group))
            self._stopping = self._stop(self._stopping, driver)
        return self._stopping or gen.maybe_future(None)

    def _check_topics(self, gone=()):
        """Have the leader join again when what it assigned is not what there is any more."""
        changed = self._leader.changed(gone) if self.is_leader and self.state == STABLE else None
        if changed:
            self._want("the number of partitions changed: %s" % ", ".join(changed))

    # -- joining --

    def _want(self, reason):
        """Join as soon as may be, for that reason."""
        self._rejoining.want(reason, self._stopping)

    @gen.coroutine
    def try_to_join(self, run, reason, failures):
        """Take part in one rebalance, after so many failures in a row; return whether that ended well."""
        try:
            yield self._join(run, reason)
        except Overtaken:
            pass
        except exc.KielError as error:
            if run is self._rejoining.run and self.state not in (AWAY, FAILED):
                self._rejoining.note(reason)
                yield self._join_failed(error, failures)
        except Exception as error:
            self._log.exception("Group %s: a rebalance failed", self.group)
            if run is self._rejoining.run and self.error is None:
                self._fail(exc.KielError("group %s: a rebalance failed: %s: %s" % (
                    self.group, type(error).__name__, safe_text(error))))
        else:
            raise gen.Return(True)
        raise gen.Return(False)

    @gen.coroutine
    def _join_failed(self, error, failures):
        """Do what has to be done after a rebalance failed, before the next attempt."""
        if isinstance(error, exc.MemberIdRequiredError) and failures >= refusals.ATTEMPTS:
            self._fail(error)
        elif error.cure == "rejoin":
            self._log.info("Group %s: rejoins: %s", self.group, error)
            if not isinstance(error, exc.RebalanceInProgressError):
                self._lose(error)
        elif error.retriable or (refusals.is_unexpected(error) and failures < refusals.ATTEMPTS):
            self.coordinator.cluster.warn("Group %s: could not join, will try again: %s", self.group, error)
            yield self._coordinator_client.lose_coordinator()
        else:
            self._fail(error)

    @gen.coroutine
    def _join(self, run, reason):
        """Take part in one rebalance."""
        self._log.info("Group %s: %s joins: %s", self.group, self.identity[0] or "a new member", reason)
        was_away = self.state == AWAY
        if self.state == STABLE:
            self._event("rebalance")
            if not self.cooperative:
                yield self._assignment.revoke(self._assignment.owned)
        yield self._assignment.loss_told()
        if run is not self._rejoining.run or self.state == FAILED or (self.state == AWAY and not was_away):
            return
        self._event("join")
        self._rejoining.reason = None  # whatever came up until here is in what is asked for now
        topics = frozenset(self._subscription.topics)
        self._requests.lead = self._leader.prepare()
        joined = yield self._coordinator_client.join(
            topics, self._owned_for, reason, lambda: self._expect(run, JOINING)
        )
        self._requests.identity = (joined.member_id, joined.generation_id)
        self.is_leader = joined.leader_id == joined.member_id
        self._event("joined")
        self.member_count = len(joined.members) if self.is_leader else None
        if joined.protocol not in self._leader.assignors:
            raise exc.InconsistentGroupProtocolError("the group assigns partitions by %r" % joined.protocol)
        assignments = ()
        if self.is_leader:
            assignments = yield self._leader.assign(joined)
            self._expect(run, SYNCING)
        answer = yield self._coordinator_client.ask(self._requests.sync(joined, assignments))
        self._expect(run, SYNCING)
        assigned = from_assignment(answer.assignment)
        self._event("synced")
        self._session.stood_still = False
        self._pauses.reset()
        self._last = assigned, joined.generation_id
        self._log.info(
            "Group %s: generation %d by %s, member %s%s: %s", self.group, joined.generation_id, joined.protocol,
            joined.member_id, " (leader)" if self.is_leader else "", assigned
        )
        yield self._take(run, assigned, topics)

    def _expect(self, run, state):
        """End a rebalance that was overtaken by something else while it waited."""
        if run is not self._rejoining.run or self.state != state:
            raise Overtaken()

    def _owned_for(self, assignor):
        """Return what this member says that it has: to a cooperative assignor what it keeps, else what it had last."""
        return (self.allocation, self._last[1]) if assignor.cooperative else self._last

    @gen.coroutine
    def _take(self, run, assigned, topics):
        """Make an assignment ours: what goes is given up first, then what comes is there."""
        revoked = without(self._assignment.owned, assigned)
        if revoked:
            self._rejoining.note("gave up partitions of %s" % ", ".join(sorted(revoked)))
            yield self._assignment.revoke(revoked)
            self._expect(run, STABLE)
        told = self._assignment.take(assigned)
        self._session.tell()
        self._subscription.cover(topics)
        self._check_topics()
        yield told

    def _release_time(self):
        """Return the seconds that the group waits for a member to give partitions up, less what else that takes."""
        broker = self.coordinator.known
        if broker is not None and not broker.reaches("join_group", 1):
            # JoinGroup v0 knows no time but the session's, and some of that has passed already
            return max(0.5, self.membership.session_timeout - 2 * self.membership.heartbeat_interval)
        return self.membership.rebalance_timeout + MARGIN / 2.0

    # -- what befalls a member --

    def _on_beat(self, request, error):
        """A heartbeat was answered, by an error or without."""
        if self.state in (STABLE, REVOKING) and (request.member_id, request.generation_id) == self.identity:
            if isinstance(error, exc.RebalanceInProgressError):
                if self.state == STABLE:
                    self._want("the group forms anew")
            elif error is not None and error.cure == "rejoin":
                self._lose(error)
                self._want("joins again: %s" % error)
            elif refusals.is_unexpected(error):
                self._want("joins again, since a heartbeat was answered by: %s" % error)
            elif error is not None and not error.retriable:
                self._fail(error)
            elif self._coordinator_client.failed_long and not self._coordinator_client.must_start:
                self.spawn(self._coordinator_client.follow_coordinator(self._present_beat))
        self._session.tell()

    def _present_beat(self):
        """Return the heartbeat of a member that has an assignment; None for one that has not."""
        return self._requests.beat(*self.identity) if self.state in (STABLE, REVOKING) else None

    def _on_left(self):
        """The member left the group by itself: the partitions may be others' already."""
        if self.state in (REVOKING, JOINING, SYNCING, STABLE):
            self._rejoining.reason = None
            self._coordinator_client.must_start = True
            self._lose(exc.KielError("no progress for %s s" % self.membership.max_poll_interval), "away")
            self._coordinator_client.fail_pending(
                exc.ClosedError("group %s: left because it made no progress" % self.group))

    def _lose(self, error, event="lost"):
        """Partitions and membership are gone without having been given up."""
        self._subscription.lose()
        self.is_leader = self._session.stood_still = False
        keeps_id = isinstance(error, exc.IllegalGenerationError)
        self._requests.identity = (self.identity[0] if keeps_id else "", NO_GENERATION)
        self._event(event)
        lost = self._assignment.lose()
        if lost:
            self._log.info("Group %s: lost %s: %s", self.group, lost, error)
        self._session.tell()

    def _fail(self, error):
        """End the membership by an error; if that may pass, the next `subscribe` tries again after a pause."""
        self._log.error("Group %s: membership ends: %s", self.group, error)
        self._rejoining.not_before = monotonic() + refusals.pause(self._pauses, error)
        self.error = error
        request = self._requests.leave(self.identity[0], "failed: %s" % error)
        self._lose(error, "fatal")
        self._subscription.end(error)
        self._rejoining.wake()
        self.spawn(self._coordinator_client.leave(request))

    # -- the end --

    @gen.coroutine
    def _stop(self, stopping, driver):
        """The work of `stop`, after that of an earlier one."""
        if stopping is not None:
            yield stopping
        limit = self.settings.request_timeout
        self._event("leave")
        self._log.info("Group %s: %s leaves", self.group, self.identity[0] or "the member")
        self._session.stop()
        try:
            yield events.within(limit, self._coordinator_client.learn_id())
            self._coordinator_client.fail_pending(exc.ClosedError("group %s: the member leaves" % self.group))
            if driver is not None:
                yield events.within(limit, driver)
            yield events.within(limit, self._assignment.revoke(self._assignment.owned))
        except gen.TimeoutError:
            self._log.warning("Group %s: the member leaves without waiting any longer", self.group)
        except Exception:
            self._log.exception("Group %s: leaving failed", self.group)
        if (yield self._coordinator_client.leave(self._requests.leave(self.identity[0], "the consumer was closed"))):
            self._log.info("Group %s: %s has left", self.group, self.identity[0] or "the member")
        self._assignment = ClassicAssignment(self, self._release_time)
        self._requests.identity = ("", NO_GENERATION)
        self._last = {}, NO_GENERATION
        self.is_leader = self._session.stood_still = False
        self._session.tell()
        self._event("left")

    def spawn(self, future):
        """Let a coroutine run by itself; what goes wrong in it is logged."""
        ioloop.IOLoop.current().add_future(future, lambda done: done.result())
