"""What a group's member may hand out and commit: its partitions, from being assigned to their last commit."""
from __future__ import absolute_import

import copy
import logging

from tornado import gen, locks

from kiel import events, exc
from kiel.clients.books import Books
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: seconds that an automatic commit is tried for, while the messages wait to be handed over
AUTOCOMMIT_TIME = 5.0


class Ownership(object):
    """
    The part of a `kiel.clients.grouped.GroupedConsumer` that follows its allocator and commits.

    A partition is ours from the moment it is assigned until it is released, which is after its last commit, or until it
    is lost. Each such time is a term; an offset that was handed out in one term is never committed in another, since
    another member may have come further meanwhile.
    """

    def _own_nothing(self, autocommit, on_rebalance, on_lost):
        """Begins without partitions."""
        self.autocommit = autocommit
        self.on_rebalance = on_rebalance
        self.on_lost = on_lost
        self._books = Books(autocommit == "processed")
        #: partitions taken from us, and still ours for their last commit
        self._releasing = set()
        #: partitions that the application was told are to go, until they come again
        self._announced = set()
        #: (topic, partition) -> the term, an object of its own
        self._terms = {}
        #: the terms that the offsets of the commit under way belong to
        self._committing_terms = {}
        self._committing = locks.Lock()
        #: partitions that were given away before what was handed out of them was committed
        self._forfeited = set()

    @property
    def topics_to_commit(self):
        """The set of topics with something to commit."""
        return set(topic for topic, _ in self._books.due)

    # -- what is ours --

    def _holding(self):
        """Gives a function that tells whether a partition is ours now, or still held for its last commit."""
        if self.allocator.paused:
            return lambda key: False
        allocation, releasing = self.allocation, self._releasing
        return lambda key: key[1] in (allocation.get(key[0]) or ()) or key in releasing

    def _term(self, key):
        """The term of a partition that is ours."""
        return self._terms.setdefault(key, object())

    def withheld(self, keys):
        """Says which partitions may not be committed now: all while ownership is in doubt, else those not ours."""
        if self.allocator.paused:
            return dict.fromkeys(keys, self._doubt())
        holding, terms = self._holding(), self._committing_terms
        return dict((key, None) for key in keys if not holding(key) or self._term(key) is not terms.get(key))

    @property
    def identity(self):
        """(member id, generation or epoch) that commits are signed with."""
        return self.allocator.identity

    @property
    def instance_id(self):
        """The name of a static member, which signs commits too."""
        return self.allocator.instance_id

    def refused(self, error):
        """A commit was refused: sees to the membership, and gives the error to go by."""
        if error.cure != "rejoin" or not self.allocator.by_topic:
            return error
        self.allocator.rejoin(error)
        # in the next generation, with what is still this member's then; `withheld` stops what is not
        error = copy.copy(error)
        error.retriable = True
        return error

    def _doubt(self):
        """The error of a commit while it is not sure who owns which partition."""
        if self.allocator.by_topic:
            error = exc.NotOwnedError("this member has left group %s or was put out of it; nothing is committed "
                                      "until it is in again" % self.group_name)
            error.retriable = True
            return error
        return exc.ZooKeeperError(
            self._zk_hosts, "it is not sure who owns which partition; nothing is committed until it is"
        )

    def _forget(self, keys):
        """Forgets what is not committed of those partitions that are not ours any more."""
        holding = self._holding()
        for key in [key for key in keys if not holding(key)]:
            self._terms.pop(key, None)
            if self._books.forget(key):
                self._forfeited.add(key)

    # -- committing --

    @gen.coroutine
    def commit_offsets(self, metadata=None, offsets=None):
        """
        Commits what was handed out, of the partitions that are still ours; all of it counts as processed.

        :param metadata: a text kept beside the offsets; default "committed by" this consumer's name
        :param offsets: ``{topic: {partition id: next offset to read}}`` to commit just these instead
        :raises kiel.exc.NotOwnedError: when partitions were given away or lost before this commit, so that their
            messages are handed out again, by this member or another; all others are committed. In groups that meet in
            ZooKeeper that is said only of ``offsets``, as in kiel 0.9.
        :raises kiel.exc.KielError: the first error, when a partition could not be committed in time; it stays to be
            committed
        """
        if offsets is not None:
            error = yield self._commit_these(dict(
                ((topic, partition), offset) for topic, parts in offsets.items() for partition, offset in parts.items()
            ), metadata)
        else:
            for topic in list(self._books.at_work):
                self._books.done_with(topic)
            error = yield self._commit_due(metadata)
            forfeited, self._forfeited = self._forfeited, set()
            if error is None and forfeited and self.allocator.by_topic:
                error = _not_owned(forfeited)
        if error is not None:
            raise error

    # -- committing with a producer's transaction --

    def handed_out(self):
        """
        Gives what was handed out and is not committed, ``{(topic, partition): next offset}``; it counts as processed.

        :raises kiel.exc.NotOwnedError: when partitions were given away or lost meanwhile: what was made of their
            messages must not be committed, since somebody else gets them too
        """
        if self._forfeited:
            raise _not_owned(self._forfeited)
        for topic in list(self._books.at_work):
            self._books.done_with(topic)
        return dict(self._books.due)

    def note_committed(self, offsets):
        """Takes note that offsets were committed with a transaction."""
        for key, offset in offsets.items():
            self._books.committed(key, offset)

    def rewind(self):
        """
        Goes back to what is committed, such as after an aborted transaction: all that was handed out since is handed
        out again. For ``autocommit=False``.
        """
        self._forfeited.clear()
        holding = self._holding()
        for key in list(self._books.due):
            self._books.forget(key)
            if holding(key):
                self.fetcher.cursor(*key).reset()
                self.fetcher.wake(key[0])

    @gen.coroutine
    def _commit_these(self, offsets, metadata):
        """Commits offsets that the caller gave; gives the first error or None."""
        with (yield self._committing.acquire()):
            outcome = yield self._commit_of_terms(offsets, metadata)
        errors = [value for value in outcome.values() if isinstance(value, exc.KielError)]
        refused = [key for key, value in outcome.items() if value is None]
        raise gen.Return(errors[0] if errors else _not_owned(refused) if refused else None)

    @gen.coroutine
    def _commit_of_terms(self, offsets, metadata=None, deadline=None):
        """Commits offsets as long as the present terms of their partitions last; see `CommittedOffsets.commit`."""
        self._committing_terms = dict((key, self._term(key)) for key in offsets)
        if metadata is None:
            metadata = "committed by %s" % self.name
        result = yield self.committed.commit(offsets, metadata, deadline, self)
        for key, outcome in result.items():
            if isinstance(outcome, exc.KielError):
                log.error("Commit of %s:%s at %s failed: %s", key[0], key[1], offsets[key], outcome)
            elif outcome:
                self._books.committed(key, offsets[key])
        raise gen.Return(result)

    @gen.coroutine
    def _commit_quietly(self):
        """Commits by itself: a failure is logged, and what failed stays to be committed."""
        error = yield self._commit_due(deadline=AUTOCOMMIT_TIME)
        if error is not None:
            self.last_error = error
            log.error("Offsets of group %s could not be committed, later commits will: %s", self.group_name, error)

    @gen.coroutine
    def _commit_due(self, metadata=None, deadline=None):
        """Commits what is due, one commit at a time so that none overtakes another; gives the first error or None."""
        first = None
        with (yield self._committing.acquire()):
            if not self.allocator.paused:
                self._forget(self._books.due)
            offsets = dict(self._books.due)
            if offsets:
                result = yield self._commit_of_terms(offsets, metadata, deadline)
                first = next((value for value in result.values() if isinstance(value, exc.KielError)), None)
        raise gen.Return(first)

    @property
    def _due_now(self):
        """Whether there is something to commit, and nothing that forbids it."""
        return bool(self._books.due) and not self.closing and not self.allocator.paused

    # -- the allocator's hooks --

    def _on_pause(self, paused):
        """It is in doubt who owns what: nothing is fetched, handed out or committed till it is known."""
        self.fetcher.suspended = paused
        self.fetcher.wake()
        self.fetcher.pump()

    @gen.coroutine
    def _on_change(self, revoked, assigned):
        """
        The allocation changed: commits what is due of the partitions that go, then forgets them.

        With "processed", messages at work are waited for, up to ``rebalance_timeout``; what is not done by then is not
        committed, and its new owner hands it out again.
        """
        self._note_name()
        keys = _keys(revoked)
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        if keys and not (self.closing or self.allocator.paused):
            self._releasing |= keys
            deadline = monotonic() + self.rebalance_timeout
            try:
                yield self._wait_for_work(keys, self.rebalance_timeout)
                keys &= self._releasing  # those lost meanwhile were told of as lost
                if keys and self.on_rebalance is not None:
                    self._announced |= keys
                    yield self._tell(self.on_rebalance, deadline - monotonic(), _topics(keys), {})
                if self.autocommit is not False and keys.intersection(self._books.due) and self._due_now:
                    yield self._commit_quietly()
            finally:
                self._releasing -= keys
        self._forget(keys)
        if assigned:
            yield self._arrived(assigned)
        self.fetcher.wake()
        self.fetcher.pump()

    @gen.coroutine
    def _arrived(self, assigned):
        """New partitions begin their term; with `on_rebalance` they are read when that is done."""
        self._announced -= _keys(assigned)
        for key in _keys(assigned):
            self._terms[key] = object()
        if self.on_rebalance is None:
            return
        until = monotonic() + self.rebalance_timeout
        cursors = [self.fetcher.cursor(topic, partition) for topic, partition in _keys(assigned)]
        for cursor in cursors:
            cursor.not_before = until
        yield self._tell(self.on_rebalance, self.rebalance_timeout, {}, assigned)
        for cursor in cursors:
            if cursor.not_before == until:
                cursor.not_before = 0

    @gen.coroutine
    def _on_lost(self, lost):
        """Partitions are gone without having been asked for: whatever was not committed is not any more."""
        keys = _keys(lost)
        log.warning("Group %s: this member lost %s; what was not committed of them is handed out again by their next "
                    "owner", self.group_name, ", ".join(sorted("%s:%s" % key for key in keys)))
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        self._releasing -= keys
        self._forget(keys)
        self.fetcher.wake()
        lost = _topics(keys - self._announced)  # a partition is told of as revoked or as lost, not as both
        if not lost:
            return
        if self.on_lost is not None:
            yield self._tell(self.on_lost, self.rebalance_timeout, lost)
        else:
            yield self._tell(self.on_rebalance, self.rebalance_timeout, lost, {})

    @gen.coroutine
    def _tell(self, callback, seconds, *args):
        """Calls the application back, and waits for its Future up to a deadline; logs instead of raising."""
        if callback is None:
            return
        try:
            answer = callback(*args)
            if answer is not None:
                yield events.within(max(0.001, seconds), gen.convert_yielded(answer))
        except gen.TimeoutError:
            log.warning("%s of group %s was not done within %g s; the rebalance goes on without it",
                        getattr(callback, "__name__", callback), self.group_name, self.rebalance_timeout)
        except Exception:
            log.exception("%s of group %s failed", getattr(callback, "__name__", callback), self.group_name)

    @gen.coroutine
    def _wait_for_work(self, keys, seconds):
        """Waits until the messages at work of some partitions are done with, or the time is over."""
        working = self._books.work_on(keys)
        if working:
            try:
                yield events.within(seconds, gen.multi(working))
            except gen.TimeoutError:
                log.warning("Messages of %s were not done with within %g s; their new owner gets them again",
                            ", ".join(sorted(working)), seconds)


def _topics(keys):
    """A set of (topic, partition) as topic -> sorted ids."""
    topics = {}
    for topic, partition in sorted(keys):
        topics.setdefault(topic, []).append(partition)
    return topics


def _keys(topics):
    """Topic -> ids as a set of (topic, partition)."""
    return set((topic, partition) for topic, ids in topics.items() for partition in ids)


def _not_owned(keys):
    """The error of a commit that came too late."""
    return exc.NotOwnedError("not committed, since they are not (or no longer) this member's: %s. Their messages are "
                             "handed out again by their owner" % ", ".join(sorted("%s:%s" % key for key in keys)))
