"""The topics of a fake cluster: their ids, partitions and settings."""
from __future__ import absolute_import

import collections
import logging
import re
import uuid

from kiel.testing.fake.batches import Log

logger = logging.getLogger(__name__)

NAME = re.compile(r"^[A-Za-z0-9._-]{1,249}$")

#: the settings that a topic has when nobody sets them, as far as the fake knows them
DEFAULTS = collections.OrderedDict((
    ("cleanup.policy", "delete"), ("compression.type", "producer"), ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"), ("min.insync.replicas", "1"), ("retention.bytes", "-1"),
    ("retention.ms", "604800000"), ("segment.bytes", "1073741824"),
))


class Topic(object):
    """One topic."""

    def __init__(self, name, configs):
        self.name = name
        self.id = uuid.uuid4().bytes
        self.configs = dict(configs or ())
        #: the `Log` of each partition
        self.partitions = []

    def config(self, name):
        """Return a setting's value, as text."""
        return self.configs.get(name, DEFAULTS.get(name))


class Topics(object):
    """
    All topics.

    :param brokers: ids of the brokers, which lead the partitions in turn
    :param max_bytes: what all logs together may take; the oldest messages of the largest go first
    """

    def __init__(self, brokers, max_bytes):
        self.brokers = brokers
        self.max_bytes = max_bytes
        self.by_name = collections.OrderedDict()
        #: changes with every topic or partition that comes or goes
        self.version = 0
        self._told = False

    def create(self, name, partitions=1, configs=None):
        """Make a topic."""
        topic = self.by_name[name] = Topic(name, configs)
        self.grow(topic, partitions)
        return topic

    def grow(self, topic, partitions):
        """Add partitions to a topic, to so many."""
        for number in range(len(topic.partitions), partitions):
            topic.partitions.append(Log(self.brokers[number % len(self.brokers)]))
        self.version += 1

    def delete(self, name):
        """Forget a topic."""
        del self.by_name[name]
        self.version += 1

    def find(self, asked):
        """
        Return the topic that a request names or gives the id of, None where there is none.

        :param asked: a name, or a part with ``name``, ``topic_id`` or both
        """
        name = asked if isinstance(asked, type(u"")) or isinstance(asked, str) else getattr(asked, "name", None)
        if name:
            return self.by_name.get(name)
        topic_id = getattr(asked, "topic_id", None)
        for topic in self.by_name.values():
            if topic.id == topic_id:
                return topic
        return None

    def log(self, name, partition):
        """Return the log of a partition, None where there is none."""
        topic = self.by_name.get(name)
        if topic is None or not 0 <= partition < len(topic.partitions):
            return None
        return topic.partitions[partition]

    def logs(self):
        """Return all logs."""
        return [log for topic in self.by_name.values() for log in topic.partitions]

    def keep_within(self):
        """Drop the oldest messages where there are more than ``max_bytes`` of them."""
        logs = self.logs()
        excess = sum(log.size for log in logs) - self.max_bytes
        if excess <= 0:
            return
        if not self._told:
            self._told = True
            logger.warning(
                "more than %d bytes were written to the fake Kafka: it drops the oldest messages, as a topic's"
                " retention would (max_bytes=)", self.max_bytes)
        while excess > 0:
            largest = max(logs, key=lambda log: log.size)
            before = largest.size
            # a tenth at once, so that not every request has to do so
            largest.truncate(largest.batches[len(largest.batches) // 10][1] + 1)
            excess -= before - largest.size
