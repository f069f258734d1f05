"""ProduceRequests as a producer sends them: written in one go from batches that are encoded."""
from __future__ import absolute_import

import collections
import struct

from kiel.protocol import produce, request, topic_ids
from kiel.protocol.lengths import BYTES, write_unsigned_varint
from kiel.protocol.messages import MessageSet

#: what stands before the batches is kept for so many kinds of requests
KINDS = 64

#: the first version that is written here, those with compact lengths, and those whose topics go by their ids
FIRST, FLEXIBLE, BY_ID = 3, 9, 13

_header = struct.Struct(">hhi")
_int16 = struct.Struct(">h").pack
_int32 = struct.Struct(">i").pack
_two_int32 = struct.Struct(">ii").pack

#: (client id, transactional id, acks, time-out, version) -> the bytes between correlation id and topics
_beginnings = {}


class FlatProduceRequest(produce.ProduceRequest):
    """
    A ProduceRequest of batches, which makes no parts of them.

    It is written as the tables of `kiel.protocol.produce` say, by which the tests hold it. Whoever looks at its
    ``topics`` gets parts that were made for him.

    :param batches: tuples ``(topic, its id or None, partition id, pieces of the batch's bytes)``
    """

    # known from the beginning, so not asked for each time
    expects_response = True
    wait_time = 0
    topic_names = None

    def __init__(self, transactional_id, required_acks, timeout, batches):
        self.transactional_id = transactional_id
        self.required_acks = required_acks
        self.timeout = timeout
        self.expects_response = required_acks != 0
        self.wait_time = timeout
        self.batches = batches
        self.correlation_id = request.generate_correlation_id()
        self.narrow = None
        #: topic id -> topic, of those whose ids are known: what the answer needs
        self.topic_names = {}
        for topic, topic_id, _, _ in batches:
            if topic_id is None or topic_id == topic_ids.NO_TOPIC:
                self.narrow = (0, BY_ID - 1)
            else:
                self.topic_names[topic_id] = topic

    @property
    def max_version(self):
        """As `narrow` says; 12 while a topic's id is not known."""
        return self.version_range[1] if self.narrow is None else self.narrow[1]

    @property
    def topics(self):
        """The same as parts."""
        return topic_ids.by_topic(produce.TopicRequest, (
            (topic, produce.PartitionRequest(partition_id=partition, message_set=MessageSet.raw(pieces)))
            for topic, _, partition, pieces in self.batches
        ), dict((topic, topic_id) for topic_id, topic in self.topic_names.items()))

    def pieces(self, version=None):
        """Header and body as a list of pieces of bytes."""
        if version is None:
            version = self.api_version
        if version < FIRST:
            return super(FlatProduceRequest, self).pieces(version)
        try:
            return self._written(version, version >= FLEXIBLE)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("ProduceRequest can't be written: %s" % error)

    def _written(self, version, flexible):
        out = [_header.pack(0, version, self.correlation_id) + self._beginning(version)]
        topics = collections.OrderedDict()
        for topic, topic_id, partition, pieces in self.batches:
            topics.setdefault((topic, topic_id), []).append((partition, pieces))
        add = out.append
        write = _write_compact if flexible else _write_int32
        write(add, len(topics))
        for (topic, topic_id), entries in topics.items():
            if version >= BY_ID:
                add(topic_id)
            else:
                name = topic if isinstance(topic, bytes) else topic.encode("utf-8")
                if flexible:
                    _write_compact(add, len(name))
                    add(name)
                else:
                    add(_int16(len(name)) + name)
            write(add, len(entries))
            for partition, pieces in entries:
                size = sum(map(len, pieces))
                if flexible:
                    add(_int32(partition))
                    _write_compact(add, size)
                    out.extend(pieces)
                    add(b"\0")
                else:
                    add(_two_int32(partition, size))
                    out.extend(pieces)
            if flexible:
                add(b"\0")
        if flexible:
            add(b"\0")
        return out

    def _beginning(self, version):
        """Return what stands between the correlation id and the topics: written by the tables, once for each kind."""
        kind = self.client_id, self.transactional_id, self.required_acks, self.timeout, version
        found = _beginnings.get(kind)
        if found is None:
            empty = produce.ProduceRequest(
                transactional_id=self.transactional_id, required_acks=self.required_acks, timeout=self.timeout)
            empty.client_id = self.client_id
            whole = empty.serialize(version)
            # without the count, and the tagged fields behind it
            found = whole[_header.size:-2 if version >= FLEXIBLE else -4]
            if len(_beginnings) >= KINDS:
                _beginnings.clear()
            _beginnings[kind] = found
        return found


def _write_int32(add, length):
    add(_int32(length))


def _write_compact(add, length):
    """Write a length as flexible versions have it: plus 1, as a varint, whose one and two bytes are most of them."""
    if length < 0x7f:
        add(BYTES[length + 1])
    elif length < 0x3fff:
        add(BYTES[length + 1 & 0x7f | 0x80] + BYTES[length + 1 >> 7])
    else:
        write_unsigned_varint(add, length + 1)
