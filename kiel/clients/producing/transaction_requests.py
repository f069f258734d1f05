"""How a producer asks the coordinators of its transactions, and what their errors mean for those."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.clients.producing.producer_state import FATAL_ERRORS
from kiel.protocol import coordinator, errors
from kiel.retry import Backoff


class TransactionRequests(object):
    """
    Asks the coordinator of the transactional id, and those of the groups whose offsets belong to the transaction.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param state: the `kiel.clients.producing.producer_state.ProducerState`, which errors are noted in
    """

    def __init__(self, client, state):
        self._client = client
        self._state = state
        self._coordinators = {}  # (key type, key) -> GroupCoordinator

    def signature(self):
        """Return what every request of a transaction carries."""
        state = self._state
        return dict(
            transactional_id=state.transactional_id, producer_id=state.producer_id, producer_epoch=state.epoch
        )

    @gen.coroutine
    def ask(self, make, read, kind=coordinator.TRANSACTION, key=None):
        """
        Ask a coordinator, again while it fails in a passing way; return what ``read`` makes of the answer.

        An error for good is noted in the state, and raised.
        """
        plan = self._client.cluster.settings.retry
        # a transaction just ended is finished by the brokers within milliseconds: CONCURRENT_TRANSACTIONS until then
        plan = Backoff(0.01, plan.most, plan.factor, plan.jitter, plan.deadline)

        @gen.coroutine
        def ask(broker):
            response = yield broker.send(make(broker))
            raise gen.Return(read(response))

        try:
            answer = yield self.coordinator(kind, key).ask(ask, plan=plan)
        except exc.KielError as error:
            raise self._noted(error)
        raise gen.Return(answer)

    def coordinator(self, kind=coordinator.TRANSACTION, key=None):
        """Return the `GroupCoordinator` of a transactional id, by default the producer's, or of a group."""
        key = self._state.transactional_id if key is None else key
        found = self._coordinators.get((kind, key))
        if found is None:
            found = self._coordinators[kind, key] = GroupCoordinator(self._client, key, kind)
        return found

    def _noted(self, error):
        """Let the state know of a coordinator's error; return the error to raise."""
        code = getattr(error, "code", None)
        if code == errors.invalid_producer_epoch:  # what coordinators before 2.7 say instead
            error = exc.ProducerFencedError("another producer uses this transactional id now")
        if code in FATAL_ERRORS:
            self._state.condemn(error)
        elif not error.retriable:
            self._state.spoil(error)
        return error


def first_error(response, **names):
    """
    Return the first error of an answer by partition: the worst first, since those that are retriable may pass.

    :param names: what the request named, see `kiel.exc.for_code`
    """
    found = [
        exc.for_code(
            part.error_code, "%s:%s" % (topic.name, part.partition_id), response.api, topic=topic.name, **names
        )
        for topic in response.topics for part in topic.partitions
        if part.error_code not in (errors.no_error, errors.operation_not_attempted)
    ]
    found.sort(key=lambda error: error.retriable)
    return found[0] if found else None


def level_of(broker):
    """Return the version of the transaction protocol that a broker's cluster has finalized, as far as kiel knows it."""
    if broker.wire.features.get("transaction.version", 0) >= 2 and broker.reaches("end_txn", 5):
        return 2
    return 1
