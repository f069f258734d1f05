"""Where an idempotent producer without a transactional id gets its producer id."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients.producing.producer_state import ASKING, OFF
from kiel.protocol import errors, init_producer_id

log = logging.getLogger(__name__)

#: what a cluster says that does not let a producer be idempotent
REFUSALS = (
    errors.cluster_authorization_failed, errors.unsupported_version, errors.unsupported_for_message_format,
)


class ProducerIdRequests(object):
    """
    Asks a broker, any of them, for a producer id.

    :param state: the `kiel.clients.producing.producer_state.ProducerState` that gets it
    """

    def __init__(self, state):
        self._state = state
        self._asking = None  # the Future of the request that is under way

    def ask(self, broker):
        """
        Return a Future of a producer id; None when there is one, or none is needed.

        :raises kiel.exc.UnsupportedVersionError: when an id is required and the broker has none to assign
        """
        state = self._state
        if state.prepared:
            return None
        if not broker.wire.reaches("produce", 3):
            if state.required:
                raise exc.UnsupportedVersionError(
                    "idempotence needs Kafka 0.11 or newer", "produce", (3, 13), broker.wire.versions.get("produce")
                )
            return None
        if state.state != ASKING:
            self._asking = self._ask(broker)
        return self._asking

    @gen.coroutine
    def _ask(self, broker):
        state = self._state
        state.go("asked")
        error = None
        try:
            response = yield broker.send(init_producer_id.InitProducerIdRequest(
                transactional_id=None, transaction_timeout=0x7fffffff
            ))
            error = exc.for_code(response.error_code, "asked for a producer id", response.api)
        except exc.KielError as failed:
            error = failed
        if error is None:
            state.given(response.producer_id, response.producer_epoch)
        elif getattr(error, "code", None) in REFUSALS and not state.required:
            self.fall_back(error)
        else:
            state.go("failed")
            raise error

    def fall_back(self, error):
        """Go on without idempotence, as nobody insists on it."""
        if self._state.state != OFF:
            self._state.refuse()
            log.warning(
                "The cluster does not allow this producer to be idempotent: a message may be written twice when a "
                "response is lost. idempotent=False says that this is intended. The broker's error: %s", error
            )
