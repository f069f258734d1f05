"""Shares the partitions out among the members of a group that meet in ZooKeeper."""
from __future__ import absolute_import

import datetime
import logging
import threading

from kazoo import client
from kazoo.protocol import states
import six
from tornado import gen, ioloop, locks

from kiel import allocation, events, exc, retry

from .claims import Claims
from .handler import Handler
from .lease import Lease
from .owners import Owners
from .party import Party
from .seeds import Seeds
from .session import Session
from .shared_set import SharedSet
from .switch import Switch


log = logging.getLogger(__name__)

#: kazoo's own delays between attempts to connect double up to an hour; a member should be back soon
CONNECTION_RETRY = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 2.0}


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
        self.conn = self._make_conn()
        self._conn_is_new = True
        self.party = None
        self.shared_set = None

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
        self._session = None
        self._claims = Claims(self._claims_changed, timeout, release_timeout)
        self._news = locks.Condition()
        self._joined = False
        self._lease = Lease(session_timeout, self._doubt_changed, self._gone)
        self._rebalance_due = False
        #: stands for one run from `start` to `stop`; None when stopped
        self._run = None
        self._start_future = None
        self._stop_future = None
        self._seeds = Seeds(self._alter_set)

    def _make_conn(self):
        """A kazoo client that connects nowhere yet."""
        handler = Handler()
        return client.KazooClient(
            hosts=self._hosts, timeout=self.session_timeout, handler=handler,
            connection_retry=dict(CONNECTION_RETRY, sleep_func=handler.sleep_func),
        )

    @property
    def _hosts(self):
        """The text that kazoo is given."""
        return ",".join(self.zk_hosts)

    @property
    def group_path(self):
        """The group's own znode."""
        return "/kiel/groups/%s" % self.group_name

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
        Joins the group and adds the partitions to its set; a second call only adds.

        The Future is done when this member is in and each of its partitions has been tried once; those that
        another member is still giving up come later. Raises `exc.ZooKeeperError`; then `start` can be
        called again.

        :param seed_partitions: topic -> [ids]
        """
        self._seeds.note(seed_partitions)
        if self._run is None:
            self._run = object()
            self._start_future = self._start(self._run)
        elif self._joined:
            self._sync()
        return self._start_future

    @gen.coroutine
    def _start(self, run):
        """The work of `start`."""
        if self._stop_future is not None:
            yield self._stop_future
        self.error = None
        clock = retry.Backoff(deadline=self.timeout).start()
        while True:
            failure = yield self._enter(run)
            if failure is None:
                return
            delay = clock.delay() if run is self._run and failure.retriable else None
            if delay is None:
                if run is self._run:
                    self._run = None
                    self._lease.set(False)
                raise failure
            yield gen.sleep(delay)

    @gen.coroutine
    def _enter(self, run):
        """One attempt, from the connection to the first claims; gives the error, if any."""
        if run is not self._run:
            raise gen.Return(exc.ZooKeeperError(self._hosts, "stopped while joining %s" % self.group_name))
        session = None
        try:
            session = yield self.connect()
            yield self._join(session)
        except Exception as error:
            failure = error
        else:
            raise gen.Return(None)
        if session is not None:
            if self._session is session:
                self._leave_session()
            yield session.close(self.timeout)
        if not isinstance(failure, exc.ZooKeeperError):
            failure = exc.ZooKeeperError(self._hosts, "joining group %s failed" % self.group_name, failure)
        raise gen.Return(failure)

    @gen.coroutine
    def connect(self):
        """
        Connects to ZooKeeper and gives the `Session`, without joining the group; `start` does both.

        Raises `exc.ZooKeeperError` after ``timeout`` seconds.
        """
        self.io_loop = ioloop.IOLoop.current()
        if not self._conn_is_new:
            self.conn = self._make_conn()
        self._conn_is_new = False
        self._session = session = Session(self.io_loop, self.conn, self.handle_connection_change)
        try:
            yield session.open(self.timeout)
        except Exception as error:
            failure = error
        else:
            raise gen.Return(session)
        if self._session is session:
            self._leave_session()
        yield session.close(self.timeout)
        raise failure

    @gen.coroutine
    def _join(self, session):
        """Joins the group over an open session."""
        self.party = Party(
            self.conn, self.consumer_name, self.members_path, session.crossing(self.on_group_members_change)
        )
        self.shared_set = SharedSet(
            self.conn, self.partition_path, session.crossing(self.on_partition_change), self.lock_timeout
        )
        yield session.run(self.timeout, self.party.start)
        yield session.run(self.timeout, self.shared_set.start)
        self.consumer_name = yield session.run(self.timeout, self.party.join)
        yield self._look_for_switch(session)
        self._seeds.again()
        yield self._seeds.push()
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
            log.warning("Owners' znodes in group %s are slow to come, tried on", self.group_name)

    @gen.coroutine
    def _look_for_switch(self, session):
        """Does not go on where the group has moved to Kafka, or does so now; after the name is known to others."""
        switch = Switch(self.conn, self.group_path, session.crossing(self.on_switch_change))
        yield session.run(self.timeout, switch.start)
        if self.switched is not None:
            raise exc.GroupMovedError(self._hosts, self.group_name, switch.path)

    def on_switch_change(self, word):
        """Takes what the switch says, on the IOLoop; a member that can't move is out when the others do."""
        self.switched = word
        if word is not None and self._joined:
            self.error = exc.GroupMovedError(self._hosts, self.group_name, self.group_path + "/switched")
            log.error("%s leaves: %s", self.consumer_name, self.error)
            self.stop()

    @gen.coroutine
    def _collected(self, session):
        """Waits until the watches have told of the partitions, and of this member itself."""
        deadline = retry.monotonic() + self.timeout
        while not (self.partitions_collected.is_set() and self.consumer_name in self.members):
            left = deadline - retry.monotonic()
            if session.over or left <= 0:
                raise exc.ZooKeeperError(session.hosts, "the group's znodes did not show up in time")
            yield self._news.wait(datetime.timedelta(seconds=left))
        if session.over or self._session is not session:
            raise exc.ZooKeeperError(session.hosts, "the session ended while joining")

    def _leave_session(self):
        """Forgets a session; gives a Future that is done when the users of its partitions are."""
        self._joined = False
        self._session = None
        self._lease.end()
        for flag in (self.connected, self.members_collected, self.partitions_collected):
            flag.clear()
        self.members = set()
        self.mapping = {}
        self._news.notify_all()
        return self._claims.lose()

    def stop(self):
        """
        Gives the partitions up, leaves the group and closes the connection to ZooKeeper, whatever fails on
        the way.

        Done within about twice ``timeout`` seconds; raises nothing.
        """
        if self._run is not None or self._session is not None:
            self._run = None
            self._stop_future = self._stop()
        return self._stop_future or gen.maybe_future(None)

    @gen.coroutine
    def _stop(self):
        """The work of `stop`."""
        session = self._session
        if session is not None:
            if self._joined and self.connected.is_set():
                try:
                    yield events.within(self.timeout, self._give_up(session))
                except Exception as error:
                    log.warning("Leaving group %s: %s", self.group_name, str(error) or type(error).__name__)
            dropped = self._leave_session()
            yield session.close(self.timeout)
            try:
                yield events.within(self.timeout, dropped)
            except gen.TimeoutError:
                log.warning("on_change did not end in %s s at the end of %s", self.timeout, self.group_name)
        self._lease.set(False)

    @gen.coroutine
    def _give_up(self, session):
        """Releases all partitions, then leaves the party: in this order the others find them free."""
        yield self._claims.want(())
        yield session.run(self.timeout, self.party.leave)

    # the session

    def handle_connection_change(self, state):
        """Reacts to kazoo's word on the connection; on the IOLoop."""
        if state == states.KazooState.CONNECTED:
            self.connected.set()
            self._lease.ask()
        elif state == states.KazooState.SUSPENDED:
            self.connected.clear()
            self._lease.set(True)
        else:
            log.warning("ZooKeeper session of %s in group %s is lost", self.consumer_name, self.group_name)
            self._session_lost()
        self._news.notify_all()

    def _session_lost(self):
        """Drops the allocation at once; joins again if this member was in (else the joiner finds out)."""
        session, was_in = self._session, self._joined
        self._lease.set(True)
        if session is None:
            return
        if was_in and self._run is not None:
            self._leave_session()
            self._rejoin(session, self._run)
        else:
            session.close(self.timeout)

    @gen.coroutine
    def _rejoin(self, session, run):
        """Enters the group again with a new session, however long it takes."""
        yield session.close(self.timeout)
        clock = retry.Backoff(deadline=None).start()
        while run is self._run:
            failure = yield self._enter(run)
            if failure is None:
                log.info("Back in group %s as %s", self.group_name, self.consumer_name)
                return
            if not failure.retriable:
                log.error("%s does not come back: %s", self.consumer_name, failure)
                self.error, self._run = failure, None
                self._lease.set(False)
                return
            log.warning("Could not join group %s again, will try on: %s", self.group_name, failure)
            yield gen.sleep(clock.delay())

    def _confirm(self, answered):
        """
        Asks the server whether this session still has its member znode; for the lease.

        An answer that comes while the connection is lost again says nothing any more. What could not be done
        before is tried again on the way.
        """
        if not self.connected.is_set():
            return
        self._sync()
        self._session.confirm(
            self.party.member_path, lambda owned: answered(owned) if self.connected.is_set() else None
        )

    def _gone(self):
        """The server says that this member is not in: somebody deleted its znode, or took its name."""
        log.error("The znode of %s in group %s is gone or another's", self.consumer_name, self.group_name)
        self._session_lost()

    def _doubt_changed(self, doubt):
        """Tells `on_pause`."""
        if self.on_pause is not None:
            self.on_pause(doubt)

    # members, partitions, mapping

    def on_group_members_change(self, members):
        """Takes the names of the members; on the IOLoop."""
        self.members = set(members)
        self.members_collected.set()
        self._news.notify_all()
        self._rebalance_soon()

    def on_partition_change(self, partitions):
        """Takes the set of partitions, on the IOLoop; ``None``, when it was deleted, has it made again."""
        if partitions is None:
            log.warning("%s is gone, making it again", self.partition_path)
            self._seeds.want(self.partitions)
            self.partitions = set()
            self._sync()
            return
        self.partitions = set(partitions)
        self.partitions_collected.set()
        self._news.notify_all()
        self._rebalance_soon()

    def _rebalance_soon(self):
        """Rebalances once for all that comes in one turn of the loop."""
        def due():
            """The turn is over."""
            self._rebalance_due = False
            if self._joined and self._run is not None:
                self.rebalance()

        if not self._rebalance_due and self._joined:
            self._rebalance_due = True
            self.io_loop.add_callback(due)

    def rebalance(self):
        """
        Computes the mapping anew; gives a Future that is done when new partitions have each been tried once.

        An allocation function that raises is logged, and this member keeps what is still in the set.
        """
        partitions = sorted(self.partitions)
        try:
            mapping = self.allocator_fn(sorted(self.members), partitions)
            mine = allocation.flatten(mapping.get(self.consumer_name) or {})
        except Exception:
            log.exception("The allocation function failed, %s keeps what it has", self.consumer_name)
            mine = self._claims.wanted & self.partitions
        else:
            self.mapping = mapping
        tried = self._claims.want(mine)
        self._tell_rebalance()
        return tried

    def _claims_changed(self, revoked, assigned):
        """Hears of a change of `allocation` and passes it on; gives a Future."""
        log.debug("%s of %s: revoked %s, assigned %s", self.consumer_name, self.group_name, revoked, assigned)
        told = self.changed(revoked, assigned)
        if assigned:
            self._tell_rebalance()
        return told

    def _tell_rebalance(self):
        """Calls `on_rebalance`, as 0.9 did."""
        if self.on_rebalance is None:
            return
        try:
            self.on_rebalance()
        except Exception:
            log.exception("on_rebalance failed")

    # changing the set of partitions

    def update(self, partitions, gone=()):
        """
        Tells what the metadata says now; costs nothing when it is no news.

        New partitions join the set. Ids that this member saw in a topic before and that are missing now
        leave it, as after a topic was made again with fewer; a topic that is not named, or named without
        partitions, is left alone. What fails is logged and tried again. Gives a Future.

        :param partitions: topic -> [all ids, also of partitions without a leader]
        :param gone: names of topics that were deleted
        """
        self._seeds.note(partitions, gone, self.partitions)
        return self._sync()

    def add_partitions(self, partitions):
        """Adds topic -> [ids] to the set; gives a Future."""
        self._seeds.want(allocation.flatten(partitions))
        return self._sync()

    def remove_partitions(self, partitions):
        """Takes topic -> [ids] out of the set, for all members; gives a Future."""
        self._seeds.forget(partitions)
        return self._sync()

    def _sync(self):
        """Brings the set nearer to what this member noted, once it is in; gives a Future."""
        return self._seeds.sync(self.partitions) if self._joined else gen.maybe_future(None)

    def _alter_set(self, change):
        """Changes the shared set by a function set -> set; gives a Future."""
        if self._session is None:
            raise exc.ZooKeeperError(self._hosts, "no session now")
        return self._session.run(self.timeout + self.lock_timeout, self.shared_set.alter, change)


def create_attempter(future):
    """
    Gives ``attempt(fn, *args)`` that calls the function unless the Future is done, and puts its exception
    there.

    For code that used 0.9's; kiel has `kiel.events.run_blocking` now.
    """
    def attempt(fn, *args):
        """Calls the function, unless an attempt before failed."""
        if future.done():
            return
        try:
            fn(*args)
        except Exception as error:
            future.set_exception(error)

    return attempt
