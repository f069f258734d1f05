"""Shares the partitions out among the members of a group that meet in ZooKeeper."""
from __future__ import absolute_import

import datetime
import logging
import threading

from kazoo import client
from kazoo.protocol import states
import six
from tornado import gen, ioloop, locks

from kiel import allocation, exc, retry

from .claims import Claims
from .owners import Owners
from .party import Party
from .seeds import Seeds
from .session import Session
from .shared_set import SharedSet


log = logging.getLogger(__name__)

#: parts of the session time-out: how often the server is asked whether this member is still in, and how old the last
#: good answer may be. A process that was stopped for a while knows by it that others may have its partitions by now
CONFIRM_EVERY = 0.2
CONFIRMED_FOR = 0.8


class PartitionAllocator(allocation.Allocator):
    """
    Allocates by a function that every member of the group computes for itself from what ZooKeeper says.

    Members of kiel 0.9 take part by the same znodes. Members of this kind also hold an owner znode for each partition
    in `allocation`, so that among them no partition ever has two owners.

    :param zk_hosts: list of ``host:port``, the last perhaps with a chroot
    :param group_name: the name of the group
    :param consumer_name: ``<hostname>:<number>``; when that is taken at `start`, the attribute becomes another one
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
        #: `threading.Event` objects, for who looks; kiel itself never waits on them
        self.connected = threading.Event()
        self.members_collected = threading.Event()
        self.partitions_collected = threading.Event()

        self.io_loop = None
        self._session = None
        self._claims = Claims(self._claims_changed, timeout, release_timeout)
        self._news = locks.Condition()
        self._joined = False
        self._doubt = False
        self._confirmed = None
        self._ticker = None
        self._rebalance_due = False
        #: stands for one run from `start` to `stop`; None when stopped
        self._run = None
        self._start_future = None
        self._stop_future = None
        self._seeds = Seeds()
        self._sync_future = None

    def _make_conn(self):
        """A kazoo client that connects nowhere yet."""
        return client.KazooClient(hosts=",".join(self.zk_hosts), timeout=self.session_timeout)

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
        return allocation.group(self._claims.held)

    @property
    def paused(self):
        """Whether ownership is in doubt: the connection is lost, or ZooKeeper's last good answer is too old."""
        return self._doubt or (self._joined and self._stale)

    @property
    def _stale(self):
        """Whether the session may have expired since the server was last heard to know this member."""
        return retry.monotonic() - self._confirmed > self.session_timeout * CONFIRMED_FOR

    # start and stop

    def start(self, seed_partitions):
        """
        Joins the group and adds the partitions to its set; a second call only adds.

        The Future is done when this member is in and each of its partitions has been tried once; those that another
        member is still giving up come later. Raises `exc.ZooKeeperError`; then `start` can be called again.

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
        self.io_loop = ioloop.IOLoop.current()
        if self._stop_future is not None:
            yield self._stop_future
        clock = retry.Backoff(deadline=self.timeout).start()
        while True:
            failure = yield self._enter(run)
            if failure is None:
                return
            delay = clock.delay() if run is self._run else None
            if delay is None:
                if run is self._run:
                    self._run = None
                    self._set_doubt(False)
                raise failure
            yield gen.sleep(delay)

    @gen.coroutine
    def _enter(self, run):
        """One attempt at a session, from the connection to the first claims; gives the error if it came to none."""
        if run is not self._run:
            raise gen.Return(exc.ZooKeeperError(",".join(self.zk_hosts), "stopped while joining %s" % self.group_name))
        session = self._open_session()
        try:
            yield session.open(self.timeout)
            yield self._join(session)
        except Exception as error:
            failure = error
        else:
            raise gen.Return(None)
        if self._session is session:
            self._leave_session()
        yield session.close(self.timeout)
        if not isinstance(failure, exc.ZooKeeperError):
            failure = exc.ZooKeeperError(session.hosts, "joining group %s failed" % self.group_name, failure)
        raise gen.Return(failure)

    def _open_session(self):
        """Makes the objects of one session."""
        if not self._conn_is_new:
            self.conn = self._make_conn()
        self._conn_is_new = False
        self._session = session = Session(self.io_loop, self.conn, self.handle_connection_change)
        self.party = Party(
            self.conn, self.consumer_name, self.members_path, session.crossing(self.on_group_members_change)
        )
        self.shared_set = SharedSet(
            self.conn, self.partition_path, session.crossing(self.on_partition_change), self.lock_timeout
        )
        return session

    @gen.coroutine
    def _join(self, session):
        """Joins the group over an open session."""
        yield session.run(self.timeout, self.party.start)
        yield session.run(self.timeout, self.shared_set.start)
        self.consumer_name = yield session.run(self.timeout, self.party.join)
        self._seeds.again()
        while self._seeds.add or self._seeds.remove:
            yield self._alter_set(session)
        owners = Owners(
            self.conn, self.consumer_name, self.owners_path, session.crossing(self._claims.freed)
        )
        sent_at = retry.monotonic()
        yield session.run(self.timeout, owners.start)

        deadline = retry.monotonic() + self.timeout
        while not (self.partitions_collected.is_set() and self.consumer_name in self.members):
            left = deadline - retry.monotonic()
            if session.over or left <= 0:
                raise exc.ZooKeeperError(session.hosts, "the group's znodes did not show up in time")
            yield self._news.wait(datetime.timedelta(seconds=left))
        if session.over or self._session is not session:
            raise exc.ZooKeeperError(session.hosts, "the session ended while joining")

        self._joined = True
        self._confirmed = sent_at
        self._claims.open(session, owners)
        self._ticker = ioloop.PeriodicCallback(self._tick, self.session_timeout * CONFIRM_EVERY * 1000)
        self._ticker.start()
        self._set_doubt(not self.connected.is_set())
        try:
            yield gen.with_timeout(
                datetime.timedelta(seconds=self.timeout), self.rebalance(), quiet_exceptions=Exception
            )
        except gen.TimeoutError:
            log.warning("Owners' znodes in group %s are slow to come, tried on", self.group_name)

    def _leave_session(self):
        """Forgets what belonged to a session; gives a Future that is done when the users of its partitions are."""
        self._joined = False
        self._session = None
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        for flag in (self.connected, self.members_collected, self.partitions_collected):
            flag.clear()
        self.members = set()
        self.mapping = {}
        self._news.notify_all()
        return self._claims.lose()

    def stop(self):
        """
        Gives the partitions up, leaves the group and closes the connection to ZooKeeper, whatever fails on the way.

        Done within about twice ``timeout`` seconds; raises nothing.
        """
        if self._run is not None:
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
                    yield gen.with_timeout(
                        datetime.timedelta(seconds=self.timeout), self._give_up(session), quiet_exceptions=Exception
                    )
                except Exception as error:
                    log.warning("Leaving group %s: %s", self.group_name, error or type(error).__name__)
            dropped = self._leave_session()
            yield session.close(self.timeout)
            try:
                yield gen.with_timeout(datetime.timedelta(seconds=self.timeout), dropped, quiet_exceptions=Exception)
            except gen.TimeoutError:
                log.warning("on_change did not end within %s s at the end of group %s", self.timeout, self.group_name)
        self._set_doubt(False)

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
            self._confirm()
        elif state == states.KazooState.SUSPENDED:
            self.connected.clear()
            self._set_doubt(True)
        else:
            log.warning("ZooKeeper session of %s in group %s is lost", self.consumer_name, self.group_name)
            self._session_lost()
        self._news.notify_all()

    def _session_lost(self):
        """Drops the allocation at once; joins again if this member was in (else whoever is joining finds out)."""
        session, was_in = self._session, self._joined
        self._set_doubt(True)
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
            log.warning("Could not join group %s again, will try on: %s", self.group_name, failure)
            yield gen.sleep(clock.delay())

    def _tick(self):
        """Renews the certainty of being in, and repeats what failed."""
        self._confirm()
        if self._stale:
            self._set_doubt(True)
        if self.connected.is_set():
            self._sync()

    def _confirm(self):
        """Asks the server whether this session still has its member znode."""
        if not self._joined or not self.connected.is_set():
            return
        sent_at = retry.monotonic()

        def on_answer(owned):
            """Takes the answer, unless the connection was lost after the question."""
            if not self._joined or not self.connected.is_set():
                return
            if not owned:
                log.error("The znode of %s in group %s is gone or another's", self.consumer_name, self.group_name)
                self._session_lost()
                return
            self._confirmed = max(self._confirmed, sent_at)
            self._set_doubt(self._stale)

        self._session.confirm(self.party.member_path, on_answer)

    def _set_doubt(self, doubt):
        """Changes `paused` and tells `on_pause`."""
        if doubt == self._doubt:
            return
        self._doubt = doubt
        if self.on_pause is not None:
            try:
                self.on_pause(doubt)
            except Exception:
                log.exception("on_pause(%s) failed", doubt)

    # members, partitions, mapping

    def on_group_members_change(self, members):
        """Takes the names of the members; on the IOLoop."""
        self.members = set(members)
        self.members_collected.set()
        self._news.notify_all()
        self._rebalance_soon()

    def on_partition_change(self, partitions):
        """Takes the set of partitions; ``None``, when somebody deleted its znode, has it made again. On the IOLoop."""
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
        log.debug("%s in group %s: revoked %s, assigned %s", self.consumer_name, self.group_name, revoked, assigned)
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

        New partitions join the set. Ids that this member saw in a topic before and that are missing now leave it, as
        after a topic was made again with fewer; a topic that is not named, or named without partitions, is left
        alone. What fails is logged and tried again. Gives a Future.

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
        """Brings the set nearer to what this member noted, if anything is missing; gives a Future."""
        if self._joined and self._sync_future is None and self._seeds.settle(self.partitions):
            self._sync_future = self._sync_all()
            if self._sync_future.done():
                self._sync_future = None
        return self._sync_future or gen.maybe_future(None)

    @gen.coroutine
    def _sync_all(self):
        """The work of `_sync`, for all that is noted meanwhile, too."""
        try:
            while self._joined and (self._seeds.add or self._seeds.remove):
                yield self._alter_set(self._session)
        except Exception as error:
            log.warning("Changing the partitions of group %s: %s, will try again", self.group_name, error)
        finally:
            self._sync_future = None

    @gen.coroutine
    def _alter_set(self, session):
        """One change of the shared set; what it did is not to be done any more."""
        alter, done = self._seeds.change()
        yield session.run(self.timeout + self.lock_timeout, self.shared_set.alter, alter)
        done()
