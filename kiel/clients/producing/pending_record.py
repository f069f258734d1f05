"""A message that can't be accepted yet."""
from __future__ import absolute_import


class PendingRecord(object):
    """
    A message that can't be accepted yet: its topic is not known, there is no room, or its serializer is not done.

    :param key: the key as the caller gave it, for the partitioner; None where it is not to decide
    :param label: key and headers as they are written; None for neither
    :param value: the serialized message: bytes or None
    :param timestamp: milliseconds since 1970
    :param partition: an id, or None where the partitioner is to choose
    :param size: the most bytes that it takes
    """

    __slots__ = ("topic", "key", "label", "value", "timestamp", "partition", "size", "future", "accepted",
                 "serializing")

    def __init__(self, topic, key, label, value, timestamp, partition, size):
        self.topic = topic
        self.key = key
        self.label = label
        self.value = value
        self.timestamp = timestamp
        self.partition = partition
        self.size = size
        #: the Future of its Delivery, once somebody waits
        self.future = None
        #: whether it has been put into a batch meanwhile
        self.accepted = False
        #: whether its serializer still has to make the value: those that were produced later wait behind it
        self.serializing = False
