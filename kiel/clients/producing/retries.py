"""What becomes of batches that a broker did not take."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients import observed
from kiel.clients.producing import encoding, size_limits
from kiel.clients.producing.batch import failure
from kiel.clients.producing.partition_queue import IN_FLIGHT, Effects
from kiel.clients.producing.producer_state import DOUBTFUL, FALL_BACK, REMAKE, RESEND, WRITTEN
from kiel.retry import Backoff

log = logging.getLogger(__name__)


class Retries(object):
    """
    Decides whether the head of a queue is sent again after an error, and when.

    :param cluster: the `kiel.cluster.Cluster`
    :param transactions: the `kiel.clients.producing.transaction_manager.TransactionManager`
    :param plan: the client's `kiel.retry.Backoff`
    :param finish: called with ``(batch, effects, error)`` to give a batch up
    :param trouble: the producer's `kiel.clients.health.Trouble`
    :param act: called with the `kiel.clients.producing.partition_queue.Effects` of queues whose delay is over
    """

    def __init__(self, cluster, transactions, plan, finish, trouble, act):
        #: nothing is tried again any more
        self.stopped = False
        self._cluster = cluster
        self._transactions = transactions
        self._finish = finish
        self._trouble = trouble
        self._act = act
        self._limits = size_limits.SizeLimits(cluster)
        # each batch has a deadline of its own
        self._backoff = Backoff(plan.first, plan.most, plan.factor, plan.jitter, deadline=None)

    def refused(self, queue, batch, part, effects):
        """
        Handle the broker's refusal of the head of a queue.

        :param part: what the answer says of the partition, None when it says nothing
        :returns: whether the batch turned out to be written already; else the queue has moved on
        """
        state = self._transactions.state
        error = encoding.error_of(part, batch, queue.topic, state.transactional_id)
        code = None if part is None else part.error_code
        verdict = state.judge(batch, code, part.log_start_offset if part is not None else -1)
        if verdict == WRITTEN:
            return True
        if verdict == REMAKE:
            state.remake(batch)
            error.retriable = True
        elif verdict == FALL_BACK:
            state.give_back(batch)
            self._transactions.fall_back(error)
            error.retriable = True
        elif verdict == RESEND:
            error.retriable = True
        elif part is None or code in DOUBTFUL:
            batch.doubtful = True
        if code in size_limits.SETTINGS and not error.retriable and not self.stopped:
            queue.due = True
            queue.go("failed")
            self._explain(queue, batch, error, Effects())
        else:
            self.failed(queue, error, effects)
        return False

    @gen.coroutine
    def _explain(self, queue, batch, error, effects):
        """Give a batch up that is too large, with the limit in its error; the queue waits for that."""
        error = yield self._limits.explained(error, batch)
        if not batch.done:
            self._finish(batch, effects, failure(error, batch.topic, batch.partition))
        queue.go("retried")
        queue.remove_done()
        effects.moved.append(queue)
        self._act(effects)

    def failed(self, queue, error, effects, whole=False):
        """
        Back off, or give up the head of a queue when its error is no passing one.

        :param whole: the error is one of all batches, not of the head alone
        """
        event = "answered" if queue.state is IN_FLIGHT else "moved"
        if queue.batches and getattr(error, "retriable", False) and not self.stopped:
            queue.batches[0].last_error = error
            self._trouble.note("writing", error)
            if self._cluster.settings.hooks is not None:
                observed.batch_retried(self._cluster.settings.hooks, queue.batches[0], error)
            queue.due = True
            queue.go("failed")
            effects.failed.append((queue, error))
            return
        for batch in list(queue.batches) if whole else [queue.batches[0]]:
            if not batch.done:
                self._finish(batch, effects, failure(error, batch.topic, batch.partition))
            queue.remove(batch)
        queue.go(event)
        effects.moved.append(queue)

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
