"""Members of a group that meet in Kafka by the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup."""
from __future__ import absolute_import

import datetime
import logging

from tornado import gen, locks

from kiel import allocation, events, exc
from kiel.groups.classic.leader import Leader, from_assignment, without
from kiel.groups.classic.requests import MARGIN, NO_GENERATION, Requests
from kiel.groups.classic.assignment import Share
from kiel.groups.classic.states import (
    AWAY, FAILED, JOINING, OUT, REVOKING, STABLE, SYNCING, TRANSITIONS
)
from kiel.groups.classic.coordinator_client import Talk
from kiel.groups.classic.subscription import Topics
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: seconds between two looks at whether ownership is in doubt
LOOK_PERIOD = 1.0


class Overtaken(exc.ClosedError):
    """A rebalance is off: while it waited, the member left, was put out, or failed."""


class ClassicAllocator(allocation.Allocator):
    """
    Takes part in a classic consumer group, beside members of any other client.

    All requests are sent by the member's `kiel.groups.liveness.heartbeat.Heart`, so that a blocked IOLoop does not end
    the membership, not even in the midst of a rebalance.

    Where all assignors of the membership are cooperative (KIP-429), partitions that stay are kept through a rebalance,
    and those that go are given up after it, followed by another; else all are given up before each.

    :param client: the `kiel.clients.grouped.GroupedConsumer`
    :param membership: `kiel.groups.membership.Membership`
    """

    by_topic = True

    def __init__(self, client, membership):
        self.client = client
        self.membership = membership
        self.instance_id = membership.instance_id
        self.cooperative = all(assignor.cooperative for assignor in membership.assignors)
        self.identity = ("", NO_GENERATION)
        self.error = None
        #: one of `kiel.groups.classic.states.TRANSITIONS`
        self.state = OUT
        #: whether this member is the leader, who shares the partitions out
        self.is_leader = False
        self._requests = Requests(client.group_name, membership)
        self._talk = Talk(client, membership, self._requests, self._goodbye, self._on_beat, self._on_left)
        self._share = Share(self, self._release_time)
        self._topics = Topics()
        self._leader = Leader(client.cluster, dict((assignor.name, assignor) for assignor in membership.assignors))
        #: stands for one run from `start` to `stop`; None when stopped
        self._run = None
        self._driver = None
        self._stopping = None
        self._news = locks.Condition()
        #: why the member has to join (again); None while it need not
        self._reason = None
        #: what this member was given last, and in which generation: sticky assignors go by it
        self._last = {}, NO_GENERATION
        self._looker = None
        self._looked = 0
        #: whether this process stood still for a session's time in the midst of a rebalance
        self._was_still = False
        self._told_pause = False

    def _event(self, name):
        """Goes from state to state by the table."""
        before, self.state = self.state, TRANSITIONS[self.state][name]
        log.debug("Group %s: %s, so this member is %s, not %s", self.client.group_name, name, self.state, before)

    @property
    def allocation(self):
        """Topic -> sorted partition ids that this member owns now."""
        return self._share.owned

    @property
    def heart(self):
        """The `kiel.groups.liveness.heartbeat.Heart`; None while there is no membership."""
        return self._talk.heart

    @property
    def is_in(self):
        """False after the member left by itself, for want of progress; `subscribe` brings it back."""
        return self.state != AWAY

    @property
    def paused(self):
        """Whether the partitions may be somebody else's by now: the coordinator has not been heard for too long."""
        if not self._share or self.heart is None:
            return False
        if self.heart.left:
            return True
        now, limit = monotonic(), self.membership.session_timeout
        if self.state in (JOINING, SYNCING):  # no beats then: the coordinator keeps those whom it lets wait
            failing = self._talk.failing_since
            return self._was_still or now - self._looked > limit or failing is not None and now - failing > limit
        return self.heart.last_beat is not None and now - self.heart.last_beat > limit

    # -- what the consumer says --

    def start(self, partitions):
        """See `kiel.allocation.Allocator.start`; without a subscription there is nothing to join for yet."""
        if self._run is None:
            self._run = object()
            self.error = None
            if self._topics.wanted:
                self._want("joins")
        return self._topics.wait(self._topics.wanted, self.error)

    def subscribe(self, topics):
        """See `kiel.allocation.Allocator.subscribe`; also brings a member back that left by itself."""
        fresh = self._topics.add(topics)
        if self._run is not None and self.error is None:
            if fresh:
                self._want("subscribes to %s" % ", ".join(sorted(fresh)))
            elif self.state == AWAY:
                self._want("goes on")
        return self._topics.wait(topics, self.error)

    def update(self, partitions, gone=()):
        """See `kiel.allocation.Allocator.update`; the leader has the group share topics that have grown out anew."""
        self._check_topics(gone)
        return gen.maybe_future(None)

    def rejoin(self, error):
        """
        A commit was refused: asks at once whether this member still is one.

        The commit may have been signed with an older generation than the present one, so its error proves nothing.
        """
        if self.state == STABLE:
            log.info("Group %s: a commit was refused: %s", self.client.group_name, error)
            self._talk.beat(*self.identity)

    def stop(self):
        """
        Gives the partitions up and leaves the group; a static member does not leave, so that it can come back.

        Done within about the request time-out; raises nothing. `start` may be called again.
        """
        if self._run is not None:
            self._run = None
            self._reason = None
            self._topics.wanted.clear()
            self._topics.end(exc.ClosedError("group %s: the member leaves" % self.client.group_name))
            self._news.notify_all()
            driver, self._driver = self._driver, None
            self._stopping = self._stop(self._stopping, driver)
        return self._stopping or gen.maybe_future(None)

    def _check_topics(self, gone=()):
        """Has the leader join again when what it shared out is not what there is any more."""
        changed = self._leader.changed(gone) if self.is_leader and self.state == STABLE else None
        if changed:
            self._want("the number of partitions changed: %s" % ", ".join(changed))

    # -- the driver --

    def _want(self, reason):
        """Has the driver join, for that reason."""
        self._reason = self._reason or reason
        if self._driver is None or self._driver.done():
            self._driver = self._drive(self._run, self._stopping)
            self.client.io_loop.add_future(self._driver, lambda future: future.result())
        self._news.notify_all()

    @gen.coroutine
    def _drive(self, run, stopping):
        """Joins whenever there is a reason to, until stopped."""
        yield stopping or gen.moment  # `_driver` is set before anything happens
        clock = Backoff(deadline=None).start()
        self._look(run)
        while run is self._run and self.error is None:
            if self._reason is None:
                yield self._news.wait()
                continue
            reason, self._reason = self._reason, None
            try:
                yield self._join(run, reason)
            except Overtaken:
                pass
            except exc.KielError as error:
                if run is self._run and self.state not in (AWAY, FAILED):
                    self._reason = self._reason or reason
                    yield self._trouble(error)
            except Exception as error:
                log.exception("Group %s: a rebalance failed", self.client.group_name)
                if run is self._run and self.error is None:
                    self._fail(exc.KielError("group %s: a rebalance failed: %r" % (self.client.group_name, error)))
            else:
                clock.reset()
                continue
            yield self._sleep(run, clock.delay())

    @gen.coroutine
    def _sleep(self, run, seconds):
        """Waits, unless stopped meanwhile."""
        until = monotonic() + seconds
        while run is self._run and self.error is None and monotonic() < until:
            yield self._news.wait(datetime.timedelta(seconds=max(0.001, until - monotonic())))

    @gen.coroutine
    def _trouble(self, error):
        """Sees to what has to be done after a rebalance failed, before the next try."""
        if error.cure == "rejoin":
            log.info("Group %s: joins again: %s", self.client.group_name, error)
            if not isinstance(error, exc.RebalanceInProgressError):
                self._lose(error)
        elif error.retriable:
            log.warning("Group %s: could not join, will try again: %s", self.client.group_name, error)
            yield self._talk.find_coordinator()
        else:
            self._fail(error)

    @gen.coroutine
    def _join(self, run, reason):
        """Takes part in one rebalance."""
        log.info("Group %s: %s joins: %s", self.client.group_name, self.identity[0] or "a new member", reason)
        was_away = self.state == AWAY
        if self.state == STABLE:
            self._event("rebalance")
            if not self.cooperative:
                yield self._share.give_up(self._share.owned)
        yield self._share.lost()
        if run is not self._run or self.state == FAILED or self.state == AWAY and not was_away:
            return
        self._event("join")
        self._reason = None  # whatever came up until here is in what is asked for now
        topics = frozenset(self._topics.wanted)
        self._requests.lead = self._leader.prepare()
        joined = yield self._ask_to_join(run, topics, reason)
        self.identity = (joined.member_id, joined.generation_id)
        self.is_leader = joined.leader_id == joined.member_id
        self._event("joined")
        if joined.protocol not in self._leader.assignors:
            raise exc.InconsistentGroupProtocolError("the group shares partitions out by %r" % joined.protocol)
        assignments = ()
        if self.is_leader:
            assignments = yield self._leader.share_out(joined)
            self._expect(run, SYNCING)
        answer = yield self._talk.ask(self._requests.sync(joined, assignments))
        self._expect(run, SYNCING)
        share = from_assignment(answer.assignment)
        self._event("synced")
        self._was_still = False
        self._last = share, joined.generation_id
        log.info("Group %s: generation %d by %s, member %s%s: %s", self.client.group_name, joined.generation_id,
                 joined.protocol, joined.member_id, " (leader)" if self.is_leader else "", share)
        yield self._take(run, share, topics)

    def _expect(self, run, state):
        """Ends a rebalance that was overtaken by something else while it waited."""
        if run is not self._run or self.state != state:
            raise Overtaken()

    @gen.coroutine
    def _ask_to_join(self, run, topics, reason):
        """Sends JoinGroup, twice where the broker gives an id to begin with (KIP-394); gives the answer."""
        def shares(assignor):
            """What this member says it has: to a cooperative assignor what it keeps, to others what it had last."""
            return (self.allocation, self._last[1]) if assignor.cooperative else self._last

        while True:
            try:
                joined = yield self._talk.ask(self._requests.join(self.identity[0], topics, shares, reason))
            except exc.MemberIdRequiredError as error:
                self._expect(run, JOINING)
                if self.identity[0]:
                    raise
                self.identity = (error.answer.member_id, NO_GENERATION)
            else:
                self._expect(run, JOINING)
                raise gen.Return(joined)

    @gen.coroutine
    def _take(self, run, share, topics):
        """Makes a share ours: what goes is given up first, then what comes is there."""
        revoked = without(self._share.owned, share)
        if revoked:
            self._reason = self._reason or "gave up partitions of %s" % ", ".join(sorted(revoked))
            yield self._share.give_up(revoked)
            self._expect(run, STABLE)
        told = self._share.take(share)
        self._tell_pause()
        self._topics.cover(topics)
        self._check_topics()
        yield told

    def _release_time(self):
        """Seconds that the group waits for a member to give partitions up, less what else that takes."""
        broker = self.client.cluster.conns.get(self.client.coordinator_id)
        if broker is not None and not broker.reaches("join_group", 1):
            # JoinGroup v0 knows no time but the session's, and some of that has passed already
            return max(0.5, self.membership.session_timeout - 2 * self.membership.heartbeat_interval)
        return self.membership.rebalance_timeout + MARGIN / 2.0

    # -- what befalls a member --

    def _on_beat(self, request, error):
        """A sign of life was answered, by an error or without."""
        if self.state in (STABLE, REVOKING) and (request.member_id, request.generation_id) == self.identity:
            if isinstance(error, exc.RebalanceInProgressError):
                if self.state == STABLE:
                    self._want("the group forms anew")
            elif error is not None and error.cure == "rejoin":
                self._lose(error)
                self._want("joins again: %s" % error)
            elif error is not None and not error.retriable:
                self._fail(error)
            elif self._talk.failed_long and not self._talk.cold:
                self.client.io_loop.add_future(self._talk.go_after(self._present_beat), lambda future: future.result())
        self._tell_pause()

    def _present_beat(self):
        """The sign of life of a member that has a share; None for one that has not."""
        return self._requests.beat(*self.identity) if self.state in (STABLE, REVOKING) else None

    def _goodbye(self):
        """The request that leaves for want of progress; called on the heart's thread."""
        return self._requests.leave(self.identity[0], "no progress for %s s" % self.membership.max_poll_interval)

    def _on_left(self):
        """The heart left the group by itself: the partitions may be others' already."""
        if self.state in (REVOKING, JOINING, SYNCING, STABLE):
            self._reason = None
            self._talk.cold = True
            self._lose(exc.KielError("no progress for %s s" % self.membership.max_poll_interval), "away")
            self._talk.abandon(exc.ClosedError("group %s: left for want of progress" % self.client.group_name))

    def _lose(self, error, event="lost"):
        """Partitions and membership are gone without having been given up."""
        self._topics.lose()
        self.is_leader = self._was_still = False
        keeps_id = isinstance(error, exc.IllegalGenerationError)
        self.identity = (self.identity[0] if keeps_id else "", NO_GENERATION)
        self._event(event)
        lost = self._share.lose()
        if lost:
            log.info("Group %s: lost %s: %s", self.client.group_name, lost, error)
        self._tell_pause()

    def _fail(self, error):
        """Ends the membership for good, by an error that trying again does not mend."""
        log.error("Group %s: membership ends: %s", self.client.group_name, error)
        self.error = error
        request = self._requests.leave(self.identity[0], "failed: %s" % error)
        self._lose(error, "fatal")
        self._topics.end(error)
        self._news.notify_all()
        self.client.io_loop.add_future(self._talk.depart(request), lambda future: future.result())

    def _tell_pause(self):
        """Calls `on_pause` when `paused` has changed."""
        paused = self.paused
        if paused != self._told_pause:
            self._told_pause = paused
            log.info("Group %s: ownership is %s", self.client.group_name, "in doubt" if paused else "sure")
            if self.on_pause is not None:
                self.on_pause(paused)

    def _look(self, run):
        """Looks, again and again, whether ownership is in doubt: a process may have stood still for long."""
        self._looker = None
        if run is self._run:
            now, before = monotonic(), self._looked or monotonic()
            if self.state in (JOINING, SYNCING) and now - before > self.membership.session_timeout:
                self._was_still = True
            self._looked = now
            self._tell_pause()
            self._looker = self.client.io_loop.call_later(LOOK_PERIOD, self._look, run)

    # -- the end --

    @gen.coroutine
    def _stop(self, stopping, driver):
        """The work of `stop`, after that of an earlier one."""
        if stopping is not None:
            yield stopping
        limit = self.client.settings.request_timeout
        self._event("leave")
        if self._looker is not None:
            self.client.io_loop.remove_timeout(self._looker)
        self._looker, self._looked = None, 0
        try:
            yield events.within(limit, self._learn_id())
            self._talk.abandon(exc.ClosedError("group %s: the member leaves" % self.client.group_name))
            if driver is not None:
                yield events.within(limit, driver)
            yield events.within(limit, self._share.give_up(self._share.owned))
        except gen.TimeoutError:
            log.warning("Group %s: the member leaves without waiting any longer", self.client.group_name)
        except Exception:
            log.exception("Group %s: leaving went wrong", self.client.group_name)
        yield self._talk.depart(self._requests.leave(self.identity[0], "the consumer was closed"))
        self._share = Share(self, self._release_time)
        self.identity = ("", NO_GENERATION)
        self._last = {}, NO_GENERATION
        self.is_leader = self._was_still = False
        self._tell_pause()
        self._event("left")

    @gen.coroutine
    def _learn_id(self):
        """
        Waits for the answer to a first JoinGroup, since only that tells the id to leave with.

        Else the group would wait for a member that is not there.
        """
        if self.identity[0] or self._talk.waiting is None or self._talk.failing_since is not None:
            return
        try:
            answer = yield self._talk.waiting
        except exc.MemberIdRequiredError as error:
            answer = error.answer
        except exc.KielError:
            return
        self.identity = (answer.member_id, NO_GENERATION)
