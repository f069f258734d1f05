"""How long a member may believe that it is in, without ZooKeeper saying so."""
from __future__ import absolute_import

import logging

from tornado import ioloop

from kiel import retry


log = logging.getLogger(__name__)

#: parts of the session time-out: how often the server should be asked, and how old its last good answer may
#: be
ASK_EVERY = 0.2
GOOD_FOR = 0.8


class Lease(object):
    """
    Doubt about a session: said by kazoo when the connection is lost, or concluded from the clock.

    ZooKeeper ends a session no sooner than its time-out after it last heard of it. So an answer is good for
    that long from when the question was asked, whoever stood still or was cut off meanwhile; a process that
    was stopped knows by it, before any thread of its own had a turn, that others may have its partitions by
    now.

    :param session_timeout: seconds
    :param on_doubt: called with the new value when `doubt` changes
    :param on_gone: called when the server answers that this member is not in
    """

    def __init__(self, session_timeout, on_doubt, on_gone):
        self.session_timeout = session_timeout
        self.on_doubt = on_doubt
        self.on_gone = on_gone
        #: the last that `on_doubt` was told
        self.doubt = False
        self._asked_at = None
        self._ask = self._ticker = None

    @property
    def doubtful(self):
        """Whether ownership is in doubt at this very moment."""
        return self.doubt or self.stale

    @property
    def stale(self):
        """Whether the last good answer is too old; never without a session."""
        return (
            self._asked_at is not None
            and retry.monotonic() - self._asked_at > self.session_timeout * GOOD_FOR
        )

    def begin(self, ask, asked_at):
        """
        Begin to ask the server from time to time.

        :param ask: called with a function that takes the answer, True or False; may never call it
        :param asked_at: when the server was asked last with a good answer, by `retry.monotonic`
        """
        self._ask, self._asked_at = ask, asked_at
        self._ticker = ioloop.PeriodicCallback(self._tick, self.session_timeout * ASK_EVERY * 1000)
        self._ticker.start()

    def end(self):
        """Stop checking, since the session has ended; `doubt` stays as it is."""
        if self._ticker is not None:
            self._ticker.stop()
        self._ask = self._ticker = self._asked_at = None

    def ask(self):
        """Ask now, as after the connection came back; a good answer ends the doubt."""
        if self._ask is None:
            return
        ask, asked_at = self._ask, retry.monotonic()

        def on_answer(good):
            # of an earlier session: `end` and `begin` came in between
            if ask is not self._ask:
                return
            if not good:
                self.on_gone()
                return
            self._asked_at = max(asked_at, self._asked_at)
            self.set(self.stale)

        ask(on_answer)

    def _tick(self):
        """Time to look at the clock, and to ask again."""
        if self.stale:
            self.set(True)
        self.ask()

    def set(self, doubt):
        """Set `doubt`, and tell `on_doubt` if it changed."""
        if doubt == self.doubt:
            return
        self.doubt = doubt
        try:
            self.on_doubt(doubt)
        except Exception:
            log.exception("on_pause(%s) failed", doubt)
