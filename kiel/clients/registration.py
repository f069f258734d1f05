"""
The producer as brokers know it: its id and epoch, the partitions of its transaction, and the coordinators it asks.
"""
from __future__ import absolute_import

import logging
import random

from tornado import gen

from kiel import exc
from kiel.clients.intake import Intake
from kiel.clients.transaction import ASKING, FATAL_ERRORS, OFF, READY, UNKNOWN, Transaction
from kiel.protocol import add_partitions_to_txn, coordinator, errors, init_producer_id, topic_ids
from kiel.retry import Backoff

log = logging.getLogger(__name__)

#: what a cluster says that does not let a producer be idempotent
REFUSALS = (
    errors.cluster_authorization_failed, errors.unsupported_version, errors.unsupported_for_message_format,
)

#: what ends a transactional producer for good when a broker says it of messages; an epoch that is too old may be no
#: more than an aborted transaction's, and the coordinator knows
FATAL_OF_MESSAGES = (
    errors.producer_fenced, errors.transactional_id_authorization_failed, errors.cluster_authorization_failed,
)


class Registered(Intake):
    """
    A producer's identity: see `kiel.clients.transaction`, which says what follows from what.

    ``identity`` is its `kiel.clients.transaction.Transaction`.
    """

    def identify(self, idempotent, transactional_id=None):
        """Begins without an id; parameters are those of `kiel.clients.producer.Producer`."""
        self.identity = Transaction(idempotent, transactional_id)
        self._asking = None  # the request for an id that is under way
        self._enlisting = None  # the one that adds partitions
        self._wanted = set()  # what it is to add
        self._coordinators = {}  # (key type, key) -> broker id

    # -- what the shipper asks and tells --

    def prepare(self, conn, outboxes):
        """
        Gives a Future of what has to be there before these outboxes are sent to a broker; None when all is.

        :raises kiel.exc.KielError: when they can't be sent at all
        """
        identity = self.identity
        if identity.transactional:
            return self._prepare_transaction(outboxes)
        if identity.state in (OFF, READY):
            return None
        if not conn.wire.reaches("produce", 3):
            if identity.required:
                raise exc.UnsupportedVersionError(
                    "idempotence needs Kafka 0.11 or newer", "produce", (3, 13), conn.wire.versions.get("produce")
                )
            return None
        if identity.state != ASKING:
            self._asking = self._ask_identity(conn)
        return self._asking

    def _prepare_transaction(self, outboxes):
        """`prepare` with a transactional id: the partitions have to belong to the transaction."""
        identity = self.identity
        error = identity.failure()
        if error is not None:
            raise error
        missing = set((outbox.topic, outbox.partition) for outbox in outboxes) - identity.partitions
        if not missing:
            return None
        if identity.level >= 2:
            identity.partitions.update(missing)  # the brokers see to it (KIP-890)
            return None
        self._wanted.update(missing)
        if self._enlisting is None or self._enlisting.done():
            self._enlisting = self._enlist()
        return self._enlisting

    def lost(self, batch, error):
        """A batch is given up."""
        if self.identity.transactional and getattr(error, "code", None) in FATAL_OF_MESSAGES:
            self.identity.condemn(error)
        self.identity.lost(batch, error)
        self.gate()

    def fall_back(self, error):
        """Goes on without idempotence, as nobody insists on it."""
        if self.identity.state != OFF:
            self.identity.refuse()
            log.warning(
                "The cluster does not let this producer be idempotent, so a message may be written twice when an "
                "answer is lost (idempotent=False says that this is meant): %s", error
            )

    @gen.coroutine
    def _ask_identity(self, conn):
        """Asks a broker for a producer id without a transactional id; any will do."""
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

    @gen.coroutine
    def _initialize(self):
        """Sees to an id and epoch from the coordinator, which ends whatever an earlier producer left open."""
        identity = self.identity
        if identity.state == READY:
            conn = yield self._coordinator(coordinator.TRANSACTION, identity.transactional_id)
            if _level(conn) != identity.level:
                identity.go("renewed")
        if identity.state == UNKNOWN:
            identity.go("asked")
            self._asking = self._ask_coordinator_for_identity()
            yield self._asking
        elif identity.state == ASKING:
            yield self._asking

    @gen.coroutine
    def _ask_coordinator_for_identity(self):
        """Asks the transaction coordinator for the id and the next epoch."""
        identity = self.identity
        level = [1]

        def make(conn):
            level[0] = _level(conn)
            request = init_producer_id.InitProducerIdRequest(
                transactional_id=identity.transactional_id, transaction_timeout=int(self.transaction_timeout * 1000)
            )
            if conn.reaches("init_producer_id", 3):  # it tells whether somebody else had a newer epoch (KIP-360)
                request.producer_id, request.producer_epoch = identity.producer_id, identity.epoch
            return request

        try:
            response = yield self._ask(make, lambda response: (
                error_of(response.error_code, "transactional id %s" % identity.transactional_id) or response
            ))
        except Exception:
            if identity.state == ASKING:
                identity.go("failed")
            raise
        identity.given(response.producer_id, response.producer_epoch)
        identity.level = level[0]

    @gen.coroutine
    def _enlist(self):
        """Adds partitions to the transaction, also those that are wanted meanwhile."""
        identity = self.identity
        try:
            while self._wanted:
                keys = sorted(self._wanted)
                topics = topic_ids.by_topic(add_partitions_to_txn.TopicRequest, keys)
                yield self._ask(lambda conn: add_partitions_to_txn.AddPartitionsToTxnRequest(
                    topics=topics, **self._signature()
                ), first_error)
                identity.partitions.update(keys)
                self._wanted.difference_update(keys)
        finally:
            self._wanted.clear()

    # -- coordinators --

    def _signature(self):
        """What every request of a transaction carries."""
        identity = self.identity
        return dict(
            transactional_id=identity.transactional_id, producer_id=identity.producer_id,
            producer_epoch=identity.epoch
        )

    @gen.coroutine
    def _ask(self, make, read, kind=coordinator.TRANSACTION, key=None):
        """
        Asks a coordinator, again and again while it fails in a passing way; gives what ``read`` makes of the answer.

        An error for good is noted in the identity, and raised.
        """
        identity = self.identity
        key = identity.transactional_id if key is None else key
        # a transaction just ended is finished by the brokers within milliseconds: CONCURRENT_TRANSACTIONS until then
        plan = Backoff(0.01, self.retry.most, self.retry.factor, self.retry.jitter, self.retry.deadline)

        @gen.coroutine
        def ask(_):
            """One round."""
            conn = yield self._coordinator(kind, key)
            response = yield conn.send(make(conn))
            raise gen.Return({key: read(response)})

        answer = (yield self.attempt([key], ask, plan=plan))[key]
        if isinstance(answer, exc.KielError):
            raise self._noted(answer)
        raise gen.Return(answer)

    def _noted(self, error):
        """Lets the identity know of a coordinator's error; gives the error to raise."""
        code = getattr(error, "code", None)
        if code == errors.invalid_producer_epoch:  # what coordinators before 2.7 say instead
            error = exc.ProducerFencedError("another producer has this transactional id now")
        if code in FATAL_ERRORS:
            self.identity.condemn(error)
        elif not error.retriable:
            self.identity.spoil(error)
        self.gate()
        return error

    @gen.coroutine
    def _coordinator(self, kind, key):
        """Gives the broker that coordinates a transactional id or a group, connected."""
        conn = self.cluster.conns.get(self._coordinators.get((kind, key)))
        if conn is None or conn.closing:
            broker_id = yield self._find_coordinator(kind, key)
            conn = self.cluster.conns.get(broker_id)
            if conn is None:
                raise exc.CoordinatorNotAvailableError("broker %s, which coordinates %s, is not known" % (
                    broker_id, key
                ))
            self._coordinators[kind, key] = broker_id
        yield conn.connect()  # what it serves is known while a connection is open
        raise gen.Return(conn)

    @gen.coroutine
    def _find_coordinator(self, kind, key):
        """Asks one broker after the other, in an order of chance; gives an id."""
        error = exc.NoBrokersError("no broker is connected")
        conns = [conn for conn in self.cluster.conns.values() if not conn.closing]
        random.shuffle(conns)
        for conn in conns:
            try:
                response = yield conn.send(coordinator.GroupCoordinatorRequest(group=key, key_type=kind))
            except exc.BrokerConnectionError as failed:
                error = failed
                continue
            error = exc.for_code(response.error_code, "coordinator of %s" % key)
            if error is None:
                raise gen.Return(response.coordinator_id)
            break
        raise error

    def lose_coordinator(self):
        """Forgets the coordinators; they are looked up at the next need."""
        self._coordinators.clear()


def error_of(code, where):
    """The exception of a code, None for 0."""
    return exc.for_code(code, where)


def first_error(response):
    """The first error of an answer by partition: the worst first, since those that can be retried may go away."""
    found = [
        exc.for_code(part.error_code, "%s:%s" % (topic.name, part.partition_id))
        for topic in response.topics for part in topic.partitions
        if part.error_code not in (errors.no_error, errors.operation_not_attempted)
    ]
    found.sort(key=lambda error: error.retriable)
    return found[0] if found else None


def _level(conn):
    """The version of the transaction protocol that a broker's cluster has finalized, as far as kiel knows it."""
    return 2 if conn.wire.features.get("transaction.version", 0) >= 2 and conn.reaches("end_txn", 5) else 1
