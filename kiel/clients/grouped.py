"""A consumer that shares the partitions of its topics with the other members of its group."""
from __future__ import absolute_import

import collections
import logging
import os

import six
from tornado import gen

from kiel import exc
from kiel.allocation import Allocator, naive_allocator
from kiel.clients import ownership
from kiel.clients.books import Share
from kiel.clients.consumer import BaseConsumer, make_name
from kiel.clients.group_topics import GroupTopics
from kiel.clients.grouping.committed_offsets import CommittedOffsets
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.clients.grouping.group_view import GroupView
from kiel.clients.health import Health
from kiel.clients.consuming.cursor import UNSET
from kiel.clients.consuming.offset_lookup import BEGINNING
from kiel.clients.consuming.positions import PositionSearch
from kiel.clients.ownership import Ownership
from kiel.groups.choice import ProtocolChoice
from kiel.groups.handover import HandoverAllocator
from kiel.groups.membership import Membership
from kiel.retry import Backoff
from kiel.zookeeper.allocator import PartitionAllocator
from kiel.zookeeper.follower import Follower

log = logging.getLogger(__name__)

#: seconds of one look-up of positions; what failed retriably is looked up again by the next
LOOK_UP_TIME = 1.0

#: seconds that `GroupedConsumer.close` waits for messages at work ("processed" mode)
CLOSING_TIME = 1.0

#: values of ``autocommit``
AUTOCOMMIT = (True, False, "processed")

#: values of ``group_protocol``
PROTOCOLS = (None, "classic", "consumer")


class GroupedConsumer(Ownership, GroupTopics, Health, BaseConsumer):
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

    def __init__(self, brokers, group, zk_hosts=None, deserializer=None, partition_allocator=None, autocommit=True,
                 max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024, rebalance_timeout=60, topics=(),
                 on_rebalance=None, on_lost=None, group_protocol=None, group_instance_id=None, assignors=None,
                 session_timeout=30, heartbeat_interval=3, max_poll_interval=300, slow_callback=1, **settings):
        if autocommit not in AUTOCOMMIT:
            raise ValueError("autocommit is True, False or 'processed', not %r" % (autocommit,))
        if group_protocol not in PROTOCOLS:
            raise ValueError("group_protocol is one of %r, not %r" % (PROTOCOLS, group_protocol))
        super(GroupedConsumer, self).__init__(
            brokers, deserializer, max_wait_time, min_bytes, max_bytes, **settings
        )
        self.group_name = group
        self.group_protocol = group_protocol
        self.rebalance_timeout = rebalance_timeout
        self._own_nothing(autocommit, on_rebalance, on_lost)
        self._know_nothing([topics] if isinstance(topics, six.string_types) else topics)
        self._membership = Membership(
            group_instance_id, session_timeout, heartbeat_interval, rebalance_timeout, max_poll_interval, slow_callback,
            self.rack_id,
            # on the way from ZooKeeper to Kafka, the function is for the one, assignors are for the other
            assignors if partition_allocator is None or zk_hosts and (assignors or group_protocol == "consumer")
            else [partition_allocator]
        )
        self._zk_hosts = None
        if zk_hosts:
            self._zk_hosts = zk_hosts if isinstance(zk_hosts, str) else ",".join(zk_hosts)
        self.group_coordinator = GroupCoordinator(self, group, handler=self)
        self.committed = CommittedOffsets(
            self, self.group_coordinator, bool(zk_hosts), self._zk_hosts, self.isolation_level, face=self
        )
        self._choice = ProtocolChoice(self.group_coordinator, self._membership, self.settings, group_protocol)
        self.allocator = Allocator()
        if zk_hosts:
            self.allocator = (Follower if group_protocol else PartitionAllocator)(
                zk_hosts, group, self.name, partition_allocator or naive_allocator,
                # the partition must stay ours until its last commit is through, even if that is slow
                release_timeout=rebalance_timeout + 2 * (ownership.AUTOCOMMIT_TIME + self.settings.request_timeout)
            )
            if group_protocol:
                self.allocator = HandoverAllocator(
                    self._choice, self.allocator, lambda: self._wanted.union(self.offsets),
                    lambda: GroupView(self, group, uses_zookeeper=True)
                )
        self._pid = os.getpid()
        #: topic -> calls of `consume` under way
        self._consuming = collections.Counter()

    @property
    def allocation(self):
        """This member's share: topic -> list of partition ids."""
        return self.allocator.allocation

    @gen.coroutine
    def connect(self):
        """
        Finds the cluster and the group's coordinator, and joins the group.

        In Kafka, a member without ``topics`` joins at its first `consume`.

        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.ZooKeeperError: when ZooKeeper does not
        :raises kiel.exc.BrokerError: when the group does not take this member
        """
        if os.getpid() != self._pid:  # made before a fork: the parent has that name
            self._pid = os.getpid()
            self.name = make_name()
            if self._zk_hosts:
                self.allocator.consumer_name = self.name
        yield super(GroupedConsumer, self).connect()
        if self._zk_hosts:
            self._obey(self.allocator)
            yield self._join()
            self._note_name()
            yield self.determine_coordinator()
        else:
            yield self._choice.join(self._obey, self._join)

    def _fall_back(self, error):
        """The group turned out to be a classic one that the broker does not upgrade; gives a Future."""
        return self._choice.fall_back(self.allocator, error, self._obey, self._join)

    def _obey(self, allocator):
        """Lets an allocator say what is ours."""
        allocator.on_change = self._on_change
        allocator.on_lost = self._on_lost
        allocator.on_pause = self._on_pause
        self.allocator = allocator

    def _note_name(self):
        """The allocator took another name where this one's was taken."""
        self.name = getattr(self.allocator, "consumer_name", self.name)

    # -- the coordinator and the committed offsets --

    @property
    def coordinator_id(self):
        """The broker that coordinates the group; None while it is not known."""
        return self.group_coordinator.broker_id

    @coordinator_id.setter
    def coordinator_id(self, broker_id):
        self.group_coordinator.broker_id = broker_id

    @gen.coroutine
    def determine_coordinator(self):
        """
        Find the group's coordinator, asking broker by broker, with pauses as ``retry`` says.

        Return whether it was found; what went wrong is logged and is ``last_error``.
        """
        try:
            yield self.group_coordinator.find()
        except exc.KielError as error:
            self.last_error = error
            log.error("No coordinator of group %s: %s", self.group_name, error)
            raise gen.Return(False)
        raise gen.Return(True)

    @gen.coroutine
    def coordinator(self):
        """Return the coordinator's id, looked up when it is not known or not connected."""
        broker = yield self.group_coordinator.broker()
        raise gen.Return(broker.broker_id)

    def lose_coordinator(self):
        """Forget the coordinator; it is looked up at the next need."""
        self.group_coordinator.lose()

    def committed_offsets(self, keys, deadline=None, tell=None):
        """See `kiel.clients.grouping.committed_offsets.CommittedOffsets.read`."""
        return self.committed.read(keys, deadline, tell)

    def handle_group_coordinator_response(self, response):
        """Take over the coordinator that an answer names. Return True, or the error."""
        return self.group_coordinator.handle_group_coordinator_response(response)

    def handle_offset_fetch_response(self, response):
        """Return ``{(topic, partition): offset or KielError}``, -1 for none."""
        return self.committed.handle_offset_fetch_response(response)

    def handle_offset_commit_response(self, response):
        """Return ``{(topic, partition): None or KielError}``."""
        return self.committed.handle_offset_commit_response(response)

    # -- consuming --

    @gen.coroutine
    def _consume(self, topic, start, read):
        """Consumes, and commits as `autocommit` says."""
        if self.closing:
            self._books.done_with(topic)  # for the last commit, which close() does
            raise gen.Return(None)
        if self.autocommit == "processed" and self._consuming[topic]:
            raise exc.ConcurrentConsumeError(topic)
        if self.allocator.error is not None and topic not in self._subscribing:
            raise self.allocator.error
        self._consuming[topic] += 1
        heartbeat = self.allocator.heartbeat
        try:
            if heartbeat is not None:
                heartbeat.progress()
                heartbeat.working = False
            if self.allocator.by_topic:
                self._want(topic)
            if self.autocommit == "processed":
                self._books.done_with(topic)
                if self._due_now:
                    yield self._commit_quietly()
            messages = yield super(GroupedConsumer, self)._consume(topic, start, read)
            if not messages and self.autocommit is True and self._due_now:
                yield self._commit_quietly()  # what could not be committed when it was handed out
        finally:
            if heartbeat is not None:
                heartbeat.progress()
                heartbeat.working = True
            self._consuming[topic] -= 1
            if not self._consuming[topic]:
                del self._consuming[topic]
        raise gen.Return(messages)

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
            entry = share.cursor, share.generation, share.batches
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
        search = PositionSearch([
            self.fetcher.cursor(topic, partition, self._start_of(topic, partition, start))
            for partition in self.allocation.get(topic) or ()
        ], lambda: self.fetcher.wake(topic))
        asked = [key for key, cursor in search.cursors.items() if cursor.state == UNSET]
        positions = yield self.committed_offsets(asked, LOOK_UP_TIME, search.tell)
        fresh = dict(
            (key, BEGINNING if cursor.start is None else cursor.start) for key, cursor in search.cursors.items()
            if positions.get(key) is None
        )
        if fresh:
            positions.update((yield self.lookup.positions_at(fresh, LOOK_UP_TIME, search.tell)))
        self.last_error = search.finish(positions) or self.last_error
        raise gen.Return(True)

    # -- the end --

    @gen.coroutine
    def wind_down(self):
        """Commits what is due, leaves the group, and ends every `consume`."""
        self._follow_no_more()
        yield super(GroupedConsumer, self).wind_down()
        try:
            yield self._commit_at_last()
        finally:
            try:
                yield self.allocator.stop()
            finally:
                self._books.clear()
                self._missing.clear()
                self._terms.clear()
                self._forfeited.clear()

    @gen.coroutine
    def _commit_at_last(self):
        """Commits what is due by the mode, trying again for a while; a closing client does not by itself."""
        yield self._wait_for_work(set(key for work in self._books.at_work.values() for key in work), CLOSING_TIME)
        clock = Backoff(first=0.1, most=1.0, deadline=ownership.AUTOCOMMIT_TIME).start()
        while self._books.due and self.autocommit is not False and not self.allocator.paused:
            error = yield self._commit_due(deadline=ownership.AUTOCOMMIT_TIME)
            if error is None:
                return
            delay = clock.delay()
            if not error.retriable or delay is None:
                log.error("Offsets of group %s could not be committed at the end: %s", self.group_name, error)
                return
            yield gen.sleep(delay)
            yield self._cure({error.cure})
