"""A consumer that shares the partitions of its topics with the other members of its group."""
from __future__ import absolute_import

import logging
import operator
import os

import six
from tornado import gen

from kiel import events, exc
from kiel.allocation import naive_allocator
from kiel.clients.consumer import BaseConsumer, make_name
from kiel.clients.consuming.offset_lookup import BEGINNING
from kiel.clients.grouping import committer, health
from kiel.clients.grouping.assignment import Assignment, Signature
from kiel.clients.grouping.autocommit import Autocommit
from kiel.clients.grouping.committed_offsets import CommittedOffsets, retry_of
from kiel.clients.grouping.committer import Committer
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.clients.grouping.group_protocol import PROTOCOLS, GroupProtocol
from kiel.clients.grouping.handing_out import HandingOut
from kiel.clients.grouping.joining import Joining
from kiel.clients.grouping.polling import Polling
from kiel.clients.grouping.progress import Progress
from kiel.clients.grouping.starting_positions import StartingPositions
from kiel.clients.grouping.subscription import Subscription
from kiel.clients.grouping.topics_to_commit import TopicsToCommit
from kiel.clients.view import Setting, View, refuse_taken
from kiel.groups.membership import Membership
from kiel.zookeeper.allocator import PartitionAllocator

log = logging.getLogger(__name__)

#: values of ``autocommit``
AUTOCOMMIT = (True, False, "processed")


class GroupedConsumer(BaseConsumer):
    """
    Reads its share of the topics, goes on where the group left off, and commits how far it has come.

    With ``zk_hosts`` the members meet in ZooKeeper, as those of kiel 0.9 do, and share all topics. Without, they meet
    in Kafka, by its next-generation protocol where the broker serves it and by the classic one elsewhere, and share the
    topics that they consume; members may be clients of any kind. With ``zk_hosts`` and ``group_protocol`` they meet in
    ZooKeeper until all are able to move, and in Kafka from then on: `kiel.groups.handover`.

    ``autocommit`` says when offsets are committed, and with that what a crash does:

    - ``True``: within the `consume` that hands the messages over. What a crash interrupts is lost: at most once.
    - ``"processed"``: messages count as processed when `consume` is called for that topic again, or
      `commit_offsets`, and are committed then. What a crash interrupts is handed out again: at least once. This is
      for one sequential loop per topic; a second `consume` of a topic at the same time is refused.
    - ``False``: only by `commit_offsets`, which commits all that was handed out.

    A partition without a committed offset is read from ``start`` of `consume`, by default from its beginning.

    :param brokers: bootstrap hosts
    :param group: the group's name
    :param zk_hosts: ZooKeeper's hosts, if members meet there
    :param partition_allocator: function ``(members, partitions) -> {member: {topic: [ids]}}``, the same for every
        member; default `kiel.allocation.naive_allocator` in ZooKeeper. In Kafka it makes the group a classic one, in
        which it goes by its ``__name__``.
    :param rebalance_timeout: seconds that members have to give partitions up: messages at work ("processed") and
        `on_rebalance` are waited for that long
    :param topics: topics to subscribe to in `connect`, which saves a rebalance in the first `consume` of each
    :param on_rebalance: called with ``(revoked, assigned)``, each ``{topic: [ids]}``, before partitions are given away
        (what is processed may still be committed) and after others have come; may be a coroutine
    :param on_lost: called with ``{topic: [ids]}`` when partitions were lost without being asked for, so that nothing of
        them can be committed; without it, `on_rebalance` is
    :param group_protocol: "classic", "consumer" (KIP-848) or ``None``: what the broker serves; with ``zk_hosts``, where
        the group is to move to, ``None`` for a group that stays
    :param group_instance_id: makes this a static member (KIP-345): it may restart within ``session_timeout`` without a
        rebalance; unique in the group
    :param assignors: for classic groups the names, functions or `kiel.groups.assignors.Assignor` that share partitions
        out, the preferred first; default "range", "roundrobin", "cooperative-sticky". For next-generation groups the
        name of the broker's: "uniform" or "range"; default: the broker's own.
    :param session_timeout: seconds of silence after which a classic group takes a member for dead
    :param heartbeat_interval: seconds between signs of life
    :param max_poll_interval: seconds without a call of `consume` after which the member leaves by itself, to come back
        at the next; ``None``: it stays
    :param slow_callback: seconds that a callback may block the IOLoop before a warning names it; ``None``: for ever.
        The last five are for groups in Kafka.
    :param settings: the rest as for `kiel.clients.consumer.BaseConsumer`
    """

    group_coordinator = View(operator.attrgetter("_group_coordinator"))
    committed = View(operator.attrgetter("_committed"))
    progress = View(operator.attrgetter("_progress"))
    assignment = View(operator.attrgetter("_assignment"))
    subscription = View(operator.attrgetter("_subscription"))
    allocator = Setting(
        "_assignment", "allocator", "The `kiel.allocation.Allocator` that this member goes by; may be set.")
    on_rebalance = Setting("_assignment", "on_rebalance", "Called with (revoked, assigned); may be set.")
    on_lost = Setting("_assignment", "on_lost", "Called with what was lost; may be set.")
    coordinator_id = Setting(
        "_group_coordinator", "broker_id", "The broker that coordinates the group; None while it is not known.")

    def __init__(self, brokers, group, zk_hosts=None, deserializer=None, partition_allocator=None, autocommit=True,
                 max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024, rebalance_timeout=60, topics=(),
                 on_rebalance=None, on_lost=None, group_protocol=None, group_instance_id=None, assignors=None,
                 session_timeout=30, heartbeat_interval=3, max_poll_interval=300, slow_callback=1, **settings):
        if autocommit not in AUTOCOMMIT:
            raise ValueError("autocommit has to be True, False or 'processed', not %r" % (autocommit,))
        if group_protocol not in PROTOCOLS:
            raise ValueError("group_protocol has to be one of %r, not %r" % (PROTOCOLS, group_protocol))
        super(GroupedConsumer, self).__init__(
            brokers, deserializer, max_wait_time, min_bytes, max_bytes, **settings
        )
        self.cluster.unclosed.told_elsewhere = not zk_hosts
        self.group_name = group
        self.group_protocol = group_protocol
        self.rebalance_timeout = rebalance_timeout
        self.autocommit = autocommit
        #: finds the broker that coordinates the group
        self._group_coordinator = GroupCoordinator(self, group, handler=self)
        #: where the group meets, and by which protocol
        self._group_protocol = GroupProtocol(
            self, self._group_coordinator, self._settings, zk_hosts, group_protocol, partition_allocator,
            Membership(group_instance_id, session_timeout, heartbeat_interval, rebalance_timeout, max_poll_interval,
                       slow_callback, self.rack_id, assignors),
            lambda: self._subscription.wanted.union(self.offsets)
        )
        #: the group's committed offsets
        self._committed = CommittedOffsets(
            self, self._group_coordinator, bool(zk_hosts), self._group_protocol.zk_hosts, self.isolation_level,
            face=self
        )
        #: how far this member has come
        self._progress = Progress(autocommit == "processed")
        #: which partitions are this member's, and the allocator that says so
        self._assignment = Assignment(
            group, self._fetcher, self._progress, rebalance_timeout,
            lambda keys: self._autocommit.before_release(keys), self._cursors_of,
            self._allocation_changed, self._group_protocol.zk_hosts, self._settings
        )
        self._assignment.on_rebalance = on_rebalance
        self._assignment.on_lost = on_lost
        #: commits what is due
        self._committer = Committer(
            self._committed, self._progress, self._assignment, self._positions_of,
            lambda: "committed by %s" % self.name
        )
        #: has it do so by itself
        self._autocommit = Autocommit(self, self._committer, self._own_commit)
        #: hands out what still is this member's
        self._handing_out = HandingOut(
            self._calls, self._reader.turn, self.offsets, self._progress, self._assignment, self._autocommit)
        #: the topics that this member takes part in
        self._subscription = Subscription(
            self.cluster, self._assignment, [topics] if isinstance(topics, six.string_types) else topics,
            lambda error: self._joining.fall_back(error), self._subscription_failed,
            lambda topic: self.offsets.pop(topic, None)
        )
        #: takes the member into its group, and out of it
        self._joining = Joining(self, self._group_protocol, self._assignment, self._subscription)
        #: what goes with each `consume`, and with what streams do
        self._polling = Polling(self, self._calls, self._joining, self._assignment, self._subscription,
                                self._progress, self._autocommit)
        self._streams.group = self._polling
        #: looks up where to go on
        self._starting = StartingPositions(
            self._positions, self._committed, self._lookup, self._progress, self.cluster.outage)

    # -- what is the collaborators' --

    @property
    def allocation(self):
        """This member's partitions: topic -> list of partition ids."""
        return self._assignment.allocator.allocation

    @property
    def topics_to_commit(self):
        """
        The set of topics with something to commit. Changing it acts.

        ``discard`` leaves a topic out of the next commit, ``add`` has its positions committed.
        """
        return TopicsToCommit(self._progress)

    @topics_to_commit.setter
    def topics_to_commit(self, topics):
        view, topics = TopicsToCommit(self._progress), set(topics)
        view.difference_update(view.difference(topics))
        view.update(topics)

    def committed_offsets(self, keys, deadline=None, tell=None):
        """See `kiel.clients.grouping.committed_offsets.CommittedOffsets.read`."""
        return self._committed.read(keys, deadline, tell)

    def handle_group_coordinator_response(self, response):
        """Take over the coordinator that an answer names. Return True, or the error."""
        return self._group_coordinator.handle_group_coordinator_response(response)

    def handle_offset_fetch_response(self, response):
        """Take in the answer of a look-up of committed offsets. Return whether to ask again, as in kiel 0.9."""
        found = self._committed.handle_offset_fetch_response(response)
        for (topic, partition), offset in found.items():
            if not isinstance(offset, exc.KielError) and offset >= 0:
                self.offsets.note(topic, partition, int(offset))
        return retry_of(found)[0]

    def handle_offset_commit_response(self, response):
        """
        Take in the answer of a commit.

        Return whether to commit again, and whether without the metadata, as in kiel 0.9.
        """
        return retry_of(self._committed.handle_offset_commit_response(response))

    def _described(self):
        """Return what else `repr` tells: the group, and where this member is in it."""
        state = getattr(getattr(getattr(self, "_assignment", None), "allocator", None), "state", None)
        return ["group=%r" % getattr(self, "group_name", None)] + super(GroupedConsumer, self)._described() + (
            ["(%s)" % state] if isinstance(state, str) else [])

    def health(self):
        """
        Return how this member is, as a dict of plain values that may go out as JSON.

        What every client tells (`kiel.clients.client.Client.health`), and:

        - ``state``: where it is in its group's protocol, such as "stable"; None for groups that meet in ZooKeeper
        - ``paused``: whether its ownership is in doubt, so that nothing is handed out or committed
        - ``member_id`` and ``generation`` (the epoch in next-generation groups)
        - ``allocation``: ``{topic: [partition ids]}`` that it owns
        - ``last_heartbeat``: seconds since the coordinator last took it for alive; ``last_progress``: seconds since
          `consume` was last called or returned something. None before the first, and where members meet in ZooKeeper
        - ``lag``: ``{topic: {partition id: messages}}`` behind the end of the log, as of the last answer; None where
          it is not known

        ``error`` is one of reading, until the first answer without; of committing, until the first commit; or what
        ended the membership, until it is in again. It is ``ended`` when that is final, and ``ready`` when it is not
        ``paused``.
        """
        refusal = self._assignment.allocator.error
        self._trouble.note("the membership", refusal)
        ended = refusal is not None and not (refusal.retriable or self._assignment.allocator.refused)
        return health.report(self._report_health(ended), self._assignment.allocator, self.lag)

    def _gauges(self):
        """Return how the member is; see `kiel.clients.client.Client.metrics`."""
        return dict(super(GroupedConsumer, self)._gauges(), **health.gauges(self._assignment.allocator))

    # -- joining --

    def connect(self, timeout=None):
        """
        Find the cluster and the group's coordinator, and join the group.

        In Kafka, a member without ``topics`` joins at its first `consume`.

        The rest as `kiel.clients.client.Client.connect`; ``timeout`` is for finding the cluster, not for the group.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers, or none of the brokers that it names
        :raises kiel.exc.ZooKeeperError: when ZooKeeper does not
        :raises kiel.exc.BrokerError: when the group does not take this member
        :raises kiel.exc.ClosedError: when the consumer is closed meanwhile
        """
        refuse_taken(self)
        return super(GroupedConsumer, self).connect(timeout)

    def _begin_anew(self):
        """
        Be another member: this one's membership is the parent's, or was left when its loop was closed.

        What it had and did not commit is handed out again, by whoever owns it then.
        """
        if self._pid == os.getpid():
            self._joining.leave_now()
        super(GroupedConsumer, self)._begin_anew()
        self._fetcher.forget(positions=True)
        self._group_coordinator.forget()
        self._progress.forfeit_all()
        self._committer.abandon()
        self._autocommit.abandon()
        self._joining.begin_anew(make_name())

    @gen.coroutine
    def _open_client(self, timeout=None):
        """The work of `connect`, done once for all who call that meanwhile."""
        if os.getpid() != self._pid:
            self._joining.take_name(make_name())
        yield super(GroupedConsumer, self)._open_client(timeout)
        yield self._joining.join()

    @gen.coroutine
    def determine_coordinator(self):
        """
        Find the group's coordinator, asking broker by broker, with pauses as ``retry`` says.

        Return whether it was found; what went wrong is logged and is ``last_error``.
        """
        try:
            yield self._group_coordinator.find()
        except exc.KielError as error:
            self.last_error = error
            log.error("No coordinator of group %s: %s", self.group_name, error, extra=self._assignment.fields())
            raise gen.Return(False)
        raise gen.Return(True)

    def _subscription_failed(self, topic, error):
        """Subscribing to a topic failed; without a topic, it is only not known whether there is such a topic."""
        if self.closing:
            return
        self.last_error = error
        if topic is not None:
            log.error("Group %s: subscribing to %s failed: %s", self.group_name, topic, error,
                      extra=dict(self._assignment.fields(), topic=topic))
            self._fetcher.wake(topic)

    def _on_metadata(self):
        """Topics may have come or gone: the group follows."""
        super(GroupedConsumer, self)._on_metadata()
        if not self.closing:
            self._subscription.metadata_changed()

    # -- consuming --

    def _consume(self, topic, start, call):
        """Consume, and commit as `autocommit` says; return a Future."""
        return self._polling.consume(topic, start, call)

    def _hand_out(self, taken, call):
        """Decode what was taken, and book it; return a Future of what may be returned."""
        return self._handing_out.hand_out(taken, call)

    def _allocation_changed(self):
        """The allocator changed the allocation: streams give back what they hold of others' partitions."""
        self._joining.note_name()
        self._streams.keep(self.allocation)

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are decoded."""
        super(GroupedConsumer, self)._moved(cursor, offset)
        self._progress.moved(cursor, offset)

    def _start_of(self, topic, partition, start, late=False):
        """Where a partition begins: only one that is new to all members, not just to this one, at its beginning."""
        return start if partition in self._subscription.first_ids.get(topic, (partition,)) else BEGINNING

    def _cursors_of(self, keys):
        """Return the cursors of partitions that are this member's."""
        return [
            cursor for topic in set(topic for topic, _ in keys) for cursor in self._positions.cursors(topic)
            if (topic, cursor.partition) in keys
        ]

    def _put_back(self, topic, partition, begun, reached):
        """Messages were handed out to a call that was cancelled: their offsets are not to be committed."""
        self._progress.returned((topic, partition), begun, reached)

    def _sought(self, topic, partition, offset):
        """The application goes on elsewhere: that is committed next, not what was handed out before."""
        self._progress.sought((topic, partition), offset)

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        """
        Look up the committed offset of each of our partitions of the topic that has no position. Return True.

        :raises kiel.exc.BrokerError: when the look-up failed for good
        """
        self.last_error = (yield self._starting.find(topic, start)) or self.last_error
        raise gen.Return(True)

    # -- committing --

    @events.to_its_end
    def commit_offsets(self, metadata=None, offsets=None):
        """
        Commit what was handed out, of the partitions that are still this member's; all of it counts as processed.

        A subclass may override this, to keep offsets elsewhere or to count commits: kiel calls it then wherever it
        commits by itself.

        :param metadata: a text kept beside the offsets; default "committed by" this consumer's name
        :param offsets: ``{topic: {partition id: next offset to read}}`` to commit just these instead
        :raises kiel.exc.ClosedError: after `close`
        :raises kiel.exc.NotOwnedError: when partitions were given away or lost before this commit, so that their
            messages are handed out again, by this member or another; all others are committed. In groups that meet in
            ZooKeeper that is said only of ``offsets``, as in kiel 0.9.
        :raises kiel.exc.KielError: the first error, when a partition could not be committed in time; it stays to be
            committed
        """
        if self.io_loop is not None and not self.closing and events.is_elsewhere(self.io_loop):
            yield self._come_here()
        if self._autocommit.is_calling:  # an application's own calls this one, for a commit that kiel wants
            error = yield self._committer.commit_due(metadata, committer.AUTOCOMMIT_TIME, self.closing)
            self._autocommit.note(error)
        elif self.closing:
            raise exc.ClosedError("group %s: the consumer is closed, nothing is committed any more" % self.group_name)
        elif offsets is not None:
            error = yield self._committer.commit_these(dict(
                ((topic, partition), offset) for topic, parts in offsets.items() for partition, offset in parts.items()
            ), metadata)
        else:
            error = yield self._committer.commit_handed_out(metadata)
        self._trouble.note("committing", error)
        if error is not None:
            raise error

    def _positions_of(self, topic):
        """Return ``{partition: next offset to hand out}`` of a topic's partitions with a position."""
        return dict(
            (cursor.partition, cursor.handed) for cursor in self._fetcher.of(topic) if cursor.handed is not None
        )

    def _own_commit(self):
        """Return an application's own `commit_offsets`, None where there is none."""
        own = self.commit_offsets
        return None if getattr(own, "__func__", None) is COMMIT_OFFSETS else own

    # -- committing with a producer's transaction --

    def handed_out(self):
        """
        Return what was handed out and is not committed, ``{(topic, partition): next offset}``; it counts as processed.

        :raises kiel.exc.NotOwnedError: when partitions were given away or lost meanwhile: what was made of their
            messages must not be committed, since somebody else gets them too
        """
        self._come_here()
        return self._committer.handed_out()

    def signature(self, keys):
        """
        Return the `kiel.clients.grouping.assignment.Signature` of a commit that is made elsewhere.

        :param keys: its (topic, partition) pairs, which this member may commit as long as the present terms last
        """
        return Signature(self._assignment, keys)

    def note_committed(self, offsets):
        """Take note that offsets were committed otherwise, such as with a transaction."""
        self._committer.note_committed(offsets)

    def rewind(self):
        """
        Go back to what is committed, such as after an aborted transaction: all that was handed out since is handed out
        again. For ``autocommit=False``.
        """
        self._come_here()
        holding = self._assignment.holding()
        for key in self._progress.rewind():
            if holding(key):
                self._fetcher.cursor(*key).reset()
                self._fetcher.wake(key[0])

    # -- the end --

    @gen.coroutine
    def _exit(self, clean):
        """
        The end of an ``async with`` block: at a clean one, all that was handed out is processed.

        After an exception what was at work is not, whoever worked on it, and nobody has to be waited for.
        """
        if clean:
            self._progress.done_with_all()
        else:
            self._progress.drop_work()
        yield super(GroupedConsumer, self)._exit(clean)

    def close(self):
        """
        Commit what is due, leave the group, and close every connection; in whatever state the consumer is.

        Where the IOLoop does not run any more, as after a KeyboardInterrupt that left it, the member leaves its group
        without a last commit: in ZooKeeper at once, in Kafka when the loop is closed or the process ends.
        """
        forked = self.io_loop is not None and self._pid != os.getpid()  # the membership is the parent's, who goes on
        if not forked and (self._ending is None or self._ending.done()) and not events.is_running(self.io_loop):
            self._joining.leave_now()
        return super(GroupedConsumer, self).close()

    @gen.coroutine
    def wind_down(self):
        """Commit what is due, leave the group, and end every `consume`."""
        self._joining.begin_leaving()
        yield super(GroupedConsumer, self).wind_down()
        try:
            yield self._autocommit.commit_at_last()
        finally:
            yield self._joining.leave()


#: the `commit_offsets` that is not an application's own
COMMIT_OFFSETS = six.get_unbound_function(GroupedConsumer.commit_offsets)

__all__ = ["GroupedConsumer", "PartitionAllocator", "naive_allocator"]
