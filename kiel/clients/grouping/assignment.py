"""Which partitions are this member's to hand out and to commit, and what the application is told when that changes."""
from __future__ import absolute_import

import copy
import logging

from tornado import gen

from kiel import events, exc
from kiel.allocation import Allocator
from kiel.clients import observed
from kiel.clients.grouping.callback import call_back
from kiel.retry import monotonic
from kiel.settings import Settings

log = logging.getLogger(__name__)


class Unjoined(Allocator):
    """The allocator of a member that has not been connected yet: nothing is allocated, and nothing has to be left."""

    def stop(self):
        """There is nothing to leave."""
        return gen.maybe_future(None)


class Assignment(object):
    """
    The partitions of this member, from being assigned to their last commit.

    A partition is this member's from the moment it is assigned until it is released, which is after its last commit, or
    until it is lost. Each such time is a term; an offset that was handed out in one term is never committed in another,
    since another member may have come further meanwhile.

    :param group: the group's name
    :param fetcher: the consumer's `kiel.clients.consuming.fetcher.Fetcher`
    :param progress: the consumer's `kiel.clients.grouping.progress.Progress`
    :param rebalance_timeout: seconds that partitions may be kept for work on their messages, and for callbacks
    :param commit: called with a set of (topic, partition) that are about to be released; commits what is to be
        committed of them, and returns a Future
    :param cursors: called with a set of (topic, partition) that are this member's, returns a list of their cursors
    :param changed: called without arguments whenever the allocator changed the allocation
    :param zk_hosts: the ZooKeeper that the group meets in, as errors name it; None for one that meets in Kafka
    :param settings: the client's `kiel.settings.Settings`
    """

    def __init__(self, group, fetcher, progress, rebalance_timeout, commit, cursors, changed, zk_hosts=None,
                 settings=None):
        self.group = group
        self.fetcher = fetcher
        self.progress = progress
        self.rebalance_timeout = rebalance_timeout
        self.zk_hosts = zk_hosts
        self._settings = settings or Settings()
        #: the application's callbacks, see `kiel.clients.grouped.GroupedConsumer`; may be set
        self.on_rebalance = None
        self.on_lost = None
        #: True while the consumer is closing: partitions go without a commit, which close() sees to
        self.closing = False
        self._commit = commit
        self._cursors = cursors
        self._changed = changed
        #: the `kiel.allocation.Allocator` that the member goes by
        self.allocator = Unjoined()
        #: partitions that go, and still are this member's for their last commit
        self._releasing = set()
        #: partitions that the application was told are to go, until they come again
        self._announced = set()
        #: (topic, partition) -> the term, an object of its own
        self._terms = {}

    def fields(self):
        """Return the fields of lines in the log that are about this member, see `kiel.fields`."""
        member, generation = self.allocator.identity
        return dict(client=self._settings.client_id, group=self.group, member=member, generation=generation)

    def obey(self, allocator):
        """Go by an allocator from now on."""
        allocator.on_change = self._on_change
        allocator.on_lost = self._on_lost
        allocator.on_pause = self._on_pause
        self.allocator = allocator

    # -- what is this member's --

    def holding(self):
        """Return a function that tells whether a partition is this member's now, or still held for its last commit."""
        if self.allocator.paused:
            return lambda key: False
        allocation, releasing = self.allocator.allocation, self._releasing
        return lambda key: key in releasing or key[1] in (allocation.get(key[0]) or ())

    def term(self, key):
        """Return the term of a partition that is this member's."""
        return self._terms.setdefault(key, object())

    def forget(self, keys):
        """Forget what is not committed of those partitions that are not this member's any more."""
        holding = self.holding()
        for key in [key for key in keys if not holding(key)]:
            self._terms.pop(key, None)
            self.progress.forfeit(key)

    def clear(self):
        """The membership is over."""
        self._terms.clear()

    def abandon(self):
        """Drop the membership, which is another process's or belonged to a loop that is closed; return what it had."""
        owned = topics_of(keys_of(self.allocator.allocation) | self._releasing)
        for hook in ("on_change", "on_lost", "on_pause"):
            setattr(self.allocator, hook, None)
        self.allocator = Unjoined()
        self._releasing.clear()
        self._announced.clear()
        self._terms.clear()
        self.closing = False
        return owned

    def tell_lost(self, lost):
        """Tell the application of partitions that were lost; return a Future that never fails."""
        if not lost:
            return gen.moment
        if self.on_lost is not None:
            return self._tell(self.on_lost, self.rebalance_timeout, lost)
        return self._tell(self.on_rebalance, self.rebalance_timeout, lost, {})

    def doubt(self):
        """Return the error of a commit while it is not sure who owns which partition."""
        if self.allocator.by_topic:
            error = exc.NotOwnedError("this member has left group %s or was removed from it; nothing is committed "
                                      "until it has rejoined" % self.group)
            error.retriable = True
            return error
        return exc.ZooKeeperError(
            self.zk_hosts, "it is not certain who owns which partition; nothing is committed until it is"
        )

    # -- the allocator's hooks --

    def _on_pause(self, paused):
        """It is in doubt who owns what: nothing is fetched, handed out or committed until it is known."""
        self.fetcher.suspended = paused
        self.fetcher.wake()
        self.fetcher.pump()

    @gen.coroutine
    def _on_change(self, revoked, assigned):
        """
        The allocation changed: commit what is due of the partitions that go, then forget them.

        With "processed", messages being worked on are waited for, up to ``rebalance_timeout``; what is not done by then
        is not committed, and its new owner hands it out again.
        """
        self._changed()
        change = observed.Change(self._settings.hooks, self, revoked, assigned)
        keys = keys_of(revoked)
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        if keys and not self.closing and not self.allocator.paused:
            self._releasing |= keys
            try:
                yield self._release(keys)
            finally:
                self._releasing -= keys
        self.forget(keys)
        if assigned:
            yield self._arrived(assigned)
        change.ended()
        self.fetcher.wake()
        self.fetcher.pump()

    @gen.coroutine
    def _release(self, keys):
        """Finish with partitions before they are given away."""
        deadline = monotonic() + self.rebalance_timeout
        yield self.wait_for_work(keys, self.rebalance_timeout)
        keys &= self._releasing  # those lost meanwhile were told of as lost
        if keys and self.on_rebalance is not None:
            self._announced |= keys
            yield self._tell(self.on_rebalance, deadline - monotonic(), topics_of(keys), {})
        yield self._commit(keys)

    @gen.coroutine
    def _arrived(self, assigned):
        """New partitions begin their term; with `on_rebalance` they are read when that is done."""
        keys = keys_of(assigned)
        self._announced -= keys
        for key in keys:
            self._terms[key] = object()
        if self.on_rebalance is None:
            return
        until = monotonic() + self.rebalance_timeout
        cursors = self._cursors(keys)
        for cursor in cursors:
            cursor.not_before = until
        yield self._tell(self.on_rebalance, self.rebalance_timeout, {}, assigned)
        for cursor in cursors:
            if cursor.not_before == until:
                cursor.not_before = 0

    @gen.coroutine
    def _on_lost(self, lost):
        """Partitions are gone without having been asked for: whatever was not committed will not be any more."""
        keys = keys_of(lost)
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        log.warning("Group %s: this member lost %s; their next owner gets the messages that were not committed "
                    "again", self.group, names_of(keys), extra=self.fields())
        self._releasing -= keys
        self.forget(keys)
        observed.Change(self._settings.hooks, self, lost=lost).ended()
        self.fetcher.wake()
        # a partition is told of as revoked or as lost, not as both
        yield self.tell_lost(topics_of(keys - self._announced))

    def _tell(self, callback, seconds, *args):
        """Call the application back, and wait for what it returns; return a Future that never fails."""
        return call_back(callback, args, seconds, "the rebalance of group %s" % self.group)

    @gen.coroutine
    def wait_for_work(self, keys, seconds):
        """Wait until the messages of some partitions are processed, or the time is over."""
        working = self.progress.work_on(keys)
        if working:
            try:
                yield events.within(seconds, gen.multi(working))
            except gen.TimeoutError:
                log.warning("Group %s: messages of %s were not processed within %g s; their new owner gets them again",
                            self.group, ", ".join(sorted(working)), seconds, extra=self.fields())


class Signature(object):
    """
    The member that signs one commit, see `kiel.clients.grouping.committed_offsets.Outsider`.

    It may commit partitions as long as the terms last in which it was made.

    :param assignment: the member's `Assignment`
    :param keys: the partitions to commit, as (topic, partition)
    """

    def __init__(self, assignment, keys):
        self.assignment = assignment
        self._terms = dict((key, assignment.term(key)) for key in keys)

    @property
    def identity(self):
        """(member id, generation or epoch)."""
        return self.assignment.allocator.identity

    @property
    def instance_id(self):
        """The name of a static member; None for others."""
        return self.assignment.allocator.instance_id

    def withheld(self, keys):
        """Return what may not be committed now: all while ownership is in doubt, else what others own."""
        assignment = self.assignment
        if assignment.allocator.paused:
            return dict.fromkeys(keys, assignment.doubt())
        holding = assignment.holding()
        return dict(
            (key, None) for key in keys if not holding(key) or assignment.term(key) is not self._terms.get(key)
        )

    def refused(self, error):
        """A commit was refused: see to the membership. Return the error to go by."""
        allocator = self.assignment.allocator
        if error.cure != "rejoin" or not allocator.by_topic:
            return error
        allocator.rejoin(error)
        # in the next generation, with what is still this member's then; `withheld` stops what is not
        error = copy.copy(error)
        error.retriable = True
        return error


def topics_of(keys):
    """Return a set of (topic, partition) as topic -> sorted ids."""
    topics = {}
    for topic, partition in sorted(keys):
        topics.setdefault(topic, []).append(partition)
    return topics


def keys_of(topics):
    """Return topic -> ids as a set of (topic, partition)."""
    return set((topic, partition) for topic, ids in topics.items() for partition in ids)


def names_of(keys):
    """Return (topic, partition) pairs as a text."""
    return ", ".join(sorted("%s:%s" % key for key in keys))


def not_owned(keys):
    """Return the error of a commit that came too late."""
    return exc.NotOwnedError("not committed, since they are not (or no longer) this member's: %s. Their messages are "
                             "handed out again by their owner" % names_of(keys))
