"""What metadata say of topics: their partitions, leaders, ids and errors."""
from __future__ import absolute_import

import collections
import logging

from kiel import exc
from kiel.protocol import errors
from kiel.protocol.topic_ids import NO_TOPIC

# these lines are the cluster's, whose logger applications may have set up
log = logging.getLogger("kiel.cluster")


class Topics(object):
    """The side of a `kiel.cluster.Cluster` that keeps the books of topics."""

    def __init__(self):
        #: broker id -> `kiel.broker.Broker`; a partition led by one that is not here has no leader
        self.conns = {}
        #: topic -> list of partition ids
        self.topics = collections.defaultdict(list)
        #: topic -> {partition id: broker id}
        self.leaders = collections.defaultdict(dict)
        #: topic -> {partition id: leader epoch}, -1 where the broker is too old to tell
        self.leader_epochs = collections.defaultdict(dict)
        #: topic -> its 16-byte id, where the broker has ids
        self.topic_ids = {}
        #: topic -> the `kiel.exc.KielError` that metadata gave for it
        self.topic_errors = {}

    def get_leader(self, topic, partition_id):
        """Return the id of a partition's leader; KeyError when there is none, or none is known."""
        return self.leaders[topic][partition_id]

    def process_topics(self, response_topics, asked=(), with_epochs=True):
        """
        Take over the topics of a metadata answer; return the set of names with something missing.

        :param response_topics: the answer's topics, or what is `known_of` each
        :param asked: the names that were asked for; with none the answer is about all topics, so that topics it does
            not name are gone. Of topics not asked for, all that is known stays.
        :param with_epochs: whether the leaders' epochs are those of now
        """
        missing = set()
        named = set()
        for topic in response_topics:
            if not isinstance(topic, tuple):
                topic = known_of(topic)
            named.add(topic[0])
            self._process_topic(missing, with_epochs, *topic)
        for name in list(self.topics) if not asked else asked:
            if name not in named:
                self._forget(name)
        return missing

    def _tell_absent(self, name):
        """A topic is not there."""
        log.info("Topic %s does not exist (yet)", name)

    def _tell_there(self, name):
        """A topic is there that was not, or had an error."""

    def _process_topic(self, missing, with_epochs, name, code, topic_id, found):
        """Take over one topic."""
        if code == errors.unknown_topic_or_partition:
            self._tell_absent(name)
            self._forget(name)
            self.topic_errors[name] = exc.for_code(code, "topic %s" % name, "metadata", topic=name)
            return
        if code not in (errors.no_error, errors.replica_not_available):
            error = exc.for_code(code, "topic %s" % name, "metadata", topic=name)
            self.topic_errors[name] = error
            if error.retriable:
                missing.add(name)
            else:
                log.warning("Topic %s: %s", name, error)
            return
        if code == errors.replica_not_available:
            missing.add(name)
        if self.topic_errors.pop(name, None) is not None:
            self._tell_there(name)
        partitions, leaders, epochs = [], {}, {}
        conns = self.conns
        for partition_id, leader, epoch in found:
            partitions.append(partition_id)
            # replica_not_available with a live leader is an under-replicated partition, and no failure
            if leader < 0 or leader not in conns:
                missing.add(name)
                continue
            leaders[partition_id] = leader
            if with_epochs:
                epochs[partition_id] = epoch
        if len(partitions) > 1:
            partitions.sort()
        if self.topics.get(name) != partitions:  # a list that stays is nothing new to the garbage collector
            self.topics[name] = partitions
        self.leaders[name] = leaders
        self.leader_epochs[name] = epochs
        if topic_id and topic_id != NO_TOPIC:
            self.topic_ids[name] = topic_id
        else:
            self.topic_ids.pop(name, None)

    def _forget(self, name):
        """Take a topic out of the books."""
        for book in (self.topics, self.leaders, self.leader_epochs, self.topic_ids, self.topic_errors):
            book.pop(name, None)


def known_of(topic):
    """
    Return what the cluster keeps of a topic of a metadata answer: ``(name, error code, id, partitions)``.

    A partition is ``(id, leader, leader epoch)``. Plain tuples, since the garbage collector has no business with them.
    """
    return (topic.name, topic.error_code, topic.topic_id, tuple(
        [(partition.partition_id, partition.leader, partition.leader_epoch) for partition in topic.partitions]
    ))
