"""The transactions of a producer: where they begin and end, and what belongs to them."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen

from kiel import events, exc
from kiel.callbacks import safe_text
from kiel.clients.producing.producer_id import ProducerIdRequests
from kiel.clients.producing.producer_state import (
    ABORTING, ASKING, BROKEN, COMMITTING, FATAL, OPEN, READY, UNKNOWN, ProducerState
)
from kiel.clients.producing.transaction_offsets import TransactionOffsets
from kiel.clients.producing.transaction_requests import TransactionRequests, first_error
from kiel.clients.producing.transactional_id import TransactionalId
from kiel.events import settle
from kiel.protocol import add_partitions_to_txn, end_txn, errors, init_producer_id, topic_ids

log = logging.getLogger(__name__)

#: What ends a transactional producer for good when a broker says it of messages. An epoch that is too old may be no
#: more than that of an aborted transaction; the coordinator knows.
FATAL_OF_MESSAGES = (
    errors.producer_fenced, errors.transactional_id_authorization_failed, errors.cluster_authorization_failed,
)


class TransactionManager(object):
    """
    Gets a producer its id and epoch, and begins and ends its transactions.

    What follows from what is a table: `kiel.clients.producing.producer_state.TRANSITIONS`.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param on_change: called when messages may be accepted that were not before, or the reverse
    :param settle_in: looks whether a call comes on the loop of `connect`, and has the producer begin anew where not
    """

    def __init__(self, client, options, on_change, settle_in):
        self._client = client
        self._options = options
        self._on_change = on_change
        self._settle_in = settle_in
        #: the `ProducerState`; another one after each `reset`, as are those who know it
        self.state, self._requests, self._ids, self._transactional_id, self._offsets = self._anew()
        self._adding = None  # the request that adds partitions
        self._to_add = set()  # the (topic, partition id) pairs that it is to add
        self._ending = None  # the end of the transaction that is under way,
        self._ending_by = None  # and the call that set it off
        self._flushing = False  # whether a commit still waits for messages

    def _anew(self):
        """Return a state without an id and without a transaction, and those who know it."""
        client, options = self._client, self._options
        state = ProducerState(
            options.idempotent, options.transactional_id, self._on_change if options.transactional_id else None
        )
        requests = TransactionRequests(client, state)
        return (state, requests, ProducerIdRequests(state), TransactionalId(requests, state, options),
                TransactionOffsets(client.cluster, requests, state))

    def reset(self):
        """Go on without an id and without a transaction, as at first."""
        self.state, self._requests, self._ids, self._transactional_id, self._offsets = self._anew()
        self._adding = self._ending = self._ending_by = None
        self._to_add = set()
        self._flushing = False

    def refusal(self):
        """Return the error of a message that is not accepted now, None if it is."""
        state = self.state
        if not state.transactional or state.state == OPEN:
            return None
        return state.failure() or exc.TransactionStateError(
            "a producer with a transactional id produces only in a transaction: call begin() first"
        )

    # -- what the sender asks and tells --

    def prepare(self, broker, queues):
        """
        Return a Future of what has to be there before these queues are sent to a broker; None when all is.

        :raises kiel.exc.KielError: when they can't be sent at all
        """
        state = self.state
        if not state.transactional:
            return self._ids.ask(broker)
        error = state.failure()
        if error is not None:
            raise error
        missing = set((queue.topic, queue.partition) for queue in queues) - state.partitions
        if not missing:
            return None
        if state.level >= 2:
            state.partitions.update(missing)  # the brokers add them to the transaction themselves (KIP-890)
            return None
        self._to_add.update(missing)
        if self._adding is None or self._adding.done():
            self._adding = self._add_partitions()
        return self._adding

    def lost(self, batch, error):
        """A batch is given up."""
        if self.state.transactional and getattr(error, "code", None) in FATAL_OF_MESSAGES:
            self.state.condemn(error)
        self.state.lost(batch, error)

    def spoil(self, error):
        """A message could not be accepted: a transaction can't be committed without it."""
        self.state.spoil(error)

    def topic_changed(self, topic, why, unanswered=False):
        """
        A topic is another one than it was: a transaction that has written to it can't be whole any more.

        :param why: how that was seen
        :param unanswered: whether there are messages of which it is not known to which of the two they went
        """
        state = self.state
        if (state.state == OPEN or self._flushing) and (unanswered or topic in state.reached):
            state.spoil(exc.UnknownTopicIdError(
                "topic %s: %s; what the transaction had written to it is gone" % (topic, why)))

    def fall_back(self, error):
        """Go on without idempotence."""
        self._ids.fall_back(error)

    @gen.coroutine
    def ask_early(self):
        """
        Ask for the id that the first message needs, if a broker is connected, so that it does not wait for that.

        Never fails.
        """
        if self.state.transactional or self.state.state != UNKNOWN or self._client.closing:
            return
        for broker in self._client.cluster.conns.values():
            if broker.is_open(init_producer_id.InitProducerIdRequest.api):
                try:
                    waits = self._ids.ask(broker)
                    if waits is not None:
                        yield waits
                except exc.KielError as error:  # it is asked for again, and whoever needs it is told
                    log.debug("No producer id yet: %s", error)
                return

    def initialize(self):
        """Get an id and epoch from the coordinator where there are none; return a Future."""
        return self._transactional_id.initialize()

    @gen.coroutine
    def _add_partitions(self):
        """Add partitions to the transaction, also those that are wanted meanwhile."""
        state, requests, to_add = self.state, self._requests, self._to_add
        try:
            while to_add:
                keys = sorted(to_add)
                topics = topic_ids.by_topic(add_partitions_to_txn.TopicRequest, keys)
                yield requests.ask(lambda broker: add_partitions_to_txn.AddPartitionsToTxnRequest(
                    topics=topics, **requests.signature()
                ), lambda response: first_error(response, transactional_id=state.transactional_id))
                state.partitions.update(keys)
                to_add.difference_update(keys)
        finally:
            to_add.clear()

    # -- transactions --

    def begin(self, result=None):
        """
        Begin a transaction; see `kiel.clients.producer.Producer.begin`.

        :param result: what the Future gets
        """
        begun = concurrent.Future()

        def prepared(future):
            # in one step: a call that was cancelled meanwhile begins nothing
            error = future.exception()
            if error is None and not begun.done():
                try:
                    self._check("begin", OPEN, BROKEN, COMMITTING, ABORTING, FATAL).go("begun")
                except exc.KielError as failed:
                    error = failed
            settle(begun, result, error)

        self._prepare_begin().add_done_callback(prepared)
        return begun

    @gen.coroutine
    def _prepare_begin(self):
        self._check("begin", FATAL)
        coming = self._client._come_here()
        if coming is not None:
            yield coming
        if self.is_ending:
            try:
                yield self._ending
            except exc.KielError as error:
                log.debug("The transaction before did not end well: %s", error)
        yield self.initialize()
        self._check("begin", OPEN, BROKEN, COMMITTING, ABORTING, FATAL)
        if self._client.closing:
            raise exc.ClosedError("the producer is closing")

    def commit(self, flush):
        """
        Commit the transaction; see `kiel.clients.producer.Producer.commit`.

        :param flush: sends all messages and returns a Future of that
        """
        return self._end_by("commit", "committing", lambda: self._commit(flush))

    def abort(self, drop):
        """
        Abort the transaction; see `kiel.clients.producer.Producer.abort`.

        :param drop: called with the error of the messages that are not sent any more; returns a Future, done when
            nothing is under way any more
        """
        return self._end_by("abort", "aborting", lambda: self._abort(drop))

    @property
    def is_ending(self):
        """Whether the end of a transaction is under way."""
        return self._ending is not None and not self._ending.done()

    def _check(self, call, *states):
        """Raise what keeps a call from being made in some states; return the `ProducerState`."""
        state = self.state
        if not state.transactional:
            raise exc.TransactionStateError("%s() needs a producer with a transactional_id" % call)
        if state.state in states:
            if state.state == FATAL:
                raise state.error
            raise exc.TransactionStateError("%s() can't be called now: the transaction is %s%s" % (
                call, state.state, "" if state.error is None else " (%s)" % safe_text(state.error)
            ))
        return state

    @gen.coroutine
    def _end_by(self, call, event, work):
        """End the transaction, in one run though it be called for twice."""
        self._settle_in()
        while self.is_ending:
            if self._ending_by == call:
                yield self._ending
                return
            try:
                yield self._ending
            except exc.KielError as error:
                log.debug("The end that was under way: %s", error)
        state = self._check(call, FATAL, ABORTING if call == "commit" else COMMITTING)
        if state.state in (UNKNOWN, ASKING, READY):
            raise exc.TransactionStateError("%s() can't be called now: there is no transaction" % call)
        if call == "commit" and state.state == BROKEN:
            raise state.failure()
        state.go(event)
        self._ending_by = call
        self._ending = work()
        yield self._ending

    @gen.coroutine
    def _commit(self, flush):
        state, requests, offsets = self.state, self._requests, self._offsets
        self._flushing = True
        try:
            yield flush()
        except Exception as error:
            state.spoil(error)
        finally:
            if state is self.state:  # no `reset` meanwhile
                self._flushing = False
        error = state.failure()
        if error is not None:
            raise error
        yield self._end(True, state, requests)
        offsets.committed()

    @gen.coroutine
    def _abort(self, drop):
        state, requests, offsets = self.state, self._requests, self._offsets
        yield drop(state.failure())
        yield self._end(False, state, requests)
        offsets.forget()

    @gen.coroutine
    def _end(self, committed, state, requests):
        """End the transaction at its coordinator, if that knows of one; there may have been a `reset` meanwhile."""
        if state is self.state:
            self._to_add.clear()
        ended = (-1, -1)
        if (state.partitions or state.groups) and not state.forgotten:
            def make(broker):
                request = end_txn.EndTxnRequest(committed=committed, **requests.signature())
                request.narrow = (5, 5) if state.level >= 2 else (0, 4)
                return request

            try:
                ended = yield requests.ask(make, lambda response: (
                    exc.for_code(response.error_code, "the transaction's end", response.api,
                                 transactional_id=state.transactional_id) or
                    (response.producer_id, response.producer_epoch)
                ))
            except exc.KielError:
                if committed or not state.forgotten:
                    raise
        state.ended(*ended)

    @gen.coroutine
    def send_offsets(self, consumer, offsets=None):
        """
        Make a consumer's offsets part of the transaction; see `kiel.clients.producer.Producer.send_offsets`.

        :param offsets: ``{topic: {partition id: offset}}``; default: all that was handed out
        """
        self._settle_in()
        self._check("send_offsets", UNKNOWN, ASKING, READY, BROKEN, COMMITTING, ABORTING, FATAL)
        sent = yield self._offsets.send(consumer, offsets)
        raise gen.Return(sent)

    @gen.coroutine
    def abandon(self, patience, drop):
        """
        Abort the open transaction while closing, or wait for an end under way, as far as there is time.

        :param patience: seconds
        :param drop: as for `abort`
        """
        if self.state.state in (OPEN, BROKEN, ABORTING):
            work = self.abort(drop)
        elif self.is_ending:
            work = self._ending
        else:
            return
        try:
            yield events.within(patience, work)
        except (exc.KielError, gen.TimeoutError) as error:
            log.warning("Closed with an open transaction; the brokers abort it after %g s: %s",
                        self._options.transaction_timeout, error)
