"""One member's way from ZooKeeper to Kafka, as a table of stages and what is done in each."""
from __future__ import absolute_import

import datetime
import logging

from tornado import concurrent, gen, locks

from kiel import allocation, exc
from kiel.events import ignore, settle
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


class Move(object):
    """
    Takes one member along the way; `kiel.groups.handover.HandoverAllocator` is what its consumer sees of it.

    :param follower: the `kiel.zookeeper.follower.Follower`, the member in ZooKeeper
    :param kafka: the `kiel.groups.choice.ProtocolChoice` that joins the group in Kafka
    :param topics: a function that returns the names of the topics to join with in Kafka
    :param view: a function that returns the group's `kiel.clients.grouping.group_view.GroupView`
    :param obey: called with the Kafka group's allocator before it joins
    """

    def __init__(self, follower, kafka, topics, view, obey):
        self.follower = follower
        self.group = follower.group_name
        self.kafka = kafka
        self.topics = topics
        self.view = view
        self.obey = obey
        #: seconds for which all members have to be able to move: one that restarts is out for as long
        self.grace = follower.session_timeout
        #: where this member is on its way, see `TRANSITIONS`
        self.stage = STOPPED
        #: the Kafka group's allocator; None until the member joins there
        self.joined = None
        #: what ended the membership for good; None while nothing has
        self.failure = None
        #: topic -> ids of all partitions that there are; set by the allocator
        self.partitions = {}
        #: wakes the stages that wait for news of ZooKeeper
        self._news = locks.Condition()
        #: stands for one run from `start` to `stop`; None when stopped
        self._run = None
        #: a Future that is done when this member has moved, or can't; None before `start`
        self._moved = None
        #: `monotonic` time since which all members are able to move; None while one is not
        self._complete_since = None
        #: names in ZooKeeper that were complained of after the group had moved
        self._strangers = set()
        follower.on_news = self._news.notify_all

    @property
    def running(self):
        """Whether the way was begun, and not stopped."""
        return self._run is not None

    @gen.coroutine
    def start(self):
        """Join in ZooKeeper, and go on from there; wait for Kafka's group where that is open already."""
        self._run = run = object()
        self.failure = None
        self._moved = ignore(concurrent.Future())
        try:
            yield self.follower.start(self.partitions)
        except Exception:
            if run is self._run:
                self._run = None
            raise
        self._event("started")
        self._drive(run)
        if self.follower.switched == OPEN:
            yield self._moved

    @gen.coroutine
    def stop(self):
        """Leave the group, here and there."""
        self._run = None
        self.stage = STOPPED
        self._complete_since = None
        joined = self.joined
        if self._moved is not None:
            settle(self._moved, error=exc.ClosedError("stopped while moving to group %s" % self.group))
        self._news.notify_all()
        try:
            if joined is not None:
                yield joined.stop()
        finally:
            yield self.follower.stop()
            if joined is self.joined:
                self.joined = None
            self.follower.letting_go = self.follower.has_moved = False

    def _event(self, event):
        """Take one step along the table."""
        before, self.stage = self.stage, TRANSITIONS[self.stage][event]
        log.info("Group %s: %s, so %s is %s, not %s", self.group, event, self.follower.consumer_name, self.stage,
                 before)

    @gen.coroutine
    def _drive(self, run):
        """Go from stage to stage until stopped; whatever fails is tried again."""
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
                    log.warning("Group %s, %s: %s; trying again", self.group, stage,
                                str(error) or type(error).__name__)
                    yield gen.sleep(clock.delay())
                    event = "failed" if stage == CARRYING else None
                else:
                    log.error("Group %s can't be joined in Kafka: %s", self.group, error)
                    self.failure = error
                    settle(self._moved, error=error)
                    return
            else:
                clock.reset()
            if event is not None and run is self._run:
                self._event(event)
                if self.stage == MOVED:
                    settle(self._moved)

    @gen.coroutine
    def _look_again(self, seconds=LOOK):
        """Wait for news, or some seconds."""
        yield self._news.wait(datetime.timedelta(seconds=seconds))

    @gen.coroutine
    def _follow(self, run):
        """In ZooKeeper: close the group there when all members have been able to move for a while."""
        follower = self.follower
        if not follower.knows:
            self._complete_since = None
        elif follower.switched is not None:
            self._complete_since = None
            raise gen.Return("switched")
        elif follower.letting_go:  # the switch came and went while this member was out of touch
            follower.resume()
        elif self.follower.consumer_name not in follower.members or follower.members - follower.marked[READY]:
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
        """Give everything up, after the last commit."""
        self.follower.let_go()
        while run is self._run and not self.follower.holds_nothing:
            yield gen.sleep(0.02)
        raise gen.Return("released")

    @gen.coroutine
    def _wait(self, run):
        """Holding nothing: the first such member carries the offsets over, the others wait for it."""
        follower = self.follower
        if follower.knows:
            if follower.switched == OPEN:
                raise gen.Return("opened")
            if follower.switched is None:
                yield follower.unmark_released()
                follower.resume()
                raise gen.Return("undone")
            released = follower.marked[RELEASED]
            if self.follower.consumer_name not in released:
                yield follower.mark_released()
            elif self.follower.consumer_name == min(released) and not follower.marked[READY] - released:
                raise gen.Return("chosen")
        yield self._look_again()

    @gen.coroutine
    def _carry(self, run):
        """Nobody reads or commits now: write the higher of both positions to both stores, and open the group."""
        follower = self.follower
        strangers = yield follower.strangers()
        if strangers:  # it may be marking itself at this moment
            yield gen.sleep(PAUSE)
            strangers = yield follower.strangers()
        if strangers:
            log.warning("Group %s stays in ZooKeeper: %s joined, which can't move", self.group,
                        ", ".join(sorted(strangers)))
            yield follower.undo_switch()
            raise gen.Return("failed")
        if (yield follower.unreleased()):
            raise gen.Return("failed")
        known = self.kafka.coordinator.cluster.topics
        keys = [allocation.split(item) for item in follower.partitions]
        keys = [(topic, partition) for topic, partition in keys if partition in known.get(topic, ())]
        view = self.view()
        offsets = yield view.committed_offsets(keys)
        self._complain(offsets)
        offsets = dict((key, offset) for key, offset in offsets.items() if offset is not None
                       and not isinstance(offset, exc.KielError))
        self._complain((yield view.commit(offsets, "carried over by %s" % self.follower.consumer_name)))
        yield follower.open_group()
        follower.switched = OPEN
        raise gen.Return("carried")

    def _complain(self, outcome):
        """Raise an error that may pass; log one that does not, since members look into both stores anyway."""
        for key, error in sorted(outcome.items(), key=lambda item: item[0]):
            if isinstance(error, exc.KielError):
                if error.retriable:
                    raise error
                log.error("The offset of %s:%s could not be carried over: %s", key[0], key[1], error)

    @gen.coroutine
    def _join(self, run):
        """Join the group in Kafka."""
        def obey(allocator):
            """The member goes by this allocator from now on."""
            self.joined = allocator
            self.obey(allocator)

        @gen.coroutine
        def join():
            """Join with all topics that the member has read."""
            yield self.joined.start(self.partitions)
            topics = sorted(self.topics())
            if topics:
                yield self.joined.subscribe(topics)

        try:
            yield self.kafka.join(obey, join)
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
        """Leave a Kafka group that was not, or is not to be, joined."""
        joined, self.joined = self.joined, None
        if joined is not None:
            yield joined.stop()

    @gen.coroutine
    def _watch(self, run):
        """
        In Kafka: log when somebody joins in ZooKeeper all the same; nobody can keep an old member from reading.

        The switch is put back when it was deleted while the group lives: members that start would meet in ZooKeeper,
        and read what this one reads.
        """
        follower = self.follower
        if follower.knows and follower.switched is None:
            log.error("Group %s has moved to Kafka, but the znode that records it was deleted; it is created again. "
                      "To go back to ZooKeeper, stop all members first", self.group)
            yield follower.close_group()
            yield follower.open_group()
        if follower.knows and follower.members - follower.marked[READY] - self._strangers:
            yield gen.sleep(PAUSE)
            if follower.knows:
                for name in sorted((yield follower.strangers()) - self._strangers):
                    self._strangers.add(name)
                    log.error("Group %s has moved to Kafka, and %s joins it in ZooKeeper: it reads the same messages "
                              "as others; stop it", self.group, name)
        yield self._news.wait(datetime.timedelta(seconds=60))
