"""Where the messages of a topic can go."""
from __future__ import absolute_import

from kiel.clients.producing.batch import Batch

#: stands where there is no batch that takes messages
FULL = Batch(None, None)


class Route(object):
    """
    The partitions of one topic, as metadata last said.

    :param ids: the ids of all partitions, in order
    :param queues: ``{id: its PartitionQueue}``
    :param led: the queues of those that have a leader; of all, while none has
    """

    __slots__ = ("ids", "led", "queues", "chosen")

    def __init__(self, ids, queues, led):
        self.ids = ids
        self.queues = queues
        self.led = led
        #: The batch into which the random partitioner puts messages at present. It stays with a partition as long as
        #: one batch takes messages (KIP-480): a few large batches cost less than many small ones.
        self.chosen = FULL


class Routes(object):
    """
    The routes of all topics that metadata knows and that were produced to.

    :param cluster: the `kiel.cluster.Cluster`
    :param queue: returns the `kiel.clients.producing.partition_queue.PartitionQueue` of a topic and a partition id
    :param watch: the `kiel.clients.producing.topic_watch.TopicWatch`
    """

    def __init__(self, cluster, queue, watch):
        #: topic -> `Route`
        self.known = {}
        self._cluster = cluster
        self._queue = queue
        self._watch = watch

    def get(self, topic):
        """Return the route of a topic that metadata knows, else None."""
        return self.known.get(topic) or self.learn(topic)

    def learn(self, topic):
        """Make the route of a topic anew; return it, or None when metadata does not know the topic."""
        ids = list(self._cluster.topics.get(topic) or ())
        if not ids:
            self.known.pop(topic, None)
            return None
        leaders = self._cluster.leaders.get(topic, {})
        queues = dict((number, self._queue(topic, number)) for number in ids)
        led = [number for number in ids if number in leaders] or ids
        route = self.known[topic] = Route(ids, queues, [queues[number] for number in led])
        self._watch.compare(topic, queues.values())
        return route

    def refresh(self):
        """Metadata came: partitions and leaders may be others now, topics may be gone."""
        for topic in set(self.known).union(self._watch.topics):  # also those that were gone for a while
            self.learn(topic)
