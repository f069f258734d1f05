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
        """Whether no partition is held or being given up or asked for."""
        return not self._claims.states

    @gen.coroutine
    def _look_for_switch(self, session):
        """Marks this member as ready, and watches; that the group has moved is no error here."""
        self._marks = Marks(self.conn, self.consumer_name, self.group_path, session.crossing(self._on_marks))
        self._switch = Switch(self.conn, self.group_path, session.crossing(self.on_switch_change))
        yield session.run(self.timeout, self._marks.start)
        yield session.run(self.timeout, self._switch.start)

    def on_switch_change(self, word):
        """Takes what the switch says, on the IOLoop; from its first word on nothing is claimed any more."""
        self.switched = word
        if word is not None:
            self.letting_go = True
        self._tell_news()

    def _on_marks(self, kind, names):
        """Takes the marks of a kind; on the IOLoop."""
        self.marked[kind] = names
        self._tell_news()

    def on_group_members_change(self, members):
        """Takes the names of the members; on the IOLoop."""
        super(Follower, self).on_group_members_change(members)
        self._tell_news()

    def _tell_news(self):
        """Calls `on_news`."""
        if self.on_news is not None:
            self.on_news()

    def _leave_session(self):
        """Forgets a session, and the marks that were known by it."""
        self.marked = {READY: set(), RELEASED: set()}
        told = super(Follower, self)._leave_session()
        self._tell_news()
        return told

    def _rejoin(self, session, run):
        """Enters the group again, while it still is what the member lives by."""
        if not self.has_moved:
            return super(Follower, self)._rejoin(session, run)
        log.info("Group %s: ZooKeeper is not looked at any more", self.group_name)
        return session.close(self.timeout)

    # -- what its user has it do --

    def rebalance(self):
        """Computes the mapping anew, or claims nothing."""
        if not self.letting_go:
            return super(Follower, self).rebalance()
        tried = self._claims.want(())
        self._tell_rebalance()
        return tried

    def let_go(self):
        """Begins to give everything up, whatever the mapping says; see `holds_nothing`."""
        self.letting_go = True
        self.rebalance()

    def resume(self):
        """Follows the mapping again."""
        self.letting_go = False
        if self._joined:
            self.rebalance()

    @gen.coroutine
    def ask(self, fn, *args):
        """
        Runs a blocking function of kazoo's client in this session; gives its result.

        :raises kiel.exc.ZooKeeperError: without a session or an answer
        """
        if not self._joined:
            raise exc.ZooKeeperError(self._hosts, "no session now")
        result = yield self._session.run(self.timeout, fn, *args)
        raise gen.Return(result)

    def strangers(self):
        """Asks which members are not able to move; gives a Future of a set of names."""
        return self.ask(lambda: self._marks.strangers(self.members_path))

    def unreleased(self):
        """Asks which members able to move may hold partitions still; gives a Future of a set of names."""
        return self.ask(lambda: self._marks.unreleased())

    def mark_released(self):
        """Tells the others that this member holds nothing; gives a Future."""
        return self.ask(lambda: self._marks.add(RELEASED))

    def unmark_released(self):
        """Takes that back; gives a Future."""
        return self.ask(lambda: self._marks.remove(RELEASED))

    def close_group(self):
        """Has all members give up what they hold; gives a Future."""
        return self.ask(lambda: self._switch.close())

    def open_group(self):
        """Lets all members join in Kafka; gives a Future."""
        return self.ask(lambda: self._switch.open())

    def undo_switch(self):
        """Has all members go on in ZooKeeper, unless the group is open already; gives a Future."""
        return self.ask(lambda: self._switch.undo())
