"""Members of a group that meet in Kafka by the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup."""
from __future__ import absolute_import

import datetime
import logging

from tornado import concurrent, gen, locks

from kiel import allocation, events, exc
from kiel.groups import classic_leader as leading
from kiel.groups.classic_requests import MARGIN, NO_GENERATION, Requests, refusal
from kiel.groups.heart import Heart
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: no member, and not asking to be one
OUT = "out"
#: gives partitions up, before it asks for the next generation
REVOKING = "revoking"
#: waits for the next generation
JOINING = "joining"
#: waits for its share
SYNCING = "syncing"
#: has its share
STABLE = "stable"
#: left by itself for want of progress; `ClassicAllocator.subscribe` brings it back
AWAY = "away"
#: ended by an error that trying again does not mend
FAILED = "failed"
#: says goodbye
LEAVING = "leaving"

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    OUT: {"join": JOINING, "fatal": FAILED, "leave": LEAVING},
    REVOKING: {"join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    JOINING: {"joined": SYNCING, "join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    SYNCING: {"synced": STABLE, "join": JOINING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    STABLE: {"rebalance": REVOKING, "lost": OUT, "away": AWAY, "fatal": FAILED, "leave": LEAVING},
    AWAY: {"join": JOINING, "leave": LEAVING},
    FAILED: {"leave": LEAVING},
    LEAVING: {"left": OUT},
}

#: seconds of failing after which the coordinator is looked up anew by the client, not by the heart alone
PATIENCE = 5.0

#: seconds in which a goodbye has to be through
LEAVE_TIME = 5.0

#: seconds between two looks at whether ownership is in doubt
LOOK_PERIOD = 1.0


class ClassicAllocator(allocation.Allocator):
    """
    Takes part in a classic consumer group, beside members of any other client.

    All requests go out by the member's `kiel.groups.heart.Heart`, so that a blocked IOLoop does not end the membership,
    not even in the midst of a rebalance.

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
        self.allocation = {}
        self.identity = ("", NO_GENERATION)
        self.heart = None
        self.error = None
        self.state = OUT
        #: whether this member is the leader, who shares the partitions out
        self.is_leader = False
        self._requests = Requests(client.group_name, membership)
        self._assignors = dict((assignor.name, assignor) for assignor in membership.assignors)
        #: stands for one run from `start` to `stop`; None when stopped
        self._run = None
        self._news = locks.Condition()
        self._driver = None
        self._stopping = None
        #: what to subscribe to, and what the share that there is was made for
        self._topics = set()
        self._covered = frozenset()
        #: (topics, Future) of those who wait for a share
        self._waiters = []
        #: why the member has to join (again); None while it need not
        self._reason = None
        #: topic -> ids that are being given up
        self._releasing = {}
        #: what this member had last, and in which generation: for sticky assignors
        self._last_share = {}, NO_GENERATION
        #: topic -> number of partitions that the leader shared out
        self._counts = {}
        self._partitions = {}
        #: (request, Future) that the driver waits for
        self._asked = None
        #: whether the heart has to begin anew, at the coordinator that the client finds
        self._cold = True
        self._failing_since = None
        self._losing = None
        self._looker = None
        self._looked = 0
        self._was_still = False
        self._told_pause = False

    def _event(self, name):
        """Goes from state to state by `TRANSITIONS`."""
        state = TRANSITIONS[self.state][name]
        log.debug("Group %s: %s, %s -> %s", self.client.group_name, name, self.state, state)
        self.state = state

    # -- what the consumer says --

    def start(self, partitions):
        """See `kiel.allocation.Allocator.start`; without a subscription there is nothing to join for yet."""
        self._partitions = partitions
        if self._run is None:
            self._run = object()
            self.error = None
            if self._topics:
                self._want("joins")
        return self._wait_for(self._topics) if self._topics else gen.maybe_future(None)

    def subscribe(self, topics):
        """See `kiel.allocation.Allocator.subscribe`; also brings a member back that left by itself."""
        topics = frozenset(topics)
        fresh = topics - self._topics
        self._topics |= topics
        if self._run is not None and self.error is None:
            if fresh:
                self._want("subscribes to %s" % ", ".join(sorted(fresh)))
            elif self.state == AWAY:
                self._want("goes on")
        return self._wait_for(topics)

    def update(self, partitions, gone=()):
        """See `kiel.allocation.Allocator.update`; the leader has the group share topics that have grown out anew."""
        self._partitions = dict(partitions)
        self._check_topics()
        return gen.maybe_future(None)

    def rejoin(self, error):
        """
        A commit was refused: asks at once whether this member still is one.

        The commit may have been signed with an older generation than the present one, so its error proves nothing.
        """
        if self.state == STABLE and self.heart is not None:
            log.info("Group %s: a commit was refused: %s", self.client.group_name, error)
            self.heart.say(self._requests.beat(*self.identity))

    def stop(self):
        """
        Gives the partitions up and leaves the group; a static member does not leave, so that it can come back.

        Done within about the request time-out; raises nothing. `start` may be called again.
        """
        if self._run is not None:
            self._run = None
            self._stopping = self._stop()
        return self._stopping or gen.maybe_future(None)

    @property
    def is_in(self):
        """False after the member left by itself, for want of progress; `subscribe` brings it back."""
        return self.state != AWAY

    @property
    def paused(self):
        """Whether the partitions may be somebody else's by now: the coordinator has not been heard for too long."""
        if not (self.allocation or self._releasing) or self.heart is None:
            return False
        if self.heart.left:
            return True
        now, limit = monotonic(), self.membership.session_timeout
        if self.state in (JOINING, SYNCING):  # no beats then: the coordinator keeps who waits for it
            failing = self._failing_since is not None and now - self._failing_since > limit
            return failing or self._was_still or now - self._looked > limit
        return self.heart.last_beat is not None and now - self.heart.last_beat > limit

    # -- subscriptions --

    def _wait_for(self, topics):
        """A Future that is done when this member has a share of these topics."""
        future = concurrent.Future()
        if self.error is not None:
            future.set_exception(self.error)
        elif self._covered.issuperset(topics) and self._run is not None:
            future.set_result(None)
        else:
            self._waiters.append((frozenset(topics), future))
        # looked at: a caller that does not wait is told by `error`
        future.add_done_callback(lambda done: done.exception())
        return future

    def _settle(self, error=None):
        """Ends the waiting of those who have what they wait for, or of all with an error."""
        waiters, self._waiters = self._waiters, []
        for topics, future in waiters:
            if error is not None:
                future.set_exception(error)
            elif self._covered.issuperset(topics):
                future.set_result(None)
            else:
                self._waiters.append((topics, future))

    def _check_topics(self):
        """Has the leader join again when what it shared out is not what there is any more."""
        if self.is_leader and self.state == STABLE:
            there = dict((topic, len(self._partitions.get(topic) or ())) for topic in self._counts)
            if there != self._counts:
                changed = sorted(topic for topic in there if there[topic] != self._counts[topic])
                self._want("the number of partitions changed: %s" % ", ".join(changed))

    # -- the driver --

    def _want(self, reason):
        """Has the driver join, for that reason."""
        self._reason = self._reason or reason
        if self._driver is None or self._driver.done():
            self._driver = self._drive(self._run)
            self.client.io_loop.add_future(self._driver, lambda future: future.result())
        self._news.notify_all()

    @gen.coroutine
    def _drive(self, run):
        """Joins whenever there is a reason to, until stopped."""
        if self._stopping is not None:
            yield self._stopping
        clock = Backoff(deadline=None).start()
        self._look(run)
        while run is self._run and self.error is None:
            if self._reason is None:
                yield self._news.wait()
                continue
            reason, self._reason = self._reason, None
            try:
                yield self._join(run, reason)
            except exc.KielError as error:
                if run is self._run and self.state not in (AWAY, FAILED):
                    self._reason = self._reason or reason
                    yield self._trouble(run, error)
            except Exception as error:
                log.exception("Group %s: a rebalance failed", self.client.group_name)
                if run is self._run:
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
    def _trouble(self, run, error):
        """Sees to what has to be done after a rebalance failed, before the next try."""
        if error.cure == "rejoin":
            log.info("Group %s: joins again: %s", self.client.group_name, error)
            if not isinstance(error, exc.RebalanceInProgressError):
                self._lose(error)
        elif error.retriable:
            log.warning("Group %s: could not join, will try again: %s", self.client.group_name, error)
            self._cold = True
            self.client.lose_coordinator()
            try:
                yield self.client.cluster.heal()
            except exc.KielError as failure:
                log.info("Group %s: the cluster could not be asked again: %s", self.client.group_name, failure)
        else:
            self._fail(error)

    @gen.coroutine
    def _join(self, run, reason):
        """Takes part in one rebalance."""
        log.info("Group %s: %s joins: %s", self.client.group_name, self.identity[0] or "a new member", reason)
        topics = frozenset(self._topics)
        away = self.state == AWAY
        if self.state == STABLE:
            self._event("rebalance")
            if not self.cooperative:
                yield self._give_up(self.allocation)
        if self._losing is not None:
            yield self._losing
        if run is not self._run or self.state == FAILED or self.state == AWAY and not away:
            return
        self._event("join")
        joined = yield self._ask_to_join(run, topics, reason)
        self._expect(run, JOINING)
        self.identity = (joined.member_id, joined.generation_id)
        self.is_leader = joined.leader_id == joined.member_id
        self._event("joined")
        if joined.protocol not in self._assignors:
            raise exc.InconsistentGroupProtocolError("the group shares partitions out by %r" % joined.protocol)
        assignments = ()
        if self.is_leader:
            assignments = yield self._assignments(joined)
        self._expect(run, SYNCING)
        answer = yield self._exchange(self._requests.sync(joined, assignments))
        self._expect(run, SYNCING)
        share = leading.from_assignment(answer.assignment)
        self._event("synced")
        self._was_still = False
        self._last_share = share, joined.generation_id
        log.info("Group %s: generation %d by %s, member %s%s: %s", self.client.group_name, joined.generation_id,
                 joined.protocol, joined.member_id, " (leader)" if self.is_leader else "", share)
        yield self._take(run, share, topics)

    def _expect(self, run, state):
        """Ends a rebalance that was overtaken by something else while it waited."""
        if run is not self._run or self.state != state:
            raise exc.ClosedError("group %s: the rebalance is off" % self.client.group_name)

    @gen.coroutine
    def _ask_to_join(self, run, topics, reason):
        """Sends JoinGroup, twice where the broker gives an id to begin with (KIP-394); gives the answer."""
        def shares(assignor):
            """What this member says it has: to a cooperative assignor what it keeps, to others its last share."""
            return (self.allocation, self._last_share[1]) if assignor.cooperative else self._last_share

        broker = None
        if self._cold:
            coordinator = yield self.client.coordinator()
            self._expect(run, JOINING)
            broker = self.client.cluster[coordinator]
        while True:
            try:
                joined = yield self._exchange(self._requests.join(self.identity[0], topics, shares, reason), broker)
            except exc.MemberIdRequiredError:
                self._expect(run, JOINING)
                broker = None
                continue
            raise gen.Return(joined)

    @gen.coroutine
    def _assignments(self, joined):
        """The leader's work: what each member gets; topics that only others subscribe to are asked for."""
        assignor = self._assignors[joined.protocol]
        members = leading.members_of(assignor, joined)
        topics = self.client.cluster.topics
        wanted = leading.topics_of(members)
        foreign = sorted(topic for topic in wanted if topic not in topics)
        if foreign:
            answer = yield self.client.cluster.get_metadata(foreign, create=False)
            self.client.cluster.process_topics(answer.topics, foreign)
        there = dict((topic, list(topics[topic])) for topic in wanted if topic in topics)
        self._counts = dict((topic, len(there.get(topic, ()))) for topic in wanted)
        if joined.skip_assignment:
            raise gen.Return(())
        raise gen.Return(leading.assignments(assignor, members, there))

    # -- partitions --

    @gen.coroutine
    def _take(self, run, share, topics):
        """Makes a share ours: what goes is given up first, then what comes is there."""
        revoked = leading.without(self.allocation, share)
        if revoked:
            self._reason = self._reason or "gave up partitions of %s" % ", ".join(sorted(revoked))
            yield self._give_up(revoked)
            self._expect(run, STABLE)
        assigned = leading.without(share, self.allocation)
        self.allocation = share
        self._covered = topics
        told = self._tell({}, assigned)
        self._tell_pause()
        self._settle()
        self._check_topics()
        yield told

    @gen.coroutine
    def _give_up(self, revoked):
        """Lets go of partitions, when those who use them are done with them or the time is over."""
        if not revoked:
            return
        self.allocation = leading.without(self.allocation, revoked)
        self._releasing = revoked
        done = yield self._tell(revoked, {})
        late, self._releasing = self._releasing, {}
        if late and not done:
            yield self._tell_lost(late)

    @gen.coroutine
    def _tell(self, revoked, assigned):
        """Calls `on_change` and waits for it, as long as the group does; gives False when that was too short."""
        seconds = self._release_time()
        try:
            yield events.within(seconds, self.changed(revoked, assigned))
        except gen.TimeoutError:
            log.warning("Group %s: on_change was not done within %g s; the rebalance goes on without it",
                        self.client.group_name, seconds)
            raise gen.Return(False)
        raise gen.Return(True)

    def _release_time(self):
        """Seconds that the group waits for a member to give partitions up, less what else that takes."""
        broker = self.client.cluster.conns.get(self.client.coordinator_id)
        if broker is not None and not broker.supports("join_group", 1):
            # JoinGroup v0 knows no time but the session's, and half of an interval has passed on average
            return max(0.5, self.membership.session_timeout - 2 * self.membership.heartbeat_interval)
        return self.membership.rebalance_timeout + MARGIN / 2.0

    def _lose(self, error, event="lost"):
        """Partitions and membership are gone without having been given up."""
        lost = dict((topic, list(ids)) for topic, ids in self.allocation.items())
        for topic, ids in self._releasing.items():
            lost[topic] = sorted(lost.get(topic, []) + list(ids))
        self.allocation, self._releasing = {}, {}
        self._covered = frozenset()
        self.is_leader = self._was_still = False
        keeps_id = isinstance(error, exc.IllegalGenerationError)
        self.identity = (self.identity[0] if keeps_id else "", NO_GENERATION)
        self._event(event)
        if lost:
            log.warning("Group %s: membership is lost: %s", self.client.group_name, error)
            self._losing = self._tell_lost(lost)
        self._tell_pause()

    @gen.coroutine
    def _tell_lost(self, lost):
        """Calls `on_lost`, or `on_change` where there is none, and waits for it up to a deadline."""
        if self.on_lost is None:
            yield self._tell(lost, {})
            return
        try:
            answer = self.on_lost(lost)
            if answer is not None:
                yield events.within(self._release_time(), answer)
        except gen.TimeoutError:
            log.warning("Group %s: on_lost was not done in time", self.client.group_name)
        except Exception:
            log.exception("on_lost(%s) failed", lost)

    def _fail(self, error):
        """Ends the membership for good, by an error that trying again does not mend."""
        log.error("Group %s: membership ends: %s", self.client.group_name, error)
        self.error = error
        member_id = self.identity[0]
        self._lose(error, "fatal")
        self._abandon(error)
        self._settle(error)
        self._news.notify_all()
        self.client.io_loop.add_future(self._depart(member_id, "failed: %s" % error), lambda future: future.result())

    def _tell_pause(self):
        """Calls `on_pause` when `paused` has changed."""
        paused = self.paused
        if paused != self._told_pause:
            self._told_pause = paused
            log.info("Group %s: %s", self.client.group_name, "ownership is in doubt" if paused else "ownership is sure")
            if self.on_pause is not None:
                self.on_pause(paused)

    def _look(self, run):
        """Looks, again and again, whether ownership is in doubt: a process may have stood still for long."""
        self._looker = None
        if run is not self._run:
            return
        now = monotonic()
        if self.state in (JOINING, SYNCING) and now - self._looked > self.membership.session_timeout:
            self._was_still = True
        self._looked = now
        self._tell_pause()
        self._looker = self.client.io_loop.call_later(LOOK_PERIOD, self._look, run)

    # -- requests --

    def _exchange(self, request, broker=None):
        """
        Sends a request by the heart, which tries again by itself; gives a Future of the good answer.

        :param broker: the coordinator, when the heart is to begin anew
        """
        future = concurrent.Future()
        self._asked = request, future
        self._failing_since = None
        if broker is None:
            self.heart.say(request)
        else:
            self._begin(broker, request)
        return future

    def _begin(self, broker, request):
        """Has the heart begin with a request, at the coordinator."""
        membership = self.membership
        if self.heart is None:
            self.heart = Heart(
                self.client.settings, self.client.io_loop, self.client.group_name, membership.heartbeat_interval,
                membership.slow_callback, membership.max_poll_interval,
            )
            self.heart.on_answer = self._on_answer
            self.heart.on_left = self._on_left
        self._cold = False
        others = [(conn.host, conn.port) for conn in self.client.cluster.conns.values()]
        self.heart.start((broker.host, broker.port), others, request, self._requests.follow, self._goodbye)

    def _goodbye(self):
        """The request that leaves for want of progress; called on the heart's thread."""
        return self._requests.leave(self.identity[0], "no progress for %s s" % self.membership.max_poll_interval)

    def _abandon(self, error):
        """Nobody waits for an answer any more."""
        if self._asked is not None:
            future, self._asked = self._asked[1], None
            if not future.done():
                future.set_exception(error)

    def _on_answer(self, request, answer):
        """The heart has got an answer, or the `kiel.exc.KielError` in its place."""
        failed = isinstance(answer, exc.KielError)
        error = answer if failed else refusal(answer, "group %s" % self.client.group_name)
        failing = error is not None and error.retriable
        if not failing:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = monotonic()
        long = failing and monotonic() - self._failing_since > PATIENCE
        if self._asked is not None and self._asked[0] is request:
            self._answered(answer, error, failing and not long)
        elif request.api == "heartbeat" and (request.member_id, request.generation_id) == self.identity:
            self._beaten(error, failing, long)
        self._tell_pause()

    def _answered(self, answer, error, again):
        """The answer that the driver waits for."""
        if again:
            log.info("Group %s: the coordinator can't be asked yet: %s", self.client.group_name, error)
            return
        if isinstance(error, exc.MemberIdRequiredError):
            self.identity = (answer.member_id, NO_GENERATION)
        future, self._asked = self._asked[1], None
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def _beaten(self, error, failing, long):
        """The answer to a sign of life."""
        if error is None or self.state not in (STABLE, REVOKING):
            return
        if isinstance(error, exc.RebalanceInProgressError):
            if self.state == STABLE:
                self._want("the group forms anew")
        elif error.cure == "rejoin":
            self._lose(error)
            self._want("joins again: %s" % error)
        elif not failing:
            self._fail(error)
        elif long and not self._cold:
            self._cold = True
            self.client.io_loop.add_future(self._seek(self._run), lambda future: future.result())

    @gen.coroutine
    def _seek(self, run):
        """Finds the coordinator where the heart, which knows fewer brokers, can't."""
        self.client.lose_coordinator()
        try:
            yield self.client.cluster.heal()
            coordinator = yield self.client.coordinator()
        except exc.KielError as error:
            log.info("Group %s: no coordinator: %s", self.client.group_name, error)
        else:
            if run is self._run and self._cold and self.state == STABLE:
                self._failing_since = None
                self._begin(self.client.cluster[coordinator], self._requests.beat(*self.identity))
        finally:
            if self.state in (STABLE, REVOKING):
                self._failing_since = None  # the next try in as many seconds
                self._cold = False

    def _on_left(self):
        """The heart left the group by itself: the partitions may be others' already."""
        if self._run is None or self.state in (AWAY, FAILED):
            return
        self._cold = True
        self._reason = None
        self._lose(exc.KielError("no progress for %s s" % self.membership.max_poll_interval), "away")
        self._abandon(exc.ClosedError("group %s: left for want of progress" % self.client.group_name))

    # -- the end --

    @gen.coroutine
    def _stop(self):
        """The work of `stop`."""
        closed = exc.ClosedError("group %s: the member has left" % self.client.group_name)
        limit = self.client.settings.request_timeout
        joining, driver = self._asked, self._driver
        self._event("leave")
        self._settle(closed)
        self._topics.clear()
        self._news.notify_all()
        if joining is not None and not self.identity[0]:
            # only the answer tells the id to leave with; else the group would wait for a member that is not there
            try:
                joined = yield events.within(limit, joining[1])
                self.identity = (joined.member_id, NO_GENERATION)
            except (exc.KielError, gen.TimeoutError):
                pass
        self._abandon(closed)
        try:
            if driver is not None:
                yield events.within(limit, driver)
            yield events.within(limit, self._give_up(self.allocation))
        except gen.TimeoutError:
            log.warning("Group %s: on_change was not done within %g s", self.client.group_name, limit)
        except exc.KielError as error:
            log.info("Group %s: %s", self.client.group_name, error)
        yield self._depart(self.identity[0], "the consumer was closed")
        if self._looker is not None:
            self.client.io_loop.remove_timeout(self._looker)
            self._looker = None
        self.allocation, self._releasing = {}, {}
        self.identity = ("", NO_GENERATION)
        self._covered = frozenset()
        self._last_share = {}, NO_GENERATION
        self.is_leader = False
        self._reason = self._losing = self._driver = None
        self._cold = True
        self._tell_pause()
        self._event("left")

    @gen.coroutine
    def _depart(self, member_id, reason):
        """Says goodbye to the coordinator and ends the heart."""
        request = self._requests.leave(member_id, reason)
        clock = Backoff(deadline=min(LEAVE_TIME, self.client.settings.request_timeout)).start()
        while request is not None:
            try:
                coordinator = yield events.within(clock.left, self.client.coordinator())
                answer = yield events.within(clock.left, self.client.cluster[coordinator].send(request))
                error = exc.for_code(answer.error_code, "group %s" % self.client.group_name)
            except gen.TimeoutError:
                break
            except exc.KielError as failure:
                error = failure
            delay = clock.delay()
            if error is None or not error.retriable or delay is None:
                break
            self.client.lose_coordinator()
            yield gen.sleep(delay)
        if self.heart is not None:
            heart, self.heart = self.heart, None
            yield heart.stop()
