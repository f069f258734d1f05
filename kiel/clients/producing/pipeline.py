"""How many batches of a partition, and requests of a broker, may be on their way at once, and at what pace."""
from __future__ import absolute_import

from kiel.clients.producing.broker_queue import BATCH_PACE, REQUEST_PACE
from kiel.clients.producing.options import MOST_NUMBERED
from kiel.clients.producing.partition_queue import IN_FLIGHT
from kiel.events import weakly
from kiel.retry import monotonic

#: the version of ProduceRequest from which on brokers keep the order of several numbered batches (KAFKA-5494)
ORDERED_FROM = 5

#: Seconds after which a broker may have forgotten the producer of a partition that nothing was sent to, or one whose
#: messages have time stamps as old: ``producer.id.expiration.ms``, which is a day unless somebody made it less.
REMEMBERED = 3600


class Pipeline(object):
    """
    Decides whether what is next in a queue may follow what is under way, and wakes those that wait for the pace.

    A second numbered batch follows only once the partition's leader has taken one of this producer's, and none has
    failed since. For brokers from 2.5 on take any number of a producer that they do not know yet: if the first batch
    fails, and is to be sent again, they would take the second before it.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param transactions: `kiel.clients.producing.transaction_manager.TransactionManager`
    :param wake: called with the partition queues and the broker queues that may go on by the pace
    """

    def __init__(self, client, options, transactions, wake):
        self._client = client
        self._cluster = client.cluster
        self._options = options
        self._transactions = transactions
        self._wake = wake
        self._timer = None
        self._queues = []  # those that wait for the timer
        self._broker_queues = []

    def window(self, queue, broker_id):
        """Return how many batches of a queue may be in flight to a broker."""
        state = self._transactions.state
        most = self._options.max_in_flight
        if state.identity is None:  # with more than one the order is given up: only what failed goes alone
            return 1 if most is None or queue.clock is not None else most
        if queue.proven != state.producer_id or monotonic() - queue.sent_at > REMEMBERED:
            return 1
        broker = self._cluster.conns.get(broker_id)
        if broker is None or not broker.wire.reaches("produce", ORDERED_FROM):
            return 1
        return min(most or MOST_NUMBERED, MOST_NUMBERED)

    def may_follow(self, queue, broker_queue):
        """
        Return whether the next batch of a queue may go, though others are in flight; if not, it is looked at again.

        :param broker_queue: that of the partition's leader, None when there is none
        """
        if broker_queue is None or queue.leader != broker_queue.broker_id:
            return False
        if queue.flying >= self.window(queue, broker_queue.broker_id):
            return False
        batch = queue.next
        # what an epoch ends with has to be through before the next begins
        if self._identity(batch) != queue.batches[queue.sent - 1].identity:
            return False
        if not batch.limit or queue.urgent:
            return True
        now = monotonic()
        wait = broker_queue.wait(BATCH_PACE, queue.sent_at, now)
        if wait and not queue.paced:
            queue.paced = True
            self._queues.append(queue)
            self._set_timer(wait)
        return wait == 0

    def _identity(self, batch):
        """Return the producer id and epoch that a batch has, or will have when it is sent now."""
        return self._transactions.state.identity if batch.sequence is None else batch.identity

    def may_go(self, broker_queue):
        """Return whether one more request may go to a broker by the pace; if not, it is looked at again."""
        wait = broker_queue.wait(REQUEST_PACE, broker_queue.sent_at, monotonic())
        if wait and not broker_queue.paced:
            broker_queue.paced = True
            self._broker_queues.append(broker_queue)
            self._set_timer(wait)
        return wait == 0

    def _set_timer(self, seconds):
        if self._timer is None:
            self._timer = self._client.io_loop.call_later(seconds, weakly(self._on_timer))

    def _on_timer(self):
        self._timer = None
        queues, self._queues = self._queues, []
        broker_queues, self._broker_queues = self._broker_queues, []
        for waiting in queues + broker_queues:
            waiting.paced = False
        for queue in queues:
            if queue.state is IN_FLIGHT:
                queue.go("paced")
        self._wake(queues, broker_queues)

    def stop(self):
        """Let nothing wait for the timer."""
        if self._timer is not None:
            self._client.io_loop.remove_timeout(self._timer)
        self.forget()

    def forget(self):
        """Forget a timer, which belongs to a loop that is gone, and who waits for it."""
        self._timer = None
        for waiting in self._queues + self._broker_queues:
            waiting.paced = False
        self._queues, self._broker_queues = [], []
