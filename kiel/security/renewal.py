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

#: the part of a session after which a connection without new credentials is closed: a broker that ends it by itself
#: throws away what is on its way
LAST = 0.98


class Renewal(object):
    """
    The session of one connection, renewed again and again.

    What happens, in order: the credentials are asked for, while requests go on. Requests that come from then on are
    held back. The login follows those under way, which the broker answers first, as always. When it is through, what
    was held back goes out in its order.

    :param conn: the `kiel.connection.Connection`
    """

    def __init__(self, conn):
        self._conn = conn
        self._timer = None
        self._deadline = 0.0
        #: seconds that the last session had when it began; 0 for one without end
        self.lifetime = 0

    def start(self, lifetime):
        """Note that a session has begun that ends in so many seconds; 0 for never."""
        self.lifetime = lifetime
        if lifetime > 0:
            self._deadline = monotonic() + lifetime * LAST
            self._timer = self._conn.io_loop.call_later(lifetime * random.uniform(*SHARE), self._begin)

    def stop(self):
        """Renew no more: the connection has ended."""
        if self._timer is not None:
            self._conn.io_loop.remove_timeout(self._timer)
            self._timer = None

    def _begin(self):
        self._timer = None
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
                log.warning("%r could not log in anew and is closed: %s", conn, error)
                # a passing error for those who wait: the next connection's login tells what is wrong
                conn.fail(exc.BrokerConnectionError(
                    conn.host, conn.port, conn.broker_id, cause=error, hint="the session could not be renewed"))
            return
        if not conn.closing:
            log.debug("%r has logged in anew", conn)
            self.start(lifetime)
            conn.release()

    @gen.coroutine
    def _first_token(self, login):
        """Return the first token of a login; where there are no credentials yet they are asked for until the end."""
        clock = PAUSE.start()
        limit = self._deadline - monotonic()
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
                if self._conn.closing or monotonic() + pause > self._deadline:
                    raise
                log.warning("%r can't log in anew yet: %s", self._conn, error)
                yield gen.sleep(pause)
                limit = max(0.0, self._deadline - monotonic())
            else:
                raise gen.Return(token)


__all__ = ["Renewal"]
