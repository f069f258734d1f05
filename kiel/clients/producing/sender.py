"""
Takes batches from the queues of their partitions to the leaders, and brings the answers back.

A partition queue whose next batch is ready stands in the queue of its leader; those of as many as fit go in one
ProduceRequest. Others may be under way: `kiel.clients.producing.pipeline` says how many. What failed and may be retried
stays in its place.
"""
from __future__ import absolute_import

import collections
import functools
import logging
import time

import tornado

from kiel import exc
from kiel.broker import LANES
from kiel.clients import observed
from kiel.clients.producing import encoding
from kiel.clients.producing.batch import BATCH_OVERHEAD, failure, resolve, timed_out
from kiel.clients.producing.broker_queue import FREELY, BrokerQueue, InFlight
from kiel.callbacks import safe_text
from kiel.clients.producing.partition_queue import (
    DRAINING, IN_FLIGHT, LINGERING, NOBODY, READY, Effects, PartitionQueue
)
from kiel.clients.producing.pipeline import REMEMBERED, Pipeline
from kiel.clients.producing.producer_state import WRITTEN
from kiel.clients.producing.retries import Refusal, Retries
from kiel.events import ignore, outcome_of, settle, soon, weakly
from kiel.protocol import produce
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: whether a coroutine of Tornado's goes on a turn later than whoever else waits for the same
TOLD_LATER = (5,) <= tornado.version_info < (6,)

#: where there are no more brokers than these, they are dialled before there is a message: most lead a part of any topic
FEW_BROKERS = 3

#: bytes of batches that are encoded between two looks at the clock
WORTH_ASKING = 64 * 1024


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
        self._turn = turn
        self._release = release
        self._trouble = trouble
        self._watch = watch
        self._own_handler = own_handler
        self._retries = Retries(
            client.cluster, transactions, client.cluster.settings.retry, self._finish, trouble, self._withdraw,
            self._act
        )
        self._pipeline = Pipeline(client, options, transactions, self._on_pace)
        self._queues = {}  # (topic, partition id) -> PartitionQueue
        self._broker_queues = {}  # broker id -> BrokerQueue
        self._postponed = []  # the broker queues that wait for the loop to have its turn
        self._encoded = 0  # bytes that were encoded since somebody asked whether the loop is due its turn
        self._linger_timer = None
        self._deadline_timer = None
        self._held = None  # the broker queues that wait for those who were told of an answer; None while none is to

    def queue(self, topic, partition):
        """Return the queue of a partition."""
        found = self._queues.get((topic, partition))
        if found is None:
            found = self._queues[topic, partition] = PartitionQueue(topic, partition)
        return found

    # -- what comes in --

    def expect(self):
        """Metadata came: dial the brokers of a small cluster, to any of which the first message may go."""
        conns = self._cluster.conns
        if len(conns) <= FEW_BROKERS and not self._client.closing:
            for broker_id, broker in list(conns.items()):
                if LANES[produce.ProduceRequest.api] not in broker.lanes:  # else it was there, and may be gone by now
                    self._open_ahead(broker_id)

    def begin(self, queue):
        """Return a new batch at the end of a queue; `added` is to follow once it has its first message."""
        now = monotonic()
        patience = self._options.delivery_timeout
        if self._deadline_timer is None:
            self._deadline_timer = self._client.io_loop.call_later(patience, weakly(self._on_deadline))
        return queue.begin(now, now + patience, encoding.batch_limit(self._options))

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
            # it stands in its leader's queue, where it may have to keep to a pace that is none for what is full
            for broker_queue in self._broker_queues.values():
                if queue in broker_queue.ready:
                    broker_queue.hurries = True
                    self._send_ready(broker_queue, effects)
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
        self._broker_queues.clear()
        self.sent.clear()
        self._postponed = []
        self._linger_timer = self._deadline_timer = self._held = None
        self._pipeline.forget()
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
                self._send_ready(broker_queue, effects)
        if effects.failed:
            failed, effects.failed = effects.failed, []
            self._retries.back_off(failed, Effects())
        if effects.freed:
            freed, effects.freed = effects.freed, 0
            self._release(freed)
        resolve(effects.outcome)

    def _advance(self, queue, broker_queues, effects):
        """Take a queue that is LINGERING on: to its leader's queue, to idleness, or to wait."""
        if not queue.batches:
            queue.go("emptied")
            queue.due = queue.urgent = False
            self.active.discard(queue)
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
            self._open_ahead(broker_id)
        else:
            queue.go("due")
            if broker_id is None:
                self._retries.failed(queue, self._leaderless(queue), effects)
                return
            broker_queue = self._broker_queues.get(broker_id)
            if broker_queue is None:
                broker_queue = self._broker_queues[broker_id] = BrokerQueue(broker_id, self._distance(broker_id))
            broker_queue.ready.append(queue)
            if queue.urgent or not queue.next.limit:
                broker_queue.hurries = True
            if broker_queue not in broker_queues:
                broker_queues.append(broker_queue)

    def _open_ahead(self, broker_id):
        """Have a broker dialled by the time something is sent there."""
        broker = self._cluster.conns.get(broker_id)
        if broker is not None and not (broker.closing or broker.is_open(produce.ProduceRequest.api)):
            ignore(broker.open(produce.ProduceRequest.api))

    def _distance(self, broker_id):
        """Return the seconds that a broker's first answer took, when it was dialled; 0 where that is not known."""
        broker = self._cluster.conns.get(broker_id)
        return 0.0 if broker is None else broker.round_trip or 0.0

    def _withdraw(self, queue):
        """A queue does not stand in that of its leader any more."""
        for broker_queue in self._broker_queues.values():
            if queue in broker_queue.ready:
                broker_queue.ready.remove(queue)

    def _on_pace(self, queues, broker_queues):
        """It is time for what would not go before."""
        effects = Effects()
        effects.moved.extend(queues)
        for broker_queue in broker_queues:
            self._send_ready(broker_queue, effects)
        self._act(effects)

    def _on_linger(self):
        """The oldest message has lingered for long enough."""
        self._linger_timer = None
        self.release()

    def _cancel_linger(self):
        if self._linger_timer is not None:
            self._client.io_loop.remove_timeout(self._linger_timer)
            self._linger_timer = None

    def _leaderless(self, queue):
        """Return the error of a partition for which metadata names no leader."""
        error = self._cluster.topic_errors.get(queue.topic)
        if error is not None:
            return error
        partitions = self._cluster.topics.get(queue.topic)
        if partitions is not None and queue.partition not in partitions:
            return exc.UnknownTopicOrPartitionError("the topic has no partition %s any more" % queue.partition)
        if partitions is not None:
            return exc.LeaderNotAvailableError("no broker that can be reached leads the partition")
        return exc.UnknownTopicOrPartitionError("the topic is gone")

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

    # -- to the brokers --

    def _send_ready(self, broker_queue, effects, asked=False, due=False):
        """
        Send what is ready for a broker, as far as it may. Encoding takes its time, so the loop has its turn in between.

        :param asked: the broker has just been asked what it serves
        :param due: one request is sent now, however long others have taken
        """
        if self._held is not None:
            self._held.add(broker_queue)
            return
        while broker_queue.ready and not broker_queue.blocked:
            if not (broker_queue.in_flight < FREELY or broker_queue.hurries or self._pipeline.may_go(broker_queue)):
                return
            broker = self._cluster.conns.get(broker_queue.broker_id)
            moving = self._client._moving if broker is None else None
            if moving is not None:  # the client begins anew on another loop
                broker_queue.blocked = True
                moving.add_done_callback(functools.partial(self._unblocked, broker_queue, asked=False))
            elif broker is None:
                gone = exc.LeaderNotAvailableError("broker %s is gone" % broker_queue.broker_id)
                self._fail_ready(broker_queue, gone, effects)
            elif broker.closing:
                self._fail_ready(broker_queue, broker.error, effects)
            elif not asked and not broker.is_open(produce.ProduceRequest.api):
                # What it speaks decides how messages are written. And what is sent before the lane is open would go
                # behind what is sent just after.
                broker_queue.blocked = True
                broker_queue.waits_since = broker_queue.waits_since or monotonic()
                broker.open(produce.ProduceRequest.api).add_done_callback(
                    functools.partial(self._unblocked, broker_queue, asked=True))
            elif not due and self._is_loop_due():
                broker_queue.blocked = True
                if not self._postponed:
                    self._client.io_loop.add_callback(self._go_on)
                self._postponed.append(broker_queue)
            else:
                due = asked = False
                try:
                    waits = self._prepared(broker, broker_queue.ready)
                    if waits is None:
                        self._send_next_batches(broker_queue, broker, effects)
                    else:
                        broker_queue.blocked = True
                        waits.add_done_callback(functools.partial(self._unblocked, broker_queue, asked=False))
                except Exception as error:  # nobody else would ever move what waits here
                    if not isinstance(error, exc.KielError):
                        log.exception("Could not send a ProduceRequest")
                    self._fail_ready(broker_queue, error, effects)

    def _prepared(self, broker, queues):
        """Return a Future of the producer's id or the transaction's partitions, None when they are there."""
        return None if self._transactions.state.prepared else self._transactions.prepare(broker, queues)

    def _unblocked(self, broker_queue, future, asked):
        """The connection or the producer id this broker queue was waiting for is ready, or failed."""
        broker_queue.blocked = False
        effects = Effects()
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._fail_ready(broker_queue, error, effects)
        else:
            self._send_ready(broker_queue, effects, asked)
        self._act(effects)

    def _is_loop_due(self):
        """Ask for the loop's turn in between large pieces of work only, as a small one is soon done."""
        if self._encoded < WORTH_ASKING:
            return False
        self._encoded = 0
        return self._turn.over(time.time())

    def _go_on(self):
        """The loop had its turn: the broker queues that waited for it go on."""
        postponed, self._postponed = self._postponed, []
        due = True  # the first one in any case: others may have had their share of this turn already
        for broker_queue in postponed:
            broker_queue.blocked = False
            effects = Effects()
            self._send_ready(broker_queue, effects, due=due)
            self._act(effects)
            due = False

    def _fail_ready(self, broker_queue, error, effects):
        """All that is ready for a broker failed with one error."""
        waiting = list(broker_queue.ready)
        broker_queue.ready.clear()
        for queue in waiting:
            self._retries.failed(queue, error, effects)

    def _send_next_batches(self, broker_queue, broker, effects):
        """Send the next batches of as many queues as fit into one request."""
        version = broker.wire.version(produce.ProduceRequest)
        batches = []
        size = 0
        now = monotonic()
        ready = broker_queue.ready
        while ready:
            queue = ready[0]
            following = queue.next
            if not self._is_in_turn(queue, broker_queue.broker_id):
                ready.popleft()
                queue.go("moved")
                effects.moved.append(queue)
                continue
            if batches:
                following.end_run()
                if size + following.size > self._options.max_request_bytes or self._is_loop_due():
                    break
            batch = queue.close_next()
            if not self._encode(queue, batch, version, effects):
                continue
            ready.popleft()
            batch.left = batch.left or now
            queue.launch(broker_queue.broker_id, now)
            effects.moved.append(queue)
            size += batch.size
            self._encoded += batch.size
            batches.append((queue, batch))
        if not ready:
            broker_queue.hurries = False
        if batches:
            self._send(broker_queue, broker, batches, now)

    def _is_in_turn(self, queue, broker_id):
        """Return whether what is next in a READY queue may still go to that broker, whatever has happened since."""
        leader = self._cluster.leaders.get(queue.topic, {}).get(queue.partition)
        if queue.next is None or leader != broker_id:
            return False
        if queue.flying:
            return queue.leader == leader
        return not queue.sent or self._retries.is_probing(queue)

    def _send(self, broker_queue, broker, batches, now):
        """Send one request."""
        request = encoding.request(self._options, self._transactions.state, self._cluster.topic_ids, batches)
        in_flight = InFlight(broker_queue, batches, request, now)
        broker_queue.in_flight += 1
        broker_queue.sent_at = now
        request.asked, broker_queue.waits_since = broker_queue.waits_since, None
        self.sent[request.correlation_id] = in_flight
        # the Future of the answer comes a turn of the loop later; that is for what has no answer
        request.on_answer = self._on_answer if self._own_handler is None else self._on_answer_to_handle
        try:
            future = broker.send(request)
        except Exception as error:
            log.exception("A ProduceRequest could not be sent")
            self._lost(in_flight, error)
        else:
            future.add_done_callback(functools.partial(self._on_done, in_flight))

    def _encode(self, queue, batch, version, effects):
        """Encode a batch; return False when it can't be, and another one is the next now."""
        try:
            encoding.encode(batch, version, self._options.compression or 0, self._transactions.state)
            return True
        except encoding.HeadersNotSupported as found:
            # the messages with headers fail, all others are kept
            for part, refused in zip(queue.split(batch, found.cuts), found.flags):
                if refused:
                    self._finish(part, effects, failure(found.error, part.topic, part.partition))
                    queue.remove(part)
        except Exception as error:
            if not isinstance(error, exc.KielError):
                log.exception("%r can't be encoded", batch)
            self._finish(batch, effects, failure(error, batch.topic, batch.partition))
            queue.remove(batch)
        return False

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

    def _on_answer_to_handle(self, response):
        """
        Callback: an answer came, and the application has a ``handle_produce_response`` of its own.

        That calls `handle` itself, usually. What it raises is the error of the messages, as in kiel 0.9.
        """
        in_flight = self.sent.get(response.correlation_id)
        if in_flight is None:
            return
        in_flight.handled = True
        try:
            future = outcome_of(self._own_handler(response))
        except Exception as error:
            self._handled(in_flight, response, error)
            return
        if future.done():
            self._handled(in_flight, response, future.exception())
        else:
            future.add_done_callback(lambda _: self._handled(in_flight, response, future.exception()))

    def _handled(self, in_flight, response, error):
        """The application's own handler is through."""
        if error is not None:
            log.error("handle_produce_response() failed: %s", safe_text(error))
            in_flight.error = error
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
        broker_queue, took = in_flight.broker_queue, monotonic() - in_flight.sent_at
        if took < broker_queue.round_trip or not broker_queue.round_trip:
            broker_queue.round_trip = took
        else:  # it took longer behind large requests
            broker_queue.round_trip += (took - broker_queue.round_trip) / 16
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
            error = encoding.error_of(part, batch, queue.topic, state.transactional_id)
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
            self._send_ready(broker_queue, effects)
        if len(effects.outcome) < 2 or self._held is not None:
            self._act(effects)
            return
        self._held = set()
        try:
            self._act(effects)
        finally:
            io_loop, go = self._client.io_loop, self._let_go  # behind those who were told
            soon(io_loop, functools.partial(soon, io_loop, go) if TOLD_LATER else go)

    def _let_go(self):
        """Send what was held."""
        held, self._held = self._held, None
        for broker_queue in held or ():
            effects = Effects()
            self._send_ready(broker_queue, effects)
            self._act(effects)
