"""The transactions of a producer: what it asks their coordinator, and what the answers mean."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen

from kiel import events, exc
from kiel.clients.grouping.assignment import not_owned
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.callbacks import safe_text
from kiel.clients.producing.producer_id import ProducerIdRequests
from kiel.clients.producing.producer_state import (
    ABORTING, ASKING, BROKEN, COMMITTING, FATAL, FATAL_ERRORS, OPEN, READY, UNKNOWN, ProducerState
)
from kiel.events import settle
from kiel.protocol import (
    add_offsets_to_txn, add_partitions_to_txn, coordinator, end_txn, errors, init_producer_id, topic_ids,
    txn_offset_commit
)
from kiel.retry import Backoff

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
        self._coordinators = {}  # (key type, key) -> GroupCoordinator
        #: the `ProducerState`; another one after each `reset`
        self.state = self._new_state()
        self._ids = ProducerIdRequests(self.state)
        self._initializing = None  # the request for the id and epoch that is under way
        self._adding = None  # the request that adds partitions
        self._to_add = set()  # the (topic, partition id) pairs that it is to add
        self._ending = None  # the end of the transaction that is under way,
        self._ending_by = None  # and the call that set it off
        self._offsets = []  # (consumer, offsets) of the transaction
        self._flushing = False  # whether a commit still waits for messages

    def _new_state(self):
        options = self._options
        return ProducerState(
            options.idempotent, options.transactional_id, self._on_change if options.transactional_id else None
        )

    def reset(self):
        """Go on without an id and without a transaction, as at first."""
        self.state = self._new_state()
        self._ids = ProducerIdRequests(self.state)
        self._coordinators.clear()
        self._initializing = self._adding = self._ending = self._ending_by = None
        self._to_add = set()
        self._offsets = []
        self._flushing = False

    def refusal(self):
        """Return the error of a message that is not accepted now, None if it is."""
        state = self.state
        if not state.transactional or state.state == OPEN:
            return None
        return state.failure() or exc.TransactionStateError(
            "a producer with a transactional id produces in a transaction only: begin() comes first"
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

    # -- the id and epoch of a transactional producer --

    @gen.coroutine
    def initialize(self):
        """
        Get an id and epoch from the coordinator, which ends what an earlier producer left open.

        Nothing is asked when there are an id and an epoch already.
        """
        state = self.state
        if state.state == READY:
            # again and again: where all brokers were away, nothing else has the producer look for them
            broker = yield self._coordinator(coordinator.TRANSACTION, state.transactional_id).ask(gen.maybe_future)
            if _level(broker) != state.level:
                state.go("renewed")
        if state.state == UNKNOWN:
            state.go("asked")
            self._initializing = self._ask_for_id()
            yield self._initializing
        elif state.state == ASKING:
            yield self._initializing

    @gen.coroutine
    def _ask_for_id(self):
        state = self.state
        level = [1]

        def make(broker):
            level[0] = _level(broker)
            request = init_producer_id.InitProducerIdRequest(
                transactional_id=state.transactional_id,
                transaction_timeout=int(self._options.transaction_timeout * 1000)
            )
            if broker.reaches("init_producer_id", 3):  # it tells whether somebody else had a newer epoch (KIP-360)
                request.producer_id, request.producer_epoch = state.producer_id, state.epoch
            return request

        try:
            response = yield self._ask(make, lambda response: (
                exc.for_code(response.error_code, "transactional id %s" % state.transactional_id, response.api,
                             transactional_id=state.transactional_id) or response
            ))
        except Exception:
            if state.state == ASKING:
                state.go("failed")
            raise
        state.given(response.producer_id, response.producer_epoch)
        state.level = level[0]

    @gen.coroutine
    def _add_partitions(self):
        """Add partitions to the transaction, also those that are wanted meanwhile."""
        state = self.state
        try:
            while self._to_add:
                keys = sorted(self._to_add)
                topics = topic_ids.by_topic(add_partitions_to_txn.TopicRequest, keys)
                yield self._ask(lambda broker: add_partitions_to_txn.AddPartitionsToTxnRequest(
                    topics=topics, **self._signature()
                ), lambda response: first_error(response, transactional_id=state.transactional_id))
                state.partitions.update(keys)
                self._to_add.difference_update(keys)
        finally:
            self._to_add.clear()

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
        state = self.state
        self._flushing = True
        try:
            yield flush()
        except Exception as error:
            state.spoil(error)
        finally:
            self._flushing = False
        error = state.failure()
        if error is not None:
            raise error
        yield self._end(True)
        for consumer, offsets in self._offsets:
            consumer.note_committed(offsets)
        self._offsets = []

    @gen.coroutine
    def _abort(self, drop):
        yield drop(self.state.failure())
        yield self._end(False)
        self._offsets = []

    @gen.coroutine
    def _end(self, committed):
        """End the transaction at its coordinator, if that knows of one."""
        state = self.state
        self._to_add.clear()
        ended = (-1, -1)
        if (state.partitions or state.groups) and not state.forgotten:
            def make(broker):
                request = end_txn.EndTxnRequest(committed=committed, **self._signature())
                request.narrow = (5, 5) if state.level >= 2 else (0, 4)
                return request

            try:
                ended = yield self._ask(make, lambda response: (
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

        :param offsets: ``{(topic, partition): offset}``; default: all that was handed out
        """
        self._settle_in()
        state = self._check("send_offsets", UNKNOWN, ASKING, READY, BROKEN, COMMITTING, ABORTING, FATAL)
        if consumer.autocommit is not False:
            raise ValueError("offsets that a transaction commits need a consumer with autocommit=False")
        group = consumer.group_name
        try:
            offsets = consumer.handed_out() if offsets is None else offsets
            signature = consumer.signature(offsets)
        except exc.KielError as error:
            state.spoil(error)
            raise state.failure()
        if not offsets:
            raise gen.Return({})
        try:
            if state.level < 2 and group not in state.groups:
                yield self._ask(
                    lambda broker: add_offsets_to_txn.AddOffsetsToTxnRequest(group=group, **self._signature()),
                    lambda response: exc.for_code(response.error_code, "group %s" % group, response.api, group=group,
                                                  transactional_id=state.transactional_id)
                )
            state.groups.add(group)
            yield self._ask(
                lambda broker: self._offset_request(broker, consumer, signature, offsets), lambda response: first_error(
                    response, group=group, transactional_id=state.transactional_id
                ), coordinator.GROUP, group
            )
        except exc.KielError as error:
            state.spoil(error)
            raise state.failure() or error
        self._offsets.append((consumer, offsets))
        raise gen.Return(offsets)

    def _offset_request(self, broker, consumer, signature, offsets):
        """
        Return the TxnOffsetCommit of a consumer's offsets.

        :param signature: `kiel.clients.grouping.assignment.Signature`, who may commit them as long as the terms last in
            which they were handed out; in the member's next one somebody else has come further
        :raises kiel.exc.NotOwnedError: when these have ended
        """
        for key, doubt in sorted(signature.withheld(offsets).items()):
            raise doubt or not_owned([key])
        topics = topic_ids.by_topic(txn_offset_commit.TopicRequest, (
            (topic, txn_offset_commit.PartitionRequest(
                partition_id=partition, offset=int(offset), leader_epoch=getattr(offset, "epoch", -1), metadata=""
            )) for (topic, partition), offset in sorted(offsets.items())
        ), self._client.cluster.topic_ids)
        request = txn_offset_commit.TxnOffsetCommitRequest(
            group=consumer.group_name, topics=topics, **self._signature()
        )
        request.narrow = (5, 6) if self.state.level >= 2 else (0, 4)
        if broker.reaches("txn_offset_commit", 3):
            request.member_id, request.generation = signature.identity
            request.group_instance_id = signature.instance_id
        return request

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
            log.warning("Closed with a transaction not ended; the brokers abort it after %g s: %s",
                        self._options.transaction_timeout, error)

    # -- requests to coordinators --

    def _signature(self):
        """Return what every request of a transaction carries."""
        state = self.state
        return dict(
            transactional_id=state.transactional_id, producer_id=state.producer_id, producer_epoch=state.epoch
        )

    @gen.coroutine
    def _ask(self, make, read, kind=coordinator.TRANSACTION, key=None):
        """
        Ask a coordinator, again while it fails in a passing way; return what ``read`` makes of the answer.

        An error for good is noted in the state, and raised.
        """
        key = self.state.transactional_id if key is None else key
        plan = self._client.cluster.settings.retry
        # a transaction just ended is finished by the brokers within milliseconds: CONCURRENT_TRANSACTIONS until then
        plan = Backoff(0.01, plan.most, plan.factor, plan.jitter, plan.deadline)

        @gen.coroutine
        def ask(broker):
            response = yield broker.send(make(broker))
            raise gen.Return(read(response))

        try:
            answer = yield self._coordinator(kind, key).ask(ask, plan=plan)
        except exc.KielError as error:
            raise self._noted(error)
        raise gen.Return(answer)

    def _coordinator(self, kind, key):
        """Return the `GroupCoordinator` of a transactional id or a group."""
        found = self._coordinators.get((kind, key))
        if found is None:
            found = self._coordinators[kind, key] = GroupCoordinator(self._client, key, kind)
        return found

    def _noted(self, error):
        """Let the state know of a coordinator's error; return the error to raise."""
        code = getattr(error, "code", None)
        if code == errors.invalid_producer_epoch:  # what coordinators before 2.7 say instead
            error = exc.ProducerFencedError("another producer has this transactional id now")
        if code in FATAL_ERRORS:
            self.state.condemn(error)
        elif not error.retriable:
            self.state.spoil(error)
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


def _level(broker):
    """Return the version of the transaction protocol that a broker's cluster has finalized, as far as kiel knows it."""
    if broker.wire.features.get("transaction.version", 0) >= 2 and broker.reaches("end_txn", 5):
        return 2
    return 1
