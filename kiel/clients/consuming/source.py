"""Fetching from one broker: its two lanes, its fetch session, and what becomes of each request."""
from __future__ import absolute_import

import logging

from kiel import exc
from kiel.broker import failed
from kiel.clients import observed
from kiel.clients.consuming.fetch import LEAST_LIMIT, Fetch
from kiel.clients.consuming.fetch_session import NO_SESSION, FetchSession
from kiel.retry import monotonic

log = logging.getLogger(__name__)

FETCH_FAILED = "Fetch from broker %s failed: %s"

#: Lanes of fetches to one broker. While the first holds a long poll of idle partitions, the second serves the busy
#: ones, with a short wait so that they join the first again when they fall idle. Where answers are full, each serves
#: half of those that are behind: one answer is read while the other is on its way.
LANES = ("fetch", "fetch-busy")

#: milliseconds that a fetch on the second lane waits for data
BUSY_WAIT = 50

#: Seconds from which on it takes long until an answer begins to come: then fetches that bring more are worth it. Beside
#: a broker on the same machine (0.3 to 0.7 ms) they are not: what is read has left the processor's cache by then, and
#: half of the speed with it.
LONG = 0.0012

#: how many times as much the next brings
GROWTH = 4

#: about how many answers it takes until a broker is believed to be further away than was thought
MEMORY = 16

#: The first versions of Fetch in which a fetch bounds the whole answer, in which there are sessions (KIP-227), in which
#: the broker compares the epoch of what was fetched last (KIP-595), and in which topics go by their ids (KIP-516)
WITH_BOUND, WITH_SESSIONS, WITH_EPOCHS, BY_ID = 3, 7, 12, 13

#: Partitions in one fetch from which on a session is worth it: brokers keep no more than 1000 sessions in all.
WORTH_A_SESSION = 8


class Source(object):
    """
    One broker that partitions are read from, as their leader or as a follower nearby.

    :param broker_id: the broker
    :param client: the `kiel.clients.consumer.BaseConsumer` whose connections are used
    :param limits: has ``max_wait_time``, ``min_bytes``, ``max_bytes``, ``buffer_bytes``, ``isolation_level`` and
        ``rack_id``, read for each request
    :param fetcher: the `kiel.clients.consuming.fetcher.Fetcher` that this is part of: its buffer, its next round
    :param validator: the `kiel.clients.consuming.log_validator.LogValidator`
    """

    def __init__(self, broker_id, client, limits, fetcher, validator):
        self.broker_id = broker_id
        self.client = client
        self.limits = limits
        self.fetcher = fetcher
        self.validator = validator
        #: lane -> the `Fetch` under way
        self.under_way = {}
        #: the session of the first lane, on which idle partitions wait; what the second asks for changes each time.
        #: None until one is worth it
        self.session = None
        #: how many partitions without news the second lane holds
        self._cold = 0
        #: bytes that one fetch may bring, where a round trip takes so long that the usual ones would not fill it
        self._grown = 0
        #: about the least seconds until a full answer begins to come; None before the first
        self._distance = None
        #: whether the last answer brought as much as it might
        self._full = False

    def fetch(self, cursors, idle):
        """
        Send a fetch, or one on each lane, when lanes and room in the buffer are free.

        :param cursors: those that are worth a fetch now; those whose messages wait to be taken come last
        :param idle: others of the same topics, which are not worth a fetch now but may stay in a session
        """
        free = [lane for lane in LANES if lane not in self.under_way]
        if not free:
            return
        conn = self.client.cluster.conns[self.broker_id]
        share = self._share()
        if cursors[-1].size:
            cursors = self._in_turn(cursors, share)
            if not cursors:
                return
        if self._should_join(cursors):
            return
        for lane, part in self._by_lane(free, cursors):
            self._begin(conn, lane, part, idle, share)

    def _by_lane(self, free, cursors):
        """Return ``(lane, cursors)`` of the fetches to send: one, or two where there is more than a fetch can bring."""
        if self._full and len(free) == len(LANES):
            second = set([cursor for cursor in cursors if cursor.behind][1::2])
            if second:
                return zip(LANES, ([cursor for cursor in cursors if cursor not in second],
                                   [cursor for cursor in cursors if cursor in second]))
        return [(free[0], cursors)]

    def _begin(self, conn, lane, cursors, idle, share):
        """Send one fetch, if there is room for it in the buffer."""
        opened = self._opened(conn, lane)
        serves = opened.wire.highest("fetch")
        if lane == LANES[1]:
            self._cold = sum(not cursor.hot for cursor in cursors)
        elif len(cursors) + len(idle) >= WORTH_A_SESSION and serves >= WITH_SESSIONS:
            cursors = cursors + idle  # in a session they cost nothing; taking them out and in again would
        if serves < WITH_EPOCHS:
            cursors = self.validator.check(conn, cursors)
        if not cursors:
            return
        most = self._wanted(share)
        if most > share and self.fetcher.room < most:
            if any(fetch.busy for fetch in self.under_way.values()):
                return  # that is soon here, and what is in the buffer soon taken: a fetch of little would take as long
            most = max(share, self.fetcher.room)
        fetch = Fetch(cursors, most, serves < WITH_BOUND, self.limits.buffer_bytes, share)
        if self.fetcher.reserve(fetch.room):
            self._send(conn, lane, opened, fetch, serves)

    @staticmethod
    def _opened(conn, lane):
        """Return the `kiel.connection.Connection` of a lane; where it is not open, the broker, which opens it."""
        opened = conn.lanes.get(lane)
        return conn if opened is None or not opened.ready else opened

    def _in_turn(self, cursors, share):
        """
        Return those that may be asked for, though messages of some wait to be taken: the fewer bytes, the earlier.

        Of none there is much more in the buffer than one answer, while another is under way. And none is asked for
        ahead while the application has more to read than two answers bring: what lies about for longer is cold when it
        is read.
        """
        most = self._wanted(share)
        if self.fetcher.buffered >= 2 * most * len(self.fetcher.sources):
            return [cursor for cursor in cursors if not cursor.size]
        return sorted((cursor for cursor in cursors if cursor.size < 2 * most), key=lambda cursor: cursor.size)

    def _should_join(self, cursors):
        """
        Return whether partitions wait for those on the other lane, soon back, and join them in one request.

        Those without news join in one long poll. Sent now, the two would miss each other for ever: while one is under
        way, only the other is free.
        """
        for cursor in cursors:
            if cursor.behind:
                return False
        for fetch in self.under_way.values():
            if fetch.busy:
                return True
        return LANES[1] in self.under_way and (
            self._cold >= WORTH_A_SESSION or not any(cursor.hot for cursor in cursors))

    def _share(self):
        """Return the bytes that one fetch may bring: `max_bytes`, or less where many leaders share `buffer_bytes`."""
        leaders = max(1, len(self.client.cluster.conns))
        most = self.limits.max_bytes
        return min(most, max(LEAST_LIMIT, self.limits.buffer_bytes // (2 * len(LANES) * leaders)))

    def _most(self):
        """The bytes that one fetch may grow to: the buffer takes as much again, and other leaders have their part."""
        return self.limits.buffer_bytes // (2 * len(self.fetcher.sources))

    def _wanted(self, share):
        """Return the bytes that one fetch should bring."""
        return share if (self._distance or 0) <= LONG else max(share, min(self._grown, self._most()))

    def _adapt(self, fetch):
        """
        Ask for more where full answers are waited for, and it is the way that takes the time, not what comes over it.
        Ask for less again where they come faster than they are taken.
        """
        self._full = fetch.full
        if not fetch.full:
            return
        if self._distance is None:
            conn = self.client.cluster.conns.get(self.broker_id)
            # the first answer alone does not tell: the lane was to be opened, the broker to read from its disk
            self._distance = min(fetch.waited, getattr(conn, "round_trip", None) or fetch.waited)
        elif fetch.waited < self._distance:
            self._distance = fetch.waited
        elif fetch.starved and fetch.idle > self._distance:  # the rest may be what the loop was at when it came
            self._distance += (fetch.idle - self._distance) / MEMORY
        if fetch.starved and self._distance > LONG and fetch.took < self._distance:
            self._grown = max(self._grown, min(GROWTH * fetch.share, self._most()))
        elif self._grown and not fetch.starved and self.fetcher.buffered > 2 * fetch.share:
            self._grown //= 2

    def _send(self, conn, lane, opened, fetch, serves):
        wait = self.fetcher.patience(fetch.cursors)
        if lane != LANES[0]:
            wait = min(BUSY_WAIT, wait)
        session = self._session_of(lane, fetch, serves)
        fetch.ask(self.client.cluster, self.limits, wait, serves >= WITH_EPOCHS, session, serves >= BY_ID)
        for cursor in fetch.cursors:
            cursor.send(fetch)
        fetch.sent = monotonic()
        fetch.due = fetch.sent + wait / 1000.0
        self.under_way[lane] = fetch

        def hear(response):
            """The answer came in this turn of the loop: who waits for messages looks for them in the next."""
            fetch.came(conn.lanes[lane].stream.began, self.fetcher.waiting_since)
            self._answered(conn, lane, fetch, session, response)

        fetch.request.on_answer = hear
        try:
            future = conn.send(fetch.request, lane) if opened is conn else opened.send(fetch.request)
        except Exception as error:
            future = failed(error)
        self.client.io_loop.add_future(future, lambda _: self._ended(conn, lane, fetch, session, future))

    def _session_of(self, lane, fetch, serves):
        """Return the session that a fetch is part of: the first lane's, once it is worth it (Kafka 1.1 and later)."""
        worth = len(fetch.cursors) >= WORTH_A_SESSION
        if self.session is None and not worth:
            return None
        if lane != LANES[0] or serves < WITH_SESSIONS:
            return None
        if self.session is None:
            self.session = FetchSession()
        return self.session if worth or self.session.open else None

    def _answered(self, conn, lane, fetch, session, response):
        """Deal with the answer to a fetch."""
        try:
            self._handle(conn, fetch, session, response)
        except Exception as error:
            self._broken(fetch, error)
        finally:
            self._over(lane, fetch)

    def _ended(self, conn, lane, fetch, session, future):
        """A fetch has ended: by an answer that was dealt with when it came, or otherwise."""
        if self.under_way.get(lane) is not fetch:
            return
        error = future.exception()
        if error is None:  # by a connection of the application's own
            self._answered(conn, lane, fetch, session, future.result())
            return
        if isinstance(error, exc.KielError):
            if session is not None:
                session.lost()
            self.failed(error, fetch.awaiting())
        else:
            self._broken(fetch, error)
        self._over(lane, fetch)

    def _handle(self, conn, fetch, session, response):
        """Take in what a fetch brought."""
        if response.error_code:
            where = "fetch from broker %s" % conn.broker_id
            self._refused(exc.for_code(response.error_code, where, response.api), fetch, session)
            return
        if fetch.request.session_epoch != NO_SESSION:
            session.answered(response.session_id)
        if self.client.cluster.settings.hooks is not None:
            observed.fetch_answered(self.client.cluster.settings.hooks, conn.broker_id, response, fetch)
        if self.client.cluster.outage.troubles:
            self.client.cluster.reached(conn, FETCH_FAILED, self.broker_id)
        self.fetcher.responses.handle(response, fetch)
        self._adapt(fetch)

    def _refused(self, error, fetch, session):
        """The broker answered with an error of the fetch as a whole."""
        if session is None or not session.refused(error.code):
            self.failed(error, fetch.awaiting())
            return
        log.info("The fetch session with broker %s is started again: %s", self.broker_id, error)
        for cursor in fetch.awaiting():
            if fetch.request.session_epoch > 0:
                cursor.nothing(cold=not cursor.hot)  # at once, in full
            else:
                cursor.failed()

    def failed(self, error, cursors):
        """A request for some cursors failed as a whole."""
        if not self.client.closing:
            self.client.cluster.warn(FETCH_FAILED, self.broker_id, error)
        self.client.last_error = error
        if self.client.cluster.settings.hooks is not None:
            observed.failed(self.client.cluster.settings.hooks, error)
        for cursor in cursors:
            cursor.replica = None
            cursor.failed()
            if not error.retriable and not cursor.holds:
                self.fetcher.fail(cursor, error)
        self.fetcher.refresh_metadata()

    def _broken(self, fetch, error):
        """Not a failed request but a mistake in here: it must reach somebody, and the cursors must not hang."""
        log.error("Fetch from broker %s ended with an unexpected error", self.broker_id,
                  exc_info=(type(error), error, None))
        for cursor in fetch.awaiting():
            cursor.failed()
            self.fetcher.fail(cursor, error)

    def _over(self, lane, fetch):
        """The round is over, well or not."""
        del self.under_way[lane]
        fetch.request.on_answer = None  # which knows the fetch in turn
        self.fetcher.release(fetch.room)
        self.fetcher.wake_overdue()
        # in a turn of its own, after those who waited have taken what came: they are in the next request then
        self.client.io_loop.add_callback(self.fetcher.pump)
