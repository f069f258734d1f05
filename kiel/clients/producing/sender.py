"""
Takes batches from the queues of their partitions to the leaders, and brings the answers back.

A partition queue whose next batch is ready stands in line for its leader, and those of as many as fit go in one
ProduceRequest: `kiel.clients.producing.broker_queue`. Others may be under way: `kiel.clients.producing.pipeline` says
how many. What failed and may be retried stays in its place.
"""
from __future__ import absolute_import

import collections
import functools
import logging
import time

import tornado

from kiel.clients import observed
from kiel.clients.producing.batch import BATCH_OVERHEAD, failure, resolve, timed_out
from kiel.clients.producing.broker_queue import BrokerQueues, InFlight
from kiel.clients.producing.overrides import OwnHandler
from kiel.clients.producing.partition_queue import (
    DRAINING, IN_FLIGHT, LINGERING, NOBODY, READY, Effects, PartitionQueue
)
from kiel.clients.producing.pipeline import REMEMBERED, Pipeline
from kiel.clients.producing.producer_state import WRITTEN
from kiel.clients.producing.refusal import Refusal, error_of
from kiel.clients.producing.retries import Retries
from kiel.events import settle, soon, weakly
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: whether a coroutine of Tornado's goes on a turn later than whoever else waits for the same
TOLD_LATER = (5,) <= tornado.version_info < (6,)


class Sender(object):
    """
    Moves the partition queues of one producer along.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param transactions: `kiel.clients.producing.transaction_manager.TransactionManager`
    :param turn: the `kiel.fairness.Turn` that the producer shares with whatever else it does at a stretch
    :param release: called with the number of bytes that have left the buffer
    :param trouble: the producer's `kiel.clients.health.Trouble`
    :param watch: the producer's `kiel.clients.producing.topic_watch.TopicWatch`
    :param own_handler: the application's own ``handle_produce_response``, or None
    """

    def __init__(self, client, options, transactions, turn, release, trouble, watch, own_handler=None):
        #: nothing lingers: whatever is there goes out as soon as its partition is free
        self.prompt = False
        #: correlation id -> `InFlight`
        self.sent = {}
        #: the queues that hold anything
        self.active = set()
        self._client = client
        self._cluster = client.cluster
        self._options = options
        self._transactions = transactions
        self._release = release
        self._trouble = trouble
        self._watch = watch
        # called with each answer; the Future of one comes a turn of the loop later
        self._hear = self._on_answer if own_handler is None else OwnHandler(own_handler, self.sent, self._end)
        self._retries = Retries(
            client.cluster, transactions, client.cluster.settings.retry, self._finish, trouble,
            lambda queue: self._broker_queues.withdraw(queue), self._act
        )
        self._pipeline = Pipeline(client, options, transactions, self._on_pace)
        self._broker_queues = BrokerQueues(
            client, options, transactions, turn, self._pipeline, self._retries, self._finish, self._act, self._send
        )
        self._queues = {}  # (topic, partition id) -> PartitionQueue
        self._linger_timer = None
        self._deadline_timer = None

    def queue(self, topic, partition):
        """Return the queue of a partition."""
        found = self._queues.get((topic, partition))
        if found is None:
            found = self._queues[topic, partition] = PartitionQueue(topic, partition)
        return found

    # -- what comes in --

    def expect(self):
        """Metadata came: there may be brokers to be dialled for what will come."""
        self._broker_queues.expect()

    def begin(self, queue):
        """Return a new batch at the end of a queue; `added` is to follow once it has its first message."""
        now = monotonic()
        patience = self._options.delivery_timeout
        if self._deadline_timer is None:
            self._deadline_timer = self._client.io_loop.call_later(patience, weakly(self._on_deadline))
        return queue.begin(now, now + patience, self._options.batch_limit)

    def added(self, queue):
        """The first message of a batch came to a queue that is idle, or has nothing else but what is under way."""
        queue.go("added")
        self.active.add(queue)
        effects = Effects()
        effects.moved.append(queue)
        self._act(effects)

    def filled(self, queue):
        """What a queue is to send next may be full now."""
        effects = Effects()
        if queue.flying and queue.state is IN_FLIGHT:
            queue.go("added")
            effects.moved.append(queue)
        elif queue.state is READY and not queue.next.limit:
            self._broker_queues.hurry(queue, effects)
        self._act(effects)

    def release(self, urgent=False):
        """
        Send all that is there without lingering any longer.

        :param urgent: without keeping to a pace, too
        """
        if self.prompt and self._linger_timer is None and not urgent:
            return  # nothing lingers
        self._cancel_linger()
        effects = Effects()
        for queue in self.active:
            queue.due = True
            if urgent and queue.next is not None:
                queue.urgent = True
                if queue.state is IN_FLIGHT:
                    queue.go("added")
            if queue.state is LINGERING:
                effects.moved.append(queue)
        self._act(effects)

    def batches(self):
        """Return all batches that are not done."""
        return [batch for queue in self.active for batch in queue.batches if not batch.done]

    def start(self):
        """Try again what fails, also after `stop`."""
        self._retries.stopped = False

    def stop(self, error):
        """Fail whatever is left; return ``{(topic, partition id): number of messages}``."""
        self._retries.stopped = True
        self._cancel_linger()
        self._pipeline.stop()
        if self._deadline_timer is not None:
            self._client.io_loop.remove_timeout(self._deadline_timer)
            self._deadline_timer = None
        effects = Effects()
        left = collections.Counter()
        for batch in self.batches():
            left[batch.topic, batch.partition] += len(batch)
            self._finish(batch, effects, failure(error, batch.topic, batch.partition))
        for queue in self.active:
            self._clear(queue, effects)
        self._act(effects)
        return dict(left)

    def abandon(self, error):
        """Forget all queues and requests of the process that this one was forked from, or of a loop that is closed."""
        outcome = []
        for batch in self.batches():
            batch.close()
            self._release(batch.size - BATCH_OVERHEAD)
            outcome.extend(batch.finish(failure(error, batch.topic, batch.partition)))
        self.active.clear()
        self._queues.clear()
        self._broker_queues.forget()
        self.sent.clear()
        self._linger_timer = self._deadline_timer = None
        self._pipeline.forget()
        self._watch.forget()
        for future, result, failed in outcome:
            settle(future, result, failed)

    # -- what follows from what happened --

    def _act(self, effects):
        """Let all that follows from some changes happen: queues go on or back off, requests go out, waiters wake."""
        while effects.moved:
            moved, effects.moved = effects.moved, []
            broker_queues = []
            for queue in moved:
                if queue.state is LINGERING:
                    self._advance(queue, broker_queues, effects)
            for broker_queue in broker_queues:
                self._broker_queues.send_ready(broker_queue, effects)
        if effects.failed:
            failed, effects.failed = effects.failed, []
            self._retries.back_off(failed, Effects())
        if effects.freed:
            freed, effects.freed = effects.freed, 0
            self._release(freed)
        if effects.outcome:
            resolve(effects.outcome)

    def _advance(self, queue, broker_queues, effects):
        """Take a queue that is LINGERING on: to its leader's queue, to idleness, or to wait."""
        if not queue.batches:
            self._rest(queue)
            return
        broker_id = self._cluster.leaders.get(queue.topic, {}).get(queue.partition)
        if queue.flying:
            if queue.next is None or not self._pipeline.may_follow(queue, self._broker_queues.get(broker_id)):
                queue.go("waits")
                return
        elif queue.sent and not self._retries.is_probing(queue):
            self._retries.hold(queue, effects)
            return
        if not (self.prompt or queue.due):
            if self._linger_timer is None:
                waited = monotonic() - queue.next.opened
                self._linger_timer = self._client.io_loop.call_later(
                    max(0.0, self._options.linger_time - waited), self._on_linger
                )
            self._broker_queues.dial(broker_id)
        else:
            queue.go("due")
            if broker_id is None:
                self._retries.leaderless(queue, effects)
                return
            broker_queue = self._broker_queues.put(queue, broker_id)
            if broker_queue not in broker_queues:
                broker_queues.append(broker_queue)

    def _rest(self, queue):
        """All of a queue is through."""
        queue.go("emptied")
        queue.due = queue.urgent = False
        self.active.discard(queue)

    def _on_pace(self, queues, broker_queues):
        """It is time for what would not go before."""
        effects = Effects()
        effects.moved.extend(queues)
        for broker_queue in broker_queues:
            self._broker_queues.send_ready(broker_queue, effects)
        self._act(effects)

    def _on_linger(self):
        """The oldest message has lingered for long enough."""
        self._linger_timer = None
        self.release()

    def _cancel_linger(self):
        if self._linger_timer is not None:
            self._client.io_loop.remove_timeout(self._linger_timer)
            self._linger_timer = None

    def _finish(self, batch, effects, error=None, offset=-1, timestamp=-1):
        """End a batch, delivered or with an error."""
        hooks = self._cluster.settings.hooks
        if hooks is not None:
            observed.batch_ended(hooks, batch, self._options, self._cluster.leaders, error, offset)
        if error is not None:
            self._transactions.lost(batch, error)
            self._trouble.note("writing", error)
        elif self._trouble.errors:
            self._trouble.note("writing", None)
        if batch.limit:
            batch.close()
        effects.freed += batch.size - BATCH_OVERHEAD
        effects.outcome.extend(batch.finish(error, offset, timestamp))

    def _clear(self, queue, effects):
        """Take batches that are done out of a queue."""
        queue.remove_done()
        if not queue.batches and queue.state is LINGERING:
            effects.moved.append(queue)

    def _on_deadline(self):
        """Give up the batches whose delivery time is over, and set the timer for the next."""
        self._deadline_timer = None
        now = monotonic()
        effects = Effects()
        following = None
        for queue in list(self.active):
            for batch in queue.batches:
                if batch.done:
                    continue
                if batch.deadline > now:
                    if following is None or batch.deadline < following:
                        following = batch.deadline
                    break
                self._finish(batch, effects, timed_out(batch))
            self._clear(queue, effects)
        if following is not None:
            self._deadline_timer = self._client.io_loop.call_later(following - now, weakly(self._on_deadline))
        self._act(effects)

    def _send(self, broker_queue, connection, request, batches, now):
        """Send one request."""
        in_flight = InFlight(broker_queue, batches, request, now)
        broker_queue.in_flight += 1
        broker_queue.sent_at = now
        request.asked, broker_queue.waits_since = broker_queue.waits_since, None
        self.sent[request.correlation_id] = in_flight
        request.on_answer = self._hear
        try:
            future = connection.send(request)
        except Exception as error:
            log.exception("A ProduceRequest could not be sent")
            self._lost(in_flight, error)
        else:
            future.add_done_callback(functools.partial(self._on_done, in_flight))

    # -- back from the brokers --

    def _on_done(self, in_flight, future):
        """Callback: the Future of a request is done, for what `_on_answer` has not seen."""
        error = future.exception()
        if not in_flight.handled:
            self._end(in_flight, future.result() if error is None else None, error)

    def _on_answer(self, response):
        """
        Callback: an answer just came. Look the request up by correlation id; storing the `InFlight` on the request
        would make a reference cycle.
        """
        in_flight = self.sent.get(response.correlation_id)
        if in_flight is not None:
            self._end(in_flight, response)

    def _end(self, in_flight, response, error=None):
        """A request ended by its answer or by an error; a second end of it changes nothing."""
        try:
            if error is not None:
                self._lost(in_flight, error)
            else:
                self._answered(in_flight, response)
        except Exception as wrong:
            # nothing that was under way may be forgotten, whatever is wrong
            log.exception("A ProduceResponse could not be handled")
            self._lost(in_flight, wrong)

    def handle(self, response):
        """Handle an answer; one to a request that is not ours is left alone."""
        in_flight = self.sent.get(response.correlation_id)
        if in_flight is not None:
            self._answered(in_flight, response)

    def _ended(self, in_flight):
        """Forget a request; return False when it had ended before."""
        if self.sent.pop(in_flight.request.correlation_id, None) is None:
            return False
        in_flight.broker_queue.in_flight -= 1
        return True

    def _lost(self, in_flight, error):
        """No answer came, and whether the messages were written is not known."""
        self._ended(in_flight)
        effects = Effects()
        for queue, batch in in_flight.batches:
            if batch.in_flight:
                queue.land(batch)
                if batch.done:  # given up meanwhile
                    queue.remove(batch)
                else:
                    self._retries.refused(queue, batch, Refusal(error), effects)
                self._landed(queue, effects)
        self._send_more(in_flight.broker_queue, effects)

    def _answered(self, in_flight, response):
        """The answer came; ``None`` is that of a request that asked for none, and has been written."""
        if not self._ended(in_flight):
            return
        broker_queue, now = in_flight.broker_queue, monotonic()
        self._note_time(broker_queue, now - in_flight.sent_at, now)
        parts = {}
        for topic in response.topics if response is not None else ():
            for part in topic.partitions:
                parts[topic.name, part.partition_id] = part
        effects = Effects()
        try:
            for queue, batch in in_flight.batches:
                part = parts.get((queue.topic, queue.partition))
                if in_flight.error is not None:
                    batch.fail_waiters(in_flight.error)
                queue.land(batch)
                try:
                    self._judge(queue, batch, response, part, effects)
                except Exception as wrong:
                    # nothing that was under way may be forgotten, whatever is wrong
                    log.exception("The ProduceResponse for %r could not be handled", batch)
                    self._retries.refused(queue, batch, Refusal(wrong), effects)
                self._landed(queue, effects)
        finally:  # what is done is told, whatever may be wrong with the rest
            self._send_more(broker_queue, effects)

    def _note_time(self, broker_queue, took, now):
        """An answer took so many seconds: learn from it how far the broker is, and how much it takes at once."""
        if took < broker_queue.round_trip or not broker_queue.round_trip:
            broker_queue.round_trip = took
        else:  # it took longer behind large requests
            broker_queue.round_trip += (took - broker_queue.round_trip) / 16
        if broker_queue.in_flight:
            broker_queue.answered(took, now)

    def _judge(self, queue, batch, response, part, effects):
        """Handle what an answer says of one batch."""
        state = self._transactions.state
        if response is None:
            self._written(queue, batch, -1, -1, effects)
        elif part is not None and part.error_code == 0:
            self._written(queue, batch, part.offset, part.timestamp, effects)
        elif part is not None and state.judge(batch, part.error_code, part.log_start_offset) == WRITTEN:
            self._written(queue, batch, -1, -1, effects)
        elif batch.done:  # given up meanwhile
            queue.remove(batch)
        else:
            error = error_of(part, queue.topic, state.transactional_id)
            self._retries.refused(queue, batch, Refusal(error, part), effects)

    def _written(self, queue, batch, offset, timestamp, effects):
        """A batch arrived; so have those before it that may have: it would not have been taken without them."""
        for earlier in queue.proved_by(batch):
            self._finish(earlier, effects)
            queue.remove(earlier)
        if queue.state is not DRAINING:
            queue.proven = NOBODY if batch.is_old(time.time() - REMEMBERED) else batch.identity and batch.identity[0]
        if queue.clock is not None:
            self._retries.over(queue)
        if offset >= 0:
            before, queue.written = queue.written, offset
            if offset <= before:
                self._watch.went_back(batch, offset, before)
        state = self._transactions.state
        if state.transactional:
            state.reached.add(queue.topic)
        if not batch.done:  # given up meanwhile
            self._finish(batch, effects, None, offset, timestamp)
        queue.remove(batch)

    def _landed(self, queue, effects):
        """A batch is not under way any more: what follows in its queue may go, or what failed is looked at."""
        if queue.state is DRAINING:
            if not queue.flying:
                self._retries.settle(queue, effects)
            return
        if queue.state is IN_FLIGHT:
            if not queue.batches:
                self._rest(queue)
                return
            queue.go("answered")
        if queue.state is LINGERING:
            effects.moved.append(queue)

    def _send_more(self, broker_queue, effects):
        """
        A request to this broker is over, so another may start.

        Where several callers learn what became of their messages, each may give the next one as soon as it runs, which
        is in the coming turn of the loop. What the first of them gives waits for the others: one request for all costs
        as much as one for each. A single caller waits for nobody.
        """
        if broker_queue.ready:
            self._broker_queues.send_ready(broker_queue, effects)
        if len(effects.outcome) < 2 or self._broker_queues.held is not None:
            self._act(effects)
            return
        self._broker_queues.held = set()
        try:
            self._act(effects)
        finally:
            io_loop, go = self._client.io_loop, self._let_go  # behind those who were told
            soon(io_loop, functools.partial(soon, io_loop, go) if TOLD_LATER else go)

    def _let_go(self):
        """Send what was held."""
        broker_queues = self._broker_queues
        held, broker_queues.held = broker_queues.held, None
        for broker_queue in held or ():
            effects = Effects()
            broker_queues.send_ready(broker_queue, effects)
            self._act(effects)
