"""The side of a producer that asks brokers for its id, and that begins and ends transactions."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients.intake import Intake
from kiel.clients.transaction import ASKING, OFF, READY, Transaction
from kiel.protocol import errors, init_producer_id

log = logging.getLogger(__name__)

#: what a cluster says that does not let a producer be idempotent
REFUSALS = (
    errors.cluster_authorization_failed, errors.unsupported_version, errors.unsupported_for_message_format,
)


class Transactional(Intake):
    """
    A producer's identity: see `kiel.clients.transaction`, which says what follows from what.

    ``identity`` is its `kiel.clients.transaction.Transaction`.
    """

    _asking = None

    def identify(self, idempotent, transactional_id=None):
        """Begins without an id; parameters are those of `kiel.clients.producer.Producer`."""
        self.identity = Transaction(idempotent, transactional_id)
        self._asking = None

    def prepare(self, conn, outboxes):
        """
        Gives a Future of what has to be there before these outboxes are sent to a broker; None when all is.

        :raises kiel.exc.KielError: when they can't be sent at all
        """
        identity = self.identity
        if identity.state == OFF or identity.state == READY and not identity.transactional:
            return None
        if not conn.wire.supports("produce", 3):
            if identity.required:
                raise exc.UnsupportedVersionError(
                    "idempotence needs Kafka 0.11 or newer", "produce", (3, 13), conn.wire.versions.get("produce")
                )
            return None
        if identity.state != ASKING:
            self._asking = self._ask_identity(conn)
        return self._asking

    @gen.coroutine
    def _ask_identity(self, conn):
        """Asks a broker for a producer id; any will do."""
        identity = self.identity
        identity.go("asked")
        error = None
        try:
            response = yield conn.send(init_producer_id.InitProducerIdRequest(
                transactional_id=None, transaction_timeout=0x7fffffff
            ))
            error = exc.for_code(response.error_code, "asked for a producer id")
        except exc.KielError as failed:
            error = failed
        if identity is not self.identity:  # closed meanwhile
            raise error or exc.ClosedError("the producer was closed")
        if error is None:
            identity.given(response.producer_id, response.producer_epoch)
        elif getattr(error, "code", None) in REFUSALS and not identity.required:
            self.fall_back(error)
        else:
            identity.go("failed")
            raise error

    def fall_back(self, error):
        """Goes on without idempotence, as nobody insists on it."""
        if self.identity.state != OFF:
            self.identity.refuse()
            log.warning(
                "The cluster does not let this producer be idempotent, so a message may be written twice when an "
                "answer is lost (idempotent=False says that this is meant): %s", error
            )
