"""Shares the partitions out among the members of a group that meet in ZooKeeper."""
from __future__ import absolute_import

import datetime
import logging
import threading

from kazoo import client  # noqa: F401 (as is this one)
from kazoo.protocol import states
import six
from tornado import gen, ioloop, locks

from kiel import allocation, events, exc, retry
from kiel.callbacks import callback_failure

from .attempter import create_attempter  # noqa: F401 (the name is imported from here)
from .claims import Claims
from .handler import make_client
from .lease import Lease
from .owners import Owners
from .party import Party
from .presence import Presence
from .seeds import Seeds
from .session import Session
from .shared_set import SharedSet
from .switch import Switch


log = logging.getLogger(__name__)


class PartitionAllocator(allocation.Allocator):
    """
    Allocates by a function that every member of the group computes for itself from what ZooKeeper says.

    Members of kiel 0.9 take part by the same znodes. Members of this kind also hold an owner znode for each
    partition in `allocation`, so that among them no partition ever has two owners.

    :param zk_hosts: list of ``host:port``, the last perhaps with a chroot
    :param group_name: the name of the group
    :param consumer_name: ``<hostname>:<number>``; when that is taken at `start`, the attribute becomes
        another one
    :param allocator_fn: see `kiel.allocation`
    :param on_rebalance: called without arguments after each change
    :param timeout: seconds after which `start` fails without ZooKeeper, and for which `stop` waits for it
    :param session_timeout: seconds without a sign of life after which ZooKeeper takes a member for dead
    :param lock_timeout: seconds that `start` waits for the partitions' lock if another member holds it
    :param release_timeout: seconds that the Future of `on_change` may keep a revoked partition from others
    """

    #: whether a lost session is made good by joining again
    comes_back = True

    def __init__(self, zk_hosts, group_name, consumer_name, allocator_fn, on_rebalance=None, timeout=10.0,
                 session_timeout=10.0, lock_timeout=30.0, release_timeout=60.0):
        self.zk_hosts = [zk_hosts] if isinstance(zk_hosts, six.string_types) else list(zk_hosts)
        self.group_name = group_name
        self.consumer_name = consumer_name
        self.allocator_fn = allocator_fn
        self.on_rebalance = on_rebalance
        self.timeout = timeout
        self.session_timeout = session_timeout
        self.lock_timeout = lock_timeout

        #: the kazoo client; each new session has a new one
        self.conn = make_client(self.hosts, self.session_timeout)
        self._conn_is_new = True
        #: the recipes on `conn`; made anew for each session, so these are for who looks before `start`
        self.party = Party(self.conn, consumer_name, self.members_path, self.on_group_members_change)
        self.shared_set = SharedSet(self.conn, self.partition_path, self.on_partition_change, lock_timeout)

        self.error = None
        #: names of the members, and ``"topic:id"`` of the partitions, as ZooKeeper told last
        self.members = set()
        self.partitions = set()
        #: what the allocation function gave last, of all members
        self.mapping = {}
        #: what the group's switch says (`kiel.zookeeper.switch`); None: the group meets here
        self.switched = None
        #: `threading.Event` objects, for who looks; kiel itself never waits on them
        self.connected = threading.Event()
        self.members_collected = threading.Event()
        self.partitions_collected = threading.Event()

        self.io_loop = None
        #: the `kiel.zookeeper.session.Session`; None while there is none
        self.session = None
        self._claims = Claims(self._claims_changed, timeout, release_timeout)
        self._news = locks.Condition()
        self._joined = False
        self._lease = Lease(session_timeout, self._doubt_changed, self._gone)
        self._rebalance_due = False
        self._seeds = Seeds(self._alter_set)
        #: has this member be in the group from `start` to `stop`
        self.presence = Presence(self)

    @property
    def hosts(self):
        """ZooKeeper's hosts, as the text that kazoo is given."""
        return ",".join(self.zk_hosts)

    @property
    def group_path(self):
        """The group's own znode."""
        return "/kiel/groups/%s" % self.group_name

    @property
    def member_count(self):
        """How many members ZooKeeper told of last."""
        return len(self.members)

    @property
    def members_path(self):
        """Where the members are."""
        return self.group_path + "/members"

    @property
    def partition_path(self):
        """Where the set of partitions is."""
        return self.group_path + "/partitions"

    @property
    def owners_path(self):
        """Where the owner znodes are; kiel 0.9 knows nothing of it."""
        return self.group_path + "/owners"

    @property
    def allocation(self):
        """Topic -> sorted partition ids that this member owns now."""
        return self._claims.allocation

    @property
    def paused(self):
        """Whether ownership is in doubt: connection lost, or ZooKeeper's last good answer too old."""
        return self._lease.doubtful

    # start and stop

    def start(self, seed_partitions):
        """
        Join the group and add the partitions to its set; a second call only adds.

        The Future is done when this member is in and each of its partitions has been tried once; those that
        another member is still giving up come later. Raises `exc.ZooKeeperError`; then `start` can be
        called again.

        :param seed_partitions: topic -> [ids]
        """
        self._seeds.note(seed_partitions)
        self._sync()
        return self.presence.start()

    @gen.coroutine
    def connect(self):
        """
        Connect to ZooKeeper and return the `Session`, without joining the group; `start` does both.

        Raises `exc.ZooKeeperError` after ``timeout`` seconds.
        """
        self.io_loop = ioloop.IOLoop.current()
        if not self._conn_is_new:
            self.conn = make_client(self.hosts, self.session_timeout)
        self._conn_is_new = False
        self.session = session = Session(self.io_loop, self.conn, self.handle_connection_change)
        try:
            yield session.open(self.timeout)
        except Exception as error:
            failure = error
        else:
            raise gen.Return(session)
        self.leave_session(session)
        yield session.close(self.timeout)
        raise failure

    @gen.coroutine
    def join_over(self, session):
        """Join the group over an open session."""
        self.party = Party(
            self.conn, self.consumer_name, self.members_path, session.crossing(self.on_group_members_change)
        )
        self.shared_set = SharedSet(
            self.conn, self.partition_path, session.crossing(self.on_partition_change), self.lock_timeout
        )
        yield session.run(self.timeout, self.party.start)
        yield session.run(self.timeout, self.shared_set.start)
        log.info("Group %s: %s joins", self.group_name, self.consumer_name)
        self.consumer_name = yield session.run(self.timeout, self.party.join)
        yield self._look_for_switch(session)
        self._seeds.again()
        present = yield self._seeds.push()
        if present is not None:  # the watch may so far have told only of the set as it was before
            self.on_partition_change(present)
        owners = Owners(
            self.conn, self.consumer_name, self.owners_path, session.crossing(self._claims.freed)
        )
        asked_at = retry.monotonic()
        yield session.run(self.timeout, owners.start)
        yield self._collected(session)

        self._joined = True
        self._claims.open(session, owners)
        self._lease.begin(self._confirm, asked_at)
        self._lease.set(not self.connected.is_set())
        try:
            yield events.within(self.timeout, self.rebalance())
        except gen.TimeoutError:
            log.warning("Group %s: the owner znodes could not be created yet, will try again", self.group_name)

    @gen.coroutine
    def _look_for_switch(self, session):
        """Refuse to join where the group has moved to Kafka, or does so now; after the name is known to others."""
        switch = Switch(self.conn, self.group_path, session.crossing(self.on_switch_change))
        yield session.run(self.timeout, switch.start)
        if self.switched is not None:
            raise exc.GroupMovedError(self.hosts, self.group_name, switch.path)

    def on_switch_change(self, word):
        """Take what the switch says, on the IOLoop; a member that can't move leaves when the others do."""
        self.switched = word
        if word is not None and self._joined:
            self.error = exc.GroupMovedError(self.hosts, self.group_name, self.group_path + "/switched")
            log.error("%s leaves: %s", self.consumer_name, self.error)
            self.stop()

    @gen.coroutine
    def _collected(self, session):
        """Wait until the watches have told of the partitions, and of this member itself."""
        deadline = retry.monotonic() + self.timeout
        while not (self.partitions_collected.is_set() and self.consumer_name in self.members):
            left = deadline - retry.monotonic()
            if session.over or left <= 0:
                raise exc.ZooKeeperError(session.hosts, "the group's znodes did not appear in time")
            yield self._news.wait(datetime.timedelta(seconds=left))
        if session.over or self.session is not session:
            raise exc.ZooKeeperError(session.hosts, "the session ended while joining")

    def leave_session(self, session):
        """Forget a session, if it is the present one. Return a Future, done when the users of its partitions are."""
        if session is not self.session:
            return gen.maybe_future(None)
        self._joined = False
        self.session = None
        self._lease.end()
        for flag in (self.connected, self.members_collected, self.partitions_collected):
            flag.clear()
        self.members = set()
        self.mapping = {}
        self._news.notify_all()
        return self._claims.lose()

    def stop(self):
        """
        Give the partitions up, leave the group and close the connection to ZooKeeper, whatever fails on the way.

        Done within about twice ``timeout`` seconds; raises nothing.
        """
        return self.presence.stop()

    def leave_now(self):
        """End the ZooKeeper session, and the membership with it; see `kiel.allocation.Allocator.leave_now`."""
        if self.presence.run is not None and self.conn.connected:
            log.info("Group %s: %s leaves, without an IOLoop", self.group_name, self.consumer_name)
            self.presence.end(None)
            self.conn.stop()

    @gen.coroutine
    def give_up(self, session):
        """Release all partitions, then leave the party: in this order the others find them free."""
        if not (self._joined and self.connected.is_set()):
            return
        yield self._claims.want(())
        yield session.run(self.timeout, self.party.leave)

    # the session

    def handle_connection_change(self, state):
        """React to a change of kazoo's connection; on the IOLoop."""
        if state == states.KazooState.CONNECTED:
            log.info("Group %s: connected to ZooKeeper at %s", self.group_name, self.hosts)
            self.connected.set()
            self._lease.ask()
        elif state == states.KazooState.SUSPENDED:
            log.info("Group %s: the connection to ZooKeeper is suspended; so are fetching and committing",
                     self.group_name)
            self.connected.clear()
            self._lease.set(True)
        else:
            log.warning("Group %s: the ZooKeeper session of %s is lost, and with it %s", self.group_name,
                        self.consumer_name, allocation.describe(self.allocation) or "nothing")
            self._session_lost()
        self._news.notify_all()

    def _session_lost(self):
        """Drop the allocation at once, and join again if this member was in (else who joins finds out)."""
        session, was_in = self.session, self._joined
        self._lease.set(True)
        if session is None:
            return
        if not was_in or self.presence.run is None:
            session.close(self.timeout)
            return
        self.leave_session(session)
        if self.comes_back:
            self.presence.come_back(session)
        else:
            log.info("Group %s: no longer watching ZooKeeper", self.group_name)
            session.close(self.timeout)

    def end_doubt(self):
        """The member is out, so that nothing is in doubt."""
        self._lease.set(False)

    def _confirm(self, answered):
        """
        Ask the server whether this session still has its member znode; for the lease.

        An answer that comes while the connection is lost again says nothing any more. What could not be done
        before is tried again on the way.
        """
        if not self.connected.is_set():
            return
        self._sync()
        self.session.confirm(
            self.party.member_path, lambda owned: answered(owned) if self.connected.is_set() else None
        )

    def _gone(self):
        """The server says that this member is out: somebody deleted its znode, or took its name."""
        log.error("The znode of %s in group %s was deleted or belongs to another session",
                  self.consumer_name, self.group_name)
        self._session_lost()

    def _doubt_changed(self, doubt):
        """Call `on_pause`."""
        if self.on_pause is not None:
            self.on_pause(doubt)

    # members, partitions, mapping

    def on_group_members_change(self, new_members):
        """Take the names of the members; on the IOLoop."""
        if set(new_members) != self.members:
            log.info("Group %s: its members are %s", self.group_name, ", ".join(sorted(new_members)))
        self.members = set(new_members)
        self.members_collected.set()
        self._news.notify_all()
        self._rebalance_soon()

    def on_partition_change(self, new_partitions):
        """Take the set of partitions, on the IOLoop. ``None`` means the znode was deleted: recreate it."""
        if new_partitions is None:
            log.warning("%s was deleted, creating it again", self.partition_path)
            self._seeds.want(self.partitions)
            self.partitions = set()
            self._sync()
            return
        self.partitions = set(new_partitions)
        self.partitions_collected.set()
        self._news.notify_all()
        self._rebalance_soon()

    def _rebalance_soon(self):
        """Rebalance once for everything that comes in one turn of the loop; at once where none was started yet."""
        if self.io_loop is None:  # called by hand, as in 0.9
            self._map()
            self._tell_rebalance()
            return

        def due():
            """The turn is over."""
            self._rebalance_due = False
            if self._joined and self.presence.run is not None:
                self.rebalance()

        if not self._rebalance_due and self._joined:
            self._rebalance_due = True
            self.io_loop.add_callback(due)

    def rebalance(self):
        """
        Compute the mapping anew. Return a Future that is done when new partitions have each been tried once.

        An allocation function that raises is logged, and this member keeps what is still in the set.
        """
        tried = self._claims.want(self._map())
        self._tell_rebalance()
        return tried

    def _map(self):
        """Compute the mapping anew. Return the set of partitions that are to be this member's."""
        try:
            mapping = self.allocator_fn(sorted(self.members), sorted(self.partitions))
            mine = allocation.flatten(mapping.get(self.consumer_name) or {})
        except BaseException as error:  # one of the application's own may raise what no coroutine may see
            callback_failure(error)  # which lets the end of the process through
            log.exception("The allocation function failed; %s keeps its partitions", self.consumer_name)
            return self._claims.wanted & self.partitions
        self.mapping = mapping
        return mine

    def _claims_changed(self, revoked, assigned):
        """Pass a change of `allocation` on. Return a Future."""
        allocation.log_change(self.group_name, revoked, assigned)
        told = self.changed(revoked, assigned)
        if assigned:
            self._tell_rebalance()
        return told

    def _tell_rebalance(self):
        """Call `on_rebalance`, as 0.9 did."""
        if self.on_rebalance is None:
            return
        try:
            self.on_rebalance()
        except BaseException as error:
            callback_failure(error)
            log.exception("on_rebalance failed")

    # changing the set of partitions

    def update(self, partitions, gone=()):
        """
        Note what the metadata says now; costs nothing when it is no news.

        New partitions join the set. Ids that this member saw in a topic before and that are missing now
        leave it, as after a topic was made again with fewer; a topic that is not named, or named without
        partitions, is left alone. What fails is logged and tried again. Return a Future.

        :param partitions: topic -> [all ids, also of partitions without a leader]
        :param gone: names of topics that were deleted
        """
        self._seeds.note(partitions, gone, self.partitions)
        return self._sync()

    def add_partitions(self, partitions):
        """Add topic -> [ids] to the set. Return a Future."""
        self._seeds.want(allocation.flatten(partitions))
        return self._sync()

    def remove_partitions(self, old_partitions):
        """Take topic -> [ids] out of the set, for all members. Return a Future."""
        self._seeds.forget(old_partitions)
        return self._sync()

    def _sync(self):
        """Bring the set nearer to what this member noted, once it is in. Return a Future."""
        return self._seeds.sync(self.partitions) if self._joined else gen.maybe_future(None)

    def _alter_set(self, change):
        """Change the shared set by a function set -> set. Return a Future."""
        if self.session is None:
            raise exc.ZooKeeperError(self.hosts, "no ZooKeeper session at the moment")
        return self.session.run(self.timeout + self.lock_timeout, self.shared_set.alter, change)
