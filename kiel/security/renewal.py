"""Logging in anew over a connection that stays open, before the broker ends its session (KIP-368)."""
from __future__ import absolute_import

import logging
import random

from tornado import gen

from kiel import exc
from kiel.events import ignore, within
from kiel.retry import monotonic
from kiel.security.login import Login
from kiel.security.login_pause import PAUSE

log = logging.getLogger(__name__)

#: the part of a session after which a login is begun: a range, so that connections don't do it all at once
SHARE = (0.85, 0.95)

#: seconds before the end of a session by which a login is begun at the latest, unless the session is very short
MARGIN = 1.0

#: the part of a session after which nothing more goes out in it, and a connection without new credentials is closed: a
#: broker that ends it by itself throws away what is on its way
LAST = 0.98

#: a very short session has its login begun after half of it
HALF = 0.5


def beginning(lifetime):
    """
    Return the seconds of a session after which its login is begun.

    :param lifetime: seconds of the session

    >>> 8.5 <= beginning(10) <= 9.0, 3060 <= beginning(3600) <= 3420, beginning(1)
    (True, True, 0.5)
    """
    return lifetime * min(random.uniform(*SHARE), max(HALF, 1 - MARGIN / lifetime))


class Renewal(object):
    """
    The session of one connection, renewed again and again.

    What happens, in order: the credentials are asked for, while requests go on. Requests that come from then on are
    held back. The login follows those under way, which the broker answers first, as always. When it is through, what
    was held back goes out in its order.

    A loop that is blocked has its timers late. So the connection asks `over` before it writes, and calls `hurry`.

    :param conn: the `kiel.connection.Connection`
    """

    def __init__(self, conn):
        self._conn = conn
        self._timer = None
        self._renewing = False
        #: when the last login's decisive token went out, by `kiel.retry.monotonic`: the session is no older
        self.since = 0.0
        #: the time from which on nothing may go out but a login; 0 when there is none
        self.deadline = 0.0
        #: seconds that the last session had when it began; 0 for one without end
        self.lifetime = 0

    def start(self, lifetime, since):
        """
        Note that a session has begun.

        :param lifetime: the seconds after which it ends; 0 for never
        :param since: from when on they count, by `kiel.retry.monotonic`
        """
        self.lifetime, self.since = lifetime, since
        self.deadline = since + lifetime * LAST if lifetime > 0 else 0.0
        if lifetime > 0:
            due = since + beginning(lifetime) - monotonic()
            self._timer = self._conn.io_loop.call_later(max(0.0, due), self._begin)

    def over(self):
        """Return whether the session is as good as over: nothing more may go out in it."""
        return 0 < self.deadline <= monotonic()

    def hurry(self):
        """Hold requests back at once, and log in anew: the timer is late."""
        self._conn.hold()
        if not self._renewing:
            self.stop()
            self._begin()

    def stop(self):
        """Renew no more: the connection has ended."""
        if self._timer is not None:
            self._conn.io_loop.remove_timeout(self._timer)
            self._timer = None

    def _begin(self):
        self._timer = None
        self._renewing = True
        ignore(self._renew())

    @gen.coroutine
    def _renew(self):
        conn = self._conn
        login = Login(conn)
        try:
            token = yield self._first_token(login)
            if conn.closing:
                return
            conn.hold()
            lifetime = yield login.exchange(token)
        except exc.KielError as error:
            if not conn.closing:
                log.warning("%r could not re-authenticate and is closed: %s", conn, error)
                # a passing error for those who wait: the next connection's login tells what is wrong
                conn.fail(exc.BrokerConnectionError(
                    conn.host, conn.port, conn.broker_id, cause=error, hint="the session could not be renewed"))
            return
        if not conn.closing:
            log.debug("%r has re-authenticated", conn)
            self._renewing = False
            self.start(lifetime, login.sent)
            conn.release()

    @gen.coroutine
    def _first_token(self, login):
        """Return the first token of a login; where there are no credentials yet they are asked for until the end."""
        clock = PAUSE.start()
        limit = self.deadline - monotonic()
        if limit <= 0:  # the loop was blocked: brokers still take a login, but nothing else before it
            self._conn.hold()
            limit = self._conn.settings.connect_timeout
        while True:
            try:
                token = yield within(limit, login.begin())
            except gen.TimeoutError:
                raise exc.CredentialsError("no credentials before the session ends")
            except exc.KielError as error:
                pause = clock.delay()
                if self._conn.closing or monotonic() + pause > self.deadline:
                    raise
                log.warning("%r can't re-authenticate yet: %s", self._conn, error)
                yield gen.sleep(pause)
                limit = max(0.0, self.deadline - monotonic())
            else:
                raise gen.Return(token)


__all__ = ["Renewal"]
