"""What waits for one broker, and what is on its way there."""
from __future__ import absolute_import

import collections

#: requests on their way to one broker at once; each partition is in one of them at most
MAX_IN_FLIGHT = 2


class BrokerQueue(object):
    """
    The partition queues whose heads are ready to go to one broker.

    :param broker_id: the broker's id
    """

    __slots__ = ("broker_id", "ready", "in_flight", "blocked")

    def __init__(self, broker_id):
        self.broker_id = broker_id
        #: the `kiel.clients.producing.partition_queue.PartitionQueue` objects, in the order in which they came
        self.ready = collections.deque()
        #: the number of requests that have no answer yet
        self.in_flight = 0
        #: whether it waits for something itself: a connection, the producer's id, or the loop's turn
        self.blocked = False


class InFlight(object):
    """
    One request on its way.

    :param broker_queue: the `BrokerQueue` it came from
    :param batches: the ``(partition queue, batch)`` pairs that it carries
    :param request: the `kiel.protocol.produce.ProduceRequest`
    """

    __slots__ = ("broker_queue", "batches", "request", "handled", "error")

    def __init__(self, broker_queue, batches, request):
        self.broker_queue = broker_queue
        self.batches = batches
        self.request = request
        #: whether the application's own handler has got the answer
        self.handled = False
        #: what that handler raised
        self.error = None
