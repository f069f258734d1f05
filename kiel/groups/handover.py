"""
A group's way from ZooKeeper to Kafka, without a gap.

Members follow ZooKeeper's mapping, also beside members that know nothing else, until every member is able to move. Then
all give up what they hold there; when nobody holds anything, one carries the offsets over and opens the group in Kafka,
and all join it. Whoever dies on the way is out of ZooKeeper's books with its session, and nobody waits for it.
"""
from __future__ import absolute_import

import datetime
import logging

from tornado import concurrent, gen, locks

from kiel import allocation, exc
from kiel.events import ignore
from kiel.groups.choice import join_through_kafka
from kiel.retry import Backoff, monotonic
from kiel.zookeeper.switch import OPEN, READY, RELEASED

log = logging.getLogger(__name__)

#: where a member is on its way
STOPPED, FOLLOWING, RELEASING, WAITING, CARRYING, JOINING, MOVED = (
    "stopped", "following", "releasing", "waiting", "carrying", "joining", "moved")

TRANSITIONS = {
    STOPPED: {"started": FOLLOWING},
    # in ZooKeeper, by its mapping, as long as a member is there that can't move
    FOLLOWING: {"switched": RELEASING},
    # the group moves: what is held is committed and given up
    RELEASING: {"released": WAITING},
    # holds nothing; until nobody does, or one that can't move came in between
    WAITING: {"chosen": CARRYING, "opened": JOINING, "undone": FOLLOWING},
    # this member alone sees to it that Kafka has all offsets
    CARRYING: {"carried": WAITING, "failed": WAITING},
    JOINING: {"joined": MOVED},
    MOVED: {},
}   # from any state: {"stopped": STOPPED}

#: seconds of looking again without news, and of waiting before a member that can't move is believed to be there
LOOK, PAUSE = 1.0, 1.0

#: what belongs to whichever allocator the member goes by
OF_THE_CURRENT = ("allocation", "paused", "identity", "instance_id", "by_topic", "is_in", "heart")


class HandoverAllocator(allocation.Allocator):
    """
    Goes by a `kiel.zookeeper.follower.Follower` until the group has moved, and by a Kafka group's allocator after.

    :param client: the `kiel.clients.grouped.GroupedConsumer`
    :param membership: its `kiel.groups.membership.Membership`
    :param follower: the member in ZooKeeper
    :param topics: a function that gives the names of the topics to join with in Kafka
    :param view: a function that gives the group's `kiel.clients.grouping.group_view.GroupView`, by which both
        stores of offsets are reached without being a member
    """

    def __init__(self, client, membership, follower, topics, view):
        self.client = client
        self.membership = membership
        self.follower = follower
        self.topics = topics
        self.view = view
        #: seconds for which all members have to be able to move: one that restarts is out for as long
        self.grace = follower.session_timeout
        #: where this member is on its way, see `TRANSITIONS`
        self.stage = STOPPED
        #: the Kafka group's allocator, once there is one
        self.joined = None
        #: what ended the membership for good
        self.failure = None
        self._partitions = {}
        self._news = locks.Condition()
        self._run = None
        self._moved = None
        self._complete_since = None
        self._strangers = set()
        follower.on_news = self._news.notify_all
        follower.on_change = self._followed
        follower.on_pause = self._doubted

    def _followed(self, revoked, assigned):
        """Passes a change in ZooKeeper on."""
        return None if self.on_change is None else self.on_change(revoked, assigned)

    def _doubted(self, doubt):
        """Passes doubt in ZooKeeper on, which says nothing of a member that is in Kafka."""
        if self.joined is None and self.on_pause is not None:
            self.on_pause(doubt)

    @property
    def current(self):
        """The allocator that the member goes by."""
        return self.follower if self.joined is None else self.joined

    @property
    def error(self):
        """The `kiel.exc.KielError` that membership ended with for good."""
        return self.failure or self.current.error

    @property
    def state(self):
        """Where this member is on its way; once it has moved, its state in the Kafka group."""
        return getattr(self.joined, "state", self.stage) if self.stage == MOVED else self.stage

    @property
    def consumer_name(self):
        """The member's name in ZooKeeper."""
        return self.follower.consumer_name

    @consumer_name.setter
    def consumer_name(self, name):
        self.follower.consumer_name = name

    def __getattr__(self, name):
        """What only one kind of allocator has, such as ``members``, is that of the one that the member goes by."""
        if name.startswith("_") or "follower" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.current, name)

    # -- the contract --

    @gen.coroutine
    def start(self, partitions):
        """
        Joins the group where it meets; gives a Future.

        :raises kiel.exc.ZooKeeperError: without ZooKeeper, which has to say where that is
        :raises kiel.exc.UnsupportedVersionError: when the broker does not serve the protocol that the group is to go by
        """
        self._partitions = dict(partitions)
        if self._run is not None:
            yield self.current.start(partitions)
            return
        yield self._check_broker()
        self._run = run = object()
        self.failure = None
        self._moved = ignore(concurrent.Future())
        try:
            yield self.follower.start(partitions)
        except Exception:
            if run is self._run:
                self._run = None
            raise
        self._go("started")
        self._drive(run)
        if self.follower.switched == OPEN:
            yield self._moved

    @gen.coroutine
    def _check_broker(self):
        """Finds out before anything is given up whether the move can end well."""
        found = yield self.client.attempt([None], self._find_coordinator)
        broker_id = found[None]
        if isinstance(broker_id, exc.KielError):
            raise broker_id
        api = "consumer_group_heartbeat" if self.client.group_protocol == "consumer" else "join_group"
        if not self.client.cluster[broker_id].reaches(api, 0):
            raise exc.UnsupportedVersionError(
                "broker %s does not serve group_protocol=%r" % (broker_id, self.client.group_protocol))

    @gen.coroutine
    def _find_coordinator(self, wanted):
        """One look for the coordinator."""
        broker_id = yield self.client.coordinator()
        raise gen.Return({None: broker_id})

    @gen.coroutine
    def stop(self):
        """Leaves the group, here and there; gives a Future."""
        self._run = None
        self.stage = STOPPED
        self._complete_since = None
        joined = self.joined
        if self._moved is not None and not self._moved.done():
            self._moved.set_exception(exc.ClosedError("stopped on the way to group %s" % self.client.group_name))
        self._news.notify_all()
        try:
            if joined is not None:
                yield joined.stop()
        finally:
            yield self.follower.stop()
            if joined is self.joined:
                self.joined = None
            self.follower.letting_go = self.follower.has_moved = False

    def update(self, partitions, gone=()):
        """Tells what the metadata says now; gives a Future."""
        self._partitions = dict(partitions)
        return self.current.update(partitions, gone)

    def subscribe(self, topics):
        """Subscribes to topics, where members do; gives a Future."""
        return self.current.subscribe(topics)

    def rejoin(self, error):
        """A commit was refused with an error whose cure is to join again."""
        self.current.rejoin(error)

    # -- the way --

    def _go(self, event):
        """Takes one step along the table."""
        before, self.stage = self.stage, TRANSITIONS[self.stage][event]
        log.info("Group %s: %s, so %s is %s, not %s", self.client.group_name, event, self.consumer_name, self.stage,
                 before)

    @gen.coroutine
    def _drive(self, run):
        """Goes the way, stage by stage, until stopped; whatever fails is tried again."""
        steps = {
            FOLLOWING: self._follow, RELEASING: self._release, WAITING: self._wait, CARRYING: self._carry,
            JOINING: self._join, MOVED: self._watch,
        }
        clock = Backoff(first=0.1, most=2.0, deadline=None).start()
        while run is self._run:
            stage = self.stage
            try:
                event = yield steps[stage](run)
            except Exception as error:
                if run is not self._run:
                    break
                if getattr(error, "retriable", True):
                    log.warning("Group %s, %s: %s; trying again", self.client.group_name, stage,
                                str(error) or type(error).__name__)
                    yield gen.sleep(clock.delay())
                    event = "failed" if stage == CARRYING else None
                else:
                    log.error("Group %s can't be joined in Kafka: %s", self.client.group_name, error)
                    self.failure = error
                    self._moved.set_exception(error)
                    return
            else:
                clock.reset()
            if event is not None and run is self._run:
                self._go(event)
                if self.stage == MOVED and not self._moved.done():
                    self._moved.set_result(None)

    @gen.coroutine
    def _look_again(self, seconds=LOOK):
        """Waits for news, or some seconds."""
        yield self._news.wait(datetime.timedelta(seconds=seconds))

    @gen.coroutine
    def _follow(self, run):
        """In ZooKeeper: has the group moved when all members have been able to for a while."""
        follower = self.follower
        if not follower.knows:
            self._complete_since = None
        elif follower.switched is not None:
            self._complete_since = None
            raise gen.Return("switched")
        elif follower.letting_go:  # the switch came and went while this member was out of touch
            follower.resume()
        elif self.consumer_name not in follower.members or follower.members - follower.marked[READY]:
            self._complete_since = None
        elif self._complete_since is None:
            self._complete_since = monotonic()
        left = LOOK
        if self._complete_since is not None:
            left = self._complete_since + self.grace - monotonic()
            if left <= 0:
                self._complete_since = None
                if not (yield follower.strangers()):
                    yield follower.close_group()
                left = LOOK
        yield self._look_again(min(LOOK, left))

    @gen.coroutine
    def _release(self, run):
        """Gives everything up, after its last commit."""
        self.follower.let_go()
        while run is self._run and not self.follower.holds_nothing:
            yield gen.sleep(0.02)
        raise gen.Return("released")

    @gen.coroutine
    def _wait(self, run):
        """Holds nothing; the first of those who do carries the offsets over, the others wait for it."""
        follower = self.follower
        if follower.knows:
            if follower.switched == OPEN:
                raise gen.Return("opened")
            if follower.switched is None:
                yield follower.unmark_released()
                follower.resume()
                raise gen.Return("undone")
            released = follower.marked[RELEASED]
            if self.consumer_name not in released:
                yield follower.mark_released()
            elif self.consumer_name == min(released) and not follower.marked[READY] - released:
                raise gen.Return("chosen")
        yield self._look_again()

    @gen.coroutine
    def _carry(self, run):
        """Nobody reads or commits now: brings the higher of both positions to both stores, and opens the group."""
        follower = self.follower
        strangers = yield follower.strangers()
        if strangers:  # it may be marking itself at this moment
            yield gen.sleep(PAUSE)
            strangers = yield follower.strangers()
        if strangers:
            log.warning("Group %s stays in ZooKeeper, since %s came that can't move", self.client.group_name,
                        ", ".join(sorted(strangers)))
            yield follower.undo_switch()
            raise gen.Return("failed")
        if (yield follower.unreleased()):
            raise gen.Return("failed")
        known = self.client.cluster.topics
        keys = [allocation.split(item) for item in follower.partitions]
        keys = [(topic, partition) for topic, partition in keys if partition in known.get(topic, ())]
        view = self.view()
        offsets = yield view.committed_offsets(keys)
        self._complain(offsets)
        offsets = dict((key, offset) for key, offset in offsets.items() if offset is not None
                       and not isinstance(offset, exc.KielError))
        self._complain((yield view.commit(offsets, "carried over by %s" % self.consumer_name)))
        yield follower.open_group()
        follower.switched = OPEN
        raise gen.Return("carried")

    def _complain(self, outcome):
        """Raises an error that may pass; logs one that does not, since members look into both stores anyway."""
        for key, error in sorted(outcome.items(), key=lambda item: item[0]):
            if isinstance(error, exc.KielError):
                if error.retriable:
                    raise error
                log.error("The offset of %s:%s is not carried over: %s", key[0], key[1], error)

    @gen.coroutine
    def _join(self, run):
        """Joins the group in Kafka."""
        def obey(allocator):
            """The member goes by this allocator from now on."""
            for hook in ("on_change", "on_lost", "on_pause"):
                setattr(allocator, hook, getattr(self, hook))
            self.joined = allocator
            if self.on_pause is not None:
                self.on_pause(allocator.paused)

        @gen.coroutine
        def join():
            """Joins with all topics that the member has read."""
            yield self.joined.start(self._partitions)
            topics = sorted(self.topics())
            if topics:
                yield self.joined.subscribe(topics)

        try:
            yield join_through_kafka(self.client, self.membership, obey, join)
        except Exception:
            yield self._drop()
            raise
        if run is not self._run:
            yield self._drop()
            return
        self.follower.has_moved = True
        raise gen.Return("joined")

    @gen.coroutine
    def _drop(self):
        """Leaves a Kafka group that was not, or is not to be, joined."""
        joined, self.joined = self.joined, None
        if joined is not None:
            yield joined.stop()

    @gen.coroutine
    def _watch(self, run):
        """
        In Kafka: says when somebody comes to ZooKeeper all the same; nobody can keep an old member from reading.

        The switch is put back when it was deleted while the group lives: members that start would meet in ZooKeeper,
        and read what this one reads.
        """
        follower = self.follower
        if follower.knows and follower.switched is None:
            log.error("Group %s has moved to Kafka and lives there, and the znode that says so was deleted; it is made "
                      "again. To go back, stop all members first", self.client.group_name)
            yield follower.close_group()
            yield follower.open_group()
        if follower.knows and follower.members - follower.marked[READY] - self._strangers:
            yield gen.sleep(PAUSE)
            if follower.knows:
                for name in sorted((yield follower.strangers()) - self._strangers):
                    self._strangers.add(name)
                    log.error("Group %s has moved to Kafka, and %s joins it in ZooKeeper: it reads what others read; "
                              "stop it", self.client.group_name, name)
        yield self._news.wait(datetime.timedelta(seconds=60))


def _of_the_current(name):
    """A property of whichever allocator the member goes by."""
    return property(lambda self: getattr(self.current, name), doc="As `kiel.allocation.Allocator.%s`." % name)


for _name in OF_THE_CURRENT:
    setattr(HandoverAllocator, _name, _of_the_current(_name))
