"""The side of a producer that begins and ends transactions."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events, exc
from kiel.clients.consuming.cursor import epoch_of
from kiel.clients.delivery import Ticket
from kiel.clients.registration import Registered, error_of, first_error
from kiel.clients.transaction import ABORTING, ASKING, BROKEN, COMMITTING, FATAL, OPEN, READY, UNKNOWN
from kiel.clients.transaction_scope import TransactionScope
from kiel.protocol import add_offsets_to_txn, coordinator, end_txn, topic_ids, txn_offset_commit

log = logging.getLogger(__name__)


class Transactional(Registered):
    """
    The transactions of a producer: see `kiel.clients.transaction` for what follows from what.
    """

    def identify(self, idempotent, transactional_id=None):
        """Begins without an id and without a transaction."""
        super(Transactional, self).identify(idempotent, transactional_id)
        self._ending = self._ending_by = None  # the end that is under way, and the call that it is of
        self._offsets = []  # (consumer, offsets) of the transaction

    def refusal(self):
        """The error of a message that is not accepted now, None if it is."""
        identity = self.identity
        if not identity.transactional or identity.state == OPEN:
            return None
        return identity.failure() or exc.TransactionStateError(
            "a producer with a transactional id produces in a transaction only: begin() comes first"
        )

    # -- transactions --

    def transaction(self):
        """
        A transaction as a block: committed at its end, aborted where an exception leaves it.

        ``async with producer.transaction():``, or, in a coroutine of Python 2 too::

            with (yield producer.transaction()) as transaction:
                yield producer.produce("colors", "red")
            yield transaction.outcome()

        Gives a `kiel.clients.transaction_scope.TransactionScope`.
        """
        return TransactionScope(self)

    @gen.coroutine
    def begin(self):
        """
        Begins a transaction: what is produced from now on is seen by ``read_committed`` consumers when it is committed,
        or never.

        :raises kiel.exc.TransactionStateError: without a ``transactional_id``; while another transaction is open
        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.KielError: when the transaction coordinator can't be reached in time
        """
        self._check("begin", FATAL)
        if self._ending is not None and not self._ending.done():
            try:
                yield self._ending
            except exc.KielError as error:
                log.debug("The transaction before did not end well: %s", error)
        yield self._initialize()
        identity = self._check("begin", OPEN, BROKEN, COMMITTING, ABORTING, FATAL)
        if self.closing:
            raise exc.ClosedError("the producer is closing")
        identity.go("begun")
        self.gate()

    def commit(self):
        """
        Commits the transaction: waits until all its messages are acknowledged, then lets them be seen. Gives a Future.

        When no answer comes within the ``retry`` deadline, its error is raised and it is not known whether the
        transaction was committed; then only ``commit()`` may be called again.

        :raises kiel.exc.TransactionFailedError: when a message or an offset could not be written; nothing is committed,
            and `abort` has to follow
        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.TransactionStateError: when there is no transaction
        """
        return self._finish("commit", "committing", self._commit)

    def abort(self):
        """
        Aborts the transaction: no ``read_committed`` consumer will see any of it. Gives a Future.

        Messages that are not written yet fail with `kiel.exc.TransactionFailedError`. When no answer comes, its error
        is raised, and ``abort()`` may be called again.

        :raises kiel.exc.ProducerFencedError: when another producer has taken over the transactional id
        :raises kiel.exc.TransactionStateError: when there is no transaction
        """
        return self._finish("abort", "aborting", self._abort)

    def _check(self, call, *states):
        """Raises what keeps a call from being made in some states; gives the identity."""
        identity = self.identity
        if not identity.transactional:
            raise exc.TransactionStateError("%s() needs a producer with a transactional_id" % call)
        if identity.state in states:
            if identity.state == FATAL:
                raise identity.error
            raise exc.TransactionStateError("%s() can't be called now: the transaction is %s%s" % (
                call, identity.state, "" if identity.error is None else " (%s)" % identity.error
            ))
        return identity

    @gen.coroutine
    def _finish(self, call, event, work):
        """Ends the transaction, in one run though it be called for twice."""
        while self._ending is not None and not self._ending.done():
            if self._ending_by == call:
                yield self._ending
                return
            try:
                yield self._ending
            except exc.KielError as error:
                log.debug("The end that was under way: %s", error)
        identity = self._check(call, FATAL, ABORTING if call == "commit" else COMMITTING)
        if identity.state in (UNKNOWN, ASKING, READY):
            raise exc.TransactionStateError("%s() can't be called now: there is no transaction" % call)
        if call == "commit" and identity.state == BROKEN:
            raise identity.failure()
        identity.go(event)
        self.gate()
        self._ending_by = call
        self._ending = work()
        yield self._ending

    @gen.coroutine
    def _commit(self):
        """The work of `commit`."""
        identity = self.identity
        try:
            yield self._flush()
        except Exception as error:
            identity.spoil(error)
        self.gate()
        error = identity.failure()
        if error is not None:
            raise error
        yield self._end(True)
        for consumer, offsets in self._offsets:
            consumer.note_committed(offsets)
        self._offsets = []

    @gen.coroutine
    def _abort(self):
        """The work of `abort`."""
        self.refuse_waiting(self.identity.failure())
        # What is under way is waited for; all else fails in `prepare`. Whoever aborts knows that it is not delivered.
        batches = self._shipper.batches()
        ticket = self._watch(Ticket(looks=False))
        self._set_off()
        if ticket.left:
            yield ticket.future
        for batch in batches:
            batch.look()
        yield self._end(False)
        self._offsets = []

    @gen.coroutine
    def _end(self, committed):
        """Ends the transaction at its coordinator, if that knows of one."""
        identity = self.identity
        self._wanted.clear()
        ended = (-1, -1)
        if (identity.partitions or identity.groups) and not identity.forgotten:
            def make(conn):
                request = end_txn.EndTxnRequest(committed=committed, **self._signature())
                request.narrow = (5, 5) if identity.level >= 2 else (0, 4)
                return request

            try:
                ended = yield self._ask(make, lambda response: (
                    error_of(response.error_code, "the transaction's end") or
                    (response.producer_id, response.producer_epoch)
                ))
            except exc.KielError:
                if committed or not identity.forgotten:
                    raise
        identity.ended(*ended)
        self.gate()

    @gen.coroutine
    def send_offsets(self, consumer):
        """
        Makes what a consumer has handed out part of the transaction: read and written all together, or not.

        All that was handed out and is not committed counts as processed. When the transaction is aborted,
        `kiel.clients.grouped.GroupedConsumer.rewind` has it handed out again.

        Gives the offsets, ``{(topic, partition): next offset to read}``. From Kafka 2.5 on they are signed with the
        consumer's membership, so that one which has lost its partitions is refused (KIP-447).

        :param consumer: a `kiel.clients.grouped.GroupedConsumer` with ``autocommit=False``
        :raises kiel.exc.TransactionStateError: when no transaction is open
        :raises kiel.exc.TransactionFailedError: when the consumer has lost its partitions, or the offsets can't be
            written; `abort` has to follow
        """
        identity = self._check("send_offsets", UNKNOWN, ASKING, READY, BROKEN, COMMITTING, ABORTING, FATAL)
        if consumer.autocommit is not False:
            raise ValueError("offsets that a transaction commits need a consumer with autocommit=False")
        group = consumer.group_name
        try:
            offsets = consumer.handed_out()
        except exc.KielError as error:
            identity.spoil(error)
            self.gate()
            raise identity.failure()
        if not offsets:
            raise gen.Return({})
        try:
            if identity.level < 2 and group not in identity.groups:
                yield self._ask(
                    lambda conn: add_offsets_to_txn.AddOffsetsToTxnRequest(group=group, **self._signature()),
                    lambda response: error_of(response.error_code, "group %s" % group)
                )
            identity.groups.add(group)
            yield self._ask(
                lambda conn: self._offset_request(conn, consumer, offsets), first_error, coordinator.GROUP, group
            )
        except exc.KielError as error:
            identity.spoil(error)
            self.gate()
            raise identity.failure() or error
        self._offsets.append((consumer, offsets))
        raise gen.Return(offsets)

    def _offset_request(self, conn, consumer, offsets):
        """The TxnOffsetCommit of a consumer's offsets."""
        topics = topic_ids.by_topic(txn_offset_commit.TopicRequest, (
            (topic, txn_offset_commit.PartitionRequest(
                partition_id=partition, offset=int(offset), leader_epoch=epoch_of(offset), metadata=""
            )) for (topic, partition), offset in sorted(offsets.items())
        ), self.cluster.topic_ids)
        request = txn_offset_commit.TxnOffsetCommitRequest(
            group=consumer.group_name, topics=topics, **self._signature()
        )
        request.narrow = (5, 6) if self.identity.level >= 2 else (0, 4)
        if conn.reaches("txn_offset_commit", 3):
            request.member_id, request.generation = consumer.allocator.identity
            request.group_instance_id = consumer.allocator.instance_id
        return request

    @gen.coroutine
    def abandon(self, patience):
        """Aborts what is open while closing, or waits for an end under way; as far as that can be done in time."""
        state = self.identity.state
        if state in (OPEN, BROKEN, ABORTING):
            work = self.abort()
        elif self._ending is not None and not self._ending.done():
            work = self._ending
        else:
            return
        try:
            yield events.within(patience, work)
        except (exc.KielError, gen.TimeoutError) as error:
            log.warning("Closed with a transaction not ended; the brokers abort it after %g s: %s",
                        self.transaction_timeout, error)
