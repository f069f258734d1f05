"""A transaction as a block of code."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients.producing.producer_state import BROKEN, OPEN

log = logging.getLogger(__name__)


class TransactionScope(object):
    """
    What ``producer.transaction()`` returns: committed at the end of its block, aborted where an exception leaves it.

    In ``async with`` both are waited for. A plain ``with`` can't wait: it needs ``with (yield scope)``, and sets off
    the end, whose `outcome` is to be yielded after the block. A transaction that can't be committed is aborted.

    :param producer: the `kiel.clients.producer.Producer`
    :param begin: begins a transaction; returns a Future of what it is passed
    """

    def __init__(self, producer, begin):
        self._producer = producer
        self._begin = begin
        self._begun = False
        self._end = None
        self._watched = False

    def future(self):
        """Begin the transaction; return a Future of this object. It is what yielding or awaiting the object does."""
        future = self._begin(self)
        future.add_done_callback(self._on_begun)
        return future

    def _on_begun(self, future):
        self._begun = not future.cancelled() and future.exception() is None

    def __await__(self):
        return self.future().__await__()

    def outcome(self):
        """
        Return a Future of the end that the block's own set off; done when the transaction is committed or aborted.

        :raises kiel.exc.KielError: what kept it from being committed
        """
        if self._end is None:
            raise RuntimeError("the transaction's block has not ended yet")
        self._watched = True
        return self._end

    def __enter__(self):
        if not self._begun:
            raise RuntimeError("a transaction has to begin first: with (yield producer.transaction())")
        return self

    def __exit__(self, kind, error, trace):
        self._end = self._close(kind is not None)
        self._end.add_done_callback(self._ended)
        return False

    def __aenter__(self):
        return self.future()

    def __aexit__(self, kind, error, trace):
        return self._close(kind is not None)

    @gen.coroutine
    def _close(self, failed):
        """Commit or abort; an error of an abort is logged, as there is another to be told."""
        producer = self._producer
        if failed:
            if producer.identity.state in (OPEN, BROKEN):
                yield self._abort()
            raise gen.Return(False)
        if producer.identity.transactional and producer.identity.state not in (OPEN, BROKEN):
            raise gen.Return(False)  # ended by hand
        failure = None
        try:
            yield producer.commit()
        except exc.KielError as error:
            failure = error
        if failure is not None:
            if producer.identity.state == BROKEN:
                yield self._abort()
            raise failure
        raise gen.Return(False)

    @gen.coroutine
    def _abort(self):
        """Abort; the brokers do it themselves after the transaction's time-out where that fails."""
        try:
            yield self._producer.abort()
        except exc.KielError as error:
            log.warning("A transaction could not be aborted: %s", error)

    def _ended(self, future):
        """The end is over: log an error that nobody waits for."""
        error = None if future.cancelled() else future.exception()
        if error is not None and not self._watched:
            log.error("A transaction was not committed: %s", error)


def _to_future(scope):
    """Let coroutines yield a scope."""
    return scope.future()


gen.convert_yielded.register(TransactionScope, _to_future)
