"""Where a transactional producer gets its id and epoch."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.clients.producing.producer_state import ASKING, READY, UNKNOWN
from kiel.clients.producing.transaction_requests import level_of
from kiel.protocol import init_producer_id


class TransactionalId(object):
    """
    Asks the coordinator of a transactional id for a producer id and epoch.

    :param requests: the `kiel.clients.producing.transaction_requests.TransactionRequests`
    :param state: the `kiel.clients.producing.producer_state.ProducerState` that gets them
    :param options: `kiel.clients.producing.options.Options`
    """

    def __init__(self, requests, state, options):
        self._requests = requests
        self._state = state
        self._options = options
        self._initializing = None  # the Future of the request that is under way

    @gen.coroutine
    def initialize(self):
        """
        Get an id and epoch from the coordinator, which ends what an earlier producer left open.

        Nothing is asked when there are an id and an epoch already.
        """
        state = self._state
        if state.state == READY:
            # again and again: where all brokers were away, nothing else has the producer look for them
            broker = yield self._requests.coordinator().ask(gen.maybe_future)
            if level_of(broker) != state.level:
                state.go("renewed")
        if state.state == UNKNOWN:
            state.go("asked")
            self._initializing = self._ask()
            yield self._initializing
        elif state.state == ASKING:
            yield self._initializing

    @gen.coroutine
    def _ask(self):
        state = self._state
        level = [1]

        def make(broker):
            level[0] = level_of(broker)
            request = init_producer_id.InitProducerIdRequest(
                transactional_id=state.transactional_id,
                transaction_timeout=int(self._options.transaction_timeout * 1000)
            )
            if broker.reaches("init_producer_id", 3):  # it tells whether somebody else had a newer epoch (KIP-360)
                request.producer_id, request.producer_epoch = state.producer_id, state.epoch
            return request

        try:
            response = yield self._requests.ask(make, lambda response: (
                exc.for_code(response.error_code, "transactional id %s" % state.transactional_id, response.api,
                             transactional_id=state.transactional_id) or response
            ))
        except Exception:
            if state.state == ASKING:
                state.go("failed")
            raise
        state.given(response.producer_id, response.producer_epoch)
        state.level = level[0]
