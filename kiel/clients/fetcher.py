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
from kiel.protocol import fetch
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: Lanes of fetches to one broker. While the first holds a long poll of idle partitions, the second serves the busy
#: ones, with a short wait so that they join the first again when they fall idle.
SLOTS = ("fetch", "fetch-busy")

#: milliseconds that a fetch on the second lane waits for data
BUSY_WAIT = 50

#: the least bytes that a fetch asks for; anything smaller makes no progress
LEAST_LIMIT = 16 * 1024

#: the least bytes that a partition is asked for, where only the partitions' own limits bound an answer
LEAST_SHARE = 1024

#: how often metadata is asked for while a partition has no leader
HEALING = Backoff(first=0.1, most=2.0, deadline=None)


class Fetcher(FetchAnswers):
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
        self._waiters = collections.defaultdict(list)
        self._busy = set()
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
        timer = self.consumer.io_loop.call_later(seconds, _finish, future)
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
                _finish(future)

    # -- sending --

    def pump(self):
        """Sends every fetch that is worth sending now."""
        consumer = self.consumer
        if consumer.closing or self.suspended or consumer.io_loop is None:
            return
        now = monotonic()
        leaders = consumer.cluster.leaders
        wanted = {}
        next_turn = None
        leaderless = False
        for topic, cursors in self.cursors.items():
            hungry = self.hungry[topic]
            topic_leaders = leaders.get(topic, {})
            for cursor in cursors.values():
                if cursor.state != READY or cursor.paused or not (hungry or cursor.hot):
                    continue
                if cursor.not_before > now:
                    next_turn = min(next_turn or cursor.not_before, cursor.not_before)
                    continue
                leader = topic_leaders.get(cursor.partition)
                if leader is None or leader not in consumer.cluster.conns:
                    leaderless = True
                    continue
                wanted.setdefault(leader, []).append(cursor)
        for leader, cursors in wanted.items():
            self._send(leader, cursors)
        if leaderless:
            self.heal()
        if next_turn is not None and self._timer is None:
            self._timer = consumer.io_loop.call_later(max(0.001, next_turn - now), self._on_timer)

    def _on_timer(self):
        """A partition's rest is over."""
        self._timer = None
        self.pump()

    def _send(self, leader, cursors):
        """Sends one fetch to a leader when a lane and room are free."""
        consumer = self.consumer
        slot = next((slot for slot in SLOTS if (leader, slot) not in self._busy), None)
        if slot is None:
            return
        if slot == SLOTS[0] and (leader, SLOTS[1]) in self._busy and not any(cursor.hot for cursor in cursors):
            return  # idle ones join those of the second lane, soon back, instead of missing them for ever
        conn = consumer.cluster[leader]
        share = self.share()
        cursors, limit, room = self._fit(conn, cursors, share)
        if not self._make_room(room):
            return
        wait = consumer.max_wait_time if slot == SLOTS[0] else min(BUSY_WAIT, consumer.max_wait_time)
        ticket = object()
        request = self._request(cursors, share, limit, wait)
        for cursor in cursors:
            cursor.send(ticket)
        self._busy.add((leader, slot))
        self._reserved += room
        sent = self._fetch(conn, request, slot, cursors, ticket, share)

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

    def share(self):
        """The bytes that one fetch may bring: `max_bytes`, or less where many leaders share `buffer_bytes`."""
        consumer = self.consumer
        leaders = max(1, len(consumer.cluster.conns))
        return max(LEAST_LIMIT, min(consumer.max_bytes, consumer.buffer_bytes // (2 * len(SLOTS) * leaders)))

    def _fit(self, conn, cursors, share):
        """
        Gives the cursors that one fetch may ask for, the limit of each, and the bytes that may come.

        From version 3 on the broker keeps to the limit of the fetch as a whole. Before, it takes each partition's for
        itself: then the share is divided among them, and of those that need more, one goes at a time.
        """
        if conn.wire.supports("fetch", 3):
            return cursors, share, share
        limit = max(LEAST_SHARE, share // len(cursors))
        larger = [cursor for cursor in cursors if cursor.limit > limit]
        room = limit * len(cursors)
        if larger:
            cursors = [cursor for cursor in cursors if cursor is larger[0] or cursor.limit <= limit]
            # no more than half of the buffer: with the shares of all other fetches it could never be had
            room = max(share, min(room + larger[0].limit, self.consumer.buffer_bytes // 2))
        return cursors, limit, room

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

    def _request(self, cursors, share, limit, wait):
        """Makes one fetch for several cursors."""
        consumer = self.consumer
        topics = collections.OrderedDict()
        for cursor in cursors:
            topics.setdefault(cursor.topic, []).append(fetch.PartitionRequest(
                partition_id=cursor.partition, offset=cursor.position, max_bytes=max(limit, cursor.limit)
            ))
        ids = consumer.cluster.topic_ids
        request = fetch.FetchRequest(
            max_wait_time=wait, min_bytes=consumer.min_bytes, max_bytes=share,
            isolation_level=consumer.isolation_level,
            topics=[
                fetch.TopicRequest(name=topic, topic_id=ids.get(topic, NO_ID), partitions=partitions)
                for topic, partitions in topics.items()
            ]
        )
        if any(topic not in ids for topic in topics):
            request.narrow = (request.version_range[0], 12)  # from 13 on topics go by their ids alone (KIP-516)
        return request

    @gen.coroutine
    def _fetch(self, conn, request, slot, cursors, ticket, share):
        """Sends a fetch and deals with its answer, or its failure."""
        try:
            response = yield conn.send(request, lane=slot)
            error = exc.for_code(response.error_code, "fetch from broker %s" % conn.broker_id)
        except exc.KielError as failure:
            response, error = None, failure
        if error is not None:
            if not self.consumer.closing:
                log.warning("Fetch from broker %s failed: %s", conn.broker_id, error)
            self.consumer.last_error = error
            for cursor in cursors:
                if cursor.awaits(ticket):
                    cursor.failed()
                    if not error.retriable:
                        cursor.error = error
                        self.wake(cursor.topic)
            self.heal()
            return
        self.consumer.handle_fetch_response(response, ticket, share)

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


#: the topic id of a topic that has none
NO_ID = b"\0" * 16


def _finish(future):
    """Resolves a Future, unless that has happened."""
    if not future.done():
        future.set_result(None)
