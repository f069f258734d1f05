"""
Keeps cursors filled: which partitions are asked for, and when; and who waits for messages.

There is no task that runs for ever. `Fetcher.pump` looks at the cursors that could be asked for and sends what is worth
sending; it is called whenever something changed: someone waits, data was taken, an answer came, a leader moved, a rest
is over.
"""
from __future__ import absolute_import

import collections

from tornado import concurrent

from kiel.clients.consuming.cursor import CHECKING, IN_FLIGHT, READY, UNTOLD, Cursor
from kiel.clients.consuming.fetch import FetchResponses
from kiel.clients.consuming.log_validator import LogValidator
from kiel.clients.consuming.metadata_refresh import MetadataRefresh
from kiel.clients.consuming.source import Source
from kiel.events import is_of_the_past, settle
from kiel.retry import monotonic

#: seconds that an answer may take longer than the broker was told to wait
GRACE = 1.0

#: seconds after the end of a call's time in which an answer may be due that it waits for
SLACK = 0.2


class Fetcher(object):
    """
    The fetching half of a consumer.

    A group that loses a partition calls `revoke`; while it is in doubt what is its own, it sets ``suspended``. Both
    need `wake` and `pump` after them.

    :param client: the `kiel.clients.consumer.BaseConsumer` that it fetches for: its cluster and connections, its
        ``handle_fetch_response``, which gets the answers, and its ``reset_start``
    :param limits: has ``max_wait_time``, ``min_bytes``, ``max_bytes``, ``buffer_bytes``, ``isolation_level``,
        ``offset_reset`` and ``rack_id``, read at each request
    """

    def __init__(self, client, limits):
        self.client = client
        self.limits = limits
        #: topic -> {partition id: `Cursor`}, in the order in which they are handed out
        self.cursors = {}
        #: topics with cursors whose start is `UNTOLD`
        self.untold = set()
        #: topic -> how many consume() calls wait for it
        self.hungry = collections.Counter()
        #: when somebody began to wait last (`kiel.retry.monotonic`)
        self.waiting_since = 0
        #: True while nothing may be fetched or handed out, since ownership is in doubt
        self.suspended = False
        #: broker id -> `Source`
        self.sources = {}
        self._refresh = MetadataRefresh(client, self.pump)
        self.validator = LogValidator(client, limits, self)
        self.responses = FetchResponses(client, limits, self, self.validator)
        #: topic -> Futures of those who wait for it
        self._waiters = {}
        #: such a Future -> the timer of when its time is over
        self._timers = {}
        #: the topics of those who wait for answers that are late, not for messages
        self._overdue = set()
        #: topic -> seconds, where somebody waits less than ``max_wait_time``
        self._hurried = {}
        #: bytes that may come with the fetches under way
        self._reserved = 0
        #: the timer of the first rest that ends
        self._timer = None

    # -- cursors --

    def cursor(self, topic, partition, start=UNTOLD):
        """Return a partition's cursor, a new one when there is none."""
        cursors = self.cursors.setdefault(topic, collections.OrderedDict())
        if partition not in cursors:
            cursors[partition] = Cursor(topic, partition, start)
            if start is UNTOLD:
                self.untold.add(topic)
        return cursors[partition]

    def find(self, topic, partition):
        """Return a partition's cursor, or None."""
        return self.cursors.get(topic, {}).get(partition)

    def of(self, topic):
        """Return a topic's cursors as a list."""
        return list(self.cursors.get(topic, {}).values())

    def exactly(self, topic, partitions):
        """
        Return a topic's cursors as a list where they are those of these partitions, and of none it is `UNTOLD` where it
        begins; else None.

        :param partitions: their ids, or None
        """
        cursors = self.cursors.get(topic)
        if not cursors or not partitions or len(cursors) != len(partitions) or topic in self.untold:
            return None
        for partition in partitions:
            if partition not in cursors:
                return None
        return list(cursors.values())

    def revoke(self, topic, partition):
        """Give up a partition: what is buffered or under way for it is dropped."""
        cursors = self.cursors.get(topic, {})
        cursor = cursors.pop(partition, None)
        if cursor is not None:
            cursor.revoke()
        if not cursors:
            self.cursors.pop(topic, None)

    def take(self, topic, most, leave=False, partitions=None):
        """
        Take what is buffered of a topic. Returns a list of ``(cursor, generation, batches)``.

        :param most: bytes; beyond the first batch, no more than that is taken
        :param leave: whether the batches stay in their cursors, for who reads them to drop them one by one; so do those
            that are compressed
        :param partitions: the ids of those to take from; None: all
        """
        taken, turns = [], []
        if self.suspended:
            return taken
        for cursor in self.of(topic):
            if cursor.holds and not cursor.paused and cursor.error is None:
                if partitions is not None and cursor.partition not in partitions:
                    continue
                if taken and most < cursor.batches[0].size:
                    continue
                left = leave or cursor.leaves
                batches = list(cursor.batches) if left else cursor.take(most)
                for batch in batches:
                    most -= batch.size
                if not left or not taken:
                    turns.append(cursor)  # who reads may get no further than the first that is left
                taken.append((cursor, cursor.generation, batches))
        for cursor in turns:
            self._to_the_end(cursor)
        return taken

    def _to_the_end(self, cursor):
        """Let the other partitions of the topic come first next time."""
        cursors = self.cursors[cursor.topic]
        cursors[cursor.partition] = cursors.pop(cursor.partition)

    # -- waiting --

    def wait(self, topic, seconds, patience, overdue=False):
        """
        Return a Future that is done when something happened that a consume() of the topic should look at, or the time
        is over; for `stop_waiting`, whatever it ends with.

        The topic is asked for by the next `pump`.

        :param patience: seconds that the call waits in all
        :param overdue: whether an answer without anything new is such a thing, too
        """
        future = concurrent.Future()
        if overdue:
            self._overdue.add(topic)
        if patience * 1000 < self.limits.max_wait_time:
            self._hurried[topic] = min(patience, self._hurried.get(topic, patience))
        self._waiters.setdefault(topic, []).append(future)
        self._timers[future] = self.client.io_loop.call_later(seconds, settle, future)
        self.hungry[topic] += 1
        self.waiting_since = monotonic()
        return future

    def stop_waiting(self, topic, future):
        """Nobody waits by this Future of `wait` any more."""
        timer = self._timers.pop(future, None)
        if timer is None:
            return  # it was of a loop that is closed: `forget`
        self.client.io_loop.remove_timeout(timer)
        self.hungry[topic] -= 1
        if future in self._waiters.get(topic, ()):
            self._waiters[topic].remove(future)
        if not self.hungry[topic]:
            self._hurried.pop(topic, None)

    def wake(self, topic=None):
        """Let those who wait for a topic, or all, look again."""
        for name in (topic,) if topic is not None else list(self._waiters):
            for future in self._waiters.pop(name, ()):
                if not future.done():
                    try:
                        future.set_result(None)
                    except RuntimeError:
                        if not is_of_the_past(future):
                            raise

    def fail(self, cursor, error):
        """Have a partition's error come out of the next call for its topic, or of one that waits."""
        cursor.error = error
        self.wake(cursor.topic)

    def wake_overdue(self):
        """An answer came: let those who wait for just that look again."""
        topics, self._overdue = self._overdue, set()
        for topic in topics:
            self.wake(topic)

    def answer_due(self, cursor, call):
        """
        Until when a call waits for an answer that tells whether a partition has anything: 0 for not at all.

        :param call: the `kiel.clients.consuming.call.Call`, whose time is over
        """
        now = monotonic()
        if cursor.paused or cursor.error is not None or cursor.not_before > now or self.suspended:
            return 0
        if self._broker_of(cursor, now) is None:
            return 0
        if not cursor.located:
            return cursor.unlocated + call.wait + GRACE
        if cursor.answered >= call.begun:
            return 0
        if cursor.state in (IN_FLIGHT, CHECKING):
            sent, due = getattr(cursor.request, "sent", call.begun), getattr(cursor.request, "due", call.begun)
            # a long poll from before tells by its silence that there is nothing
            return due + GRACE if sent >= call.begun or due <= call.begun + call.wait + SLACK else 0
        return call.begun + call.wait + GRACE if cursor.state == READY else 0

    def patience(self, cursors):
        """Return milliseconds that a broker may wait for messages of these: no longer than those who wait for them."""
        most = self.limits.max_wait_time
        if self._hurried:
            topics = set(cursor.topic for cursor in cursors).intersection(self._hurried)
            most = min([most] + [int(self._hurried[topic] * 1000) for topic in topics])
        return int(most)

    # -- sending --

    def pump(self, topic=None):
        """
        Send every fetch that is worth sending now.

        :param topic: the one topic for which something has changed, so that only its partitions are looked at: with
            many topics that are waited for one by one, looking at all each time would take the time of their square
        """
        client = self.client
        if client.closing or self.suspended or client.io_loop is None:
            return
        wanted, idle = self._sort(monotonic(), self.cursors if topic is None else (topic,))
        for broker_id, cursors in wanted.items():
            self._source(broker_id).fetch(cursors, idle.get(broker_id, []))

    def _sort(self, now, topics):
        """
        Return the cursors worth a fetch now, and the other ones of their topics: two of ``{broker id: [cursor]}``.

        What can't be asked for now is seen to: a timer for the end of a rest, metadata for a missing leader.
        """
        wanted, idle, ahead = collections.OrderedDict(), {}, []
        rests, leaderless = [], False
        for topic in topics:
            hungry = self.hungry[topic]
            cold = []
            active = bool(hungry)
            for cursor in self.cursors.get(topic, {}).values():
                if cursor.paused or (cursor.state != READY and not cursor.wants_more):
                    continue
                asked = hungry or cursor.hot
                if cursor.not_before > now:
                    rests += [cursor.not_before] * bool(asked)
                    continue
                broker_id = self._broker_of(cursor, now)
                if broker_id is None:
                    leaderless = leaderless or asked
                elif cursor.state != READY:
                    ahead.append((broker_id, cursor))
                elif asked:
                    active = True
                    wanted.setdefault(broker_id, []).append(cursor)
                else:
                    cold.append((broker_id, cursor))
            for broker_id, cursor in cold if active else ():
                idle.setdefault(broker_id, []).append(cursor)
        for broker_id, cursor in ahead:  # behind those of which nothing is here
            wanted.setdefault(broker_id, []).append(cursor)
        if leaderless:
            self.refresh_metadata()
        if rests and self._timer is None:
            self._timer = self.client.io_loop.call_later(max(0.001, min(rests) - now), self._on_timer)
        return wanted, idle

    def _broker_of(self, cursor, now):
        """
        Return the broker to read a partition from, None when none is known.

        That is its leader, or a follower that is nearer, for as long as that holds (KIP-392).
        """
        cluster = self.client.cluster
        if cursor.replica is not None:
            if now < cursor.replica_until and cursor.replica in cluster.conns:
                return cursor.replica
            cursor.replica = None
        leader = cluster.leaders.get(cursor.topic, {}).get(cursor.partition)
        return leader if leader in cluster.conns else None

    def _source(self, broker_id):
        source = self.sources.get(broker_id)
        if source is None:
            source = self.sources[broker_id] = Source(broker_id, self.client, self.limits, self, self.validator)
        return source

    def _on_timer(self):
        """A partition's rest is over."""
        self._timer = None
        self.pump()

    def refresh_metadata(self):
        """Ask for metadata soon: a leader is not known, or not the one that there is."""
        self._refresh.begin()

    # -- the buffer --

    @property
    def buffered(self):
        """Bytes that have come and are not taken yet."""
        size = 0
        for cursors in self.cursors.values():
            for cursor in cursors.values():
                size += cursor.size
        return size

    def gauges(self):
        """Return how full the buffer is, for `kiel.metrics`."""
        return {"buffer_bytes": {(): self.buffered}, "buffer_limit_bytes": {(): self.limits.buffer_bytes}}

    @property
    def room(self):
        """Bytes that neither are in the buffer nor may come."""
        return self.limits.buffer_bytes - self._reserved - self.buffered

    def reserve(self, size):
        """
        Reserve room for ``size`` more bytes in the consumer's buffer. Returns whether there was.

        What is buffered for topics that nobody waits for is dropped for those that somebody does; it is fetched again
        when it is wanted.
        """
        taken = self._reserved + self.buffered
        excess = taken + size - self.limits.buffer_bytes
        if excess > 0 and taken and self._drop(excess) > 0:
            return False
        self._reserved += size
        return True

    def _drop(self, excess):
        """Drop what nobody waits for until ``excess`` bytes are free. Returns how many are missing still."""
        for topic in list(self.cursors) if any(self.hungry.values()) else ():
            for cursor in self.of(topic) if not self.hungry[topic] else ():
                if excess > 0 and cursor.holds and cursor.error is None:
                    excess -= cursor.size
                    cursor.stay()
                    cursor.hot = False
        return excess

    def release(self, size):
        """Give back what `reserve` took: the answer came, or none will."""
        self._reserved -= size

    def forget(self, positions):
        """
        Give up everything that belongs to another process, or to a loop that is closed; nobody is told.

        :param positions: whether that is also where reading goes on
        """
        self._refresh = MetadataRefresh(self.client, self.pump)
        # who waited does not count here any more, also when it ends
        for held in (self.sources, self._overdue, self._hurried, self.hungry, self._waiters, self._timers):
            held.clear()
        self._reserved = 0
        self.suspended = False
        self._timer = None
        for cursor in [cursor for topic in self.cursors for cursor in self.of(topic)]:
            if positions:
                self.revoke(cursor.topic, cursor.partition)
            elif cursor.handed is not None:
                cursor.stay()

    def stop(self):
        """Give up everything; those who wait look again."""
        for topic in list(self.cursors):
            for partition in list(self.cursors.get(topic, {})):
                self.revoke(topic, partition)
        if self._timer is not None:
            self.client.io_loop.remove_timeout(self._timer)
            self._timer = None
        self.wake()
