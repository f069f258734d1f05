"""A consumer that shares the partitions of its topics with the other members of its group."""
from __future__ import absolute_import

import collections
import datetime
import logging
import os

from tornado import concurrent, gen, locks

from kiel import exc
from kiel.allocation import naive_allocator
from kiel.clients.commits import OffsetStore
from kiel.clients.consumer import BaseConsumer, make_name
from kiel.clients.cursor import UNSET
from kiel.clients.offsets import BEGINNING
from kiel.zookeeper.allocator import PartitionAllocator

log = logging.getLogger(__name__)

#: topics of Kafka's own, which no group shares out
INTERNAL = ("__consumer_offsets", "__transaction_state", "__share_group_state")

#: seconds that an automatic commit is tried for, while the messages wait to be handed over
AUTOCOMMIT_TIME = 5.0

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
    :param rebalance_timeout: seconds that a partition to be given away waits for its messages at work
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
        self.autocommit = autocommit
        self.rebalance_timeout = rebalance_timeout
        self.allocator = PartitionAllocator(
            zk_hosts, group, self.name, partition_allocator or naive_allocator, release_timeout=rebalance_timeout
        )
        self.allocator.on_change = self._on_change
        self.allocator.on_pause = self._on_pause
        self._pid = os.getpid()
        #: (topic, partition) -> offset: handed out and, by the mode, ready to be committed
        self._due = {}
        #: topic -> {(topic, partition): offset}: handed out, and at work ("processed" mode)
        self._at_work = collections.defaultdict(dict)
        self._working = {}
        self._consuming = collections.Counter()
        self._releasing = set()
        self._committing = locks.Lock()
        self._known_topics = {}

    @property
    def allocation(self):
        """This member's share: topic -> list of partition ids."""
        return self.allocator.allocation

    @property
    def topics_to_commit(self):
        """The set of topics with something to commit."""
        return set(topic for topic, _ in self._due)

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
        yield super(GroupedConsumer, self).connect()
        self._known_topics = self._shared_topics()
        yield self.allocator.start(self._known_topics)
        self.name = self.allocator.consumer_name
        yield self.determine_coordinator()

    def _shared_topics(self):
        """All topics but Kafka's own: topic -> ids."""
        return dict((topic, list(ids)) for topic, ids in self.cluster.topics.items() if topic not in INTERNAL)

    # -- consuming --

    @gen.coroutine
    def _consume(self, topic, start, read):
        """Consumes, and commits as `autocommit` says."""
        processed = self.autocommit == "processed"
        if processed:
            if self._consuming[topic]:
                raise exc.ConcurrentConsumeError(topic)
            self._done_with(topic)
            if self._due:
                yield self._commit_quietly()
        self._consuming[topic] += 1
        try:
            messages = yield super(GroupedConsumer, self)._consume(topic, start, read)
        finally:
            self._consuming[topic] -= 1
        if processed and self._at_work.get(topic):
            self._working[topic] = concurrent.Future()
        elif self.autocommit is True and self._due and not self.closing:
            yield self._commit_quietly()
        raise gen.Return(messages)

    def _done_with(self, topic):
        """What was handed out of a topic is processed."""
        self._due.update(self._at_work.pop(topic, {}))
        working = self._working.pop(topic, None)
        if working is not None:
            working.set_result(None)

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are handed out."""
        super(GroupedConsumer, self)._moved(cursor, offset)
        book = self._at_work[cursor.topic] if self.autocommit == "processed" else self._due
        book[cursor.topic, cursor.partition] = offset

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        """
        Looks up the committed offset of each of our partitions of the topic that has no position; gives True.

        :raises kiel.exc.BrokerError: when the look-up failed for good
        """
        cursors = {}
        for partition in self.allocation.get(topic) or ():
            cursor = self.fetcher.cursor(topic, partition, start)
            if cursor.state == UNSET:
                cursors[topic, partition] = cursor
        turns = dict((key, cursor.turn) for key, cursor in cursors.items())
        positions = yield self.committed_offsets([key for key, cursor in cursors.items() if not cursor.sought])
        fresh = dict(
            (key, BEGINNING if cursor.start is None else cursor.start) for key, cursor in cursors.items()
            if positions.get(key) is None
        )
        if fresh:
            positions.update((yield self.positions_at(fresh)))
        for key, cursor in cursors.items():
            if cursor.state != UNSET or cursor.turn != turns[key]:
                continue  # given away, or sought, meanwhile
            offset = positions[key]
            if isinstance(offset, exc.KielError):
                self.last_error = offset
                log.error("No offset for %s:%s: %s", key[0], key[1], offset)
                if not offset.retriable:
                    cursor.error = offset
            else:
                cursor.locate(offset)
                self.fetcher.wake(topic)
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
        for topic in list(self._at_work):
            self._done_with(topic)
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
        """Commits `_due`, one commit at a time so that none overtakes another; gives the first error or None."""
        first = None
        with (yield self._committing.acquire()):
            offsets = dict((key, offset) for key, offset in self._due.items() if self._may_commit(key))
            if offsets and not self.allocator.paused:
                if metadata is None:
                    metadata = "committed by %s" % self.name
                result = yield self.commit(offsets, metadata, deadline)
                for key, outcome in result.items():
                    if isinstance(outcome, exc.KielError):
                        log.error("Commit of %s:%s at %s failed: %s", key[0], key[1], offsets[key], outcome)
                        first = first or outcome
                    elif self._due.get(key) == offsets[key]:
                        del self._due[key]
        raise gen.Return(first)

    def _may_commit(self, key):
        """Whether a partition is ours, or still held for its last commit."""
        topic, partition = key
        return partition in (self.allocation.get(topic) or ()) or key in self._releasing

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
        keys = set((topic, partition) for topic, ids in revoked.items() for partition in ids)
        for topic, partition in keys:
            self.fetcher.revoke(topic, partition)
        if keys and not self.allocator.paused:
            self._releasing |= keys
            try:
                yield self._wait_for_work(revoked)
                if any(key in self._due for key in keys) and self.autocommit is not False:
                    yield self._commit_quietly()
            finally:
                self._releasing -= keys
        for key in keys:
            if not self._may_commit(key):
                self._due.pop(key, None)
                self._at_work.get(key[0], {}).pop(key, None)
        self.fetcher.wake()

    @gen.coroutine
    def _wait_for_work(self, revoked):
        """Waits until the messages at work of some topics are done with, or the deadline."""
        working = [self._working[topic] for topic in revoked if topic in self._working]
        if working:
            try:
                yield gen.with_timeout(datetime.timedelta(seconds=self.rebalance_timeout), gen.multi(working))
            except gen.TimeoutError:
                log.warning("Messages of %s were not done with within %g s; their new owner gets them again",
                            ", ".join(sorted(revoked)), self.rebalance_timeout)

    def _on_metadata(self):
        """Topics may have come or gone: the group's set follows."""
        super(GroupedConsumer, self)._on_metadata()
        if self.io_loop is None or self.closing or not self._known_topics and not self.cluster.topics:
            return
        topics = self._shared_topics()
        if topics != self._known_topics and topics:
            gone = set(self._known_topics).difference(topics)
            self._known_topics = topics
            self.io_loop.add_future(self.allocator.update(topics, gone), _log_failure)

    @gen.coroutine
    def wind_down(self):
        """Commits what is due, leaves the group, and ends every `consume`."""
        yield super(GroupedConsumer, self).wind_down()
        try:
            if self._due and self.autocommit is not False and self.cluster.conns:
                yield self._commit_quietly()
        finally:
            yield self.allocator.stop()


def _log_failure(future):
    """Logs what a Future that nobody waits for failed with."""
    if future.exception() is not None:
        log.error("The group's partition set could not be changed: %s", future.exception())
