"""What waits for one broker, and what is on its way there."""
from __future__ import absolute_import

import collections

#: requests on their way to one broker that go as soon as they can; more of them go when they carry a batch that is
#: full, or at the pace
FREELY = 2

#: seconds of a round trip from which on it pays to send a batch that is not full behind others that are under way:
#: where it takes less, the answer comes soon, and all that was added until then goes together
FAR = 0.005

#: A batch that is not full follows the one before after this part of a round trip; a request with such batches the one
#: before after that one. So a few go out in each round trip, and what is added in between goes together.
BATCH_PACE, REQUEST_PACE = 0.25, 0.0625


class BrokerQueue(object):
    """
    The partition queues whose next batches are ready to go to one broker.

    :param broker_id: the broker's id
    :param round_trip: seconds until an answer comes, as far as that is known
    """

    __slots__ = (
        "broker_id", "ready", "in_flight", "blocked", "hurries", "round_trip", "sent_at", "paced",
        "waits_since"
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
