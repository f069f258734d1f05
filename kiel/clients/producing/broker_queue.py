"""What waits for each broker, how it is put into requests, and what is on its way there."""
from __future__ import absolute_import

import collections
import functools
import logging
import time

from kiel import exc
from kiel.broker import LANES
from kiel.clients.producing.batch import failure
from kiel.clients.producing.partition_queue import Effects
from kiel.clients.producing.refusal import HeadersNotSupported
from kiel.protocol import produce
from kiel.protocol.flat import FlatProduceRequest
from kiel.retry import monotonic

log = logging.getLogger(__name__)

API = produce.ProduceRequest.api

#: the versions that leave it to the client to add partitions to a transaction: 12 does it by itself (KIP-890)
TRANSACTIONAL = (3, 11)

_NO_LIMIT = float("inf")

#: bytes of batches that are encoded between two looks at the clock
WORTH_ASKING = 64 * 1024

#: where there are no more brokers than these, they are dialled before there is a message: most lead a part of any topic
FEW_BROKERS = 3

#: requests on their way to one broker that go as soon as they can; more of them go when they carry a batch that is
#: full, or at the pace
FREELY = 2

#: seconds of a round trip from which on it pays to send a batch that is not full behind others that are under way:
#: where it takes less, the answer comes soon, and all that was added until then goes together
FAR = 0.005

#: A batch that is not full follows the one before after this part of a round trip; a request with such batches the one
#: before after that one. So a few go out in each round trip, and what is added in between goes together.
BATCH_PACE, REQUEST_PACE = 0.25, 0.0625

#: Where answers take longer than twice the shortest round trip and so many seconds more, requests stand in line on
#: their way or before the broker: fewer of them are to be under way, as it is not done with them any sooner.
QUEUEING = 0.02

#: as many requests may be under way however late answers are; Java's producer has no more in any case
ANYWAY = 5

#: seconds after which the shortest round trip is forgotten, as the way may have become longer
SHORTEST_KEPT = 10.0


class BrokerQueue(object):
    """
    The partition queues whose next batches are ready to go to one broker.

    :param broker_id: the broker's id
    :param round_trip: seconds until an answer comes, as far as that is known
    """

    __slots__ = (
        "broker_id", "ready", "in_flight", "blocked", "hurries", "round_trip", "sent_at", "paced",
        "waits_since", "limit", "_shortest", "_before", "_since"
    )

    def __init__(self, broker_id, round_trip=0.0):
        self.broker_id = broker_id
        #: the `kiel.clients.producing.partition_queue.PartitionQueue` objects, in the order in which they came
        self.ready = collections.deque()
        #: the number of requests that have no answer yet
        self.in_flight = 0
        #: whether it waits for something itself: a connection, the producer's id, or the loop's turn
        self.blocked = False
        #: whether a batch among those that are ready is full, or sent again, or does not keep to the pace
        self.hurries = False
        #: seconds until an answer comes, about; 0 while that is not known
        self.round_trip = round_trip
        #: when the last request went (`kiel.retry.monotonic`)
        self.sent_at = 0.0
        #: whether the sender's timer will look at it
        self.paced = False
        #: since when the first request waits for the connection; None when it does not
        self.waits_since = None
        #: how many requests may be under way, at least `ANYWAY`; without limit before an answer was late
        self.limit = _NO_LIMIT
        # the shortest round trip since some time, and in the time before that
        self._shortest, self._before, self._since = _NO_LIMIT, round_trip or _NO_LIMIT, 0.0

    def answered(self, took, now):
        """
        One of several requests was answered after so many seconds: learn how many may be under way.

        :param now: `kiel.retry.monotonic`
        """
        if not self._since:
            self._since = now
        elif now - self._since > SHORTEST_KEPT:
            self._shortest, self._before, self._since = _NO_LIMIT, self._shortest, now
        self._shortest = min(took, self._shortest, self.round_trip)
        if took > 2 * min(self._shortest, self._before) + QUEUEING:
            # one less for two answers: after a mere pause it is soon back where it was
            self.limit = max(ANYWAY, min(self.limit, self.in_flight + 1) - 0.5)
        else:
            self.limit += 1

    def wait(self, part, since, now):
        """
        Return the seconds until something may go by the pace: 0 for now, None when it has to wait for an answer.

        :param part: `BATCH_PACE` or `REQUEST_PACE`
        :param since: when the one before went
        """
        if self.round_trip < FAR:
            return None
        return max(0.0, since + part * self.round_trip - now)


class InFlight(object):
    """
    One request on its way.

    :param broker_queue: the `BrokerQueue` it came from
    :param batches: the ``(partition queue, batch)`` pairs that it carries
    :param request: the `kiel.protocol.produce.ProduceRequest`
    :param sent_at: when it went (`kiel.retry.monotonic`)
    """

    __slots__ = ("broker_queue", "batches", "request", "sent_at", "handled", "error")

    def __init__(self, broker_queue, batches, request, sent_at=0.0):
        self.broker_queue = broker_queue
        self.batches = batches
        self.request = request
        self.sent_at = sent_at
        #: whether the application's own handler has got the answer
        self.handled = False
        #: what that handler raised
        self.error = None


class BrokerQueues(object):
    """
    Lets the partition queues that are ready stand in line for their leaders, and puts their batches into requests.

    Encoding takes its time, so the loop has its turn in between.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param transactions: `kiel.clients.producing.transaction_manager.TransactionManager`
    :param turn: the `kiel.fairness.Turn` that the producer shares with whatever else it does at a stretch
    :param pipeline: `kiel.clients.producing.pipeline.Pipeline`
    :param retries: `kiel.clients.producing.retries.Retries`
    :param finish: called with ``(batch, effects, error)`` to give a batch up
    :param act: called with the `kiel.clients.producing.partition_queue.Effects` of what was sent, or failed
    :param send: called with ``(broker queue, connection, request, [(partition queue, batch)], now)`` to send a request
    """

    def __init__(self, client, options, transactions, turn, pipeline, retries, finish, act, send):
        #: those that wait until all who were told of an answer have run, a set; None while none is to
        self.held = None
        self._client = client
        self._cluster = client.cluster
        self._options = options
        self._transactions = transactions
        self._turn = turn
        self._pipeline = pipeline
        self._retries = retries
        self._finish = finish
        self._act = act
        self._send = send
        self._queues = {}  # broker id -> BrokerQueue
        self._postponed = []  # those that wait for the loop to have its turn
        self._encoded = 0  # bytes that were encoded since somebody asked whether the loop is due its turn

    def get(self, broker_id):
        """Return the queue of a broker, None before anything was ready for it."""
        return self._queues.get(broker_id)

    def put(self, queue, broker_id):
        """Let a partition queue that is READY stand in line for its leader; return that broker's queue."""
        broker_queue = self._queues.get(broker_id)
        if broker_queue is None:
            broker = self._cluster.conns.get(broker_id)
            distance = None if broker is None else broker.round_trip
            broker_queue = self._queues[broker_id] = BrokerQueue(broker_id, distance or 0.0)
        broker_queue.ready.append(queue)
        if queue.urgent or not queue.next.limit:
            broker_queue.hurries = True
        return broker_queue

    def withdraw(self, queue):
        """A partition queue does not stand in line any more."""
        for broker_queue in self._queues.values():
            if queue in broker_queue.ready:
                broker_queue.ready.remove(queue)

    def hurry(self, queue, effects):
        """What is next in a partition queue that is READY has become full: it goes without keeping to the pace."""
        for broker_queue in self._queues.values():
            if queue in broker_queue.ready:
                broker_queue.hurries = True
                self.send_ready(broker_queue, effects)

    def forget(self):
        """Forget all that waits, with the process that this one was forked from, or the loop that is closed."""
        self._queues.clear()
        self._postponed = []
        self.held = None

    # -- dialling ahead --

    def expect(self):
        """Metadata came: dial the brokers of a small cluster, to any of which the first message may go."""
        conns = self._cluster.conns
        if len(conns) <= FEW_BROKERS and not self._client.closing:
            for broker in list(conns.values()):
                if LANES[API] not in broker.lanes:  # else it was there, and may be gone by now
                    broker.open_ahead(API)

    def dial(self, broker_id):
        """Have a broker dialled by the time something is sent there."""
        broker = self._cluster.conns.get(broker_id)
        if broker is not None:
            broker.open_ahead(API)

    # -- into requests --

    def send_ready(self, broker_queue, effects, asked=False, due=False):
        """
        Send what is ready for a broker, as far as it may.

        :param asked: the broker has just been asked what it serves
        :param due: one request is sent now, however long others have taken
        """
        if self.held is not None:
            self.held.add(broker_queue)
            return
        while broker_queue.ready and not broker_queue.blocked:
            if broker_queue.in_flight >= FREELY:
                if broker_queue.in_flight >= broker_queue.limit:  # an answer, or its loss, comes back here
                    return
                if not (broker_queue.hurries or self._pipeline.may_go(broker_queue)):
                    return
            broker = self._cluster.conns.get(broker_queue.broker_id)
            lane = None if broker is None else broker.lane(API)
            moving = self._client._moving if broker is None else None
            if moving is not None:  # the client begins anew on another loop
                broker_queue.blocked = True
                moving.add_done_callback(functools.partial(self._unblocked, broker_queue, asked=False))
            elif broker is None:
                gone = exc.LeaderNotAvailableError("broker %s is gone" % broker_queue.broker_id)
                self._fail_ready(broker_queue, gone, effects)
            elif broker.closing:
                self._fail_ready(broker_queue, broker.error, effects)
            elif lane is None and not asked:
                # What it speaks decides how messages are written. And what is sent before the lane is open would go
                # behind what is sent just after.
                broker_queue.blocked = True
                broker_queue.waits_since = broker_queue.waits_since or monotonic()
                broker.open(API).add_done_callback(functools.partial(self._unblocked, broker_queue, asked=True))
            elif not due and self._is_loop_due():
                broker_queue.blocked = True
                if not self._postponed:
                    self._client.io_loop.add_callback(self._go_on)
                self._postponed.append(broker_queue)
            else:
                due = asked = False
                # the broker opens a lane that was lost just now
                self._send_one(broker_queue, broker, lane or broker, effects)

    def _send_one(self, broker_queue, broker, connection, effects):
        """Send one request, or wait for the producer's id, or for the partitions to be in the transaction."""
        try:
            transactions = self._transactions
            waits = None if transactions.state.prepared else transactions.prepare(broker, broker_queue.ready)
            if waits is None:
                self._send_next_batches(broker_queue, connection, effects)
            else:
                broker_queue.blocked = True
                waits.add_done_callback(functools.partial(self._unblocked, broker_queue, asked=False))
        except Exception as error:  # nobody else would ever move what waits here
            if not isinstance(error, exc.KielError):
                log.exception("Could not send a ProduceRequest")
            self._fail_ready(broker_queue, error, effects)

    def _unblocked(self, broker_queue, future, asked):
        """The connection or the producer id this broker queue was waiting for is ready, or failed."""
        broker_queue.blocked = False
        effects = Effects()
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._fail_ready(broker_queue, error, effects)
        else:
            self.send_ready(broker_queue, effects, asked)
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
            self.send_ready(broker_queue, effects, due=due)
            self._act(effects)
            due = False

    def _fail_ready(self, broker_queue, error, effects):
        """All that is ready for a broker failed with one error."""
        waiting = list(broker_queue.ready)
        broker_queue.ready.clear()
        for queue in waiting:
            self._retries.failed(queue, error, effects)

    def _send_next_batches(self, broker_queue, connection, effects):
        """Send the next batches of as many queues as fit into one request."""
        options = self._options
        version = connection.wire.version(produce.ProduceRequest)
        batches = []
        size = 0
        now = monotonic()
        ready = broker_queue.ready
        while ready:
            queue = ready[0]
            if not self._is_in_turn(queue, broker_queue.broker_id):
                ready.popleft()
                queue.go("moved")
                effects.moved.append(queue)
                continue
            if batches:
                following = queue.next
                following.end_run()
                if size + following.size > options.max_request_bytes or self._is_loop_due():
                    break
            batch = queue.close_next()
            if not self._encode(queue, batch, version, effects):
                continue  # another one is the next now
            ready.popleft()
            batch.left = batch.left or now
            if queue.launch(broker_queue.broker_id, now):
                effects.moved.append(queue)
            size += batch.size
            self._encoded += batch.size
            batches.append((queue, batch))
        if not ready:
            broker_queue.hurries = False
        if batches:
            self._send(broker_queue, connection, self._request(batches), batches, now)

    def _is_in_turn(self, queue, broker_id):
        """Return whether what is next in a READY queue may still go to that broker, whatever has happened since."""
        leader = self._cluster.leaders.get(queue.topic, {}).get(queue.partition)
        if queue.sent == len(queue.batches) or leader != broker_id:
            return False
        if queue.flying:
            return queue.leader == leader
        return not queue.sent or self._retries.is_probing(queue)

    def _request(self, batches):
        """Return the request of batches that are encoded."""
        options, state, ids = self._options, self._transactions.state, self._cluster.topic_ids
        return FlatProduceRequest(
            state.transactional_id, options.required_acks, options.ack_timeout,
            [(queue.topic, ids.get(queue.topic), queue.partition, batch.data) for queue, batch in batches],
            TRANSACTIONAL if state.transactional and state.level < 2 else None
        )

    def _encode(self, queue, batch, version, effects):
        """Encode a batch; return False when it is not what is to be sent: it can't be encoded, or was too much."""
        options = self._options
        try:
            batch.encode(version, options.compression or 0, self._transactions.state, queue)
        except Exception as error:
            self._cannot_encode(queue, batch, error, effects)
            return False
        return queue.measure(batch, options.batch_limit)

    def _cannot_encode(self, queue, batch, error, effects):
        """Give up a batch that can't be encoded for its leader, or what of it can't be."""
        if isinstance(error, HeadersNotSupported):
            # the messages with headers fail, all others are kept
            for part, refused in zip(queue.split(batch, error.cuts), error.flags):
                if refused:
                    self._finish(part, effects, failure(error.error, part.topic, part.partition))
                    queue.remove(part)
            return
        if not isinstance(error, exc.KielError):
            log.exception("%r can't be encoded", batch)
        self._finish(batch, effects, failure(error, batch.topic, batch.partition))
        queue.remove(batch)
