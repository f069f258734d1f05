"""A consumer that shares the partitions of its topics with the other members of its group."""
from __future__ import absolute_import

import collections
import datetime
import logging
import os

from tornado import gen, locks

from kiel import exc
from kiel.allocation import naive_allocator
from kiel.clients.books import Books, Share
from kiel.clients.commits import OffsetStore
from kiel.clients.consumer import BaseConsumer, make_name
from kiel.clients.cursor import UNSET
from kiel.clients.offsets import BEGINNING
from kiel.retry import Backoff, monotonic
from kiel.zookeeper.allocator import PartitionAllocator

log = logging.getLogger(__name__)

#: topics of Kafka's own, which no group shares out
INTERNAL = ("__consumer_offsets", "__transaction_state", "__share_group_state")

#: seconds that an automatic commit is tried for, while the messages wait to be handed over
AUTOCOMMIT_TIME = 5.0

#: seconds of one look-up of positions; what failed retriably is looked up again by the next
LOOK_UP_TIME = 1.0

#: seconds that `GroupedConsumer.close` waits for messages at work ("processed" mode)
CLOSING_TIME = 1.0

#: seconds that metadata has to lack a topic for before the group is told that it is deleted: one broker that has not
#: heard of a new topic yet must not take it away from all members
GONE_AFTER = 2.0

#: values of ``autocommit``
AUTOCOMMIT = (True, False, "processed")


class GroupedConsumer(OffsetStore, BaseConsumer):
    """
    Reads its share of the topics, goes on where the group left off, and commits how far it has come.

    ``autocommit`` says when, and with that what a crash does:

    - ``True``: within the `consume` that hands the messages over. What a crash interrupts is lost: at most once.
    - ``"processed"``: messages count as processed when `consume` is called for that topic again, or
      `commit_offsets`, and are committed then. What a crash interrupts is handed out again: at least once. This is
      for one sequential loop per topic; a second `consume` of a topic at the same time is refused.
    - ``False``: only by `commit_offsets`, which commits all that was handed out.

    A partition without a committed offset is read from ``start`` of `consume`, by default from its beginning.

    :param brokers: bootstrap hosts
    :param group: the group's name
    :param zk_hosts: ZooKeeper's hosts, where the members meet
    :param partition_allocator: function ``(members, partitions) -> {member: {topic: [ids]}}``, the same for every
        member; default `kiel.allocation.naive_allocator`
    :param rebalance_timeout: seconds that a partition to be given away waits for its messages at work ("processed")
    :param settings: the rest as for `kiel.clients.consumer.BaseConsumer`
    """

    uses_zookeeper = True

    def __init__(self, brokers, group, zk_hosts, deserializer=None, partition_allocator=None, autocommit=True,
                 max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024, rebalance_timeout=60, **settings):
        if autocommit not in AUTOCOMMIT:
            raise ValueError("autocommit is True, False or 'processed', not %r" % (autocommit,))
        super(GroupedConsumer, self).__init__(
            brokers, deserializer, max_wait_time, min_bytes, max_bytes, **settings
        )
        self.group_name = group
        self._zk_hosts = zk_hosts if isinstance(zk_hosts, str) else ",".join(zk_hosts)
        self.autocommit = autocommit
        self.rebalance_timeout = rebalance_timeout
        self.allocator = PartitionAllocator(
            zk_hosts, group, self.name, partition_allocator or naive_allocator,
            # the partition must stay ours until its last commit is through, even if that is slow
            release_timeout=rebalance_timeout + 2 * (AUTOCOMMIT_TIME + self.settings.request_timeout)
        )
        self._pid = os.getpid()
        self._books = Books(autocommit == "processed")
        #: topic -> calls of `consume` under way
        self._consuming = collections.Counter()
        #: partitions taken from us, and still ours for their last commit
        self._releasing = set()
        self._committing = locks.Lock()
        self._joined = False
        #: topic -> ids that the allocator was told of last
        self._known_topics = {}
        #: topic -> ids that there were when we first saw the topic
        self._first_ids = {}
        #: topic -> since when metadata lacks it
        self._missing = {}
        self._timer = None

    @property
    def allocation(self):
        """This member's share: topic -> list of partition ids."""
        return self.allocator.allocation

    @property
    def topics_to_commit(self):
        """The set of topics with something to commit."""
        return set(topic for topic, _ in self._books.due)

    @gen.coroutine
    def connect(self):
        """
        Finds the cluster, joins the group, and finds the group's coordinator.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.ZooKeeperError: when ZooKeeper does not
        """
        if os.getpid() != self._pid:  # made before a fork: the parent has that name
            self._pid = os.getpid()
            self.name = self.allocator.consumer_name = make_name()
        self.allocator.on_change = self._on_change
        self.allocator.on_pause = self._on_pause
        yield super(GroupedConsumer, self).connect()
        self._joined = True
        self._known_topics = self._shared_topics()
        for topic, ids in self._known_topics.items():
            self._first_ids.setdefault(topic, frozenset(ids))
        yield self.allocator.start(self._known_topics)
        self._note_name()
        yield self.determine_coordinator()

    def _note_name(self):
        """The allocator took another name where this one's was taken."""
        self.name = getattr(self.allocator, "consumer_name", self.name)

    def _shared_topics(self):
        """All topics but Kafka's own: topic -> ids."""
        return dict((topic, list(ids)) for topic, ids in self.cluster.topics.items() if topic not in INTERNAL)

    # -- consuming --

    @gen.coroutine
    def _consume(self, topic, start, read):
        """Consumes, and commits as `autocommit` says."""
        if self.closing:
            self._books.done_with(topic)  # for the last commit, which close() does
            raise gen.Return(None)
        if self.autocommit == "processed" and self._consuming[topic]:
            raise exc.ConcurrentConsumeError(topic)
        self._consuming[topic] += 1
        try:
            if self.autocommit == "processed":
                self._books.done_with(topic)
                if self._due_now:
                    yield self._commit_quietly()
            messages = yield super(GroupedConsumer, self)._consume(topic, start, read)
            if not messages and self.autocommit is True and self._due_now:
                yield self._commit_quietly()  # what could not be committed when it was handed out
        finally:
            self._consuming[topic] -= 1
            if not self._consuming[topic]:
                del self._consuming[topic]
        raise gen.Return(messages)

    @property
    def _due_now(self):
        """Whether there is something to commit, and nothing that forbids it."""
        return bool(self._books.due) and not self.closing and not self.allocator.paused

    @gen.coroutine
    def _hand_out(self, taken, read):
        """
        Decodes what was taken, commits it where `autocommit` is True, and gives what still is ours to give.

        Between taking and giving, partitions may be revoked or their ownership get into doubt. Their messages are put
        back then, unless they are committed already: nobody else would hand them out.
        """
        topic = taken[0][0].topic
        shares = [Share(*entry) for entry in taken]
        try:
            for share in shares:
                yield self._decode(share, read)
            if self.autocommit is True and self._due_now:
                yield self._commit_quietly()
            holding = self._holding()
            messages = []
            for share in shares:
                if share.committed or holding(share.key):
                    messages.extend(share.messages)
                elif self._books.put_back(share) and share.reached is not None:
                    self.offsets[topic][share.key[1]] = share.begun
        finally:
            self._books.end(shares)
        if messages:
            self._books.handed(topic)
        else:
            self._raise_pending([share.cursor for share in shares])
        raise gen.Return(messages)

    @gen.coroutine
    def _decode(self, share, read):
        """Decodes one partition's share, and notes how far it goes."""
        self._books.begin(share)
        if not self._holding()(share.key):
            return
        try:
            entry = share.cursor, share.turn, share.batches
            share.messages = yield super(GroupedConsumer, self)._hand_out([entry], read)
        except Exception as error:
            # raised by `_hand_out` if there is nothing to give, else by the next call
            share.cursor.error = error
        if share.reached is not None and self._holding()(share.key):
            self._books.note(share)

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are decoded."""
        super(GroupedConsumer, self)._moved(cursor, offset)
        self._books.moved(cursor, offset)

    def _start_of(self, topic, partition, start, late=False):
        """Where a partition begins: only one that is new to all members, not just to us, at its beginning."""
        return start if partition in self._first_ids.get(topic, (partition,)) else BEGINNING

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        """
        Looks up the committed offset of each of our partitions of the topic that has no position; gives True.

        :raises kiel.exc.BrokerError: when the look-up failed for good
        """
        cursors = {}
        for partition in self.allocation.get(topic) or ():
            cursor = self.fetcher.cursor(topic, partition, self._start_of(topic, partition, start))
            if cursor.state == UNSET:
                cursors[topic, partition] = cursor
        turns = dict((key, cursor.turn) for key, cursor in cursors.items())

        def tell(key, offset):
            """A position came: its partition need not wait for the others."""
            cursor = cursors[key]
            if cursor.state == UNSET and cursor.turn == turns[key]:  # not given away, or sought, meanwhile
                cursor.locate(offset)
                self.fetcher.wake(topic)

        asked = [key for key, cursor in cursors.items() if not cursor.sought]
        positions = yield self.committed_offsets(asked, LOOK_UP_TIME, tell)
        fresh = dict(
            (key, BEGINNING if cursor.start is None else cursor.start) for key, cursor in cursors.items()
            if positions.get(key) is None
        )
        if fresh:
            positions.update((yield self.positions_at(fresh, LOOK_UP_TIME, tell)))
        for key, cursor in cursors.items():
            offset = positions[key]
            if not isinstance(offset, exc.KielError):
                tell(key, offset)
            elif cursor.state == UNSET and cursor.turn == turns[key]:
                self.last_error = offset
                log.error("No offset for %s:%s: %s", key[0], key[1], offset)
                if not offset.retriable:
                    cursor.error = offset
        raise gen.Return(True)

    # -- committing --

    @gen.coroutine
    def commit_offsets(self, metadata=None):
        """
        Commits what was handed out, of the partitions that are still ours; all of it counts as processed.

        :param metadata: a text kept beside the offsets; default "committed by" this consumer's name
        :raises kiel.exc.KielError: the first error, when a partition could not be committed in time; it stays to be
            committed
        """
        for topic in list(self._books.at_work):
            self._books.done_with(topic)
        error = yield self._commit_due(metadata)
        if error is not None:
            raise error

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
                if metadata is None:
                    metadata = "committed by %s" % self.name
                result = yield self.commit(offsets, metadata, deadline)
                for key, outcome in result.items():
                    if isinstance(outcome, exc.KielError):
                        log.error("Commit of %s:%s at %s failed: %s", key[0], key[1], offsets[key], outcome)
                        first = first or outcome
                    elif outcome:
                        self._books.committed(key, offsets[key])
        raise gen.Return(first)

    def withheld(self, keys):
        """Says which partitions may not be committed now: all while ZooKeeper is in doubt, else those not ours."""
        if self.allocator.paused:
            return dict.fromkeys(keys, exc.ZooKeeperError(
                self._zk_hosts, "it is not sure who owns which partition; nothing is committed until it is"
            ))
        holding = self._holding()
        return dict((key, None) for key in keys if not holding(key))

    def _holding(self):
        """Gives a function that tells whether a partition is ours now, or still held for its last commit."""
        if self.allocator.paused:
            return lambda key: False
        allocation, releasing = self.allocation, self._releasing
        return lambda key: key[1] in (allocation.get(key[0]) or ()) or key in releasing

    def _forget(self, keys):
        """Forgets what is not committed of those partitions that are not ours any more."""
        holding = self._holding()
        for key in [key for key in keys if not holding(key)]:
            self._books.forget(key)

    # -- the group --

    def _on_pause(self, paused):
        """ZooKeeper can't be asked who owns what: nothing is fetched, handed out or committed till it can."""
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
        keys = set((topic, partition) for topic, ids in revoked.items() for partition in ids)
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        if keys and not (self.closing or self.allocator.paused):
            self._releasing |= keys
            try:
                yield self._wait_for_work(keys, self.rebalance_timeout)
                if self.autocommit is not False and keys.intersection(self._books.due) and self._due_now:
                    yield self._commit_quietly()
            finally:
                self._releasing -= keys
        self._forget(keys)
        self.fetcher.wake()

    @gen.coroutine
    def _wait_for_work(self, keys, seconds):
        """Waits until the messages at work of some partitions are done with, or the time is over."""
        working = self._books.work_on(keys)
        if working:
            try:
                yield gen.with_timeout(datetime.timedelta(seconds=seconds), gen.multi(working))
            except gen.TimeoutError:
                log.warning("Messages of %s were not done with within %g s; their new owner gets them again",
                            ", ".join(sorted(working)), seconds)

    def _on_metadata(self):
        """Topics may have come or gone: the group's set follows."""
        super(GroupedConsumer, self)._on_metadata()
        if not self._joined or self.closing:
            return
        topics = self._shared_topics()
        if not topics:
            return  # a broker that has just started may say so
        for topic, ids in topics.items():
            self._first_ids.setdefault(topic, frozenset(ids))
            self._missing.pop(topic, None)
        gone = set()
        for topic in set(self._known_topics).difference(topics):
            if monotonic() - self._missing.setdefault(topic, monotonic()) < GONE_AFTER:
                topics[topic] = self._known_topics[topic]
                if self._timer is None:
                    self._timer = self.io_loop.call_later(GONE_AFTER, self._look_again)
            else:
                gone.add(topic)
                for book in (self._missing, self._first_ids, self.offsets):
                    book.pop(topic, None)
        if topics != self._known_topics:
            self._known_topics = topics
            self.io_loop.add_future(self.allocator.update(topics, gone), _log_failure)

    def _look_again(self):
        """Asks for metadata, to see whether a topic really is gone."""
        self._timer = None
        self.io_loop.add_future(self.cluster.heal(), lambda future: future.exception())

    # -- the end --

    @gen.coroutine
    def wind_down(self):
        """Commits what is due, leaves the group, and ends every `consume`."""
        self._joined = False
        if self._timer is not None:
            self.io_loop.remove_timeout(self._timer)
            self._timer = None
        yield super(GroupedConsumer, self).wind_down()
        try:
            yield self._commit_at_last()
        finally:
            try:
                yield self.allocator.stop()
            finally:
                self._books.clear()
                self._missing.clear()

    @gen.coroutine
    def _commit_at_last(self):
        """Commits what is due by the mode, trying again for a while; a closing client does not by itself."""
        yield self._wait_for_work(set(key for work in self._books.at_work.values() for key in work), CLOSING_TIME)
        clock = Backoff(first=0.1, most=1.0, deadline=AUTOCOMMIT_TIME).start()
        while self._books.due and self.autocommit is not False and not self.allocator.paused:
            error = yield self._commit_due(deadline=AUTOCOMMIT_TIME)
            if error is None:
                return
            delay = clock.delay()
            if not error.retriable or delay is None:
                log.error("Offsets of group %s could not be committed at the end: %s", self.group_name, error)
                return
            yield gen.sleep(delay)
            yield self._cure({error.cure})


def _log_failure(future):
    """Logs what a Future that nobody waits for failed with."""
    if future.exception() is not None:
        log.error("The group's partition set could not be changed: %s", future.exception())
