"""Commits what is contiguously done: soon after it is, and not more often than that."""
from __future__ import absolute_import

import logging

from tornado import gen, locks

from kiel import exc
from kiel.callbacks import safe_text
from kiel.retry import Backoff
from kiel.worker.output import refuse

log = logging.getLogger(__name__)

#: seconds from a message being done to its offset being committed, together with what is done by then
DELAY = 0.2

#: the pauses after a commit that failed
PATIENCE = Backoff(first=0.5, most=5.0, deadline=None)


class Offsets(object):
    """
    Commits offsets with the consumer: each message at least once.

    :param consumer: the `kiel.clients.grouped.GroupedConsumer`
    """

    #: whether there is so much that it should be committed now
    pressing = False

    #: how often what `kiel.worker.transactions.Transactions` counts has happened
    counts = {}

    #: what is made of what handlers return
    outputs = staticmethod(refuse)

    def __init__(self, consumer):
        self.consumer = consumer

    @property
    def delay(self):
        """Seconds from a message being done to its offset being committed."""
        return DELAY

    def connect(self):
        """There is nothing to connect but the consumer."""
        return gen.maybe_future(None)

    def close(self, seconds):
        """There is nothing to close but the consumer."""
        return gen.maybe_future(None)

    @gen.coroutine
    def commit(self, parts):
        """
        Commit all that is due. Return the error, or None; what is not this member's any more is none.

        :param parts: ``{(topic, partition): kiel.worker.part.Part}`` of this member
        """
        due = dict((part, part.next) for part in parts.values() if part.due)
        if not due:
            raise gen.Return(None)
        offsets = {}
        for part, offset in due.items():
            offsets.setdefault(part.topic, {})[part.partition] = offset
        try:
            yield self.consumer.commit_offsets(offsets=offsets)
        except exc.NotOwnedError as error:
            if error.retriable:  # it is in doubt who owns what
                raise gen.Return(error)
            log.info("%s", error)  # those that are gone; all others are committed
        except Exception as error:
            log.warning("Offsets could not be committed: %s", safe_text(error))
            raise gen.Return(error)
        for part, offset in due.items():
            part.committed = offset
        raise gen.Return(None)


class Commits(object):
    """
    The commits of one worker, one at a time.

    :param store: what commits: `Offsets`, or `kiel.worker.transactions.Transactions`
    :param parts: ``{(topic, partition): kiel.worker.part.Part}``, as it changes
    :param failed: called with an error that the worker can't go on after
    """

    def __init__(self, store, parts, failed):
        self.parts = parts
        #: the loop, while there may be commits by themselves; set by the worker
        self.io_loop = None
        self._store = store
        self._failed = failed
        self._lock = locks.Lock()
        self._timer = None
        #: whether a commit is under way that the timer set off, which looks for more when it ends
        self._under_way = False
        #: whether the last one failed, and the timer is that of its pause
        self._resting = False
        self._clock = PATIENCE.start()

    def mark(self):
        """Some partition has something to commit: see to it soon."""
        if self._under_way or self.io_loop is None:
            return
        if self._timer is None:
            self._timer = self.io_loop.call_later(0 if self._store.pressing else self._store.delay, self._due)
        elif self._store.pressing and not self._resting:
            self.io_loop.remove_timeout(self._timer)
            self._due()

    def stop(self):
        """Commit nothing by itself any more."""
        if self._timer is not None:
            self.io_loop.remove_timeout(self._timer)
        self.io_loop = self._timer = None

    def _due(self):
        self._timer = None
        self._resting = False
        self._under_way = True
        self.io_loop.add_future(self.commit(), self._committed)

    def _committed(self, future):
        """A commit ended; where it failed the next comes after a pause."""
        self._under_way = False
        error = future.result()
        if self.io_loop is None or self._timer is not None:
            return
        if error is not None:
            self._resting = True
            self._timer = self.io_loop.call_later(self._clock.delay(), self._due)
            return
        self._clock.reset()
        if any(part.due for part in self.parts.values()):
            self.mark()

    @gen.coroutine
    def commit(self):
        """Commit all that is due. Return the error, or None; what is not this member's any more is none."""
        with (yield self._lock.acquire()):
            try:
                error = yield self._store.commit(self.parts)
            except Exception as final:
                self._failed(final)
                error = final
        raise gen.Return(error)
