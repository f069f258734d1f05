"""What becomes of batches that a broker did not take."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients import observed
from kiel.clients.producing import size_limits
from kiel.clients.producing.batch import failure
from kiel.clients.producing.partition_queue import DRAINING, NOBODY, READY, Effects
from kiel.clients.producing.producer_state import DOUBTFUL, FALL_BACK, REMAKE, RESEND
from kiel.protocol import errors
from kiel.retry import Backoff

log = logging.getLogger(__name__)

#: what a broker says that misses the numbers before a batch, or the producer
MISSING = (errors.out_of_order_sequence_number, errors.unknown_producer_id)


class Retries(object):
    """
    Decides what is sent again after an error, and when.

    :param cluster: the `kiel.cluster.Cluster`
    :param transactions: the `kiel.clients.producing.transaction_manager.TransactionManager`
    :param plan: the client's `kiel.retry.Backoff`
    :param finish: called with ``(batch, effects, error)`` to give a batch up
    :param trouble: the producer's `kiel.clients.health.Trouble`
    :param withdraw: called with a queue that is not READY any more
    :param act: called with the `kiel.clients.producing.partition_queue.Effects` of queues whose delay is over
    """

    def __init__(self, cluster, transactions, plan, finish, trouble, withdraw, act):
        #: nothing is tried again any more
        self.stopped = False
        self._cluster = cluster
        self._transactions = transactions
        self._finish = finish
        self._trouble = trouble
        self._withdraw = withdraw
        self._act = act
        self._limits = size_limits.SizeLimits(cluster)
        # each batch has a deadline of its own
        self._backoff = Backoff(plan.first, plan.most, plan.factor, plan.jitter, deadline=None)

    # -- what failed --

    def refused(self, queue, batch, refusal, effects):
        """A batch that was under way was not taken: nothing follows it before all that is under way has ended."""
        if refusal.part is None or refusal.code in DOUBTFUL:
            batch.doubtful = True
        refusal.numbered = batch.sequence is not None
        batch.refusal = refusal
        batch.last_error = refusal.error
        self.hold(queue, effects)

    def failed(self, queue, error, effects):
        """What is next in a queue can't be sent, for a reason that is no batch's own."""
        if getattr(error, "retriable", False) and not self.stopped and queue.next is not None:
            queue.next.last_error = queue.hindrance = error
            self._note(queue.next, error)
            self.hold(queue, effects)
            return
        for batch in list(queue.batches)[queue.sent:]:
            if not batch.done:
                self._finish(batch, effects, failure(error, batch.topic, batch.partition))
            queue.remove(batch)
        queue.go("moved")
        effects.moved.append(queue)

    def leaderless(self, queue, effects):
        """What is next in a queue can't be sent, as metadata name no leader."""
        self.failed(queue, self._leaderless(queue), effects)

    def _leaderless(self, queue):
        error = self._cluster.topic_errors.get(queue.topic)
        if error is not None:
            return error
        partitions = self._cluster.topics.get(queue.topic)
        if partitions is not None and queue.partition not in partitions:
            return exc.UnknownTopicOrPartitionError("the topic has no partition %s any more" % queue.partition)
        if partitions is not None:
            return exc.LeaderNotAvailableError("no broker that can be reached leads the partition")
        return exc.UnknownTopicOrPartitionError("the topic is gone")

    def hold(self, queue, effects):
        """Send nothing more of a queue before all that is under way has ended, and a new round begins."""
        queue.proven = NOBODY
        queue.due = True
        if queue.state is not DRAINING:
            if queue.state is READY:
                self._withdraw(queue)
            queue.go("failed")
        if not queue.flying:
            self.settle(queue, effects)

    # -- what becomes of it --

    def settle(self, queue, effects):
        """
        All that was under way in a queue has ended, and something failed: decide what becomes of each, in order.

        What may be sent again stays where it is.
        """
        if self.is_probing(queue):
            queue.go("moved")
            effects.moved.append(queue)
            return
        for batch in list(queue.batches)[:queue.sent]:
            if batch.refusal is not None and batch.refusal.asking:
                return
            if self._wants_words(batch):
                self._explain(queue, batch)  # comes back here, maybe at once
                return
        causes = [] if queue.hindrance is None else [queue.hindrance]  # what a delay is for
        queue.hindrance = None
        kept = ended = False
        for batch in queue.recall():
            refusal, batch.refusal = batch.refusal, None
            if batch.done:  # given up while it was under way
                queue.remove(batch)
                ended = True
            elif refusal.halves(batch):
                queue.split(batch, [len(batch) // 2])
                kept = ended = True
            elif self._is_kept(queue, batch, refusal, kept):
                self._note(batch, refusal.error)
                # what only follows from something that is settled needs no delay
                if refusal.code not in MISSING or not (kept or ended):
                    causes.append(refusal.error)
                kept = True
            else:
                self._finish(batch, effects, failure(self._last_word(refusal), batch.topic, batch.partition))
                queue.remove(batch)
                ended = True
        if causes and queue.batches:
            queue.go("drained")
            effects.failed.append((queue, next((e for e in causes if e.cure == "metadata"), causes[0])))
        else:
            queue.go("moved")
            effects.moved.append(queue)

    def is_probing(self, queue):
        """
        Return whether what is next in a queue is sent to find out whether those before it were written.

        A broker that was stopped and started knows only the last batch of each producer again. Of several whose answers
        were lost it takes all but the last for out of order, written though they are; the last one it knows again, and
        that tells.
        """
        following = queue.next
        if following is None or not following.doubtful or self.stopped or queue.hindrance is not None:
            return False
        unsure = [batch for batch in list(queue.batches)[:queue.sent] if not batch.done]
        return bool(unsure) and following.sequence is not None and all(
            _is_out_of_order(batch) and batch.doubtful and batch.identity == following.identity for batch in unsure
        )

    def _is_kept(self, queue, batch, refusal, kept):
        """
        Return whether a batch is sent again; if so, it is made ready for that.

        :param kept: whether one before it is sent again
        """
        state = self._transactions.state
        if refusal.code in MISSING and refusal.numbered:
            if batch.sequence is None:  # made anew together with one before it
                return not self.stopped
            if refusal.code == errors.out_of_order_sequence_number and (kept or _in_doubt(queue, batch)):
                return not self.stopped
        verdict = state.judge(batch, refusal.code, -1 if refusal.part is None else refusal.part.log_start_offset)
        if verdict == REMAKE:
            state.remake(batch, _following(queue, batch))
        elif verdict == FALL_BACK:
            batch.drop_numbers()
            self._transactions.fall_back(refusal.error)
        elif verdict != RESEND:
            return getattr(refusal.error, "retriable", False) and not self.stopped
        return not self.stopped

    def _note(self, batch, error):
        """Tell those who listen that a batch is sent again."""
        self._trouble.note("writing", error)
        if self._cluster.settings.hooks is not None:
            observed.batch_retried(self._cluster.settings.hooks, batch, error)

    def _wants_words(self, batch):
        """Return whether a batch is given up for its size, and its error is to say more of that."""
        refusal = batch.refusal
        return (
            refusal is not None and refusal.code in size_limits.SETTINGS
            and not (refusal.explained or batch.done or self.stopped or refusal.error.retriable)
            and not refusal.halves(batch)
        )

    @gen.coroutine
    def _explain(self, queue, batch):
        """Have the error of a batch that is too large tell the limit; the queue waits for that."""
        refusal = batch.refusal
        refusal.explained = refusal.asking = True
        refusal.error = yield self._limits.explained(refusal.error, batch)
        refusal.asking = False
        effects = Effects()
        self.settle(queue, effects)
        self._act(effects)

    def _last_word(self, refusal):
        """Return the error of a batch that is given up: numbers that are missing only follow from what was before."""
        state = self._transactions.state
        failed = state.failure() if refusal.code in MISSING and state.transactional else None
        return failed or refusal.error

    # -- when --

    @gen.coroutine
    def back_off(self, failed, effects):
        """
        Let queues wait for their next attempt, and renew metadata before it.

        :param failed: ``(queue, error)`` pairs
        :param effects: new `kiel.clients.producing.partition_queue.Effects` to act upon then
        """
        delay = 0
        topics = set()
        for queue, error in failed:
            if queue.clock is None:
                queue.clock = self._backoff.start()
            delay = max(delay, queue.clock.delay())
            if error.cure == "metadata":
                topics.add(queue.topic)
            self._cluster.outage.tell(
                log, ("produce", queue.topic, queue.partition), logging.INFO, "%s:%s is retried in %.1f s: %s",
                (queue.topic, queue.partition, delay, error), dict(topic=queue.topic, partition=queue.partition)
            )
        try:
            yield gen.sleep(delay)
            yield self._cure(topics)
        except exc.KielError as error:
            log.info("Metadata refresh failed: %s", error)
        except Exception:
            log.exception("Metadata refresh failed")
        for queue, _ in failed:
            queue.go("retried")
            queue.remove_done()
            effects.moved.append(queue)
        self._act(effects)

    def over(self, queue):
        """The head of a queue that failed before is written."""
        queue.clock = None
        self._cluster.outage.over(("produce", queue.topic, queue.partition), "%s:%s is written again", queue.topic,
                                  queue.partition, topic=queue.topic, partition=queue.partition)

    @gen.coroutine
    def _cure(self, topics):
        """Renew metadata; a topic that is gone is asked for by name, upon which most brokers create it."""
        if self.stopped:
            return
        for topic in topics:
            if topic not in self._cluster.topics:
                yield self._cluster.ensure(topic)
        if any(topic in self._cluster.topics for topic in topics):
            yield self._cluster.heal()


def _is_out_of_order(batch):
    return batch.refusal is not None and batch.refusal.code == errors.out_of_order_sequence_number


def _following(queue, batch):
    """Return the batches behind one that are numbered in the same epoch: a list."""
    batches = list(queue.batches)
    return [
        other for other in batches[batches.index(batch) + 1:]
        if other.sequence is not None and other.identity == batch.identity and not other.done
    ]


def _in_doubt(queue, batch):
    """
    Return whether a batch that is said to be out of order may have been written all the same.

    It may while one behind it may have been: the broker would not have taken that one before this.
    """
    return batch.doubtful and any(
        other.doubtful and not _is_out_of_order(other) for other in _following(queue, batch)
    )
