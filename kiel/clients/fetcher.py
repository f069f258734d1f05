"""
Keeps cursors filled: which partitions are asked for, in which request, when, and what becomes of the answer.

There is no task that runs for ever. `Fetcher.pump` looks at all cursors and sends what is worth sending; it is called
whenever something changed: someone waits, data was taken, an answer came, a leader moved, a rest is over.
"""
from __future__ import absolute_import

import collections
import logging

from tornado import concurrent, gen

from kiel import exc
from kiel.clients.cursor import BUFFERED, READY, Cursor
from kiel.clients.fetch_answer import FetchAnswers
from kiel.clients.fetch_request import SLOTS, WORTH_A_SESSION, FetchRequests
from kiel.clients.fetch_session import NO_SESSION
from kiel.clients.truncation import EpochCheck
from kiel.events import settle
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: milliseconds that a fetch on the second lane waits for data
BUSY_WAIT = 50

#: how often metadata is asked for while a partition has no leader
HEALING = Backoff(first=0.1, most=2.0, deadline=None)


class Fetcher(FetchRequests, FetchAnswers, EpochCheck):
    """
    The fetching half of a consumer.

    :param consumer: the `kiel.clients.consumer.BaseConsumer` it serves; its limits are read at each request
    """

    def __init__(self, consumer):
        self.consumer = consumer
        #: topic -> {partition id: `Cursor`}, in the order in which they are asked for
        self.cursors = {}
        #: topic -> how many consume() calls wait for it
        self.hungry = collections.Counter()
        #: True while nothing may be fetched or handed out, since ownership is in doubt
        self.suspended = False
        #: broker id -> the `kiel.clients.fetch_session.FetchSession` of its first lane
        self.sessions = {}
        self._waiters = collections.defaultdict(list)
        self._busy = set()
        #: broker id -> how many partitions without news the second lane holds
        self._cold = {}
        self._reserved = 0
        self._timer = None
        self._healing = None
        self._heal_clock = None
        self._heal_after = 0

    # -- cursors --

    def cursor(self, topic, partition, start=None):
        """Gives a partition's cursor, a new one when there is none."""
        cursors = self.cursors.setdefault(topic, collections.OrderedDict())
        if partition not in cursors:
            cursors[partition] = Cursor(topic, partition, start)
        return cursors[partition]

    def of(self, topic):
        """Gives a topic's cursors as a list."""
        return list(self.cursors.get(topic, {}).values())

    def revoke(self, topic, partition):
        """Gives up a partition: what is buffered or under way for it is dropped."""
        cursors = self.cursors.get(topic, {})
        cursor = cursors.pop(partition, None)
        if cursor is not None:
            cursor.revoke()
        if not cursors:
            self.cursors.pop(topic, None)

    def take(self, topic, most):
        """
        Takes what is buffered of a topic; gives a list of ``(cursor, turn, batches)``.

        :param most: bytes; beyond the first batch, no more than that is taken
        """
        taken = []
        if self.suspended:
            return taken
        for cursor in self.of(topic):
            if cursor.state == BUFFERED and not cursor.paused and cursor.error is None:
                if taken and most < cursor.batches[0].size:
                    continue
                batches = cursor.take(most)
                most -= sum(batch.size for batch in batches)
                taken.append((cursor, cursor.turn, batches))
        for cursor, _, _ in taken:
            self._to_the_end(cursor)
        return taken

    def _to_the_end(self, cursor):
        """Lets the other partitions of the topic come first next time."""
        cursors = self.cursors[cursor.topic]
        cursors[cursor.partition] = cursors.pop(cursor.partition)

    # -- waiting --

    @gen.coroutine
    def wait(self, topic, seconds):
        """Waits until something happened that a consume() of the topic should look at, or the time is over."""
        future = concurrent.Future()
        self._waiters[topic].append(future)
        self.hungry[topic] += 1
        timer = self.consumer.io_loop.call_later(seconds, settle, future)
        try:
            self.pump()
            yield future
        finally:
            self.consumer.io_loop.remove_timeout(timer)
            self.hungry[topic] -= 1
            waiters = self._waiters.get(topic, [])
            if future in waiters:
                waiters.remove(future)

    def wake(self, topic=None):
        """Lets those who wait for a topic, or all, look again."""
        for name in [topic] if topic is not None else list(self._waiters):
            waiters, self._waiters[name] = self._waiters[name], []
            for future in waiters:
                settle(future)

    # -- sending --

    def pump(self):
        """Sends every fetch that is worth sending now."""
        consumer = self.consumer
        if consumer.closing or self.suspended or consumer.io_loop is None:
            return
        now = monotonic()
        leaders = consumer.cluster.leaders
        wanted, idle = {}, {}
        next_turn = None
        leaderless = False
        for topic, cursors in self.cursors.items():
            hungry = self.hungry[topic]
            topic_leaders = leaders.get(topic, {})
            rest = []
            active = bool(hungry)
            for cursor in cursors.values():
                if cursor.state != READY or cursor.paused:
                    continue
                asked = hungry or cursor.hot
                if cursor.not_before > now:
                    if asked:
                        next_turn = min(next_turn or cursor.not_before, cursor.not_before)
                    continue
                leader = topic_leaders.get(cursor.partition)
                if cursor.replica is not None:
                    leader = self.source(cursor, leader, now)
                if leader is None or leader not in consumer.cluster.conns:
                    leaderless = leaderless or asked
                elif asked:
                    active = True
                    wanted.setdefault(leader, []).append(cursor)
                else:
                    rest.append((leader, cursor))
            if active:
                for leader, cursor in rest:
                    idle.setdefault(leader, []).append(cursor)
        for leader, cursors in wanted.items():
            self._send(leader, cursors, idle.get(leader, []))
        if leaderless:
            self.heal()
        if next_turn is not None and self._timer is None:
            self._timer = consumer.io_loop.call_later(max(0.001, next_turn - now), self._on_timer)

    def _on_timer(self):
        """A partition's rest is over."""
        self._timer = None
        self.pump()

    def _send(self, leader, cursors, idle):
        """
        Sends one fetch to a leader when a lane and room are free.

        :param idle: other cursors of the same topics, which are not worth a fetch now but may stay in a session
        """
        consumer = self.consumer
        slot = next((slot for slot in SLOTS if (leader, slot) not in self._busy), None)
        if slot is None:
            return
        conn = consumer.cluster[leader]
        if slot == SLOTS[0]:
            if (leader, SLOTS[1]) in self._busy and (
                    self._cold.get(leader, 0) >= WORTH_A_SESSION or not any(cursor.hot for cursor in cursors)):
                return  # idle ones join those of the second lane, soon back, instead of missing them for ever
            if len(cursors) + len(idle) >= WORTH_A_SESSION and conn.reaches("fetch", 7):
                cursors = cursors + idle  # in a session they cost nothing; taking them out and in again would
        else:
            self._cold[leader] = sum(not cursor.hot for cursor in cursors)
        cursors = self.check(conn, cursors)
        if not cursors:
            return
        share = self.share()
        cursors, limit, room = self.fit(conn, cursors, share)
        if not self._make_room(room):
            return
        wait = consumer.max_wait_time if slot == SLOTS[0] else min(BUSY_WAIT, consumer.max_wait_time)
        ticket = object()
        session = self.session(leader) if slot == SLOTS[0] else None
        request = self.request(conn, session, cursors, share, limit, wait)
        for cursor in cursors:
            cursor.send(ticket)
        self._busy.add((leader, slot))
        self._reserved += room
        sent = self._fetch(conn, request, slot, session, cursors, ticket, share)

        def finish(future):
            """The round is over, well or not."""
            self._busy.discard((leader, slot))
            self._reserved -= room
            error = future.exception()
            if error is not None:
                # not a failed request but a mistake in here: it must reach somebody, and the cursors must not hang
                log.error("A fetch ended with an error of kiel's own", exc_info=(type(error), error, None))
                for cursor in cursors:
                    if cursor.awaits(ticket):
                        cursor.failed()
                        cursor.error = error
            # in a turn of its own, after those who waited have taken what came: they are in the next request then
            consumer.io_loop.add_callback(self.pump)

        consumer.io_loop.add_future(sent, finish)

    def _make_room(self, size):
        """
        Whether ``size`` more bytes fit into the consumer's buffer.

        What is buffered for topics that nobody waits for is dropped for those that somebody does; it is fetched again
        when it is wanted.
        """
        bound = self.consumer.buffer_bytes
        buffered = self.buffered
        if not self._reserved and not buffered or self._reserved + buffered + size <= bound:
            return True
        for topic in list(self.cursors):
            if self.hungry[topic] or not any(self.hungry.values()):
                continue
            for cursor in self.of(topic):
                if cursor.state == BUFFERED and cursor.error is None:
                    buffered -= cursor.size
                    cursor.move(cursor.handed)
                    cursor.hot = False
                    if self._reserved + buffered + size <= bound:
                        return True
        return False

    @property
    def buffered(self):
        """Bytes that have come and are not taken yet."""
        return sum(cursor.size for cursors in self.cursors.values() for cursor in cursors.values())

    @gen.coroutine
    def _fetch(self, conn, request, slot, session, cursors, ticket, share):
        """Sends a fetch and deals with its answer, or its failure."""
        try:
            response = yield conn.send(request, lane=slot)
            error = exc.for_code(response.error_code, "fetch from broker %s" % conn.broker_id)
        except exc.KielError as failure:
            response, error = None, failure
            if session is not None:
                session.lost()
        if response is not None and error is not None and session is not None and session.refused(error.code):
            log.info("The fetch session begins anew: %s", error)
            for cursor in cursors:
                if cursor.awaits(ticket) and request.session_epoch > 0:
                    cursor.nothing(cold=not cursor.hot)  # at once, in full
                elif cursor.awaits(ticket):
                    cursor.failed()
            return
        if error is not None:
            self._failed(conn, error, cursors, ticket)
            return
        if request.session_epoch != NO_SESSION:
            session.answered(response.session_id)
        self.consumer.handle_fetch_response(response, ticket, share)

    def _failed(self, conn, error, cursors, ticket):
        """A request for some cursors failed as a whole."""
        if not self.consumer.closing:
            log.warning("Fetch from broker %s failed: %s", conn.broker_id, error)
        self.consumer.last_error = error
        for cursor in cursors:
            if cursor.awaits(ticket):
                cursor.replica = None
                cursor.failed()
                if not error.retriable:
                    cursor.error = error
                    self.wake(cursor.topic)
        self.heal()

    def source(self, cursor, leader, now):
        """Gives the broker to read a partition from: a follower that is nearer, as long as that holds (KIP-392)."""
        if now < cursor.replica_until and cursor.replica in self.consumer.cluster.conns:
            return cursor.replica
        cursor.replica = None
        return leader

    # -- metadata --

    def heal(self):
        """Asks for metadata, one question at a time and not more often than `HEALING` allows."""
        if self._healing is not None or self.consumer.closing:
            return
        self._healing = self._heal()
        self.consumer.io_loop.add_future(self._healing, self._healed)

    @gen.coroutine
    def _heal(self):
        """Waits for its turn, then asks."""
        wait = self._heal_after - monotonic()
        if wait > 0:
            yield gen.sleep(wait)
        if self._heal_clock is None or wait < -10:  # a quiet time has passed
            self._heal_clock = HEALING.start()
        self._heal_after = monotonic() + self._heal_clock.delay()
        try:
            yield self.consumer.cluster.heal()
        except exc.KielError as error:
            self.consumer.last_error = error
            log.warning("The cluster could not be asked again: %s", error)

    def _healed(self, future):
        """Metadata came, or nobody answered."""
        self._healing = None
        if future.exception() is not None:
            log.error("Healing failed: %r", future.exception())
        self.pump()

    def stop(self):
        """Gives up everything; those who wait look again."""
        for topic in list(self.cursors):
            for partition in list(self.cursors.get(topic, {})):
                self.revoke(topic, partition)
        if self._timer is not None:
            self.consumer.io_loop.remove_timeout(self._timer)
            self._timer = None
        self.wake()
