"""A member of a ZooKeeper group that takes part in the group's move to Kafka."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from .allocator import PartitionAllocator
from .switch import READY, RELEASED, Marks, Switch

log = logging.getLogger(__name__)


class Follower(PartitionAllocator):
    """
    A `PartitionAllocator` that marks itself as able to move, and knows the others' marks; its user moves it.

    Takes the arguments of `PartitionAllocator`.
    """

    def __init__(self, *args, **options):
        super(Follower, self).__init__(*args, **options)
        #: kind of mark -> names of the members that have it, as ZooKeeper told last
        self.marked = {READY: set(), RELEASED: set()}
        #: True while this member claims nothing: from the switch, or `let_go`, to `resume`
        self.letting_go = False
        #: True once the member is in Kafka: a lost session is not made good any more
        self.has_moved = False
        #: called without arguments, on the IOLoop, after anything changed that `HandoverAllocator` looks at
        self.on_news = None
        self._marks = self._switch = None

    @property
    def knows(self):
        """Whether what is known of marks and the switch is of a session that lasts."""
        return self._joined

    @property
    def holds_nothing(self):
        """Whether this member holds no partition, releases none and waits for none."""
        return not self._claims.states

    @gen.coroutine
    def _look_for_switch(self, session):
        """Mark this member as ready, and watch; that the group has moved is no error here."""
        self._marks = Marks(self.conn, self.consumer_name, self.group_path, session.crossing(self._on_marks))
        self._switch = Switch(self.conn, self.group_path, session.crossing(self.on_switch_change))
        yield session.run(self.timeout, self._marks.start)
        yield session.run(self.timeout, self._switch.start)

    def on_switch_change(self, word):
        """Take what the switch says, on the IOLoop; from its first word on nothing is claimed any more."""
        self.switched = word
        if word is not None:
            self.letting_go = True
        self._tell_news()

    def _on_marks(self, kind, names):
        """Take the marks of a kind; on the IOLoop."""
        self.marked[kind] = names
        self._tell_news()

    def on_group_members_change(self, new_members):
        """Take the names of the members; on the IOLoop."""
        super(Follower, self).on_group_members_change(new_members)
        self._tell_news()

    def _tell_news(self):
        """Call `on_news`."""
        if self.on_news is not None:
            self.on_news()

    def leave_session(self, session):
        """Forget a session, and the marks that were known by it."""
        if session is self.session:
            self.marked = {READY: set(), RELEASED: set()}
        told = super(Follower, self).leave_session(session)
        self._tell_news()
        return told

    @property
    def comes_back(self):
        """Whether a lost session is made good: only while it is ZooKeeper that the member lives by."""
        return not self.has_moved

    # -- what its user has it do --

    def rebalance(self):
        """Compute the mapping anew, or claim nothing."""
        if not self.letting_go:
            return super(Follower, self).rebalance()
        tried = self._claims.want(())
        self._tell_rebalance()
        return tried

    def let_go(self):
        """Begin to give everything up, whatever the mapping says; see `holds_nothing`."""
        self.letting_go = True
        self.rebalance()

    def resume(self):
        """Follow the mapping again."""
        self.letting_go = False
        if self._joined:
            self.rebalance()

    @gen.coroutine
    def ask(self, fn, *args):
        """
        Run a blocking function of kazoo's client in this session. Return its result.

        :raises kiel.exc.ZooKeeperError: without a session or an answer
        """
        if not self._joined:
            raise exc.ZooKeeperError(self.hosts, "no ZooKeeper session at the moment")
        result = yield self.session.run(self.timeout, fn, *args)
        raise gen.Return(result)

    def strangers(self):
        """Ask which members are not able to move; returns a Future of a set of names."""
        return self.ask(lambda: self._marks.strangers(self.members_path))

    def unreleased(self):
        """Ask which members able to move may hold partitions still; returns a Future of a set of names."""
        return self.ask(lambda: self._marks.unreleased())

    def mark_released(self):
        """Tell the others that this member holds nothing. Return a Future."""
        return self.ask(lambda: self._marks.add(RELEASED))

    def unmark_released(self):
        """Take that back. Return a Future."""
        return self.ask(lambda: self._marks.remove(RELEASED))

    def close_group(self):
        """Have all members give up what they hold. Return a Future."""
        return self.ask(lambda: self._switch.close())

    def open_group(self):
        """Let all members join in Kafka. Return a Future."""
        return self.ask(lambda: self._switch.open())

    def undo_switch(self):
        """Have all members go on in ZooKeeper, unless the group is open already. Return a Future."""
        return self.ask(lambda: self._switch.undo())
