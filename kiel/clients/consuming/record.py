"""A message with all that Kafka knows of it."""
from __future__ import absolute_import

from operator import itemgetter


class Record(tuple):
    """
    A message as `consume_records` gives it: a tuple with names.

    ``topic`` (text), ``partition``, ``offset``, ``timestamp`` (milliseconds since 1970 UTC; -1 where the message has
    none), ``key`` (bytes or None), ``value`` (deserialised), ``headers`` (tuple of (text, bytes or None); those
    of a consumed message are decoded when somebody looks at them, see `kiel.protocol.headers`).
    """

    __slots__ = ()

    #: the fields' names in their order
    fields = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")

    topic = property(itemgetter(0), doc="the topic's name")
    partition = property(itemgetter(1), doc="the partition's id")
    offset = property(itemgetter(2), doc="the offset in the partition")
    timestamp = property(itemgetter(3), doc="milliseconds since 1970 UTC, or -1")
    key = property(itemgetter(4), doc="bytes or None")
    value = property(itemgetter(5), doc="what the deserialiser made of the bytes")
    headers = property(itemgetter(6), doc="tuple of (text, bytes or None)")

    def __new__(cls, topic, partition, offset, timestamp=-1, key=None, value=None, headers=()):
        return tuple.__new__(cls, (topic, partition, offset, timestamp, key, value, headers))

    def __getnewargs__(self):
        return tuple(self)

    def __repr__(self):
        return "Record(%s)" % ", ".join("%s=%r" % pair for pair in zip(self.fields, self))
